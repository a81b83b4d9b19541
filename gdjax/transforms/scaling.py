"""Scaling all updates by one factor."""

from typing import Any

import optax

from gdjax import trees
from gdjax.ranges import NonNegative, Real
from gdjax.transformation import transformation


@transformation()
def scale(updates: Any, state: optax.EmptyState, params: Any, step_size: Real) -> tuple:
    """Multiply the updates by ``step_size``.

    ``u = step_size * g``

    Args:
      step_size: any number; a descent step is negative.

    >>> import jax.numpy as jnp
    >>> init, update = scale(-0.5)
    >>> update(jnp.array([2.0]), init(None))[0]
    Array([-1.], dtype=float32)
    """
    return trees.map_leaves(lambda g: step_size * g, updates), state


@transformation()
def scale_by_learning_rate(
    updates: Any,
    state: optax.EmptyState,
    params: Any,
    learning_rate: NonNegative,
    flip_sign: bool = True,
) -> tuple:
    """Multiply the updates by the negative learning rate: the descent step.

    ``u = -learning_rate * g``, or ``u = learning_rate * g`` without ``flip_sign``.

    Args:
      learning_rate: the step's length in units of the updates; at least 0.
      flip_sign: descend; ascend where False.

    >>> import jax.numpy as jnp
    >>> init, update = scale_by_learning_rate(0.5)
    >>> update(jnp.array([2.0]), init(None))[0]
    Array([-1.], dtype=float32)
    """
    factor = -learning_rate if flip_sign else learning_rate
    return trees.map_leaves(lambda g: factor * g, updates), state


@transformation()
def scale_by_schedule(
    updates: Any, state: optax.EmptyState, params: Any, step_size_fn: Real
) -> tuple:
    """Multiply the updates by a schedule's value, Optax's name: :func:`scale` takes one too.

    ``u = step_size_fn(count) * g``

    Args:
      step_size_fn: a schedule, or any function of the step; a descent step is negative.

    >>> import jax.numpy as jnp
    >>> init, update = scale_by_schedule(lambda count: -1 / (1 + count))
    >>> u, state = update(jnp.array([2.0]), init(None))
    >>> update(jnp.array([2.0]), state)[0]
    Array([-1.], dtype=float32)
    """
    return trees.map_leaves(lambda g: step_size_fn * g, updates), state
