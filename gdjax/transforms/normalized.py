"""Updates divided first and averaged afterwards: ADOPT, NovoGrad."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from gdjax import trees
from gdjax.ranges import Decay, NonNegative
from gdjax.transformation import transformation


def _zero_moments(params: Any, mu_dtype: Any) -> optax.ScaleByAdamState:
    return optax.ScaleByAdamState(
        count=jnp.zeros((), jnp.int32),
        mu=trees.zeros_like(params, mu_dtype),
        nu=trees.full_like_real(params, 0),
    )


def _power(count: Any, exponent: float) -> jax.Array:
    return count**exponent


fourth_root = functools.partial(_power, exponent=0.25)


@transformation(init=_zero_moments)
def scale_by_adopt(
    updates: Any,
    state: optax.ScaleByAdamState,
    params: Any,
    b1: Decay = 0.9,
    b2: Decay = 0.9999,
    eps: NonNegative = 1e-6,
    mu_dtype: Any = None,
    nesterov: bool = False,
    use_clipping: bool = True,
    clip_value_fn: Callable[[Any], Any] = fourth_root,
) -> tuple[Any, optax.ScaleByAdamState]:
    """Average updates that were divided by the root of the squares before them: ADOPT.

    ``n = g / max(sqrt(nu), eps)``, clipped to magnitudes of at most ``clip_value_fn(count)``,
    ``u = mu = b1 * mu + (1 - b1) * n``, then ``nu = b2 * nu + (1 - b2) * g**2``. The first step
    only makes ``nu = g**2``: its update is 0. With ``nesterov``, ``u = b1 * mu + (1 - b1) * n``.

    Args:
      b1: weight of the past in the average, in [0, 1).
      b2: weight of the past in the average of squares, in [0, 1).
      eps: smallest denominator, in units of the updates.
      mu_dtype: dtype of the average; that of the parameters where None.
      nesterov: look one step ahead.
      use_clipping: clip the divided updates; complex ones have no order and are refused.
      clip_value_fn: the largest magnitude: a function of the steps so far, or as a
        hyperparameter a number or a schedule.

    State:
      count: updates made so far, an int32 scalar.
      mu: the average of the divided updates, of the parameters' shapes.
      nu: the average of squares, of the parameters' shapes, real.

    Reference:
      Taniguchi et al., ADOPT (https://arxiv.org/abs/2411.02853), algorithm 2; without clipping
      algorithm 1, but for its average, which starts from 0 here, as in Optax.

    >>> init, update = scale_by_adopt(b1=0.5)
    >>> u, state = update(jnp.array([-2.0]), init(jnp.zeros(1)))
    >>> update(jnp.array([-1.0]), state)[0]
    Array([-0.25], dtype=float32)
    """
    started = jnp.greater(state.count, 0)
    b1, b2 = jnp.where(started, b1, 1), jnp.where(started, b2, 0)
    limit = clip_value_fn(state.count) if callable(clip_value_fn) else clip_value_fn

    def leaf(g: Any, m: Any, v: Any) -> tuple:
        n = g / jnp.maximum(trees.sqrt(v), eps)
        n = jnp.clip(n, -limit, limit) if use_clipping else n
        m = trees.average(n, m, b1)
        v = trees.average(trees.abs_sq(g), v, b2)
        return (trees.average(n, m, b1) if nesterov else m), m, v

    updates, mu, nu = trees.map_leaves(leaf, updates, state.mu, state.nu)
    return updates, optax.ScaleByAdamState(optax.safe_increment(state.count), mu, nu)


def _zero_sum_and_norms(params: Any, mu_dtype: Any) -> optax.ScaleByNovogradState:
    return optax.ScaleByNovogradState(
        count=jnp.zeros((), jnp.int32),
        mu=trees.zeros_like(params, mu_dtype),
        nu=jax.tree.map(lambda p: jnp.zeros((), jnp.real(p).dtype), params),
    )


@transformation(init=_zero_sum_and_norms)
def scale_by_novograd(
    updates: Any,
    state: optax.ScaleByNovogradState,
    params: Any,
    b1: Decay = 0.9,
    b2: Decay = 0.25,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    weight_decay: NonNegative = 0.0,
    mu_dtype: Any = None,
) -> tuple[Any, optax.ScaleByNovogradState]:
    """Sum updates that were divided by an average norm of their array: NovoGrad.

    For each array, ``nu = b2 * nu + (1 - b2) * ||g||**2``, a scalar whose first value is
    ``||g||**2``, then ``mu = b1 * mu + g / (sqrt(nu + eps_root) + eps) + weight_decay * params``
    and ``u = mu``.

    ``update`` needs ``params``.

    Args:
      b1: factor of the sum at each step, in [0, 1).
      b2: weight of the past in the average of squared norms, in [0, 1).
      eps: added to the root, in units of the updates.
      eps_root: added under the root, in units of the updates squared.
      weight_decay: factor of the parameters.
      mu_dtype: dtype of the sum; that of the parameters where None.

    State:
      count: updates made so far, an int32 scalar.
      mu: the sum, of the parameters' shapes.
      nu: the average of squared norms, a real scalar for each array.

    Reference:
      Ginsburg et al., Stochastic gradient methods with layer-wise adaptive moments for training
      of deep networks (https://arxiv.org/abs/1905.11286), algorithm 1.

    >>> init, update = scale_by_novograd()
    >>> update(jnp.array([3.0, 4.0]), init(jnp.zeros(2)), params=jnp.zeros(2))[0]
    Array([0.6, 0.8], dtype=float32)
    """
    b2 = jnp.where(jnp.greater(state.count, 0), b2, 0)

    def leaf(g: Any, m: Any, nu: tuple, p: Any) -> tuple:
        v = trees.average(jnp.sum(trees.abs_sq(g)), nu[0], b2)
        m = b1 * m + g * (1 / (trees.sqrt(v + eps_root) + eps)) + weight_decay * p
        return m, m, (v,)

    # One scalar for each array: in a tuple, because its shape is not that of the array.
    norms = jax.tree.map(lambda v: (v,), state.nu)
    updates, mu, norms = trees.map_leaves(leaf, updates, state.mu, norms, given=(params,))
    nu = jax.tree.map(lambda _, v: v[0], state.nu, norms)
    return updates, optax.ScaleByNovogradState(optax.safe_increment(state.count), mu, nu)
