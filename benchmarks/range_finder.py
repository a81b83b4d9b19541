"""How far from the best learning rate of a sweep is what short runs suggest?

For each pair of a problem and an optimizer ``gdjax.find_learning_rate`` makes its suggestion, with
its defaults; and a sweep trains learning rates that are 1.3 apart to the end, 1000 updates with 16
seeds. ``best_rate`` is the sweep's with the best objective, mean over seeds: the held-out loss,
or the training loss where nothing is held out. ``ratio`` is the suggestion over it, and ``near``
whether that is at most 3 either way; ``objective`` is what the suggestion itself leads to in the
sweep, and ``within_spread`` whether that is worse than ``best_objective`` by no more than the
standard deviation of the latter over seeds.

The other ratios are of simpler rules on the same short runs: the best of their rates, the middle
of those as good as the best, a tenth of the highest workable one. Neither the short runs nor the
sweep have the keys with which the rule was chosen; rounds differ in the key.
"""

import argparse
import math
import os
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import gdjax
from benchmarks import harness

RATES = 3e-5 * 1.3 ** np.arange(45)  # to 3.1
NEAR = 3.0


class Pair(NamedTuple):
    """A problem and an optimizer."""

    problem: Callable[[], gdjax.Task]
    optimizer: Callable[..., gdjax.GradientTransformation]


def recall(length: int = 12, symbols: int = 4, width: int = 16) -> gdjax.Task:
    """A recurrent network that says at the end of a random sequence how it began."""

    def init(key: jax.Array) -> dict[str, jax.Array]:
        first, second, third = jax.random.split(key, 3)
        glorot, orthogonal = jax.nn.initializers.glorot_normal(), jax.nn.initializers.orthogonal()
        return {
            "in": glorot(first, (symbols, width)),
            "on": orthogonal(second, (width, width)),
            "out": glorot(third, (width, symbols)),
            "b": jnp.zeros(width),
        }

    def loss(params: Any, sequences: jax.Array, key: jax.Array) -> jax.Array:
        def step(state: jax.Array, x: jax.Array) -> tuple[jax.Array, None]:
            return jnp.tanh(x @ params["in"] + state @ params["on"] + params["b"][None]), None

        inputs = jax.nn.one_hot(sequences.T, symbols)  # [time, sequence, symbol]
        state, _ = jax.lax.scan(step, jnp.zeros((len(sequences), width)), inputs)
        logits = state @ params["out"]
        return optax.softmax_cross_entropy_with_integer_labels(logits, sequences[:, 0]).mean()

    return gdjax.Task(
        init, loss, batch=lambda key, step: jax.random.randint(key, (32, length), 0, symbols)
    )


def momentum(learning_rate: Any) -> gdjax.GradientTransformation:
    """SGD with momentum 0.9."""
    return gdjax.sgd(learning_rate, momentum=0.9)


PAIRS = {
    "digits, sgd": Pair(gdjax.problems.digits, gdjax.sgd),
    "digits, momentum": Pair(gdjax.problems.digits, momentum),
    "digits, adam": Pair(gdjax.problems.digits, gdjax.adam),
    "digits, lion": Pair(gdjax.problems.digits, gdjax.lion),
    "digits, rmsprop": Pair(gdjax.problems.digits, gdjax.rmsprop),
    "digits_cnn, adam": Pair(lambda: gdjax.problems.digits_cnn((8, 16), 32), gdjax.adam),
    "diabetes, sgd": Pair(lambda: gdjax.problems.diabetes(batch_size=32), gdjax.sgd),
    "diabetes, adam": Pair(lambda: gdjax.problems.diabetes(batch_size=32), gdjax.adam),
    "recall, adam": Pair(recall, gdjax.adam),
    "rosenbrock, momentum": Pair(lambda: gdjax.problems.rosenbrock.task(spread=0.05), momentum),
}


def measure(pair: Pair, steps: int, seeds: int, round_: int) -> harness.Row:
    """Find a rate, sweep, compare."""
    task = pair.problem()
    began = time.perf_counter()
    found = gdjax.find_learning_rate(
        task, pair.optimizer, steps=max(10, steps * 2 // 5), horizon=steps, key=10 + round_
    )
    finding = time.perf_counter() - began
    rates = [*RATES.tolist(), found.suggestion]
    swept = gdjax.sweep(
        task,
        pair.optimizer,
        {"learning_rate": rates},
        seeds=seeds,
        steps=steps,
        key=20 + round_,
        progress=False,
    )
    final = swept.final(task.objective)
    mean = np.nan_to_num(final.mean(axis=1), nan=math.inf)  # inf where a run diverged
    best = int(mean[:-1].argmin())
    spread = float(final[best].std(ddof=1))
    return {
        "suggestion": found.suggestion,
        "best_rate": rates[best],
        "ratio": found.suggestion / rates[best],
        "near": near(found.suggestion / rates[best]),
        "objective": float(mean[-1]) if math.isfinite(mean[-1]) else None,
        "best_objective": float(mean[best]),
        "spread": spread,
        "within_spread": bool(mean[-1] <= mean[best] + spread),
        **{f"{name}_ratio": rate / rates[best] for name, rate in simpler(found).items()},
        "finding_seconds": finding,
        "sweep_seconds": swept.attributes["compile_seconds"] + swept.attributes["run_seconds"],
    }


def simpler(found: gdjax.LearningRates) -> dict[str, float]:
    """What other rules would have suggested of the same runs, where less is better."""
    score = np.nan_to_num(found.scores.mean(axis=1), nan=math.inf)
    return {
        "best_short": float(found.rates[score.argmin()]),
        "middle": found.suggestion * math.sqrt(found.horizon / found.steps),
        "tenth_of_high": found.high / 10,
    }


def near(ratio: float) -> bool:
    """Whether a rate is at most ``NEAR`` times another one, either way."""
    return 1 / NEAR <= ratio <= NEAR


def run(arguments: argparse.Namespace) -> list[harness.Row]:
    """A row for each pair and round, and one that counts."""
    rows = []
    for name in arguments.pairs[: 1 if arguments.quick else None]:
        for round_ in range(arguments.rounds):
            harness.progress(f"{name}, round {round_ + 1} of {arguments.rounds}")
            measured = measure(PAIRS[name], arguments.steps, arguments.seeds, round_)
            rows.append({"pair": name, **measured})
    ratios = [name for name in rows[0] if name.endswith("ratio")]
    hits = {name: sum(near(row[name]) for row in rows) for name in ratios}
    hits["within_spread"] = sum(row["within_spread"] for row in rows)
    return [*rows, {"pair": "all", **{k: f"{n} of {len(rows)}" for k, n in hits.items()}}]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What only this benchmark takes."""
    parser.add_argument("--pairs", nargs="+", choices=list(PAIRS), default=list(PAIRS))
    parser.add_argument("--seeds", type=int, default=16, help="of the sweep; default: 16")
    parser.add_argument("--steps", type=int, default=1000, help="updates in a run; default: 1000")
    cores = os.cpu_count() or 1
    parser.add_argument("--devices", type=int, default=cores, help="of the CPU; default: cores")


BENCHMARK = harness.Benchmark(
    "range_finder", __doc__ or "", run, rounds=1, quick_rounds=1, add_arguments=add_arguments
)

if __name__ == "__main__":
    harness.main(BENCHMARK)
