"""Bounding updates: by element and by norm."""

from typing import Any

import jax.numpy as jnp
import optax

from gdjax import trees
from gdjax.ranges import Positive
from gdjax.transformation import transformation


@transformation()
def clip(updates: Any, state: optax.EmptyState, params: Any, max_delta: Positive) -> tuple:
    """Clip each element of the updates to ``[-max_delta, max_delta]``.

    ``u = min(max(g, -max_delta), max_delta)``

    Args:
      max_delta: largest magnitude of an element, in units of the updates.

    Reference:
      Pascanu et al., On the difficulty of training recurrent neural networks
      (https://arxiv.org/abs/1211.5063), section 3.2, by element instead of by norm.

    >>> init, update = clip(1.0)
    >>> update(jnp.array([-3.0, 0.5]), init(None))[0]
    Array([-1. ,  0.5], dtype=float32)
    """
    return trees.map_leaves(lambda g: jnp.clip(g, -max_delta, max_delta), updates), state


@transformation()
def clip_by_global_norm(
    updates: Any, state: optax.EmptyState, params: Any, max_norm: Positive
) -> tuple:
    """Scale the updates down so that their global norm is at most ``max_norm``.

    ``u = g * max_norm / max(||g||, max_norm)``

    The one scalar factor is folded into whatever reads the result next: no clipped gradient is
    written to memory.

    Args:
      max_norm: largest Euclidean norm of all updates together, in units of the updates.

    Reference:
      Pascanu et al., On the difficulty of training recurrent neural networks
      (https://arxiv.org/abs/1211.5063), algorithm 1.

    >>> init, update = clip_by_global_norm(1.0)
    >>> update(jnp.array([3.0, 4.0]), init(None))[0]
    Array([0.6, 0.8], dtype=float32)
    """
    factor = max_norm / jnp.maximum(trees.global_norm(updates), max_norm)
    return trees.map_leaves(lambda g: factor * g, updates), state
