"""A learning rate from many short runs, each at a rate of its own.

A test that raises the rate during one run tells what a rate does to parameters that other rates
have left. Here each rate starts anew, from the same parameters and with the same batches.
"""

import dataclasses
import inspect
import math

import numpy as np

from gdjax.errors import InvalidType, InvalidValue, shown
from gdjax.ranges import Interval
from gdjax.sweep import SweepResult, sweep
from gdjax.sweep.arguments import number_within
from gdjax.sweep.families import Factory
from gdjax.task import Task

WIDEST = (1e-10, 1e4)
"""How far the rates are widened, where the best ones reach an end of them."""
AS_GOOD = 0.25
"""A rate is as good as the best where its score is worse by no more than this share of it.

Of 0, 0.1, 0.25, 0.5 and 1 the one whose suggestions were within 3 times the best rate most often,
if by little, on 35 pairs of small problems and optimizers; ``benchmarks.range_finder`` has ten.
"""


@dataclasses.dataclass(frozen=True, eq=False)
class LearningRates:
    """What :func:`find_learning_rate` found.

    Args:
      suggestion: the learning rate for runs of ``horizon`` updates, within ``low`` and ``high``.
      low: the least workable rate of those tried: around the best, the runs of all seeds end with
        finite losses, whose mean has fallen from ``start`` at least half as far as at the best.
      high: the greatest of these.
      steps: updates of the runs that were made.
      horizon: updates of the runs that the suggestion is for.
      objective: what ``scores`` are of.
      mode: whether less (``"min"``) or more (``"max"``) of it is better.
      start: the loss before the first update, or that of the smallest rate where it is greater;
        mean over seeds.
      rates: that were tried, ascending, ``[rate]``.
      losses: training loss, mean over about the last tenth of the updates, ``[rate, seed]``; NaN
        where a run diverged, here and below.
      scores: the task's objective at the end, ``[rate, seed]``.
    """

    suggestion: float
    low: float
    high: float
    steps: int
    horizon: int
    objective: str
    mode: str = dataclasses.field(repr=False)
    start: float = dataclasses.field(repr=False)
    rates: np.ndarray = dataclasses.field(repr=False)
    losses: np.ndarray = dataclasses.field(repr=False)
    scores: np.ndarray = dataclasses.field(repr=False)


def find_learning_rate(
    task: Task,
    optimizer: Factory,
    low: float = 1e-6,
    high: float = 10.0,
    per_decade: int = 4,
    steps: int = 400,
    horizon: int = 1000,
    seeds: int = 8,
    key: int = 0,
) -> LearningRates:
    """Suggest a learning rate for a run of ``horizon`` updates, from shorter ones.

    Rates on a logarithmic grid are trained for ``steps`` updates by :func:`gdjax.sweep`, side by
    side. With ``first`` and ``last`` the ends of those around the best whose score, the task's
    objective, is worse by at most a quarter of it,

    ``suggestion = sqrt(first * steps / horizon * last)``, kept within the workable rates.

    A rate below ``first`` is too slow for so few updates, not for more: with ``a`` times the
    updates, a rate ``a`` times smaller comes as far. Above ``last`` runs are unstable or too
    noisy, however long they are. The suggestion is the middle of what is then as good in the
    longer run. A run where less is gained from more updates needs a smaller rate, a run at the
    edge of stability a greater one: ``horizon`` should not be many times ``steps``.

    Args:
      task: what is trained; where it evaluates nothing, its objective is the training loss.
      optimizer: makes an optimizer from ``learning_rate``, as ``gdjax.adam`` does; for others than
        its defaults ``lambda learning_rate: gdjax.sgd(learning_rate, momentum=0.9)``.
      low: the smallest rate that is tried at first.
      high: the greatest. Where the rates as good as the best reach an end, others are tried beyond
        it, from 1e-10 to 1e4.
      per_decade: rates in a decade.
      steps: updates in each of the short runs, at least 10.
      horizon: updates of the run that the rate is for, at least ``steps``.
      seeds: runs of each rate; seed ``s`` means the same start and batches for all rates.
        With few of them it is chance whether a rate at which some runs fail looks like the best.
      key: seed of all.

    Returns:
      The suggestion, the interval of workable rates, and all that was measured. Equal keys give
      equal results.

    Raises:
      InvalidValue, InvalidType: before anything is compiled, what is not as it should be; after
        the runs, where at no rate the loss falls.

    >>> import gdjax, jax.numpy as jnp
    >>> task = gdjax.Task(  # curvatures 1 and 10: gradient descent is stable below 2 / 10
    ...     init=lambda key: jnp.ones(2),
    ...     loss=lambda params, batch, key: jnp.array([0.5, 5.0]) @ params**2,
    ...     batch=lambda key, step: None,
    ... )
    >>> found = gdjax.find_learning_rate(task, gdjax.sgd, steps=100)
    >>> f"workable to {found.high:.2f}, the next rate is {found.rates[22]:.2f}"
    'workable to 0.18, the next rate is 0.32'
    """
    rates, steps, horizon = _checked(optimizer, low, high, per_decade, steps, horizon)

    def train(rates: np.ndarray) -> SweepResult:
        space = {"learning_rate": rates.tolist()}
        return sweep(task, optimizer, space, seeds=seeds, steps=steps, key=key, progress=False)

    result = train(rates)
    start = float(result.traces["loss"][0, :, 0].mean(dtype=float))
    if not math.isfinite(start):
        raise InvalidValue(
            f"find_learning_rate: the loss is {start} before the first update; look at Task.init, "
            "Task.batch and Task.loss"
        )
    while (wider := _widened(rates, *_as_good(result))).size > rates.size:
        rates, result = wider, train(wider)
    losses = result.final("loss").astype(float)
    loss = _mean(losses)
    if math.isfinite(loss[0]):
        start = max(start, float(loss[0]))  # the first batch may be easier than the last ones
    if not loss.min() < start:
        raise InvalidValue(
            f"find_learning_rate: at no rate from {rates[0]:.2g} to {rates[-1]:.2g} does the loss "
            f"end below the {start:.4g} of its start; look for a mistake in the task, or give more "
            f"than {steps} steps"
        )
    workable = rates[list(_around(loss, (start + loss.min()) / 2))].tolist()
    first, last = rates[list(_as_good(result))]
    return LearningRates(
        suggestion=float(np.clip(math.sqrt(first * steps / horizon * last), *workable)),
        low=workable[0],
        high=workable[1],
        steps=steps,
        horizon=horizon,
        objective=task.objective,
        mode=task.mode,
        start=start,
        rates=rates,
        losses=losses,
        scores=result.final(task.objective).astype(float),
    )


