"""What the doctor looks at: a run of several seeds, and runs that differ from it in one thing."""

import contextlib
import dataclasses
import functools
from typing import Any

import jax
import numpy as np

from gdjax import schedules, trees
from gdjax.diagnostics import noise, norms, spectrum, underflow, units
from gdjax.errors import GdjaxError, InvalidValue
from gdjax.monitoring import Monitor
from gdjax.ranges import Real
from gdjax.sweep import SweepResult, sweep
from gdjax.sweep.table import Status, mean_of_finite
from gdjax.task import Task
from gdjax.transformation import Inner, transformation

FACTORS = (0.01, 0.1, 0.3, 3.0, 10.0, 100.0)
"""Times the learning rate, of the runs beside."""
WARM_UP = 0.2
"""Share of the updates in which the learning rate of another run rises to its value."""
JUMP = 10.0
"""Norms of gradients that are so many times those before and after jump."""
LOOKS = 32
"""How often curvature and noise are measured; a look costs some 10 updates."""


@dataclasses.dataclass(frozen=True, eq=False)
class Case:
    """What the rules of :mod:`gdjax.doctor` are applied to; losses are those of training.

    Args:
      loss: before each update, ``[seed, step]``; NaN once a run has diverged.
      seen: what monitors and the task's evaluation measured, ``[seed, look]``; how often is each
        metric's own affair.
      rates: by a factor of the learning rate, the losses of runs that differ in nothing else,
        ``[seed, step]``. Factors below 1 are slower ones.
      norms: by such a factor the norms of the gradients, ``[seed, look]``, where measured.
      warmed: losses where the rate rises from 0 in a first part of the run; None if not tried.
      objective: the metric that ranks, and which of its values are better.
      mode: ``"min"`` or ``"max"``.
      batch_size: examples in a batch; 0 where there are none, or where it is not known.
      sweep: what the run is a trial of, where it is one.
      trial: which.
    """

    loss: np.ndarray
    seen: dict[str, np.ndarray]
    rates: dict[float, np.ndarray] = dataclasses.field(default_factory=dict)
    norms: dict[float, np.ndarray] = dataclasses.field(default_factory=dict)
    warmed: np.ndarray | None = None
    objective: str = "loss"
    mode: str = "min"
    batch_size: int = 0
    sweep: SweepResult | None = None
    trial: int = 0

    @property
    def seeds(self) -> int:
        """How many runs it is."""
        return self.loss.shape[0]

    @property
    def steps(self) -> int:
        """Updates in each."""
        return self.loss.shape[1]

    @property
    def start(self) -> np.ndarray:
        """The loss where the run starts, ``[seed]``.

        Where its first batch is an easy one, that of the slowest run, which hardly moves.
        """
        factor = min(self.rates, default=1.0)
        slowest = self.rates[factor] if factor < 1 else self.loss[:, :1]
        return np.maximum(self.loss[:, 0], mean_of_finite(early(slowest)))

    @functools.cached_property
    def jumps(self) -> np.ndarray:
        """How far a gradient's norm is above the medians of those before and after, ``[seed]``.

        The greatest of a run; 0 where norms were not measured, and of norms that the optimizer
        clips. Also of the run at a tenth of the learning rate, or near it, where there is one: what
        jumps at high rates alone is their affair.
        """
        if "gradient_norm" not in self.seen:
            return np.zeros(self.seeds)
        clipped = self.seen.get("clipped", np.zeros(1)) > 0
        most = np.where(clipped, 0.0, _heights(self.seen["gradient_norm"])).max(axis=1)
        slower = [factor for factor in self.norms if factor < 1]
        if not slower:
            return most
        tenth = min(slower, key=lambda factor: abs(np.log(factor / 0.1)))
        return np.minimum(most, _heights(self.norms[tenth]).max(axis=1))

    def end(self, loss: np.ndarray) -> np.ndarray:
        """Where losses of a run end, ``[seed]``: the mean of the last tenth; inf if diverged.

        Of the updates at which it is finite: others are skipped by an optimizer that can.
        """
        last = mean_of_finite(late(loss, parts=10))
        return np.where(np.isfinite(loss[:, -1]), last, np.inf)

    def lost(self, loss: np.ndarray) -> np.ndarray:
        """Share of the updates of a run that diverged at which its loss is NaN, ``[seed]``."""
        return np.isnan(loss).mean(axis=1) * np.isnan(loss[:, -1])

    def missed(self, other: np.ndarray) -> np.ndarray:
        """Share of the fall of the other run's loss that this one misses, ``[seed]``."""
        start, end, reached = self.start, self.end(self.loss), self.end(other)
        fall = start - reached  # -inf where the other one diverges
        falls = fall > 1e-3 * np.abs(start)
        short = np.minimum(end, start) - np.minimum(reached, start)
        return np.where(falls, short / np.where(falls, fall, 1.0), 0.0)


