"""How many trials a second does a sweep train?

Several learning rates of Adam train a multi-layer perceptron on synthetic data, in several ways
that do the same work and whose losses are compared:

- ``sequential``: a hand-written Optax run, compiled once, called for one trial after another;
- ``vmap``: the same run under ``jax.vmap`` over the learning rates, one program for all;
- ``vmap, own batches``: the same again, but each trial draws its batches for itself, though all
  draw the same (not with ``--quick``);
- ``vmap, all devices``: the layout of ``gdjax.sweep``, written by hand: on each device chunks of
  its default width, one after another (not with ``--quick``);
- ``gdjax``: ``gdjax.sweep`` at its default width, and at the widths asked for, laid over all
  devices; but for the one named so the others use one, inside of which XLA divides what it can.
  ``measured`` is the width that it finds by trying (not with ``--quick``). Its seconds are those
  that it reports as run time; what an already compiled call costs beside them stands in
  ``seconds_beside_run``.

Compilation is measured apart, from empty caches.
"""

import argparse
import functools
import itertools
import json
import os
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, PartitionSpec

import gdjax
from benchmarks import harness
from gdjax.binding import Bound

LEARNING_RATES = 1e-4, 1e-2  # where Adam is stable, so that losses can be compared
EARLY_STEPS, EARLY_TOLERANCE = 5, 1e-3  # relative: the same parameters, batches and updates
LATE_TOLERANCE = 0.02  # of the first loss: training amplifies what programs round differently
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
    Problem((784, 128, 128, 10), 64, 40),
)


class Candidate:
    """One way to train all trials; a call trains and returns its run time in seconds.

    Args:
      train: returns run seconds, or None to have the whole call timed, and losses [trial, step].
      compile_seconds: what the first call needed before.
    """

    def __init__(self, train: Callable[[], tuple[float | None, Any]], compile_seconds: float):
        self.train = train
        self.compile_seconds = compile_seconds
        self.losses = np.empty(0)
        self.seconds_beside_run: list[float] = []

    def __call__(self) -> float:
        began = time.perf_counter()
        run_seconds, losses = jax.block_until_ready(self.train())
        total = time.perf_counter() - began
        run_seconds = total if run_seconds is None else run_seconds
        self.losses = np.stack(losses)
        self.seconds_beside_run.append(total - run_seconds)
        return run_seconds


def make_data(inputs: int, classes: int) -> dict[str, jax.Array]:
    """Normal examples, labelled by the largest of some random linear functions."""
    generator = np.random.default_rng(0)
    x = generator.standard_normal((EXAMPLES, inputs), dtype=np.float32)
    y = np.argmax(x @ generator.standard_normal((inputs, classes), dtype=np.float32), axis=-1)
    return {"x": jnp.asarray(x), "y": jnp.asarray(y, jnp.int32)}


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


def by_hand(
    problem: Problem, data: Any, rates: np.ndarray, width: int | None
) -> dict[str, Candidate]:
    """The ways without gdjax; with the width of its chunks, all of them."""
    run = functools.partial(train, problem=problem)
    key = jax.random.fold_in(jax.random.key(0), 0)
    keys = jnp.stack([key] * len(rates))

    def for_each(one: Callable[..., jax.Array], rates: np.ndarray, *rest: Any) -> list[jax.Array]:
        return [one(rate, *rest) for rate in rates]

    def candidate(function: Callable[..., Any], *args: Any) -> Candidate:
        costs = harness.program_costs(jax.jit(function), *args)
        seconds = costs.trace_seconds + costs.lower_seconds + costs.compile_seconds
        call = for_each if function is run else lambda compiled, *args: compiled(*args)
        return Candidate(lambda: (None, call(costs.compiled, rates, *args[1:])), seconds)

    candidates = {
        "sequential": candidate(run, rates[0], key, data),
        "vmap": candidate(jax.vmap(run, in_axes=(0, None, None)), rates, key, data),
    }
    if width is not None:
        own = jax.vmap(run, in_axes=(0, 0, None))
        candidates["vmap, own batches"] = candidate(own, rates, keys, data)
        chunks = over_devices(run, width)
        candidates["vmap, all devices"] = candidate(chunks, rates, key, data)
    return candidates


