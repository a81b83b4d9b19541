"""Many runs as one tree on the devices, and the one program that advances them.

Runs are held in chunks. A chunk is as many runs as are trained side by side: of one seed and at
one step, so that what depends on nothing else (the batch, the loss's randomness) is computed once
for all of them. Chunks follow one another on a device, and lie over all devices; none ever looks
at another, which is why a run's numbers depend on the width of its chunk alone.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from gdjax import inspection, monitoring, training
from gdjax.stream import Block
from gdjax.sweep.products import arranged
from gdjax.task import Task
from gdjax.training import Run
from gdjax.transformation import GradientTransformation

Device = Any
"""A ``jax.Device``, which type checkers see as a variable."""


class Individual(NamedTuple):
    """All that tells a trial from the others of its family."""

    optimizer: GradientTransformation
    numbers: dict[str, Any]  # of the task, by dotted name; empty where all trials share all of it
    batches: Any = None  # of a stream for each trial, leaves [step, ...]

    def of(self, task: Task) -> Task:
        """The trial's own task: what none of its numbers decides stays shared by all trials."""
        if self.batches is not None:
            task = with_batches(task, batches=jax.tree.map(lambda x: x[None], self.batches))
        return inspection.put(task, self.numbers) if self.numbers else task


class Chunks(NamedTuple):
    """Where each chunk stands and how far it goes."""

    seed: jax.Array  # int32[chunk]: which of the sweep's seeds
    step: jax.Array  # int32[chunk]: updates made so far; at 0 its runs are started
    lengths: jax.Array  # int32[chunk, segment]: updates of each; what has 0 costs nothing


class Weights(NamedTuple):
    """What training changes."""

    params: Any
    state: Any  # the optimizer's
    watched: Any = None  # what the task's monitors remember

    def run(self, key: jax.Array, step: jax.Array) -> Run:
        """The run that they are of."""
        return Run(self.params, self.state, key, step, self.watched)

    @classmethod
    def of(cls, run: Run) -> "Weights":
        """Those of a run."""
        return cls(run.params, run.state, run.watched)


class Segments(NamedTuple):
    """What segments measured."""

    traces: dict[str, jax.Array]  # [chunk, segment, step, run]; NaN beyond the segment's length
    evaluation: dict[str, jax.Array]  # [chunk, segment, run]
    finite: jax.Array  # bool[chunk, segment, run]: whether all parameters are at its end


def make_mesh(devices: tuple[Device, ...]) -> Mesh:
    """All devices in a row."""
    return Mesh(devices, ("chunk",))


def over_chunks(mesh: Mesh) -> NamedSharding:
    """Leaves ``[chunk, ...]`` laid over the devices."""
    return NamedSharding(mesh, PartitionSpec("chunk"))


def on_cpu(mesh: Mesh) -> bool:
    """Whether the devices are a CPU's."""
    return mesh.devices.flat[0].platform == "cpu"


def everywhere(mesh: Mesh) -> NamedSharding:
    """A copy on each device."""
    return NamedSharding(mesh, PartitionSpec())