def _checked(
    optimizer: Factory, low: float, high: float, per_decade: int, steps: int, horizon: int
) -> tuple[np.ndarray, int, int]:
    """The rates, steps and horizon that are asked for."""
    if not callable(optimizer) or "learning_rate" not in inspect.signature(optimizer).parameters:
        raise InvalidType(
            "find_learning_rate: optimizer must be a function of learning_rate that makes one, "
            f"such as gdjax.adam without a call, got {shown(optimizer)}"
        )
    positive = Interval(0, math.inf, includes_low=False)
    low = number_within("find_learning_rate: low", low, positive)
    high = number_within(
        "find_learning_rate: high", high, Interval(low, math.inf, includes_low=False)
    )
    per_decade = number_within("find_learning_rate: per_decade", per_decade, _at_least(1))
    steps = number_within("find_learning_rate: steps", steps, _at_least(10))
    horizon = number_within("find_learning_rate: horizon", horizon, _at_least(steps))
    count = 1 + max(1, round(per_decade * math.log10(high / low)))
    return np.geomspace(low, high, count), steps, horizon


def _at_least(least: int) -> Interval:
    return Interval(least, math.inf, integer=True)


def _widened(rates: np.ndarray, first: int, last: int) -> np.ndarray:
    """The rates, and others beyond an end where the best ones, ``first`` to ``last``, reach it."""
    factor = rates[1] / rates[0]
    places = np.log(np.array(WIDEST) / rates[[0, -1]]) / math.log(factor)
    below, above = np.rint(places).astype(int)
    below = min(0, below) if first == 0 else 0
    above = max(0, above) if last == rates.size - 1 else 0
    smaller, greater = np.arange(below, 0), np.arange(1, above + 1)
    return np.concatenate([rates[0] * factor**smaller, rates, rates[-1] * factor**greater])


def _as_good(result: SweepResult) -> tuple[int, int]:
    """Places of the first and the last rate around the best that are as good."""
    about = result.attributes
    cost = _mean((-1 if about["mode"] == "max" else 1) * result.final(about["objective"]))
    return _around(cost, cost.min() + AS_GOOD * abs(cost.min()))


@np.errstate(over="ignore")
def _mean(values: np.ndarray) -> np.ndarray:
    """Over seeds, ``[rate]``; inf where a run diverged."""
    return np.nan_to_num(values.mean(axis=1, dtype=float), nan=np.inf)


def _around(cost: np.ndarray, most: float) -> tuple[int, int]:
    """First and last of the places around the least that are finite and cost at most ``most``.

    >>> _around(np.array([9.0, 2.0, 1.0, 3.0, 1.5]), most=2.0)
    (1, 2)
    """
    least = int(cost.argmin())
    bad = np.flatnonzero(~np.isfinite(cost) | (cost > most))
    return (
        int(bad[bad < least].max(initial=-1)) + 1,
        int(bad[bad > least].min(initial=cost.size)) - 1,
    )
