"""A step size for each element that follows the signs of its gradients: Rprop."""

from typing import Any

import jax.numpy as jnp
import optax

from gdjax import trees
from gdjax.ranges import Decay, Growth, Positive
from gdjax.transformation import transformation


def _first_steps(params: Any, learning_rate: Any) -> optax.ScaleByRpropState:
    return optax.ScaleByRpropState(
        trees.full_like_real(params, learning_rate), trees.zeros_like(params)
    )


@transformation(init=_first_steps)
def scale_by_rprop(
    updates: Any,
    state: optax.ScaleByRpropState,
    params: Any,
    learning_rate: Positive,
    eta_minus: Decay = 0.5,
    eta_plus: Growth = 1.2,
    min_step_size: Positive = 1e-6,
    max_step_size: Positive = 50.0,
) -> tuple[Any, optax.ScaleByRpropState]:
    """Replace the updates by their signs times step sizes that grow until a sign turns: Rprop.

    Where the sign stays ``step = min(step * eta_plus, max_step_size)`` and ``u = step * sign(g)``.
    Where it turns ``step = max(step * eta_minus, min_step_size)`` and ``u = 0``: it waits, and
    the next sign counts as new. Where it is new the step stays, and ``u = step * sign(g)``.

    Gradients act by their signs alone, which have no derivative; the step sizes have.

    Args:
      learning_rate: the step size before the first step.
      eta_minus: factor of a step size where the sign turns, in [0, 1).
      eta_plus: factor of a step size where the sign stays, at least 1.
      min_step_size: least step size.
      max_step_size: largest step size.

    State:
      step_sizes: the step sizes, of the parameters' shapes, real.
      prev_updates: the last updates, of the parameters' shapes; 0 where a sign has just turned.

    Reference:
      Igel and Huesken, Empirical evaluation of the improved Rprop learning algorithms,
      Neurocomputing 50, 2003, https://doi.org/10.1016/S0925-2312(01)00700-7: iRprop-. The sign of
      a complex gradient is its direction; it turns by more than a right angle.

    >>> init, update = scale_by_rprop(0.5, eta_plus=2.0)
    >>> u, state = update(jnp.array([3.0]), init(jnp.zeros(1)))
    >>> update(jnp.array([0.1]), state)[0]
    Array([1.], dtype=float32)
    """
    del learning_rate  # init has it

    def leaf(g: Any, step: Any, previous: Any) -> tuple:
        sign = jnp.sign(g)
        kept = jnp.real(sign * jnp.conj(jnp.sign(previous)))
        factor = jnp.where(kept > 0, eta_plus, eta_minus)
        bounded = jnp.minimum(jnp.maximum(step * factor, min_step_size), max_step_size)
        step = jnp.where(kept == 0, step, bounded)
        u = jnp.where(kept < 0, 0, step * sign)
        return u, step, u

    updates, step_sizes, previous = trees.map_leaves(
        leaf, updates, state.step_sizes, state.prev_updates
    )
    return updates, optax.ScaleByRpropState(step_sizes, previous)