def over_devices(run: Callable[..., jax.Array], width: int) -> Callable[..., jax.Array]:
    """Trials on all devices, as many side by side as a chunk has."""

    def on_one_device(rates: jax.Array, key: jax.Array, data: Any) -> jax.Array:
        return jax.lax.map(lambda rate: run(rate, key, data), rates, batch_size=width)

    spread, copied = PartitionSpec("device"), PartitionSpec()
    mesh = Mesh(jax.devices(), ("device",))
    specs = (spread, copied, copied)
    return jax.shard_map(
        on_one_device, mesh=mesh, in_specs=specs, out_specs=spread, check_vma=False
    )


def by_gdjax(problem: Problem, data: Any, rates: np.ndarray, width: Any) -> tuple[Candidate, int]:
    """``gdjax.sweep``, and its width; its compilation is that of a first call."""
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

    def train_all() -> tuple[float, Any]:
        result = sweep()
        return result.attributes["run_seconds"], result.traces["loss"][:, 0]

    jax.clear_caches()
    first = sweep().attributes
    (chosen,) = json.loads(first["widths"])
    return Candidate(train_all, first["compile_seconds"]), chosen


def check_losses(losses: dict[str, np.ndarray]) -> float:
    """Largest difference of a trial's late losses to those of its sequential run.

    Args:
      losses: by candidate ``[trial, step]``.

    Returns:
      The difference of the mean over the last tenth of the steps, in units of the first loss.

    Raises:
      AssertionError: early or late losses differ by more than rounding explains.
    """
    expected = losses["sequential"]
    last = max(1, expected.shape[1] // 10)
    worst = 0.0
    for name, values in losses.items():
        early = np.abs(values / expected - 1)[:, :EARLY_STEPS].max()
        late = np.abs((values - expected)[:, -last:].mean(axis=1) / expected[:, 0]).max()
        message = f"{name} trains differently: losses differ by {early:.2g} early, {late:.2g} late"
        assert early <= EARLY_TOLERANCE, message
        assert late <= LATE_TOLERANCE, message
        worst = max(worst, float(late))
    return worst


def rows(problem: Problem, arguments: argparse.Namespace) -> list[harness.Row]:
    """Train all trials of one problem in every way."""
    data = make_data(problem.sizes[0], problem.sizes[-1])
    rates = np.geomspace(*LEARNING_RATES, arguments.trials).astype(np.float32)
    ours, chosen = by_gdjax(problem, data, rates, None)
    candidates = by_hand(problem, data, rates, None if arguments.quick else chosen)
    candidates["gdjax"] = ours
    if not arguments.quick:
        candidates["gdjax, measured"], _ = by_gdjax(problem, data, rates, "measured")
    for width in arguments.widths:
        candidates[f"gdjax, width {width}"], _ = by_gdjax(problem, data, rates, width)
    times = harness.interleaved(candidates, arguments.rounds, measure=lambda run: run())
    difference = check_losses({name: c.losses for name, c in candidates.items()})
    over_sequential = harness.ratios(times, "sequential")
    over_vmap = harness.ratios(times, "vmap")
    return [
        {
            "problem": problem.name,
            "trials": arguments.trials,
            "candidate": name,
            "compile_seconds": candidate.compile_seconds,
            "run_seconds": harness.quartiles(times[name]),
            "seconds_beside_run": harness.quartiles(candidate.seconds_beside_run[1:]).median,
            "trials_per_second": harness.quartiles(arguments.trials / times[name]),
            "run_time_ratio_to_sequential": over_sequential[name],
            "run_time_ratio_to_vmap": over_vmap[name],
            "largest_loss_difference": difference,
        }
        for name, candidate in candidates.items()
    ]


def run(arguments: argparse.Namespace) -> list[harness.Row]:
    """Measure every problem."""
    measured = []
    for problem in PROBLEMS[:: 2 if arguments.quick else 1]:
        steps = arguments.steps or problem.steps // (4 if arguments.quick else 1)
        problem = problem._replace(steps=steps)
        harness.progress(problem.name)
        measured += rows(problem, arguments)
    return measured


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What only this benchmark takes."""
    parser.add_argument("--trials", type=int, default=64, help="default: 64")
    parser.add_argument("--steps", type=int, help="updates in a run; default: by problem")
    cores = os.cpu_count() or 1
    parser.add_argument("--devices", type=int, default=cores, help="of the CPU; default: cores")
    parser.add_argument("--widths", type=int, nargs="+", default=[], help="beside the default")


BENCHMARK = harness.Benchmark(
    "sweep", __doc__ or "", run, rounds=9, quick_rounds=3, add_arguments=add_arguments
)

if __name__ == "__main__":
    harness.main(BENCHMARK)
