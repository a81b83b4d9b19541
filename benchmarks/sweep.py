"""How many trials a second does a sweep train?

Several learning rates of Adam train a multi-layer perceptron on synthetic data, in four ways
that do the same work and whose losses are compared:

- ``sequential``: a hand-written Optax run, compiled once, called for one trial after another;
- ``vmap``: the same run under ``jax.vmap`` over the learning rates, one program for all;
- ``vmap, own batches``: the same again, but each trial draws its own batches, as the runs of a
  sweep with several seeds must;
- ``gdjax``: ``gdjax.sweep`` at its default width, and at the widths asked for. Its seconds are
  those that it reports as run time.

Compilation is measured apart; so is what a second, already compiled call of ``gdjax.sweep``
costs beside its run time.
"""

import argparse
import functools
import itertools
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import gdjax
from benchmarks import harness
from gdjax.binding import Bound

LEARNING_RATES = 1e-4, 1e-2  # where Adam is stable, so that losses can be compared
TOLERANCE = 0.02  # of a mean loss; programs of different widths round differently
EXAMPLES = 4096  # in the synthetic data


class Problem(NamedTuple):
    """A perceptron's layers, the examples in a batch, the updates in a run."""

    sizes: tuple[int, ...]
    batch_size: int
    steps: int

    @property
    def name(self) -> str:
        """Such as ``2-16-16-2, batch 32, 500 steps``."""
        return f"{'-'.join(map(str, self.sizes))}, batch {self.batch_size}, {self.steps} steps"


PROBLEMS = (
    Problem((2, 16, 16, 2), 32, 500),
    Problem((32, 64, 64, 10), 32, 200),
    Problem((784, 128, 128, 10), 64, 50),
)


class Candidate(NamedTuple):
    """One way to train all trials."""

    run: Callable[[], tuple[float, Any]]  # seconds, losses [trial, step]
    compile_seconds: float


def make_data(sizes: tuple[int, ...]) -> dict[str, jax.Array]:
    """Normal examples, labelled by a random perceptron."""
    x = jax.random.normal(jax.random.key(1), (EXAMPLES, sizes[0]))
    y = jnp.argmax(logits(init(jax.random.key(2), sizes), x), axis=-1)
    return {"x": x, "y": y}


def init(key: jax.Array, sizes: tuple[int, ...]) -> list[dict[str, jax.Array]]:
    """He-normal weights and zero biases."""
    shapes = list(itertools.pairwise(sizes))
    return [
        {"w": jax.random.normal(k, shape) * (2 / shape[0]) ** 0.5, "b": jnp.zeros(shape[1])}
        for k, shape in zip(jax.random.split(key, len(shapes)), shapes, strict=True)
    ]


def logits(params: list[dict[str, jax.Array]], x: jax.Array) -> jax.Array:
    """Outputs of the perceptron, ``[example, class]``."""
    *hidden, last = params
    for layer in hidden:
        x = jax.nn.relu(x @ layer["w"] + layer["b"][None])
    return x @ last["w"] + last["b"][None]


def batch(key: jax.Array, step: Any, data: Any, batch_size: int) -> Any:
    """Examples drawn with replacement."""
    del step
    rows = jax.random.randint(key, (batch_size,), 0, EXAMPLES)
    return jax.tree.map(lambda column: column[rows], data)


def loss(params: Any, batch: Any, key: Any) -> jax.Array:
    """Mean cross-entropy in nats."""
    del key
    outputs = logits(params, batch["x"])
    return optax.softmax_cross_entropy_with_integer_labels(outputs, batch["y"]).mean()


def train(learning_rate: Any, key: jax.Array, data: Any, problem: Problem) -> jax.Array:
    """A run written by hand with Optax: the losses, ``[step]``, of the draws of a gdjax run."""
    optimizer = optax.adam(learning_rate)
    init_key, run_key = jax.random.split(key)
    params = init(init_key, problem.sizes)

    def one_step(carry: tuple, count: jax.Array) -> tuple:
        params, state = carry
        batch_key, _ = jax.random.split(jax.random.fold_in(run_key, count))
        drawn = batch(batch_key, count, data, problem.batch_size)
        value, gradients = jax.value_and_grad(loss)(params, drawn, None)
        updates, state = optimizer.update(gradients, state, params)
        return (optax.apply_updates(params, updates), state), value

    carry = params, optimizer.init(params)
    return jax.lax.scan(one_step, carry, jnp.arange(problem.steps))[1]


