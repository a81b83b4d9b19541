"""Which minimum a run falls into, over many starts and learning rates in one program."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from gdjax import trees
from gdjax.binding import Bound
from gdjax.diagnostics.paths import leading
from gdjax.errors import InvalidValue, telling
from gdjax.ranges import whole
from gdjax.task import Task
from gdjax.training import Run, as_key, one_step


class Basins(NamedTuple):
    """Where runs ended."""

    params: Any  # leaves [start, rate, ...]
    loss: jax.Array  # [start, rate], there
    diverged: jax.Array  # bool[start, rate]: the loss or a parameter is not finite


def basins(
    loss: Callable[[Any], Any] | Task,
    make_optimizer: Callable[[Any], optax.GradientTransformation],
    starts: Any,
    learning_rates: Any,
    steps: int,
    batch_size: int = 1024,
    key: jax.Array | int = 0,
) -> Basins:
    """Run an optimizer from each start with each learning rate, as one program.

    Args:
      loss: ``loss(params) -> real scalar``, or a task, whose own ``init`` is not used.
      make_optimizer: ``make_optimizer(learning_rate)`` or of any other number, a gdjax optimizer.
      starts: parameters, leaves ``[start, ...]``.
      learning_rates: ``[rate]``.
      steps: updates of each run.
      batch_size: starts whose runs, each with all learning rates, go side by side.
      key: from which a task draws its batches, the same ones in all runs.

    Returns:
      The end of each run. A task's loss there is that of the batch that would follow.

    Raises:
      InvalidValue: no starts or parameters, leaves of different lengths, steps below 0 or a batch
        size below 1.
      InvalidType: an optimizer whose learning rate is no leaf.

    >>> import gdjax
    >>> def loss(x):  # minima at -1 and 1
    ...     return (x**2 - 1) ** 2
    >>> found = basins(loss, gdjax.sgd, jnp.array([-0.5, 0.5, 2.0]), [0.1, 1.0], steps=50)
    >>> nearest_minimum(found.params, jnp.array([-1.0, 1.0]), tolerance=1e-3).tolist()
    [[0, -1], [1, -1], [0, -1]]
    >>> found.diverged.tolist()  # the first step from 2 went beyond the maximum at 0
    [[False, True], [False, True], [False, True]]
    """
    steps = whole("basins: steps", steps, low=0)
    batch_size = whole("basins: batch_size", batch_size)
    leading(starts, "basins: starts")
    rates = jnp.asarray(learning_rates)
    leading(rates, "basins: learning_rates")
    with telling("basins: make_optimizer must make a gdjax optimizer of a learning rate"):
        optimizers = jax.vmap(make_optimizer)(rates)
    task = loss if isinstance(loss, Task) else _task(loss)
    return _ends(task, optimizers, starts, as_key(key), steps, batch_size)


def nearest_minimum(params: Any, minima: Any, tolerance: float) -> jax.Array:
    """Which of several minima points are at.

    Args:
      params: points, leaves ``[..., *shape]`` with any axes before those of a minimum, such as
        the ``params`` of :class:`Basins`.
      minima: leaves ``[minimum, *shape]``.
      tolerance: Euclidean distance, over all parameters, within which a point is at a minimum.

    Returns:
      Of each point the nearest minimum, int32 ``[...]``; -1 where none is within the tolerance
      or the point is not finite.
    """
    leading(minima, "nearest_minimum: minima")

    def squared_distance(minimum: Any) -> jax.Array:
        def leaf(x: jax.Array, y: jax.Array) -> jax.Array:
            lead = x.ndim - y.ndim
            return jnp.sum(trees.abs_sq(x - y[(None,) * lead]), axis=tuple(range(lead, x.ndim)))

        distances = jax.tree.map(leaf, trees.widen(params), minimum)
        return sum(jax.tree.leaves(distances), start=jnp.zeros(()))

    distances = jax.lax.map(squared_distance, trees.widen(minima))  # [minimum, ...]
    close = trees.sqrt(jnp.min(distances, axis=0)) <= tolerance
    return jnp.where(close, jnp.argmin(distances, axis=0), -1).astype(jnp.int32)


def distinct_ends(found: Basins, tolerance: float, most: int = 64) -> Any:
    """The different points at which runs ended, where the minima are not known before.

    Of the ends that are left the one of least loss is taken, and all within the tolerance of it
    are left out, until none is left. Whether an end is a minimum its gradient and the smallest
    eigenvalue of its Hessian tell (:func:`gdjax.curvature.extreme_eigenvalues`).

    Args:
      found: concrete results: their number is a shape.
      tolerance: Euclidean distance, over all parameters.
      most: at which to stop; runs that have not settled end at as many points as there are runs.

    Returns:
      Trees of ends, leaves ``[end, ...]``, that of least loss first, for :func:`nearest_minimum`.

    Raises:
      InvalidValue: each run diverged, a tolerance below 0, or ``most`` below 1.
    """
    most = whole("distinct_ends: most", most)
    if not tolerance >= 0:
        raise InvalidValue(f"distinct_ends: tolerance must be at least 0, got {tolerance}")
    left = ~np.asarray(found.diverged).ravel()
    if not left.any():
        raise InvalidValue("distinct_ends: each run diverged; lower the learning rates")
    leaves, structure = jax.tree.flatten(trees.widen(found.params))
    leaves = [np.asarray(x).reshape(len(left), *x.shape[2:]) for x in leaves]
    points = np.concatenate([x.reshape(len(left), -1) for x in leaves], axis=1)  # [run, parameter]
    order = np.argsort(np.asarray(found.loss).ravel(), kind="stable")
    chosen = []
    while left.any() and len(chosen) < most:
        chosen.append(order[left[order]][0])
        left[left] = np.linalg.norm(points[left] - points[chosen[-1]], axis=1) > tolerance
    return structure.unflatten([jnp.asarray(x[chosen]) for x in leaves])


def _task(loss: Callable[[Any], Any]) -> Task:
    """A loss as a task without batches, of equal structure for the same loss."""
    plain = jax.tree_util.all_leaves([loss])
    of_params = Bound(_of_params, {"loss": Bound(loss) if plain else loss})
    return Task(init=_nothing, loss=of_params, batch=_nothing)


def _of_params(params: Any, batch: Any, key: Any, loss: Any) -> Any:
    return loss(params)


def _nothing(*_: Any) -> None:
    """What no run asks for."""


@functools.partial(jax.jit, static_argnames=("steps", "batch_size"))
def _ends(
    task: Task, optimizers: Any, starts: Any, key: jax.Array, steps: int, batch_size: int
) -> Basins:
    def end(start: Any, optimizer: optax.GradientTransformation) -> Basins:
        run = Run(start, optimizer.init(start), key, jnp.zeros((), jnp.int32))
        run, _ = jax.lax.scan(
            lambda run, _: (one_step(task, optimizer, run)[0], None), run, length=steps
        )
        loss = one_step(task, optimizer, run)[1]["loss"]  # before a step that is not made
        diverged = ~(jnp.isfinite(loss) & trees.all_finite(run.params))
        return Basins(run.params, loss, diverged)

    def row(start: Any) -> Basins:  # leaves [rate, ...]
        return jax.vmap(end, in_axes=(None, 0))(start, optimizers)

    return jax.lax.map(row, starts, batch_size=batch_size)
