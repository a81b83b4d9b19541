"""Does the gradient's noise scale tell at which batch size returns diminish?

Gradient descent is swept over batch sizes, each with learning rates of its own, 1.4 apart.
``updates`` is how many the best rate of a batch size takes until the loss of all training data is
at most ``target``, mean over seeds. They follow ``least * (1 + critical / batch)``: far below
``critical`` twice the batch halves them, far above it saves nothing. It is fitted to the logarithms
of the updates; ``critical_low`` and ``critical_high`` hold nine of ten fits to seeds drawn again.

``noise_scale`` is measured by ``gdjax.diagnostics.noise`` at the best rate of ``measured_at``, the
middle batch size: in eight parts of the way to the target, for it changes as the loss falls, and
their mean. ``ratio`` is that over ``critical``, ``near`` whether it is at most 2 either way. The
model and the prediction are those of McCandlish et al., An empirical model of large-batch training
(https://arxiv.org/abs/1812.06162), equations 2.11 and 2.8.
"""

import argparse
import dataclasses
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import least_squares

import gdjax
from benchmarks import harness
from gdjax import diagnostics

BATCHES = (4, 8, 16, 32, 64, 128, 256, 512, 1024)
NEAR = 2.0
PARTS = 8


class Problem(NamedTuple):
    """What is trained, and how far."""

    make: Callable[[int], gdjax.Task]  # of a batch size
    target: float  # loss of all training data
    low: float  # the smallest learning rate
    high: float


def _digits(batch_size: int) -> gdjax.Task:
    return gdjax.problems.digits(batch_size=batch_size)


def _digits_cnn(batch_size: int) -> gdjax.Task:
    return gdjax.problems.digits_cnn((4, 8), batch_size)


PROBLEMS = {
    "digits to 0.5": Problem(_digits, 0.5, 0.02, 1.5),
    "digits to 0.1": Problem(_digits, 0.1, 0.02, 1.5),
    "digits_cnn to 0.3": Problem(_digits_cnn, 0.3, 0.02, 1.5),
}


def on_all(task: gdjax.Task) -> gdjax.Task:
    """The same, with the loss of all its training data as what is evaluated."""
    batch: Any = task.batch
    evaluate = gdjax.bind(_loss_of_all, data=batch.leaves["data"], loss=task.loss)
    return dataclasses.replace(task, evaluate=evaluate, objective="loss_of_all")


def _loss_of_all(params: Any, data: Any, loss: Any) -> dict[str, jax.Array]:
    return {"loss_of_all": loss(params, data, jax.random.key(0))}


def updates(problem: Problem, batch: int, seeds: int, key: int) -> tuple[np.ndarray, float]:
    """How many the best rate takes to the target, ``[seed]``, and that rate."""
    count = 1 + round(np.log(problem.high / problem.low) / np.log(1.4))
    rates = np.geomspace(problem.low, problem.high, count).tolist()
    steps = 400 + 24_000 // batch
    result = gdjax.sweep(
        on_all(problem.make(batch)),
        gdjax.sgd,
        {"learning_rate": rates},
        seeds=seeds,
        steps=steps,
        segment=max(2, steps // 200),
        key=key,
        progress=False,
    )
    reached = result.evaluations["loss_of_all"] <= problem.target
    first = np.where(reached.any(-1), result.evaluation_steps[reached.argmax(-1)], np.inf)
    best = int(first.mean(axis=1).argmin())
    return first[best], rates[best]


def fit(batches: np.ndarray, taken: np.ndarray) -> tuple[float, float]:
    """``least`` and ``critical``.

    >>> least, critical = fit(np.array([4, 16, 64, 256]), np.array([220.0, 70.0, 32.5, 23.125]))
    >>> f"{least:.3f} {critical:.3f}"
    '20.000 40.000'
    """

    def misfit(logs: np.ndarray) -> np.ndarray:
        return logs[0] + np.log1p(np.exp(logs[1]) / batches) - np.log(taken)

    found = least_squares(misfit, [np.log(taken.min()), np.log(batches).mean()])
    least, critical = np.exp(found.x).tolist()
    return least, critical


def noise_scale(
    problem: Problem, batch: int, rate: float, seeds: int, steps: int
) -> tuple[float, float]:
    """Mean over parts of the way to the target, in each of all seeds together, and its error."""
    task = on_all(problem.make(batch)).with_monitors(diagnostics.noise())
    keys = jax.vmap(jax.random.key)(jnp.arange(seeds))
    train = jax.jit(jax.vmap(lambda key: gdjax.train(task, gdjax.sgd(rate), steps, key, 1)))
    seen = train(keys).evaluations
    reached = np.asarray(seen["loss_of_all"] <= problem.target)
    length = np.where(reached.any(1), reached.argmax(1) + 1, steps)
    part = PARTS * np.arange(steps) // length[:, None]  # [seed, update]
    found = [
        diagnostics.noise_scale(
            seen["gradient_variance"][part == i], seen["gradient_signal"][part == i]
        )
        for i in range(PARTS)
    ]
    values, errors = np.array([(float(x.value), float(x.error)) for x in found]).T
    return float(values.mean()), float(np.linalg.norm(errors) / PARTS)


def run(arguments: argparse.Namespace) -> list[harness.Row]:
    """A row for each problem."""
    rows = []
    batches = np.array(arguments.batches)
    for name in arguments.problems[: 1 if arguments.quick else None]:
        problem, taken, rates = PROBLEMS[name], [], []
        for batch in batches.tolist():
            harness.progress(f"{name}, batches of {batch}")
            each, rate = updates(problem, batch, arguments.seeds, arguments.key)
            taken.append(each)
            rates.append(rate)
        table = np.array(taken)  # [batch, seed]
        least, critical = fit(batches, table.mean(axis=1))
        generator = np.random.default_rng(0)
        draws = [generator.integers(0, table.shape[1], table.shape[1]) for _ in range(200)]
        low, high = np.quantile(
            [fit(batches, table[:, seeds].mean(axis=1))[1] for seeds in draws], (0.05, 0.95)
        )
        middle = len(batches) // 2
        steps = int(np.ceil(table[middle].max()))
        scale, error = noise_scale(problem, batches[middle], rates[middle], arguments.seeds, steps)
        ratio = scale / critical
        rows.append(
            {
                "problem": name,
                "updates": " ".join(f"{x:.0f}" for x in table.mean(axis=1)),
                "least": least,
                "critical": critical,
                "critical_low": float(low),
                "critical_high": float(high),
                "measured_at": int(batches[middle]),
                "noise_scale": scale,
                "noise_scale_error": error,
                "ratio": ratio,
                "near": 1 / NEAR <= ratio <= NEAR,
            }
        )
    return rows


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What only this benchmark takes."""
    parser.add_argument("--problems", nargs="+", choices=list(PROBLEMS), default=list(PROBLEMS))
    parser.add_argument("--batches", nargs="+", type=int, default=list(BATCHES))
    parser.add_argument("--seeds", type=int, default=8, help="default: 8")
    parser.add_argument("--key", type=int, default=0, help="of the sweeps; default: 0")
    cores = os.cpu_count() or 1
    parser.add_argument("--devices", type=int, default=cores, help="of the CPU; default: cores")


BENCHMARK = harness.Benchmark(
    "critical_batch", __doc__ or "", run, rounds=1, quick_rounds=1, add_arguments=add_arguments
)

if __name__ == "__main__":
    harness.main(BENCHMARK)