def by_hand(problem: Problem, data: Any, rates: np.ndarray) -> dict[str, Candidate]:
    """The ways without gdjax."""
    run = functools.partial(train, problem=problem)
    key = jax.random.fold_in(jax.random.key(0), 0)
    keys = jnp.stack([key] * len(rates))

    def one_by_one(jitted: Any) -> Any:
        return [jitted(rate, key, data) for rate in rates]

    def sequential(jitted: Any) -> Callable[[], Any]:
        return lambda: one_by_one(jitted)

    one = jax.jit(run)
    shared = jax.jit(jax.vmap(run, in_axes=(0, None, None)))
    own = jax.jit(jax.vmap(run, in_axes=(0, 0, None)))
    calls = {
        "sequential": (one, (rates[0], key, data), sequential(one)),
        "vmap": (shared, (rates, key, data), lambda: shared(rates, key, data)),
        "vmap, own batches": (own, (rates, keys, data), lambda: own(rates, keys, data)),
    }
    return {
        name: Candidate(functools.partial(_timed, call), _total(jitted, *arguments))
        for name, (jitted, arguments, call) in calls.items()
    }


def by_gdjax(problem: Problem, data: Any, rates: np.ndarray, width: int | None) -> Candidate:
    """``gdjax.sweep``; its compilation is that of a first call."""
    task = gdjax.Task(
        init=Bound(init, structure={"sizes": problem.sizes}),
        loss=loss,
        batch=Bound(batch, {"data": data}, {"batch_size": problem.batch_size}),
    )
    space = {"learning_rate": rates.tolist()}

    def sweep() -> gdjax.SweepResult:
        return gdjax.sweep(
            task, gdjax.adam, space, steps=problem.steps, width=width, key=0, progress=False
        )

    def run() -> tuple[float, Any]:
        result = sweep()
        return result.attributes["run_seconds"], result.traces["loss"][:, 0]

    jax.clear_caches()
    return Candidate(run, sweep().attributes["compile_seconds"])


def seconds_around(candidate: Candidate) -> float:
    """What a call costs beside its run time, once compiled."""
    began = time.perf_counter()
    run_seconds, _ = candidate.run()
    return time.perf_counter() - began - run_seconds


def check_losses(losses: dict[str, np.ndarray]) -> float:
    """Largest relative difference to the sequential runs, over trials, of the late mean loss.

    Raises:
      AssertionError: it is too large for runs that do the same work.
    """
    late = {k: v[:, -max(1, v.shape[1] // 10) :].mean(axis=1) for k, v in losses.items()}
    expected = late["sequential"]
    worst = max(float(np.max(np.abs(v / expected - 1))) for v in late.values())
    assert worst <= TOLERANCE, f"losses differ by {worst:.2g}: the candidates train differently"
    return worst


def rows(problem: Problem, trials: int, widths: list[int], rounds: int) -> list[harness.Row]:
    """Train all trials of one problem in every way."""
    data = make_data(problem.sizes)
    rates = np.geomspace(*LEARNING_RATES, trials).astype(np.float32)
    candidates = by_hand(problem, data, rates)
    candidates["gdjax"] = by_gdjax(problem, data, rates, None)
    for width in widths:
        candidates[f"gdjax, width {width}"] = by_gdjax(problem, data, rates, width)
    losses = {name: np.stack(candidate.run()[1]) for name, candidate in candidates.items()}
    difference = check_losses(losses)
    runs = {name: candidate.run for name, candidate in candidates.items()}
    times = harness.interleaved(runs, rounds, measure=lambda run: run()[0])
    over_sequential = harness.ratios(times, "sequential")
    over_vmap = harness.ratios(times, "vmap")
    return [
        {
            "problem": problem.name,
            "trials": trials,
            "candidate": name,
            "compile_seconds": candidate.compile_seconds,
            "run_seconds": harness.quartiles(times[name]),
            "trials_per_second": harness.quartiles(trials / times[name]),
            "run_time_ratio_to_sequential": over_sequential[name],
            "run_time_ratio_to_vmap": over_vmap[name],
            "seconds_around": seconds_around(candidate),
            "largest_relative_loss_difference": difference,
        }
        for name, candidate in candidates.items()
    ]


def run(arguments: argparse.Namespace) -> list[harness.Row]:
    """Measure every problem."""
    measured = []
    for problem in PROBLEMS:
        steps = arguments.steps or problem.steps // (4 if arguments.quick else 1)
        problem = problem._replace(steps=steps)
        harness.progress(problem.name)
        measured += rows(problem, arguments.trials, arguments.widths, arguments.rounds)
    return measured


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What only this benchmark takes."""
    parser.add_argument("--trials", type=int, default=64, help="default: 64")
    parser.add_argument("--steps", type=int, help="updates in a run; default: by problem")
    parser.add_argument("--widths", type=int, nargs="+", default=[], help="beside the default")


def _timed(call: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    losses = jax.block_until_ready(call())
    return time.perf_counter() - began, losses


def _total(jitted: Any, *args: Any) -> float:
    costs = harness.program_costs(jitted, *args)
    return costs.trace_seconds + costs.lower_seconds + costs.compile_seconds


BENCHMARK = harness.Benchmark(
    "sweep", __doc__ or "", run, rounds=9, quick_rounds=3, add_arguments=add_arguments
)

if __name__ == "__main__":
    harness.main(BENCHMARK)
