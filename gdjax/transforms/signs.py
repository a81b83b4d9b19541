"""Signs in place of sizes: every element of the updates has magnitude 1 or 0."""

from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax

from gdjax import trees
from gdjax.ranges import Decay, Positive
from gdjax.transformation import transformation


@transformation()
def scale_by_sign(updates: Any, state: optax.EmptyState, params: Any) -> tuple:
    """Replace each element of the updates by its sign.

    ``u = g / abs(g)``, and 0 where ``g`` is: a complex number of magnitude 1 where ``g`` is
    complex. The sign of a real number is a step function: its derivative is 0.

    Reference:
      Bernstein et al., signSGD (https://arxiv.org/abs/1802.04434), algorithm 1.

    >>> init, update = scale_by_sign()
    >>> update(jnp.array([-2.0, 0.0]), init(None))[0]
    Array([-1.,  0.], dtype=float32)
    """
    return trees.map_leaves(_sign, updates), state


def _zero_average(params: Any, mu_dtype: Any) -> optax.ScaleByLionState:
    return optax.ScaleByLionState(jnp.zeros((), jnp.int32), trees.zeros_like(params, mu_dtype))


@transformation(init=_zero_average)
def scale_by_lion(
    updates: Any,
    state: optax.ScaleByLionState,
    params: Any,
    b1: Decay = 0.9,
    b2: Decay = 0.99,
    mu_dtype: Any = None,
    mode: Literal["hard", "smooth", "refined"] = "hard",
    smooth_beta: Positive = 1.0,
) -> tuple[Any, optax.ScaleByLionState]:
    """Replace the updates by the sign of their mixture with a longer average: Lion.

    ``u = sign(b1 * mu + (1 - b1) * g)``, then ``mu = b2 * mu + (1 - b2) * g``.

    The sign is that of :func:`gdjax.scale_by_sign`, a step function: derivatives with respect to
    ``b1`` and ``b2`` are 0 on real parameters. Other modes replace the magnitude 1 of a mixture
    of magnitude ``r``: ``"smooth"`` by ``tanh(smooth_beta * r)``, ``"refined"`` by ``min(r, 1)``.

    Args:
      b1: weight of the average in the mixture, in [0, 1).
      b2: weight of the past in the average, in [0, 1).
      mu_dtype: dtype of the average; that of the parameters where None.
      mode: ``"hard"``, ``"smooth"`` or ``"refined"``.
      smooth_beta: how steep the smooth sign is, in units of the updates' inverse.

    State:
      count: updates made so far, an int32 scalar.
      mu: the average, of the parameters' shapes.

    Raises:
      InvalidValue: a ``mode`` that is not known.

    Reference:
      Chen et al., Symbolic discovery of optimization algorithms
      (https://arxiv.org/abs/2302.06675), algorithm 2; the modes are Optax's.

    >>> init, update = scale_by_lion()
    >>> update(jnp.array([-2.0, 0.0]), init(jnp.zeros(2)))[0]
    Array([-1.,  0.], dtype=float32)
    """

    def leaf(g: Any, m: Any) -> tuple:
        mixture = trees.average(g, m, b1)
        size = jnp.abs(mixture)
        if mode == "smooth":
            ratio = trees.divide(jnp.tanh(smooth_beta * size), jnp.where(size > 0, size, 1))
            u = mixture * jnp.where(size > 0, ratio, smooth_beta)
        elif mode == "refined":
            u = mixture / trees.maximum(size, 1.0)
        else:
            u = _sign(mixture)
        return u, trees.average(g, m, b2)

    updates, mu = trees.map_leaves(leaf, updates, state.mu)
    return updates, optax.ScaleByLionState(optax.safe_increment(state.count), mu)


def _sign(x: jax.Array) -> jax.Array:
    """The sign of real numbers, the direction of complex ones, whose derivative is not 0."""
    if not jnp.iscomplexobj(x):
        return jnp.sign(x)
    size = jnp.abs(x)
    return x / jnp.where(size > 0, size, 1)