@functools.partial(jax.jit, static_argnames=("width", "segment", "mesh"), donate_argnames="weights")
def advance(
    task: Task,
    key: jax.Array,
    chunks: Chunks,
    individuals: Individual,
    weights: Weights,
    width: int,
    segment: int,
    mesh: Mesh,
) -> tuple[Weights, Segments]:
    """Segments of up to ``segment`` updates of every run, and the evaluation after each.

    Args:
      task: of all runs, but for the numbers that are an individual's own.
      key: of the sweep; runs of one seed start alike and see the same batches.
      chunks: how far each goes.
      individuals: leaves ``[chunk, run, ...]``.
      weights: leaves ``[chunk, run, ...]``; anything where a chunk's step is 0.
      width: runs in a chunk.
      segment: the longest of the lengths.
      mesh: of the devices.
    """
    spread, copied = PartitionSpec("chunk"), PartitionSpec()
    arrange = arranged if on_cpu(mesh) else lambda function: function
    first = jax.tree.map(lambda x: x[0, 0], individuals)
    each_step, evaluation = first.of(task).measured(first.optimizer)

    def on_one_device(
        task: Task, key: jax.Array, chunks: Chunks, individuals: Any, weights: Weights
    ) -> tuple[Weights, Segments]:
        held = chunks.lengths.shape  # [chunk, segment]

        def blank_of(dtypes: dict[str, Any], *steps: int) -> dict[str, jax.Array]:
            shape = (*held, *steps, width)
            return {name: monitoring.unmeasured(shape, dtype) for name, dtype in dtypes.items()}

        finite = jnp.zeros((*held, width), bool)
        unmeasured = Segments(blank_of(each_step, segment), blank_of(evaluation), finite)
        blank = jax.tree.map(lambda x: x[0], unmeasured)

        def one(i: jax.Array, carry: tuple[Weights, Segments]) -> tuple[Weights, Segments]:
            chunk, mine, weights = _at(i, (chunks, individuals, carry[0]))
            done = _advance_chunk(task, key, chunk, mine, weights, blank, width, arrange)
            return _put(i, carry, done)

        # Those that have something to do come first; the others cost nothing.
        return jax.lax.fori_loop(0, _count(chunks.lengths[:, 0]), one, (weights, unmeasured))

    return jax.shard_map(
        on_one_device,
        mesh=mesh,
        in_specs=(copied, copied, spread, spread, spread),
        out_specs=spread,
        check_vma=False,  # what starts as a constant would otherwise be told apart from what varies
    )(task, key, chunks, individuals, weights)


@functools.partial(jax.jit, static_argnames="width")
def begin(task: Task, key: jax.Array, seed: Any, individuals: Individual, width: int) -> Weights:
    """Runs of one seed before their first step, leaves ``[run, ...]``; parameters drawn once."""
    seed_key = jax.random.fold_in(key, seed)

    def one(individual: Individual) -> Weights:
        return Weights.of(training.start(individual.of(task), individual.optimizer, seed_key))

    return jax.vmap(one, axis_size=width)(individuals)


def _advance_chunk(
    task: Task,
    key: jax.Array,
    chunk: Chunks,
    individuals: Individual,
    weights: Weights,
    unmeasured: Segments,  # without the axis of chunks
    width: int,
    arrange: Callable[[Callable[..., Any]], Callable[..., Any]],
) -> tuple[Weights, Segments]:
    run_key = training.run_key(jax.random.fold_in(key, chunk.seed))
    if isinstance(task.batch, Block):
        task = with_batches(task, seed=chunk.seed, first=chunk.step)

    def over_all(make_step: Callable[..., tuple]) -> Callable[..., tuple]:
        def one(individual: Individual, weights: Weights, step: Any) -> tuple:
            run = weights.run(run_key, step)
            run, *measured = make_step(individual.of(task), individual.optimizer, run)
            return Weights.of(run), *measured

        return arrange(jax.vmap(one, in_axes=(0, 0, None), axis_size=width))

    step_all, watched_step_all = over_all(training.one_step), over_all(training.watched_step)
    measure_all = jax.vmap(functools.partial(_measure, task), axis_size=width)

    def one_segment(
        number: jax.Array, carry: tuple[Weights, jax.Array, Segments]
    ) -> tuple[Weights, jax.Array, Segments]:
        weights, first, measured = carry

        def body(i: jax.Array, carry: tuple[Weights, dict]) -> tuple[Weights, dict]:
            weights, traces = carry
            weights, each_step = step_all(individuals, weights, first + i)
            return weights, _put(i, traces, each_step)

        blank = jax.tree.map(lambda x: x[0], unmeasured.traces)
        length, seen = chunk.lengths[number], {}
        if not task.monitors:
            weights, traces = jax.lax.fori_loop(0, length, body, (weights, blank))
        else:
            watched, weights = weights.watched, weights._replace(watched=None)
            unseen, last = jnp.maximum(length - 2, 0), length - 1
            weights, traces = jax.lax.fori_loop(0, unseen, body, (weights, blank))
            weights = weights._replace(watched=watched)  # which the step before the last changes
            weights, traces = jax.lax.fori_loop(unseen, last, body, (weights, traces))
            weights, each_step, seen = watched_step_all(individuals, weights, first + last)
            traces = _put(last, traces, each_step)
        evaluation, finite = measure_all(individuals, weights)
        done = Segments(traces, evaluation | seen, finite)
        return weights, first + length, _put(number, measured, done)

    weights = jax.lax.cond(
        chunk.step == 0,
        lambda: begin(task, key, chunk.seed, individuals, width),
        lambda: weights,
    )
    weights, _, measured = jax.lax.fori_loop(
        0, _count(chunk.lengths), one_segment, (weights, chunk.step, unmeasured)
    )
    return weights, measured


