"""Adam with a mixture of a fast and a slow memory of the updates: AdEMAMix and its simple form."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from gdjax import trees
from gdjax.ranges import Decay, NonNegative
from gdjax.transformation import transformation


class ScaleByAdemamixState(NamedTuple):
    """State of :func:`scale_by_ademamix`."""

    count: Any  # int32[]: updates made so far
    m1: Any  # like params, in mu_dtype: fast average
    m2: Any  # like params, in mu_dtype: slow average
    nu: Any  # like params, real: average of squares
    m1_weight: jax.Array  # float[]: sum of the weights in m1
    nu_weight: jax.Array  # float[]: sum of the weights in nu


def _zero_averages(params: Any, mu_dtype: Any) -> ScaleByAdemamixState:
    return ScaleByAdemamixState(
        count=jnp.zeros((), jnp.int32),
        m1=trees.zeros_like(params, mu_dtype),
        m2=trees.zeros_like(params, mu_dtype),
        nu=trees.full_like_real(params, 0),
        m1_weight=trees.no_weight(params),
        nu_weight=trees.no_weight(params),
    )


@transformation(init=_zero_averages)
def scale_by_ademamix(
    updates: Any,
    state: ScaleByAdemamixState,
    params: Any,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    b3: Decay = 0.9999,
    alpha: NonNegative = 6.0,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    mu_dtype: Any = None,
) -> tuple[Any, ScaleByAdemamixState]:
    """Adam with a second, slow average in the numerator: AdEMAMix.

    ``m1 = b1 * m1 + (1 - b1) * g``, ``m2 = b3 * m2 + (1 - b3) * g``,
    ``nu = b2 * nu + (1 - b2) * g**2``; ``m1`` and ``nu`` are debiased to ``m1_hat`` and ``nu_hat``
    by the sum of their weights, ``m2`` is not: it fills slowly. Then
    ``u = (m1_hat + alpha * m2) / (sqrt(nu_hat + eps_root) + eps)``.

    Args:
      b1: weight of the past in the fast average, in [0, 1).
      b2: weight of the past in the average of squares, in [0, 1).
      b3: weight of the past in the slow average, in [0, 1). The paper lets it grow from ``b1``.
      alpha: factor of the slow average. The paper lets it grow from 0.
      eps: added to the root, in units of the updates.
      eps_root: added under the root, in units of the updates squared.
      mu_dtype: dtype of ``m1`` and ``m2``; that of the parameters where None.

    State:
      count: updates made so far, an int32 scalar.
      m1: the fast average, of the parameters' shapes.
      m2: the slow average, of the parameters' shapes.
      nu: the average of squares, of the parameters' shapes, real.
      m1_weight: the sum of the weights in ``m1``, a scalar.
      nu_weight: the sum of the weights in ``nu``, a scalar.

    Reference:
      Pagliardini et al., The AdEMAMix optimizer (https://arxiv.org/abs/2409.03137), algorithm 1.
      Optax counts steps a second time, for its schedules of ``b3`` and ``alpha``; here they are
      schedules like all others. ``nu`` is never stored in ``mu_dtype``.

    >>> init, update = scale_by_ademamix(b3=0.5)
    >>> update(jnp.array([-2.0, 0.0]), init(jnp.zeros(2)))[0]
    Array([-4.,  0.], dtype=float32)
    """
    m1_weight = trees.average(1, state.m1_weight, b1)
    nu_weight = trees.average(1, state.nu_weight, b2)
    debias_m1, debias_nu = 1 / m1_weight, 1 / nu_weight

    def leaf(g: Any, m1: Any, m2: Any, v: Any) -> tuple:
        m1 = trees.average(g, m1, b1)
        m2 = trees.average(g, m2, b3)
        v = trees.average(trees.abs_sq(g), v, b2)
        u = (m1 * debias_m1 + alpha * m2) / (trees.sqrt(v * debias_nu + eps_root) + eps)
        return u, m1, m2, v

    updates, m1, m2, nu = trees.map_leaves(leaf, updates, state.m1, state.m2, state.nu)
    count = optax.safe_increment(state.count)
    return updates, ScaleByAdemamixState(count, m1, m2, nu, m1_weight, nu_weight)


class ScaleBySimplifiedAdEMAMixState(NamedTuple):
    """State of :func:`scale_by_simplified_ademamix`."""

    t: Any  # int32[]: updates made so far
    m: Any  # like params: decayed sum
    n: Any  # like params, real: average of squares
    n_weight: jax.Array  # float[]: sum of the weights in n


def _zero_sum(params: Any) -> ScaleBySimplifiedAdEMAMixState:
    return ScaleBySimplifiedAdEMAMixState(
        t=jnp.zeros((), jnp.int32),
        m=trees.zeros_like(params),
        n=trees.full_like_real(params, 0),
        n_weight=trees.no_weight(params),
    )


@transformation(init=_zero_sum)
def scale_by_simplified_ademamix(
    updates: Any,
    state: ScaleBySimplifiedAdEMAMixState,
    params: Any,
    b1: Decay = 0.99,
    b2: Decay = 0.95,
    alpha: NonNegative = 0.0,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
) -> tuple[Any, ScaleBySimplifiedAdEMAMixState]:
    """Adam with a slow sum, to which the last update is added: simplified AdEMAMix.

    ``m = b1 * m + g``, ``n = b2 * n + (1 - b2) * g**2``, debiased to ``n_hat`` by the sum of its
    weights, then ``u = (m + alpha * g) / (sqrt(n_hat + eps_root) + eps)``. ``m`` is a sum: the
    updates are up to ``1 / (1 - b1)`` times as large as Adam's.

    Args:
      b1: factor of the sum at each step, in [0, 1).
      b2: weight of the past in the average of squares, in [0, 1).
      alpha: factor of the last update, beside the sum.
      eps: added to the root, in units of the updates.
      eps_root: added under the root, in units of the updates squared.

    State:
      t: updates made so far, an int32 scalar.
      m: the sum, of the parameters' shapes.
      n: the average of squares, of the parameters' shapes, real.
      n_weight: the sum of the weights in ``n``, a scalar.

    Reference:
      Morwani et al., Connections between schedule-free optimizers, AdEMAMix, and accelerated SGD
      variants (https://arxiv.org/abs/2502.02431), the simplified AdEMAMix, debiased as in Optax.

    >>> init, update = scale_by_simplified_ademamix(alpha=2.0)
    >>> update(jnp.array([-2.0, 0.0]), init(jnp.zeros(2)))[0]
    Array([-3.,  0.], dtype=float32)
    """
    n_weight = trees.average(1, state.n_weight, b2)
    debias = 1 / n_weight

    def leaf(g: Any, m: Any, n: Any) -> tuple:
        m = b1 * m + g
        n = trees.average(trees.abs_sq(g), n, b2)
        return (m + alpha * g) / (trees.sqrt(n * debias + eps_root) + eps), m, n

    updates, m, n = trees.map_leaves(leaf, updates, state.m, state.n)
    return updates, ScaleBySimplifiedAdEMAMixState(optax.safe_increment(state.t), m, n, n_weight)
