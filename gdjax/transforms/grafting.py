"""The direction of one transformation with the size of another's steps."""

from typing import Any, NamedTuple

import jax.numpy as jnp

from gdjax import trees
from gdjax.transformation import Inner, transformation


class GraftState(NamedTuple):
    """State of :func:`graft`."""

    direction_state: Any  # of direction
    magnitude_state: Any  # of magnitude


def _init_both(params: Any, direction: Any, magnitude: Any) -> GraftState:
    return GraftState(direction(params), magnitude(params))


@transformation(init=_init_both)
def graft(
    updates: Any,
    state: GraftState,
    params: Any,
    direction: Inner,
    magnitude: Inner,
    **extra: Any,
) -> tuple[Any, GraftState]:
    """Give each array's update by one transformation the norm of another's: grafting.

    ``u = d * norm(m) / norm(d)``, array by array, with ``d`` and ``m`` the updates of
    ``direction`` and ``magnitude``; ``u = 0`` where ``d`` is 0. A learning rate tuned for
    ``magnitude`` then serves ``direction`` too.

    Args:
      direction: the transformation that is followed.
      magnitude: the transformation whose norms are taken.

    State:
      direction_state: the state of ``direction``.
      magnitude_state: the state of ``magnitude``.

    Reference:
      Agarwal et al., Disentangling adaptive gradient methods from learning rates
      (https://arxiv.org/abs/2002.11803), layer-wise grafting.

    >>> from gdjax.transforms.scaling import scale
    >>> init, update = graft(scale(2.0), scale(0.5))
    >>> update(jnp.array([3.0, 4.0]), init(jnp.zeros(2)))[0]
    Array([1.5, 2. ], dtype=float32)
    """
    wide = trees.widen(updates)  # so that what both hand on is not rounded
    followed, direction_state = direction(wide, state.direction_state, params, **extra)
    sized, magnitude_state = magnitude(wide, state.magnitude_state, params, **extra)

    def leaf(g: Any, d: Any, m: Any) -> Any:
        del g  # its place is taken
        length = trees.global_norm(d)
        positive = length > 0
        return d * (
            trees.global_norm(m) * jnp.where(positive, 1 / jnp.where(positive, length, 1), 0)
        )

    updates = trees.map_leaves(leaf, updates, given=(followed, sized))
    return updates, GraftState(direction_state, magnitude_state)
