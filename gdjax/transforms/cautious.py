"""Leaving out the elements of an update that go against its gradient."""

from typing import Any, NamedTuple

import jax.numpy as jnp

from gdjax import trees
from gdjax.ranges import Positive
from gdjax.transformation import Inner, transformation


class CautiousState(NamedTuple):
    """State of :func:`cautious`."""

    inner_state: Any


def _start(params: Any, inner: Any) -> CautiousState:
    return CautiousState(inner(params))


@transformation(init=_start)
def cautious(
    updates: Any,
    state: CautiousState,
    params: Any,
    inner: Inner,
    eps: Positive = 1.0,
    **extra: Any,
) -> tuple[Any, CautiousState]:
    """Keep of an inner transformation the elements that have the sign of their gradient.

    With ``g`` the updates that come in and ``u`` those of ``inner``, ``agrees = u * g > 0`` and
    ``u = u * agrees * n / (sum(agrees) + eps)``, where ``n`` is the number of elements of the
    array: what is left out makes the others larger. Complex numbers agree where the angle between
    them is less than a right one.

    ``inner`` must not descend yet: put the learning rate after it, as in
    ``chain(cautious(scale_by_adam()), scale_by_learning_rate(0.1))``. Around ``adam(0.1)``, which
    goes against the gradient everywhere, nothing would be left.

    The elements are chosen by a comparison: the derivative of the choice is 0.

    Args:
      inner: the transformation whose updates are masked.
      eps: added to the number of elements that agree.

    State:
      inner_state: the state of ``inner``.

    Reference:
      Liang et al., Cautious optimizers (https://arxiv.org/abs/2411.16085), equation 1, with the
      paper's ``xi = 1`` as ``eps``.

    >>> import gdjax
    >>> init, update = cautious(gdjax.trace(0.5))
    >>> u, state = update(jnp.array([4.0, 4.0, 4.0]), init(jnp.zeros(3)))
    >>> update(jnp.array([2.0, -1.0, 2.0]), state)[0]
    Array([4., 0., 4.], dtype=float32)
    """
    inner_updates, inner_state = inner(updates, state.inner_state, params, **extra)

    def leaf(u: Any, g: Any) -> Any:
        agrees = jnp.real(u * jnp.conj(g)) > 0
        return jnp.where(agrees, u, 0) * (g.size / (jnp.sum(agrees) + eps))

    return trees.map_leaves(leaf, inner_updates, given=(updates,)), CautiousState(inner_state)
