"""Running the rows of a plan: compiled once, in padded chunks of one width, by segments."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gdjax.sweep import population
from gdjax.sweep.families import Family
from gdjax.sweep.population import Population
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

    params: Any  # leaves [row, ...]
    traces: dict[str, np.ndarray]  # [row, step]
    evaluations: dict[str, np.ndarray]  # [row, segment]


class Program(NamedTuple):
    """A family's compiled functions at the plan's width."""

    start: Callable[..., Population]
    advance: dict[int, Callable[..., tuple]]  # by the length of a segment


def compile_program(plan: Plan, family: Family) -> Program:
    """Compile what trains ``plan.width`` runs of a family: a start, and one segment of each length.

    Two sweeps of equal structure, shapes and width share the result.
    """
    optimizer, keys = jax.eval_shape(lambda: _inputs(plan, family, np.zeros(plan.width, int)))
    population_shape = jax.eval_shape(population.start, plan.task, optimizer, keys)
    lengths = sorted(set(plan.segments()))
    return Program(
        start=_compiled(population.start, None, *_spec((plan.task, optimizer, keys))),
        advance={
            n: _compiled(population.advance, n, *_spec((plan.task, population_shape)))
            for n in lengths
        },
    )


def measure(
    plan: Plan,
    family: Family,
    program: Program,
    rows: np.ndarray,
    observe: Observer = lambda steps, last: None,
) -> Measurements:
    """Train the runs at ``rows``: row ``r`` is trial ``r // seeds`` with seed ``r % seeds``.

    Segments are the outer loop, so that what is decided between them can see every run; chunks
    are padded with their last row, whose copies nobody reads.
    """
    chunks = [rows[i : i + plan.width] for i in range(0, len(rows), plan.width)]
    padded = [np.pad(chunk, (0, plan.width - len(chunk)), mode="edge") for chunk in chunks]
    populations = [program.start(plan.task, *_inputs(plan, family, chunk)) for chunk in padded]
    traces, evaluations = [], []
    for length in plan.segments():
        advanced = [program.advance[length](plan.task, p) for p in populations]
        populations = [population for population, _, _ in advanced]
        for chunk, (_, trace, evaluation) in zip(chunks, advanced, strict=True):
            trace, evaluation = _host((trace, evaluation), len(chunk))
            traces.append(trace)
            evaluations.append(evaluation)
            observe(length * len(chunk), {k: v[:, -1] for k, v in trace.items()} | evaluation)
    parts = [_host(p.run.params, len(c)) for p, c in zip(populations, chunks, strict=True)]
    return Measurements(
        params=jax.tree.map(lambda *x: np.concatenate(x), *parts),
        traces=_join(traces, len(chunks), lambda x: np.concatenate(x, axis=1)),
        evaluations=_join(evaluations, len(chunks), lambda x: np.stack(x, axis=1)),
    )


def _inputs(plan: Plan, family: Family, rows: np.ndarray) -> tuple[Any, jax.Array]:
    """Optimizers and keys of some rows. A seed's key is the same for every trial."""
    root = jax.random.key(plan.key)
    keys = jax.vmap(functools.partial(jax.random.fold_in, root))(jnp.asarray(rows % plan.seeds))
    return population.take(family.optimizers, rows // plan.seeds), keys


def _spec(arguments: tuple) -> tuple[Any, tuple]:
    """Structure and shapes of arguments, hashable."""
    leaves, treedef = jax.tree.flatten(arguments)
    return treedef, tuple(jax.ShapeDtypeStruct(jnp.shape(x), x.dtype) for x in leaves)


@functools.lru_cache(maxsize=32)
def _compiled(function: Callable[..., Any], steps: int | None, treedef: Any, leaves: tuple) -> Any:
    fixed = {} if steps is None else {"steps": steps}
    donated = () if steps is None else (1,)  # the population, which its successor replaces
    jitted = jax.jit(functools.partial(function, **fixed), donate_argnums=donated)
    return jitted.lower(*treedef.unflatten(leaves)).compile()


def _host(tree: Any, count: int) -> Any:
    return jax.tree.map(lambda x: np.asarray(x)[:count], tree)


def _join(
    parts: list[dict[str, np.ndarray]], chunks: int, along_steps: Callable[..., np.ndarray]
) -> dict[str, np.ndarray]:
    """Chunks of segments, segment by segment, as one array ``[row, ...]`` by name."""
    segments = [parts[i : i + chunks] for i in range(0, len(parts), chunks)]
    return {
        name: along_steps([np.concatenate([part[name] for part in seg]) for seg in segments])
        for name in parts[0]
    }