def with_batches(task: Task, **changes: Any) -> Task:
    """The task with other batches that were read for it, or with others of them."""
    block: Any = task.batch
    return dataclasses.replace(task, batch=dataclasses.replace(block, **changes))


def _count(lengths: jax.Array) -> jax.Array:
    """How many there are; what has none comes last."""
    return (lengths > 0).sum()


def _at(i: jax.Array, tree: Any) -> Any:
    """Entry ``i`` of every leaf's leading axis."""
    return jax.tree.map(lambda x: jax.lax.dynamic_index_in_dim(x, i, keepdims=False), tree)


def _put(i: jax.Array, tree: Any, entry: Any) -> Any:
    """``tree`` with ``entry`` at ``i`` of every leaf's leading axis."""
    return jax.tree.map(lambda x, y: jax.lax.dynamic_update_index_in_dim(x, y, i, 0), tree, entry)


def step_flops(task: Task, key: jax.Array, individual: Individual, weights: Weights) -> float:
    """Floating-point operations of one update of one run; 0 where XLA does not say."""
    leaves, structure = jax.tree.flatten((task, key, individual, weights))
    return _step_flops(structure, tuple((x.shape, x.dtype) for x in leaves))


@functools.lru_cache(maxsize=256)  # XLA counts longer than a small sweep trains
def _step_flops(structure: Any, leaves: tuple[tuple[tuple[int, ...], Any], ...]) -> float:
    arguments = jax.tree.unflatten(structure, [jax.ShapeDtypeStruct(*leaf) for leaf in leaves])
    costs = jax.jit(_one_step).lower(*arguments).cost_analysis()
    return float((costs or {}).get("flops", 0.0))


def _one_step(task: Task, key: jax.Array, individual: Individual, weights: Weights) -> tuple:
    run = weights.run(key, jnp.zeros((), jnp.int32))
    return training.one_step(individual.of(task), individual.optimizer, run)


def code(task: Task, key: jax.Array, individual: Individual, weights: Weights) -> str:
    """Text of all that decides a run's numbers: start, update and evaluation."""

    def one(task: Task, key: jax.Array, individual: Individual, weights: Weights) -> tuple:
        own, optimizer = individual.of(task), individual.optimizer
        start = training.start(own, optimizer, key)
        make_step = training.watched_step if own.monitors else training.one_step
        step = make_step(own, optimizer, start)
        return start, step, _measure(task, individual, weights)

    return jax.jit(one).lower(task, key, individual, weights).as_text()


def _measure(
    task: Task, individual: Individual, weights: Weights
) -> tuple[dict[str, jax.Array], jax.Array]:
    """The evaluation, and whether all parameters are finite."""
    finite = [jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(weights.params)]
    return training.evaluate(individual.of(task), weights.params), jnp.asarray(finite).all()
