"""Does the doctor name what is wrong, and nothing where nothing is?

``gdjax.diagnose``, with its defaults, sees runs with a planted challenge and sound ones. A row is
a run: what is planted, what was found. The last rows are the confusion matrix: of the runs with
each challenge planted, in how many each was found. ``named`` counts runs whose planted challenge
is among what was found, ``quiet`` sound runs where nothing was.

The rules' thresholds were chosen with ``--round 0``; other rounds have other keys, and so other
initial parameters and batches.
"""

import argparse
import collections
import dataclasses
import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

import gdjax
from benchmarks import harness
from gdjax import problems

init = jax.nn.initializers


class Patient(NamedTuple):
    """What is trained how, and what is wrong with it."""

    planted: str  # empty: nothing
    task: Callable[[], gdjax.Task]
    optimizer: Callable[[], optax.GradientTransformation]


def momentum(learning_rate: Any) -> gdjax.GradientTransformation:
    """SGD with momentum 0.9."""
    return gdjax.sgd(learning_rate, momentum=0.9)


def network(depth: int, units: Callable, initializer: Callable, width: int = 32) -> gdjax.Task:
    """Digits with a deep network of any units."""
    shapes = list(itertools.pairwise([64, *[width] * depth, 10]))

    def init(key: jax.Array) -> list:
        keys = jax.random.split(key, len(shapes))
        return [
            {"w": initializer(key, shape), "b": jnp.zeros(shape[1])}
            for key, shape in zip(keys, shapes, strict=True)
        ]

    def loss(params: Any, batch: Any, key: jax.Array) -> jax.Array:
        *hidden, last = params
        x = batch["x"]
        for layer in hidden:
            x = units(x @ layer["w"] + layer["b"][None])
        logits = x @ last["w"] + last["b"][None]
        return optax.softmax_cross_entropy_with_integer_labels(logits, batch["y"]).mean()

    return gdjax.Task(init, loss, problems.digits(batch_size=32).batch)


def with_batches(
    task: gdjax.Task, change: Callable[[Any, jax.Array, jax.Array], Any]
) -> gdjax.Task:
    """A task whose batches are ``change(batch, key, step)``."""

    def batch(key: jax.Array, step: jax.Array) -> Any:
        return change(task.batch(key, step), jax.random.fold_in(key, 1), step)

    return dataclasses.replace(task, batch=batch)


def of_few(task: gdjax.Task, examples: int) -> gdjax.Task:
    """A task that has only so many training examples, the first of one batch."""
    pool = jax.tree.map(lambda x: x[:examples], task.batch(jax.random.key(7), jnp.zeros((), int)))

    def draw(batch: Any, key: jax.Array, step: jax.Array) -> Any:
        chosen = jax.random.randint(key, (32,), 0, examples)
        return jax.tree.map(lambda x: x[chosen], pool)

    return with_batches(task, draw)


def with_bad_batches(task: gdjax.Task) -> gdjax.Task:
    """Once in 100 steps the inputs of a batch are 100 times too large."""

    def spoil(batch: Any, key: jax.Array, step: jax.Array) -> Any:
        return batch | {"x": jnp.where(step % 100 == 99, 100 * batch["x"], batch["x"])}

    return with_batches(task, spoil)


def with_bad_examples(task: gdjax.Task) -> gdjax.Task:
    """The inputs of one example in 20 are 30 times too large."""

    def spoil(batch: Any, key: jax.Array, step: jax.Array) -> Any:
        bad = jax.random.bernoulli(key, 0.05, batch["y"].shape)
        return batch | {"x": jnp.where(bad[:, None], 30 * batch["x"], batch["x"])}

    return with_batches(task, spoil)


def with_weights(task: gdjax.Task, times: float) -> gdjax.Task:
    """All parameters are so many times as large at the start."""

    def init(key: jax.Array) -> Any:
        return jax.tree.map(lambda x: times * x, task.init(key))

    return dataclasses.replace(task, init=init)


HIGH, LOW, START = "learning rate too high", "learning rate too low", "unstable start"
ILL, MINIMA, SADDLE = "ill-conditioning", "local minima", "saddle point"
VANISHING, EXPLODING, CORRUPTED = "vanishing gradients", "exploding gradients", "corrupted examples"
OVERFITTING, SMALL, LARGE = "overfitting", "batch too small", "batch too large"

