"""Many runs as one tree: every leaf has a leading axis, one entry a run."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from gdjax import training
from gdjax.task import Task
from gdjax.training import Run
from gdjax.transformation import GradientTransformation


class Population(NamedTuple):
    """Runs side by side, each with its own optimizer."""

    optimizer: GradientTransformation  # leaves [run, ...]
    run: Run  # leaves [run, ...]


def stack(
    factory: Callable[..., GradientTransformation], settings: Mapping[str, np.ndarray]
) -> GradientTransformation:
    """One optimizer a setting, ``[setting]``-stacked."""
    return jax.vmap(lambda values: factory(**values))(dict(settings))


def take(tree: Any, rows: np.ndarray) -> Any:
    """The entries at ``rows``, in their order."""
    return jax.tree.map(lambda x: x[rows], tree)


def start(task: Task, optimizer: GradientTransformation, keys: jax.Array) -> Population:
    """The population before its first step; ``optimizer`` and ``keys`` are stacked."""
    run = jax.vmap(training.start, in_axes=(None, 0, 0))(task, optimizer, keys)
    return Population(optimizer, run)


def advance(
    task: Task, population: Population, steps: int
) -> tuple[Population, dict[str, jax.Array], dict[str, jax.Array]]:
    """One segment of every run: the population, traces ``[run, step]``, evaluations ``[run]``."""

    def one(optimizer: GradientTransformation, run: Run) -> tuple:
        run, traces = training.advance(task, optimizer, run, steps)
        return run, traces, training.evaluate(task, run)

    run, traces, evaluation = jax.vmap(one)(*population)
    return Population(population.optimizer, run), traces, evaluation
