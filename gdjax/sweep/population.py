"""Many runs as one tree: every leaf has a leading axis, one entry a run."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gdjax import training
from gdjax.task import Task
from gdjax.training import Run
from gdjax.transformation import GradientTransformation


class Population(NamedTuple):
    """Runs side by side, each with its own optimizer."""

    optimizer: GradientTransformation  # leaves [run, ...]
    run: Run  # leaves [run, ...]


class Segment(NamedTuple):
    """What a segment measured."""

    traces: dict[str, jax.Array]  # [run, step]
    evaluation: dict[str, jax.Array]  # [run]
    finite: jax.Array  # bool[run]: whether all parameters are at its end


def stack(
    factory: Callable[..., GradientTransformation], settings: Mapping[str, np.ndarray]
) -> GradientTransformation:
    """One optimizer a setting as one tree, leaves ``[setting, ...]``."""
    columns = {name: jnp.asarray(values) for name, values in settings.items()}
    stacked = jax.vmap(lambda values: factory(**values))(columns)
    # On the host, where taking rows compiles nothing; PRNG keys have no form there.
    return jax.tree.map(
        lambda x: x if jnp.issubdtype(x.dtype, jax.dtypes.extended) else np.asarray(x), stacked
    )


def take(tree: Any, rows: np.ndarray) -> Any:
    """The entries at ``rows``, in their order."""
    return jax.tree.map(lambda x: x[rows], tree)


def start(
    task: Task, optimizer: GradientTransformation, key: jax.Array, seeds: jax.Array
) -> Population:
    """The population before its first step.

    One run after another: side by side, the random numbers of all would be unrolled, and take
    longer to compile than the training.

    Args:
      task: of all runs.
      optimizer: leaves ``[run, ...]``.
      key: of the sweep.
      seeds: int32[run]; runs of one seed start alike and see the same batches.
    """

    def one(optimizer: GradientTransformation, seed: jax.Array) -> Run:
        return training.start(task, optimizer, jax.random.fold_in(key, seed))

    return Population(optimizer, jax.lax.map(lambda pair: one(*pair), (optimizer, seeds)))


def advance(task: Task, population: Population, steps: int) -> tuple[Population, Segment]:
    """One segment of every run."""

    def one(optimizer: GradientTransformation, run: Run) -> tuple[Run, Segment]:
        run, traces = training.advance(task, optimizer, run, steps)
        finite = [jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(run.params)]
        segment = Segment(traces, training.evaluate(task, run), jnp.asarray(finite).all())
        return run, segment

    run, segment = jax.vmap(one)(*population)
    return Population(population.optimizer, run), segment
