"""Adding what keeps parameters small."""

from typing import Any

import optax

from gdjax import subtrees, trees
from gdjax.errors import InvalidValue
from gdjax.ranges import NonNegative
from gdjax.transformation import transformation


@transformation()
def add_decayed_weights(
    updates: Any,
    state: optax.EmptyState,
    params: Any,
    weight_decay: NonNegative = 0.0,
    mask: Any = None,
) -> tuple:
    """Add a multiple of the parameters to the updates: decoupled weight decay.

    ``u = g + weight_decay * params`` where ``mask`` is true, else ``u = g``.

    ``update`` needs ``params``. Before an adaptive scaling, instead of after it, this adds the
    gradient of ``weight_decay / 2 * ||params||**2``: L2 regularization of the loss.

    Args:
      weight_decay: factor of the parameters.
      mask: which parameters decay: a tree of bools, of the parameters' structure or a prefix of
        it, or a function from the parameters to one. All, where None.

    Reference:
      Loshchilov and Hutter, Decoupled weight decay regularization
      (https://arxiv.org/abs/1711.05101), algorithm 2, where it follows the adaptive scaling.

    >>> import jax.numpy as jnp
    >>> init, update = add_decayed_weights(0.1)
    >>> update(jnp.array([1.0]), init(None), params=jnp.array([2.0]))[0]
    Array([1.2], dtype=float32)
    """
    if params is None:
        raise InvalidValue(
            "add_decayed_weights reads the parameters: call update(updates, state, params)"
        )

    def decay(updates: Any, params: Any) -> Any:
        return trees.map_leaves(lambda g, p: g + weight_decay * p, updates, given=(params,))

    return subtrees.map_chosen(mask, decay, updates, params), state