def early(values: np.ndarray, parts: int = 4) -> np.ndarray:  # [seed, look]
    """The first of so many parts of a series."""
    return values[:, : max(1, values.shape[1] // parts)]


def late(values: np.ndarray, parts: int = 4) -> np.ndarray:  # [seed, look]
    """The last of so many parts of a series."""
    return values[:, -max(1, values.shape[1] // parts) :]


def _heights(norms: np.ndarray, window: int = 64, least: int = 8) -> np.ndarray:  # [seed, look]
    """How far each value is above its surroundings; 0 where these are too short.

    And of what is not finite: steps that are skipped, as by a loss scale, are no challenge.
    """
    heights = np.zeros(norms.shape)
    for i in range(least, norms.shape[1] - least):
        before, after = norms[:, max(0, i - window) : i], norms[:, i + 1 : i + 1 + window]
        around = np.maximum(np.median(before, axis=1), np.median(after, axis=1))
        heights[:, i] = norms[:, i] / np.where(around > 0, around, np.inf)
    return np.where(np.isfinite(heights), heights, 0.0)


def run(task: Task, optimizer: Any, steps: int, seeds: int, key: int) -> Case:
    """Train a task as it is, with other learning rates, and with a warm-up.

    The learning rate is multiplied by multiplying the updates, whatever the optimizer is: see
    :func:`gdjax.diagnose`. Norms are measured at each update, what costs more at :data:`LOOKS` of
    the unchanged run. What is swept has names that the task's own numbers hardly have.
    """
    task = dataclasses.replace(task, monitors=())
    of_training = dataclasses.replace(task, evaluate=None, objective="loss", mode="min")
    beside = sweep(
        of_training.with_monitors(norms()),
        {
            "other rate": lambda doctor_factor: times(optimizer, doctor_factor),
            "warm-up": lambda doctor_ramp: times(
                optimizer, schedules.linear_schedule(0.0, 1.0, doctor_ramp)
            ),
        },
        {"doctor_factor": [1.0, *FACTORS], "doctor_ramp": max(1, round(WARM_UP * steps))},
        seeds=seeds,
        steps=steps,
        segment=1,
        key=key,
        progress=False,
    )
    losses = losses_of(beside)
    refuse_lost(losses[0])
    looked = sweep(
        task.with_monitors(*costly_monitors(task, optimizer)),
        lambda doctor_factor: times(optimizer, doctor_factor),
        {"doctor_factor": 1.0},
        seeds=seeds,
        steps=steps,
        segment=max(1, steps // LOOKS),
        key=key,
        progress=False,
    )
    of_run = {name: values[0] for name, values in beside.evaluations.items()}
    return Case(
        loss=losses[0],
        seen=of_run | {name: values[0] for name, values in looked.evaluations.items()},
        rates=dict(zip(FACTORS, losses[1:-1], strict=True)),
        norms=dict(zip(FACTORS, beside.evaluations["gradient_norm"][1:-1], strict=True)),
        warmed=losses[-1],
        objective=task.objective,
        mode=task.mode,
        batch_size=task.batch_size,
    )


def _init_inner(params: Any, inner: Any) -> Any:
    return inner(params)


@transformation(init=_init_inner)
def times(
    updates: Any, state: Any, params: Any, inner: Inner, factor: Real, **extra: Any
) -> tuple[Any, Any]:
    """``factor`` times the updates of another; its state is the other's, as loss scales need."""
    updates, state = inner(updates, state, params, **extra)
    return trees.map_leaves(lambda u: factor * u, updates), state


def costly_monitors(task: Task, optimizer: Any) -> list[Monitor]:
    """Units, noise, underflow and spectrum, as far as they can measure the task."""
    able, exact = [], getattr(task.value_and_grad, "function", None) is jax.value_and_grad
    for monitor in (units(), *([noise(), underflow()] if exact else []), spectrum()):
        with contextlib.suppress(GdjaxError):  # such as a loss for one size of batches only
            task.with_monitors(monitor).measured(times(optimizer, 1.0))
            able.append(monitor)
    return able


def losses_of(result: SweepResult) -> np.ndarray:  # [trial, seed, step]
    """Of all runs; NaN once one has diverged."""
    steps = np.arange(result.attributes["steps"])
    fallen = (result.status == Status.DIVERGED)[..., None]
    after = steps >= result.diverged_at[..., None]
    return np.where(fallen & after, np.nan, result.traces["loss"])


def refuse_lost(losses: np.ndarray) -> None:
    """Raise where no loss, ``[seed, step]``, is finite before the first update."""
    if not np.isfinite(losses[:, 0]).any():
        raise InvalidValue(
            "there is nothing to diagnose: the loss of no seed is finite before the first update; "
            "look at Task.init, Task.batch and Task.loss"
        )
