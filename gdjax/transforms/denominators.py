"""Adam with another denominator: a largest magnitude, a deviation, a bounded change.

What is debiased is divided by the sum of the weights that it has really used, see
:func:`gdjax.scale_by_adam`.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from gdjax import trees
from gdjax.ranges import Decay, NonNegative
from gdjax.transformation import transformation


class ScaleByAdamaxState(NamedTuple):
    """State of :func:`scale_by_adamax`."""

    count: Any  # int32[]: updates made so far
    mu: Any  # like params: average
    nu: Any  # like params, real: decayed largest magnitude
    mu_weight: jax.Array  # float[]: sum of the weights in mu


def _zero_average_and_largest(params: Any) -> ScaleByAdamaxState:
    count, mu, nu, mu_weight, _ = _zero_moments(params)
    return ScaleByAdamaxState(count, mu, nu, mu_weight)


@transformation(init=_zero_average_and_largest)
def scale_by_adamax(
    updates: Any,
    state: ScaleByAdamaxState,
    params: Any,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
) -> tuple[Any, ScaleByAdamaxState]:
    """Divide an average of the updates by their decayed largest magnitude: AdaMax.

    ``mu = b1 * mu + (1 - b1) * g``, debiased to ``mu_hat`` by the sum of its weights,
    ``nu = max(b2 * nu, abs(g) + eps)``, then ``u = mu_hat / nu``.

    Args:
      b1: weight of the past in the average, in [0, 1).
      b2: factor of the largest magnitude at each step, in [0, 1).
      eps: added to the magnitude, in units of the updates.

    State:
      count: updates made so far, an int32 scalar.
      mu: the average, of the parameters' shapes.
      nu: the decayed largest magnitude, of the parameters' shapes, real.
      mu_weight: the sum of the weights in ``mu``, a scalar.

    Reference:
      Kingma and Ba, Adam (https://arxiv.org/abs/1412.6980), algorithm 2; ``eps`` as in Optax.

    >>> init, update = scale_by_adamax()
    >>> update(jnp.array([-2.0, 0.0]), init(jnp.zeros(2)))[0]
    Array([-1.,  0.], dtype=float32)
    """
    mu_weight = trees.average(1, state.mu_weight, b1)
    debias = 1 / mu_weight

    def leaf(g: Any, m: Any, v: Any) -> tuple:
        m = trees.average(g, m, b1)
        v = trees.maximum(b2 * v, jnp.abs(g) + eps)
        return m * debias / v, m, v

    updates, mu, nu = trees.map_leaves(leaf, updates, state.mu, state.nu)
    return updates, ScaleByAdamaxState(optax.safe_increment(state.count), mu, nu, mu_weight)


class ScaleByBeliefState(NamedTuple):
    """State of :func:`scale_by_belief`."""

    count: Any  # int32[]: updates made so far
    mu: Any  # like params: average
    nu: Any  # like params, real: average of squared deviations
    mu_weight: jax.Array  # float[]: sum of the weights in mu
    nu_weight: jax.Array  # float[]: sum of the weights in nu


def _zero_moments(params: Any) -> ScaleByBeliefState:
    return ScaleByBeliefState(
        count=jnp.zeros((), jnp.int32),
        mu=trees.zeros_like(params),
        nu=trees.full_like_real(params, 0),
        mu_weight=trees.no_weight(params),
        nu_weight=trees.no_weight(params),
    )


@transformation(init=_zero_moments)
def scale_by_belief(
    updates: Any,
    state: ScaleByBeliefState,
    params: Any,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-16,
    eps_root: NonNegative = 1e-16,
    nesterov: bool = False,
) -> tuple[Any, ScaleByBeliefState]:
    """Divide an average of the updates by how far they are from it: AdaBelief.

    ``mu = b1 * mu + (1 - b1) * g``, ``nu = b2 * nu + (1 - b2) * (g - mu)**2 + eps_root``, both
    debiased to ``mu_hat`` and ``nu_hat`` by the sum of their weights, then
    ``u = mu_hat / (sqrt(nu_hat) + eps)``. With ``nesterov`` the average looks one step ahead, as
    in :func:`gdjax.scale_by_adam`. The deviation is that from ``mu``, not from ``mu_hat``.

    Args:
      b1: weight of the past in the average, in [0, 1).
      b2: weight of the past in the average of squared deviations, in [0, 1).
      eps: added to the root, in units of the updates.
      eps_root: added to the average at every step, in units of the updates squared. Derivatives
        with respect to hyperparameters are finite without it.
      nesterov: Nesterov's form of the average.

    State:
      count: updates made so far, an int32 scalar.
      mu: the average, of the parameters' shapes.
      nu: the average of squared deviations, of the parameters' shapes, real.
      mu_weight: the sum of the weights in ``mu``, a scalar.
      nu_weight: the sum of the weights in ``nu``, a scalar.

    Reference:
      Zhuang et al., AdaBelief optimizer (https://arxiv.org/abs/2010.07468), algorithm 2.

    >>> init, update = scale_by_belief(b1=0.5, b2=0.5)
    >>> update(jnp.array([-2.0, 0.0]), init(jnp.zeros(2)))[0]
    Array([-2.,  0.], dtype=float32)
    """
    mu_weight = trees.average(1, state.mu_weight, b1)
    nu_weight = trees.average(1, state.nu_weight, b2)
    debias_mu, debias_nu = 1 / mu_weight, 1 / nu_weight
    debias_next = 1 / trees.average(1, mu_weight, b1)

    def leaf(g: Any, m: Any, v: Any) -> tuple:
        m = trees.average(g, m, b1)
        v = trees.average(trees.abs_sq(g - m), v, b2) + eps_root
        m_hat = m * debias_mu
        if nesterov:
            m_hat = trees.average(g * debias_mu, m * debias_next, b1)
        return m_hat / (trees.sqrt(v * debias_nu) + eps), m, v

    updates, mu, nu = trees.map_leaves(leaf, updates, state.mu, state.nu)
    count = optax.safe_increment(state.count)
    return updates, ScaleByBeliefState(count, mu, nu, mu_weight, nu_weight)


class ScaleByYogiState(NamedTuple):
    """State of :func:`scale_by_yogi`."""

    count: Any  # int32[]: updates made so far
    mu: Any  # like params: average
    nu: Any  # like params, real: what follows the squares
    mu_weight: jax.Array  # float[]: sum of the weights in mu
    nu_weight: jax.Array  # float[]: sum of the weights that an average in place of nu would use


def _initial_square(params: Any, initial_accumulator_value: Any) -> ScaleByYogiState:
    nu = trees.full_like_real(params, initial_accumulator_value)
    return ScaleByYogiState(*_zero_moments(params)._replace(nu=nu))


@transformation(init=_initial_square)
def scale_by_yogi(
    updates: Any,
    state: ScaleByYogiState,
    params: Any,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-3,
    eps_root: NonNegative = 0.0,
    initial_accumulator_value: NonNegative = 1e-6,
) -> tuple[Any, ScaleByYogiState]:
    """Adam whose denominator changes by no more than the square of the update: Yogi.

    ``mu = b1 * mu + (1 - b1) * g``, ``nu = nu - (1 - b2) * sign(nu - g**2) * g**2``, both divided
    by the sum of the weights of their averages, then
    ``u = mu_hat / (sqrt(nu_hat + eps_root) + eps)``.

    Args:
      b1: weight of the past in the average, in [0, 1).
      b2: 1 less the largest change of ``nu``, in squared updates, in [0, 1).
      eps: added to the root, in units of the updates.
      eps_root: added under the root, in units of the updates squared.
      initial_accumulator_value: ``nu`` before the first step.

    State:
      count: updates made so far, an int32 scalar.
      mu: the average, of the parameters' shapes.
      nu: what follows the squares, of the parameters' shapes, real.
      mu_weight: the sum of the weights in ``mu``, a scalar.
      nu_weight: the sum of the weights that an average in place of ``nu`` would use, a scalar.

    Reference:
      Zaheer et al., Adaptive methods for nonconvex optimization, NeurIPS 2018, algorithm 2;
      debiasing as in Optax. There ``mu`` starts at ``initial_accumulator_value`` too, and moves
      parameters whose gradients are 0; here, as in the paper, it starts at 0.

    >>> init, update = scale_by_yogi(b2=0.75, eps=0.0, initial_accumulator_value=0.0)
    >>> update(jnp.array([-2.0]), init(jnp.zeros(1)))[0]
    Array([-1.], dtype=float32)
    """
    mu_weight = trees.average(1, state.mu_weight, b1)
    nu_weight = trees.average(1, state.nu_weight, b2)
    debias_mu, debias_nu = 1 / mu_weight, 1 / nu_weight

    def leaf(g: Any, m: Any, v: Any) -> tuple:
        m = trees.average(g, m, b1)
        square = trees.abs_sq(g)
        v = v - (1 - b2) * jnp.sign(v - square) * square
        return m * debias_mu / (trees.sqrt(v * debias_nu + eps_root) + eps), m, v

    updates, mu, nu = trees.map_leaves(leaf, updates, state.mu, state.nu)
    count = optax.safe_increment(state.count)
    return updates, ScaleByYogiState(count, mu, nu, mu_weight, nu_weight)
