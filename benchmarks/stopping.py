"""What do rules that stop trials early save, and what do they miss?

Learning rates of Adam, drawn from four decades, train a perceptron on scikit-learn's digits: all
to the end, and under each rule. Each sweep starts from empty caches, so that its seconds include
its compilation; rounds differ in the key of the sweep (settings, initial weights, batches), which
tells how much of a difference is noise. ``best_objective`` is the held-out loss of the best
setting, mean over seeds.
"""

import argparse
import os
import time
from typing import Any

import jax
import numpy as np

import gdjax
from benchmarks import harness

RULES: dict[str, Any] = {
    "none": (),
    "successive_halving": gdjax.successive_halving(eta=4),
    "asha": gdjax.asha(eta=4),
    "hyperband": gdjax.hyperband(eta=4),
    "population_based_training": gdjax.population_based_training(100),
    "median_stopping": gdjax.median_stopping(grace_steps=100),
}


def train(rule: str, key: int, arguments: argparse.Namespace) -> tuple[float, gdjax.SweepResult]:
    """Seconds from empty caches, and the result."""
    task = gdjax.problems.digits()
    space = {"learning_rate": gdjax.LogUniform(1e-4, 1.0)}
    jax.clear_caches()
    began = time.perf_counter()
    result = gdjax.sweep(
        task,
        gdjax.adam,
        space,
        trials=arguments.trials,
        seeds=arguments.seeds,
        steps=arguments.steps,
        stopping=RULES[rule],
        key=key,
        progress=False,
    )
    return time.perf_counter() - began, result


def run(arguments: argparse.Namespace) -> list[harness.Row]:
    """Measure every rule, all of them in each round."""
    rules = list(dict.fromkeys(["none", *arguments.rules]))[: 2 if arguments.quick else None]
    measured: dict[str, list[tuple[float, gdjax.SweepResult]]] = {rule: [] for rule in rules}
    for key, order in enumerate(harness.turns(rules, arguments.rounds)):
        harness.progress(f"round {key + 1} of {arguments.rounds}")
        for rule in order:
            measured[rule].append(train(rule, key, arguments))
    whole = np.array([seconds for seconds, _ in measured["none"]])
    best = np.array([result.best().mean for _, result in measured["none"]])
    rows = []
    for rule, rounds in measured.items():
        seconds = np.array([seconds for seconds, _ in rounds])
        results = [result for _, result in rounds]
        found = np.array([result.best().mean for result in results])
        rows.append(
            {
                "rule": rule,
                "trials": arguments.trials,
                "steps_share": harness.quartiles([float((r.width > 0).mean()) for r in results]),
                "seconds_with_compiling": harness.quartiles(seconds),
                "seconds_ratio_to_none": harness.quartiles(seconds / whole),
                "best_objective": harness.quartiles(found),
                "difference_to_none": harness.quartiles(found - best),
                "spread_over_seeds": float(np.mean([r.best().spread for r in results])),
            }
        )
    return rows


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What only this benchmark takes."""
    parser.add_argument("--rules", nargs="+", choices=list(RULES), default=list(RULES))
    parser.add_argument("--trials", type=int, default=256, help="default: 256")
    parser.add_argument("--seeds", type=int, default=2, help="at least 2; default: 2")
    parser.add_argument("--steps", type=int, default=1000, help="updates in a run; default: 1000")
    cores = os.cpu_count() or 1
    parser.add_argument("--devices", type=int, default=cores, help="of the CPU; default: cores")


BENCHMARK = harness.Benchmark(
    "stopping", __doc__ or "", run, rounds=5, quick_rounds=1, add_arguments=add_arguments
)

if __name__ == "__main__":
    harness.main(BENCHMARK)
