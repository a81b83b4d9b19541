"""Running the rows of a plan: compiled once, in padded chunks of one width, by segments."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gdjax.errors import InvalidType
from gdjax.sweep import population
from gdjax.sweep.families import Family
from gdjax.sweep.population import Population, Segment
from gdjax.task import Task

Observer = Callable[[int, dict[str, np.ndarray]], None]
"""Told the steps that a chunk made, summed over its runs, and what was measured last, [row]."""


class Plan(NamedTuple):
    """What decides every bit of a sweep, apart from the families."""

    task: Task
    seeds: int
    steps: int
    segment: int  # steps between evaluations
    width: int  # runs in one program
    key: int

    def segments(self) -> list[int]:
        """Lengths of all segments; the last may be shorter.

        >>> Plan(None, seeds=1, steps=10, segment=4, width=1, key=0).segments()
        [4, 4, 2]
        """
        whole, rest = divmod(self.steps, self.segment)
        return [self.segment] * whole + [rest] * bool(rest)


class Measurements(NamedTuple):
    """What was measured on some rows."""

    params: Any  # leaves [row, ...]; None where they were not asked for
    traces: dict[str, np.ndarray]  # [row, step]
    evaluations: dict[str, np.ndarray]  # [row, segment]
    finite: np.ndarray  # bool[row]: whether all parameters are at the end


class Program(NamedTuple):
    """A family's compiled functions at the plan's width."""

    start: Callable[..., Population]
    advance: dict[int, Callable[..., tuple[Population, Segment]]]  # by the length of a segment


_start = jax.jit(population.start)
_advance = jax.jit(population.advance, static_argnames="steps", donate_argnames="population")


def compile_program(plan: Plan, family: Family) -> Program:
    """Compile what trains ``plan.width`` runs of a family: a start, and one segment of each length.

    Two sweeps of equal structure, shapes and width share the result, by JAX's own cache.
    """
    inputs = _inputs(plan, family, np.zeros(plan.width, int))
    try:
        start = _start.lower(plan.task, *inputs)
        shape = jax.eval_shape(population.start, plan.task, *inputs)
        advance = {n: _advance.lower(plan.task, shape, steps=n) for n in set(plan.segments())}
    except jax.errors.UnexpectedTracerError:
        raise InvalidType(
            f"family {family.name!r} hides a hyperparameter of the space in a function that is not "
            "gdjax's, such as an Optax transformation or schedule made from it; use gdjax's"
        ) from None
    return Program(start.compile(), {n: lowered.compile() for n, lowered in advance.items()})


def measure(
    plan: Plan,
    family: Family,
    program: Program,
    rows: np.ndarray,
    observe: Observer = lambda steps, last: None,
    keep_params: bool = False,
) -> Measurements:
    """Train the runs at ``rows``: row ``r`` is trial ``r // seeds`` with seed ``r % seeds``.

    Segments are the outer loop, so that what is decided between them can see every run; chunks
    are padded with their last row, whose copies nobody reads.
    """
    chunks = [rows[i : i + plan.width] for i in range(0, len(rows), plan.width)]
    padded = [np.pad(chunk, (0, plan.width - len(chunk)), mode="edge") for chunk in chunks]
    populations = [program.start(plan.task, *_inputs(plan, family, chunk)) for chunk in padded]
    measured = []  # a segment each, of all rows
    for length in plan.segments():
        advanced = [program.advance[length](plan.task, p) for p in populations]
        populations = [population for population, _ in advanced]
        parts = []
        for chunk, (_, segment) in zip(chunks, advanced, strict=True):
            part = _widened(_host(segment, len(chunk)))
            last = {name: values[:, -1] for name, values in part.traces.items()}
            observe(length * len(chunk), last | part.evaluation)
            parts.append(part)
        measured.append(_join(np.concatenate, parts))
    params = None
    if keep_params:
        ends = zip(populations, chunks, strict=True)
        params = _join(np.concatenate, [_host(p.run.params, len(chunk)) for p, chunk in ends])
    return Measurements(
        params=params,
        traces=_join(functools.partial(np.concatenate, axis=1), [m.traces for m in measured]),
        evaluations=_join(functools.partial(np.stack, axis=1), [m.evaluation for m in measured]),
        finite=measured[-1].finite,
    )


def _inputs(plan: Plan, family: Family, rows: np.ndarray) -> tuple[Any, jax.Array, np.ndarray]:
    """What the runs at ``rows`` start from: optimizers, the sweep's key, seeds."""
    optimizers = population.take(family.optimizers, rows // plan.seeds)
    return optimizers, jax.random.key(plan.key), np.asarray(rows % plan.seeds, np.int32)


def _host(tree: Any, count: int) -> Any:
    return jax.tree.map(lambda x: np.asarray(x)[:count], tree)


def _widened(measured: Any) -> Any:
    """Numbers narrower than float32 as float32, which is exact: files know no bfloat16."""

    def wide(x: np.ndarray) -> np.ndarray:
        narrow = jnp.issubdtype(x.dtype, jnp.floating) and x.dtype.itemsize < 4
        return x.astype(np.float32) if narrow else x

    return jax.tree.map(wide, measured)


def _join(how: Callable[[tuple], np.ndarray], trees: list[Any]) -> Any:
    return jax.tree.map(lambda *leaves: how(leaves), *trees)
