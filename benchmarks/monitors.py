"""What do monitors cost, over the updates that they look at?

A perceptron, 784-1000-500-100-10 with ReLU, is trained by ``gdjax.train`` on batches of 128, with
no monitors, with single ones of ``gdjax.diagnostics``, and with its sets of them, that look at
every update or, in a run of 2048, at every 256th. ``over_plain`` is the time of an update over that
without monitors in the same round; a second plain run, ``none, again``, shows what is chance: about
as much as rare looks cost. ``by_look`` tells their cost from looks at every update: what one of
them adds, over the time of 256 updates without monitors, and 1.
Inputs are random numbers: what is in them costs nothing.
"""

import argparse
import functools
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import gdjax
from benchmarks import harness
from gdjax import diagnostics

SIZES = (784, 1000, 500, 100, 10)
BATCH = 128
SETS = {
    "norms": (diagnostics.norms(),),
    "units": (diagnostics.units(),),
    "noise": (diagnostics.noise(),),
    "spectrum": (diagnostics.spectrum(),),
    "histogram": (diagnostics.histogram(),),
    "economy": diagnostics.economy(),
    "full": diagnostics.full(),
    "full, histogram": (*diagnostics.full(), diagnostics.histogram()),
}
RARELY, LOOKS = 256, 8


def task(sizes: tuple[int, ...]) -> gdjax.Task:
    """A perceptron on random inputs."""

    def init(key: jax.Array) -> list[dict[str, jax.Array]]:
        keys = jax.random.split(key, len(sizes) - 1)
        he = jax.nn.initializers.he_normal()
        pairs = itertools.pairwise(sizes)
        return [
            {"w": he(k, pair), "b": jnp.zeros(pair[1])} for k, pair in zip(keys, pairs, strict=True)
        ]

    def loss(params: Any, batch: Any, key: jax.Array) -> jax.Array:
        del key
        (x, labels), (*hidden, last) = batch, params
        for layer in hidden:
            x = jax.nn.relu(x @ layer["w"] + layer["b"][None])
        logits = x @ last["w"] + last["b"][None]
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    def draw(key: jax.Array, step: Any, x: jax.Array, labels: jax.Array) -> Any:
        del step
        rows = jax.random.randint(key, (BATCH,), 0, len(labels))
        return x[rows], labels[rows]

    generator = np.random.default_rng(0)
    x = generator.standard_normal((2048, sizes[0]), np.float32)
    labels = generator.integers(0, sizes[-1], 2048)
    return gdjax.Task(init, loss, gdjax.bind(draw, x=jnp.asarray(x), labels=jnp.asarray(labels)))


def run(arguments: argparse.Namespace) -> list[harness.Row]:
    """Time all sets at every update, and the larger ones at every 256th."""
    sizes = SIZES if not arguments.quick else (16, 8, 4)
    plain = task(sizes)
    often = arguments.steps
    rarely = RARELY if not arguments.quick else often
    looks = LOOKS if not arguments.quick else 1
    rows = []
    for name in arguments.optimizers:
        optimizer = getattr(gdjax, name)(1e-3)
        added = {}  # seconds of a look by monitors, [round], from runs with a look at every update
        for segment, steps, sets in (
            (1, often, SETS),
            (rarely, looks * rarely, {k: SETS[k] for k in ("economy", "full")}),
        ):
            candidates = {}
            for which, monitors in {"none": (), "none, again": (), **sets}.items():
                harness.progress(f"{name}, every {segment}: {which}")
                watched = plain.with_monitors(*monitors)
                candidates[which] = functools.partial(_compiled(watched, steps, segment), optimizer)
            times = harness.interleaved(candidates, arguments.rounds)
            over = harness.ratios(times, "none")
            added = added or {k: (times[k] - times["none"]) / steps for k in times}
            update = np.median(times["none"]) / steps
            rows += [
                {
                    "optimizer": name,
                    "every": segment,
                    "monitors": which,
                    "milliseconds": harness.quartiles(1e3 * times[which] / steps),
                    "over_plain": over[which],
                    "by_look": harness.quartiles(1 + added[which] / (segment * update)),
                }
                for which in candidates
            ]
    return rows


def _compiled(watched: gdjax.Task, steps: int, segment: int) -> Any:
    """A run as a program of its optimizer."""

    def train(optimizer: gdjax.GradientTransformation) -> Any:
        return gdjax.train(watched, optimizer, steps, 0, segment)

    return jax.jit(train)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What only this benchmark takes."""
    names = ("sgd", "adam")
    parser.add_argument("--optimizers", nargs="+", choices=names, default=list(names))
    parser.add_argument("--steps", type=int, default=16, help="updates in a run; default: 16")


BENCHMARK = harness.Benchmark(
    "monitors", __doc__ or "", run, rounds=9, quick_rounds=2, add_arguments=add_arguments
)

if __name__ == "__main__":
    harness.main(BENCHMARK)