PATIENTS = {
    "digits, sgd 2": Patient(HIGH, problems.digits, lambda: gdjax.sgd(2.0)),
    "diabetes, sgd 1": Patient(HIGH, lambda: problems.diabetes(32), lambda: gdjax.sgd(1.0)),
    "digits, sgd 0.001": Patient(LOW, problems.digits, lambda: gdjax.sgd(1e-3)),
    "breast_cancer, adam 1e-5": Patient(
        LOW, lambda: problems.breast_cancer(32), lambda: gdjax.adam(1e-5)
    ),
    "quadratic of 1e4": Patient(
        ILL, lambda: problems.quadratic(1e4).task(spread=0.5), lambda: gdjax.sgd(1.8e-4)
    ),
    "rosenbrock": Patient(
        ILL, lambda: problems.rosenbrock.task(spread=0.1), lambda: gdjax.sgd(1e-3)
    ),
    "two_wells": Patient(
        MINIMA, lambda: problems.two_wells.task(spread=1.0), lambda: gdjax.sgd(0.02)
    ),
    "styblinski_tang": Patient(
        MINIMA, lambda: problems.styblinski_tang.task(spread=1.0), lambda: gdjax.sgd(0.01)
    ),
    "beale at its saddle": Patient(
        SADDLE, lambda: problems.beale.task(start=(0.0, 1.0)), lambda: gdjax.sgd(0.002)
    ),
    "digits_factorization from zero": Patient(
        SADDLE,
        lambda: with_weights(problems.digits_factorization(4), 0.0),
        lambda: gdjax.adam(0.01),
    ),
    "12 logistic layers": Patient(
        VANISHING, lambda: network(12, jax.nn.sigmoid, init.glorot_normal()), lambda: gdjax.sgd(0.1)
    ),
    "8 tanh layers, small weights": Patient(
        VANISHING, lambda: network(8, jnp.tanh, init.normal(0.03)), lambda: gdjax.adam(1e-3)
    ),
    "adding of 60": Patient(
        EXPLODING, lambda: problems.adding(60, 32, recurrent_scale=3.0), lambda: gdjax.adam(1e-3)
    ),
    "digits, bad batches": Patient(
        EXPLODING, lambda: with_bad_batches(problems.digits()), lambda: gdjax.sgd(0.1)
    ),
    "60 digits": Patient(
        OVERFITTING, lambda: of_few(problems.digits(), 60), lambda: gdjax.adam(1e-2)
    ),
    "30 patients": Patient(
        OVERFITTING, lambda: of_few(problems.breast_cancer(64), 30), lambda: gdjax.adam(3e-2)
    ),
    "diabetes, batches of 2": Patient(SMALL, lambda: problems.diabetes(2), lambda: gdjax.sgd(0.02)),
    "digits_factorization, batches of 32": Patient(
        SMALL, lambda: problems.digits_factorization(4, 32), lambda: gdjax.adam(0.01)
    ),
    "digits, batches of 2048": Patient(
        LARGE, lambda: problems.digits(batch_size=2048), lambda: gdjax.sgd(0.1)
    ),
    "breast_cancer, batches of 1024": Patient(
        LARGE, lambda: problems.breast_cancer(1024), lambda: gdjax.sgd(0.3)
    ),
    "digits, large weights, sgd 0.54": Patient(
        START, lambda: with_weights(problems.digits(), 3.0), lambda: gdjax.sgd(0.54)
    ),
    "digits, large weights, momentum 0.25": Patient(
        START, lambda: with_weights(problems.digits(), 3.0), lambda: momentum(0.25)
    ),
    "digits, bad examples": Patient(
        CORRUPTED, lambda: with_bad_examples(problems.digits()), lambda: gdjax.sgd(0.03)
    ),
    "digits, bad examples, adam": Patient(
        CORRUPTED, lambda: with_bad_examples(problems.digits((32,))), lambda: gdjax.adam(1e-3)
    ),
    "digits, sgd": Patient("", problems.digits, lambda: gdjax.sgd(0.1)),
    "digits, momentum": Patient("", problems.digits, lambda: momentum(0.02)),
    "digits, adam": Patient("", problems.digits, lambda: gdjax.adam(2e-3)),
    "digits, rmsprop": Patient("", lambda: problems.digits((32,)), lambda: gdjax.rmsprop(2e-3)),
    "digits, lion": Patient("", lambda: problems.digits((64,)), lambda: gdjax.lion(1e-3)),
    "digits, adamw, dropout": Patient(
        "", lambda: problems.digits((128,), dropout=0.2), lambda: gdjax.adamw(3e-3)
    ),
    "digits, nadam, l2": Patient(
        "", lambda: problems.digits((32, 32), l2=1e-3), lambda: gdjax.nadam(3e-3)
    ),
    "digits_cnn, adam": Patient(
        "", lambda: problems.digits_cnn((8, 16), 32), lambda: gdjax.adam(3e-3)
    ),
    "digits_cnn, momentum": Patient(
        "", lambda: problems.digits_cnn((8, 16), 32), lambda: momentum(0.02)
    ),
    "diabetes, sgd": Patient("", lambda: problems.diabetes(32), lambda: gdjax.sgd(0.1)),
    "diabetes, adam": Patient("", lambda: problems.diabetes(32), lambda: gdjax.adam(0.03)),
    "breast_cancer, sgd": Patient("", lambda: problems.breast_cancer(32), lambda: gdjax.sgd(0.3)),
    "breast_cancer, adamw": Patient(
        "", lambda: problems.breast_cancer(64), lambda: gdjax.adamw(0.02)
    ),
    "booth, momentum": Patient("", lambda: problems.booth.task(spread=0.5), lambda: momentum(0.03)),
    "quadratic of 5": Patient(
        "", lambda: problems.quadratic(5.0).task(spread=0.5), lambda: gdjax.sgd(0.2)
    ),
    "rosenbrock, adam": Patient(
        "", lambda: problems.rosenbrock.task(spread=0.05), lambda: gdjax.adam(0.1)
    ),
    "digits_factorization, adam": Patient(
        "", lambda: problems.digits_factorization(4, 512), lambda: gdjax.adam(0.01)
    ),
    "skip_gram, adam": Patient(
        "", lambda: problems.skip_gram(16, 200, batch_size=256), lambda: gdjax.adam(0.02)
    ),
    "adding of 10, clipped adam": Patient(
        "",
        lambda: problems.adding(10, 16),
        lambda: gdjax.chain(gdjax.clip_by_global_norm(1.0), gdjax.adam(3e-3)),
    ),
    "language_model, warm-up": Patient(
        "",
        lambda: problems.language_model(16, 16, 1, 2, 16),
        lambda: gdjax.adam(gdjax.warmup_cosine_decay_schedule(0.0, 5e-3, 50, 400)),
    ),
}


