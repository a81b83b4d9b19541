"""Adam and its kin: a moving average over the root of a moving average of squares.

Each average is debiased by the sum of the weights that it has really used, which is the same
average of the constant 1. It equals ``1 - b1**count`` while ``b1`` is constant, stays right when
``b1`` is scheduled or changed during the run, and loses no digits to cancellation.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from gdjax import trees
from gdjax.ranges import Decay, NonNegative
from gdjax.transformation import transformation


class ScaleByAdamState(NamedTuple):
    """State of :func:`scale_by_adam`."""

    count: Any  # int32[]: updates made so far
    mu: Any  # like params, in mu_dtype: average
    nu: Any  # like params, real: average of squares
    mu_weight: jax.Array  # float[]: sum of the weights in mu
    nu_weight: jax.Array  # float[]: sum of the weights in nu


def _zero_moments(params: Any, mu_dtype: Any) -> ScaleByAdamState:
    return ScaleByAdamState(
        count=jnp.zeros((), jnp.int32),
        mu=trees.zeros_like(params, mu_dtype),
        nu=trees.full_like_real(params, 0),
        mu_weight=trees.no_weight(params),
        nu_weight=trees.no_weight(params),
    )


@transformation(init=_zero_moments)
def scale_by_adam(
    updates: Any,
    state: ScaleByAdamState,
    params: Any,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    mu_dtype: Any = None,
    nesterov: bool = False,
) -> tuple[Any, ScaleByAdamState]:
    """Divide an average of the updates by the root of an average of their squares: Adam.

    ``mu = b1 * mu + (1 - b1) * g``, ``nu = b2 * nu + (1 - b2) * g**2``, both debiased to
    ``mu_hat`` and ``nu_hat`` by the sum of their weights, then
    ``u = mu_hat / (sqrt(nu_hat + eps_root) + eps)``. With ``nesterov`` the average looks one
    step ahead: ``mu_hat = b1 * mu / next_weight + (1 - b1) * g / weight``.

    Args:
      b1: weight of the past in the average, in [0, 1).
      b2: weight of the past in the average of squares, in [0, 1).
      eps: added to the root, in units of the updates.
      eps_root: added under the root, in units of the updates squared. Derivatives with respect
        to hyperparameters are finite without it.
      mu_dtype: dtype of the average; that of the parameters where None.
      nesterov: Nesterov's form of the average (NAdam).

    State:
      count: updates made so far, an int32 scalar.
      mu: the average, of the parameters' shapes.
      nu: the average of squares, of the parameters' shapes, real.
      mu_weight: the sum of the weights in ``mu``, a scalar.
      nu_weight: the sum of the weights in ``nu``, a scalar.

    Reference:
      Kingma and Ba, Adam (https://arxiv.org/abs/1412.6980), algorithm 1, defaults included;
      Dozat, Incorporating Nesterov momentum into Adam, ICLR workshop 2016, algorithm 2, without
      its extra factor ``b2`` and with a constant momentum.

    >>> init, update = scale_by_adam()
    >>> update(jnp.array([-2.0, 0.0]), init(jnp.zeros(2)))[0]
    Array([-1.,  0.], dtype=float32)
    """
    mu_weight = trees.average(1, state.mu_weight, b1)
    nu_weight = trees.average(1, state.nu_weight, b2)
    # Reciprocals of scalars, because XLA would divide every element.
    debias_mu, debias_nu = 1 / mu_weight, 1 / nu_weight
    debias_next = 1 / trees.average(1, mu_weight, b1)

    def leaf(g: Any, m: Any, v: Any) -> tuple:
        m = trees.average(g, m, b1)
        v = trees.average(trees.abs_sq(g), v, b2)
        m_hat = m * debias_mu
        if nesterov:
            m_hat = trees.average(g * debias_mu, m * debias_next, b1)
        return m_hat / (trees.sqrt(v * debias_nu + eps_root) + eps), m, v

    updates, mu, nu = trees.map_leaves(leaf, updates, state.mu, state.nu)
    count = optax.safe_increment(state.count)
    return updates, ScaleByAdamState(count, mu, nu, mu_weight, nu_weight)


class ScaleByAmsgradState(NamedTuple):
    """State of :func:`scale_by_amsgrad`."""

    count: Any  # int32[]: updates made so far
    mu: Any  # like params, in mu_dtype: average
    nu: Any  # like params, real: average of squares
    nu_max: Any  # like params, real: largest average of squares so far
    mu_weight: jax.Array  # float[]: sum of the weights in mu
    nu_weight: jax.Array  # float[]: sum of the weights in nu


def _zero_moments_and_max(params: Any, mu_dtype: Any) -> ScaleByAmsgradState:
    count, mu, nu, mu_weight, nu_weight = _zero_moments(params, mu_dtype)
    return ScaleByAmsgradState(count, mu, nu, trees.full_like_real(params, 0), mu_weight, nu_weight)


@transformation(init=_zero_moments_and_max)
def scale_by_amsgrad(
    updates: Any,
    state: ScaleByAmsgradState,
    params: Any,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    mu_dtype: Any = None,
    bias_correction_mu: bool = True,
    bias_correction_nu: bool = True,
) -> tuple[Any, ScaleByAmsgradState]:
    """Adam whose denominator never shrinks: AMSGrad.

    As :func:`scale_by_adam`, with ``nu_max = max(nu_max, nu_hat)`` in the denominator.

    Args:
      b1: weight of the past in the average, in [0, 1).
      b2: weight of the past in the average of squares, in [0, 1).
      eps: added to the root, in units of the updates.
      eps_root: added under the root, in units of the updates squared.
      mu_dtype: dtype of the average; that of the parameters where None.
      bias_correction_mu: debias the average; False is the paper's form.
      bias_correction_nu: debias the average of squares; False is the paper's form.

    State:
      count: updates made so far, an int32 scalar.
      mu: the average, of the parameters' shapes.
      nu: the average of squares, of the parameters' shapes, real.
      nu_max: the largest average of squares so far, of the parameters' shapes, real.
      mu_weight: the sum of the weights in ``mu``, a scalar.
      nu_weight: the sum of the weights in ``nu``, a scalar.

    Reference:
      Reddi et al., On the convergence of Adam and beyond (https://arxiv.org/abs/1904.09237),
      algorithm 2; debiasing as in Optax.

    >>> init, update = scale_by_amsgrad()
    >>> update(jnp.array([-2.0]), init(jnp.zeros(1)))[0]
    Array([-1.], dtype=float32)
    """
    mu_weight = trees.average(1, state.mu_weight, b1)
    nu_weight = trees.average(1, state.nu_weight, b2)
    debias_mu = 1 / mu_weight if bias_correction_mu else 1
    debias_nu = 1 / nu_weight if bias_correction_nu else 1

    def leaf(g: Any, m: Any, v: Any, v_max: Any) -> tuple:
        m = trees.average(g, m, b1)
        v = trees.average(trees.abs_sq(g), v, b2)
        v_max = trees.maximum(v_max, v * debias_nu)
        return m * debias_mu / (trees.sqrt(v_max + eps_root) + eps), m, v, v_max

    updates, mu, nu, nu_max = trees.map_leaves(leaf, updates, state.mu, state.nu, state.nu_max)
    count = optax.safe_increment(state.count)
    return updates, ScaleByAmsgradState(count, mu, nu, nu_max, mu_weight, nu_weight)
