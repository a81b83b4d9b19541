"""Scaling the updates of each array by the size of its parameters."""

from typing import Any

import jax.numpy as jnp
import optax

from gdjax import subtrees, trees
from gdjax.errors import InvalidValue
from gdjax.ranges import NonNegative
from gdjax.transformation import transformation


@transformation()
def scale_by_trust_ratio(
    updates: Any,
    state: optax.EmptyState,
    params: Any,
    min_norm: NonNegative = 0.0,
    trust_coefficient: NonNegative = 1.0,
    eps: NonNegative = 0.0,
    mask: Any = None,
) -> tuple:
    """Make the updates of each array as long as its parameters are: the trust ratio.

    ``u = g * trust_coefficient * max(||params||, min_norm) / (max(||g||, min_norm) + eps)``, and
    ``u = g`` where one of the two norms is 0: parameters that start at 0 would stay there.

    ``update`` needs ``params``.

    Args:
      min_norm: least norm that counts, of the parameters and of the updates.
      trust_coefficient: length of an update relative to that of its parameters.
      eps: added to the norm of the updates.
      mask: which arrays are scaled: a tree of bools, of the parameters' structure or a prefix of
        it, or a function from the parameters to one. All, where None. Optax has
        ``masked(scale_by_trust_ratio(), mask)`` for it.

    Reference:
      You et al., Large batch training of convolutional networks
      (https://arxiv.org/abs/1708.03888), equation 6, whose weight decay stands outside of it here;
      You et al., Large batch optimization for deep learning (https://arxiv.org/abs/1904.00962),
      algorithm 2, with the identity as its function of the norm. ``min_norm`` is Optax's.

    >>> init, update = scale_by_trust_ratio()
    >>> update(jnp.array([3.0, 4.0]), init(None), jnp.array([0.0, 2.0]))[0]
    Array([1.2, 1.6], dtype=float32)
    """
    if params is None:
        raise InvalidValue(
            "scale_by_trust_ratio reads the parameters: call update(updates, state, params)"
        )

    def leaf(g: Any, p: Any) -> Any:
        length = jnp.maximum(trees.global_norm(g), min_norm)
        target = jnp.maximum(trees.global_norm(p), min_norm)
        known = (length > 0) & (target > 0)
        ratio = trust_coefficient * target / jnp.where(known, length + eps, 1)
        return g * jnp.where(known, ratio, 1)

    def scaled(updates: Any, params: Any) -> Any:
        return trees.map_leaves(leaf, updates, given=(params,))

    return subtrees.map_chosen(mask, scaled, updates, params), state


@transformation()
def scale_by_param_block_norm(
    updates: Any, state: optax.EmptyState, params: Any, min_scale: NonNegative = 1e-3
) -> tuple:
    """Multiply the updates of each array by the norm of its parameters.

    ``u = g * max(||params||, min_scale)``

    ``update`` needs ``params``.

    Args:
      min_scale: least factor, so that parameters that are 0 are not stuck there.

    Reference:
      Shazeer and Stern, Adafactor (https://arxiv.org/abs/1804.04235), section 8, with the norm
      for the root mean square; Optax's name.

    >>> init, update = scale_by_param_block_norm()
    >>> update(jnp.array([1.0, -1.0]), init(None), jnp.array([3.0, 4.0]))[0]
    Array([ 5., -5.], dtype=float32)
    """

    def leaf(g: Any, p: Any) -> Any:
        return g * jnp.maximum(trees.global_norm(p), min_scale)

    return trees.map_leaves(leaf, updates, given=(params,)), state


@transformation()
def scale_by_param_block_rms(
    updates: Any, state: optax.EmptyState, params: Any, min_scale: NonNegative = 1e-3
) -> tuple:
    """Multiply the updates of each array by the root mean square of its parameters.

    ``u = g * max(rms(params), min_scale)``

    ``update`` needs ``params``.

    Args:
      min_scale: least factor, so that parameters that are 0 are not stuck there.

    Reference:
      Shazeer and Stern, Adafactor (https://arxiv.org/abs/1804.04235), section 8: the relative
      step size, with ``min_scale`` its epsilon_2.

    >>> init, update = scale_by_param_block_rms()
    >>> update(jnp.array([1.0, -1.0]), init(None), jnp.array([1.0, 7.0]))[0]
    Array([ 5., -5.], dtype=float32)
    """

    def leaf(g: Any, p: Any) -> Any:
        mean_of_squares = jnp.sum(trees.abs_sq(p)) / max(p.size, 1)
        return g * jnp.maximum(trees.sqrt(mean_of_squares), min_scale)

    return trees.map_leaves(leaf, updates, given=(params,)), state


@transformation()
def descend_and_shrink(
    updates: Any, state: optax.EmptyState, params: Any, learning_rate: NonNegative
) -> tuple:
    """Descend along updates as long as the parameters, which keep their length: Fromage's step.

    ``u = (params - learning_rate * g) / sqrt(1 + learning_rate**2) - params``

    A step at right angles to the parameters would make them longer by that root.

    ``update`` needs ``params``.

    Args:
      learning_rate: the step's length relative to that of the updates; at least 0.

    Reference:
      Bernstein et al., On the distance between two neural networks and the stability of learning
      (https://arxiv.org/abs/2002.03432), algorithm 1, of which :func:`gdjax.scale_by_trust_ratio`
      is the other half.

    >>> init, update = descend_and_shrink(0.75)
    >>> update(jnp.array([2.0, 0.0]), init(None), jnp.array([0.0, 2.0]))[0]
    Array([-1.2, -0.4], dtype=float32)
    """
    root = jnp.sqrt(1 + learning_rate**2)
    step = learning_rate / root
    decay = step * learning_rate / (1 + root)  # 1 - 1 / root, without its cancellation

    def leaf(g: Any, p: Any) -> Any:
        return -step * g - decay * p

    return trees.map_leaves(leaf, updates, given=(params,)), state
