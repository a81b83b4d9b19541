"""Scaling each element by how far it went and how steep it was: AdaDelta."""

from typing import Any

import optax

from gdjax import trees
from gdjax.ranges import Decay, Positive
from gdjax.transformation import transformation


def _zero_averages(params: Any) -> optax.ScaleByAdaDeltaState:
    return optax.ScaleByAdaDeltaState(
        trees.full_like_real(params, 0), trees.full_like_real(params, 0)
    )


@transformation(init=_zero_averages)
def scale_by_adadelta(
    updates: Any,
    state: optax.ScaleByAdaDeltaState,
    params: Any,
    rho: Decay = 0.9,
    eps: Positive = 1e-6,
) -> tuple[Any, optax.ScaleByAdaDeltaState]:
    """Divide by the root of an average of squares, multiply by that of past updates: AdaDelta.

    ``e_g = rho * e_g + (1 - rho) * g**2``, ``u = g * sqrt(e_x + eps) / sqrt(e_g + eps)``, then
    ``e_x = rho * e_x + (1 - rho) * u**2``. The result is in units of the parameters.

    Args:
      rho: weight of the past in the averages, in [0, 1).
      eps: added under the roots; its root is about the first step's length.

    State:
      e_g: the average of squared gradients, of the parameters' shapes, real.
      e_x: the average of squared updates, of the parameters' shapes, real.

    Reference:
      Zeiler, ADADELTA: an adaptive learning rate method (https://arxiv.org/abs/1212.5701),
      algorithm 1; ``eps`` is Optax's default.

    >>> import jax.numpy as jnp
    >>> init, update = scale_by_adadelta(rho=0.75, eps=16.0)
    >>> update(jnp.array([6.0]), init(jnp.zeros(1)))[0]
    Array([4.8], dtype=float32)
    """

    def leaf(g: Any, squares: Any, lengths: Any) -> tuple:
        squares = trees.average(trees.abs_sq(g), squares, rho)
        u = g * (trees.sqrt(lengths + eps) / trees.sqrt(squares + eps))
        return u, squares, trees.average(trees.abs_sq(u), lengths, rho)

    updates, e_g, e_x = trees.map_leaves(leaf, updates, state.e_g, state.e_x)
    return updates, optax.ScaleByAdaDeltaState(e_g, e_x)
