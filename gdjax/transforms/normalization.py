"""Setting the updates' scale or mean, whatever the gradient's was."""

from typing import Any

import jax.numpy as jnp
import optax

from gdjax import trees
from gdjax.ranges import NonNegative, Real
from gdjax.transformation import transformation


@transformation()
def normalize(updates: Any, state: optax.EmptyState, params: Any) -> tuple:
    """Divide the updates by their global norm; zeros stay zeros.

    ``u = g / ||g||``, and 0 where ``||g||`` is 0.

    Reference:
      Nesterov, Minimization methods for nonsmooth convex and quasiconvex functions, 1984. Optax's
      ``contrib.normalize`` gives NaN where the gradient is 0.

    >>> init, update = normalize()
    >>> update(jnp.array([3.0, 4.0]), init(None))[0]
    Array([0.6, 0.8], dtype=float32)
    """
    norm = trees.global_norm(updates)
    factor = 1 / jnp.where(norm > 0, norm, 1)
    return trees.map_leaves(lambda g: factor * g, updates), state


@transformation()
def normalize_by_update_norm(
    updates: Any,
    state: optax.EmptyState,
    params: Any,
    scale_factor: Real = 1.0,
    eps: NonNegative = 1e-6,
) -> tuple:
    """Give the updates a chosen global norm.

    ``u = scale_factor * g / (||g|| + eps)``, and 0 where the denominator is 0.

    Args:
      scale_factor: the norm of the result; a descent step is negative.
      eps: added to the norm, in units of the updates.

    Reference:
      Hazan, Levy and Shalev-Shwartz, Beyond convexity: stochastic quasi-convex optimization
      (https://arxiv.org/abs/1507.02030), algorithm 1; ``eps`` as in Optax.

    >>> init, update = normalize_by_update_norm(scale_factor=-1.0, eps=0.0)
    >>> update(jnp.array([3.0, 4.0]), init(None))[0]
    Array([-0.6, -0.8], dtype=float32)
    """
    norm = trees.global_norm(updates) + eps
    factor = scale_factor / jnp.where(norm > 0, norm, 1)
    return trees.map_leaves(lambda g: factor * g, updates), state


@transformation()
def centralize(updates: Any, state: optax.EmptyState, params: Any) -> tuple:
    """Subtract from each array its mean over all axes but the first; vectors stay as they are.

    ``u = g - mean(g)``

    Reference:
      Yong et al., Gradient centralization (https://arxiv.org/abs/2004.01461), equation 1, with
      the outputs on the first axis, as in Optax.

    >>> init, update = centralize()
    >>> update(jnp.array([[1.0, 3.0], [0.0, 4.0]]), init(None))[0]
    Array([[-1.,  1.],
           [-2.,  2.]], dtype=float32)
    """

    def leaf(g: Any) -> Any:
        return g - jnp.mean(g, axis=tuple(range(1, g.ndim)), keepdims=True) if g.ndim > 1 else g

    return trees.map_leaves(leaf, updates), state