def run(arguments: argparse.Namespace) -> list[harness.Row]:
    """A row for each run, then the confusion matrix."""
    rows, names = [], arguments.patients or list(PATIENTS)
    found: dict[str, list[tuple[str, ...]]] = collections.defaultdict(list)
    for name in names[: 2 if arguments.quick else None]:
        patient = PATIENTS[name]
        harness.progress(name)
        jax.clear_caches()  # no program is of use to the next run
        diagnosis = gdjax.diagnose(patient.task(), patient.optimizer(), key=arguments.round)
        harness.progress(f"{diagnosis}\n")
        found[patient.planted].append(diagnosis.challenges)
        told = "; ".join(diagnosis.challenges)
        rows.append({"run": name, "planted": patient.planted or "-", "found": told or "-"})
    for planted, runs in found.items():
        counts = collections.Counter(itertools.chain(*runs))
        row: dict[str, Any] = {"run": f"all {len(runs)}", "planted": planted or "-"}
        rows.append(row | {name.replace(" ", "_"): n for name, n in sorted(counts.items())})
    ill = [(planted, of) for planted, runs in found.items() if planted for of in runs]
    sound = found[""]
    named = f"{sum(planted in of for planted, of in ill)} of {len(ill)}"
    quiet = f"{sum(not of for of in sound)} of {len(sound)}"
    return [*rows, {"run": "all", "named": named, "quiet": quiet}]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What only this benchmark takes."""
    parser.add_argument("--patients", nargs="+", choices=list(PATIENTS), help="default: all")
    parser.add_argument("--round", type=int, default=0, help="key of all; default: 0")


BENCHMARK = harness.Benchmark(
    "doctor", __doc__ or "", run, rounds=1, quick_rounds=1, add_arguments=add_arguments
)

if __name__ == "__main__":
    harness.main(BENCHMARK)
