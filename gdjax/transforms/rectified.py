"""Adam that divides by its average of squares only when that is worth it: RAdam."""

from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from gdjax import trees
from gdjax.ranges import Decay, Interval, NonNegative
from gdjax.transformation import transformation

# A length below 4 has no finite variance: equation 6 of the paper.
Length = Annotated[Any, Interval(4, float("inf"))]


class ScaleByRadamState(NamedTuple):
    """State of :func:`scale_by_radam`."""

    count: Any  # int32[]: updates made so far
    mu: Any  # like params: average
    nu: Any  # like params, real: average of squares
    mu_weight: jax.Array  # float[]: sum of the weights in mu
    nu_weight: jax.Array  # float[]: sum of the weights in nu
    nu_aged_weight: jax.Array  # float[]: sum of the weights in nu, each times its age in steps


def _zero_moments(params: Any) -> ScaleByRadamState:
    return ScaleByRadamState(
        count=jnp.zeros((), jnp.int32),
        mu=trees.zeros_like(params),
        nu=trees.full_like_real(params, 0),
        mu_weight=trees.no_weight(params),
        nu_weight=trees.no_weight(params),
        nu_aged_weight=trees.no_weight(params),
    )


@transformation(init=_zero_moments)
def scale_by_radam(
    updates: Any,
    state: ScaleByRadamState,
    params: Any,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    threshold: Length = 5.0,
    nesterov: bool = False,
) -> tuple[Any, ScaleByRadamState]:
    """Adam without denominator at first, then with one that is rectified: RAdam.

    ``mu`` and ``nu`` as in :func:`gdjax.scale_by_adam`, both debiased. ``rho`` is the length of the
    plain average that is as old as ``nu``: 1 more than twice the mean age of the squares in it.
    As long as ``rho < threshold``, ``u = mu_hat``; then
    ``u = r * mu_hat / (sqrt(nu_hat + eps_root) + eps)`` with
    ``r**2 = (rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho)``, where
    ``rho_inf = max(2 / (1 - b2) - 1, rho)`` is the length of ``nu`` in the end.

    While ``b2`` is constant, ``rho = rho_inf - 2 * t * b2**t / (1 - b2**t)`` at step ``t``, as in
    the paper. When ``b2`` changes, ``rho`` stays the length of the average that there is, and
    ``r`` at most 1. A comparison decides: the derivative with respect to ``threshold`` is 0.

    Args:
      b1: weight of the past in the average, in [0, 1).
      b2: weight of the past in the average of squares, in [0, 1). At 0.6 and below there is never
        a denominator, because ``rho`` stays below 4.
      eps: added to the root, in units of the updates.
      eps_root: added under the root, in units of the updates squared.
      threshold: smallest length of an average of squares to divide by, at least 4.
      nesterov: Nesterov's form of the average, as in :func:`gdjax.scale_by_adam`.

    State:
      count: updates made so far, an int32 scalar.
      mu: the average, of the parameters' shapes.
      nu: the average of squares, of the parameters' shapes, real.
      mu_weight: the sum of the weights in ``mu``, a scalar.
      nu_weight: the sum of the weights in ``nu``, a scalar.
      nu_aged_weight: the sum of the weights in ``nu``, each times its age in steps, a scalar.

    Reference:
      Liu et al., On the variance of the adaptive learning rate and beyond
      (https://arxiv.org/abs/1908.03265), algorithm 2 and section 4.1, which derives ``rho`` from
      the mean age; the paper's threshold is 4.

    >>> init, update = scale_by_radam()
    >>> update(jnp.array([-2.0, 0.0]), init(jnp.zeros(2)))[0]
    Array([-2.,  0.], dtype=float32)
    """
    mu_weight = trees.average(1, state.mu_weight, b1)
    nu_weight = trees.average(1, state.nu_weight, b2)
    nu_aged_weight = b2 * (state.nu_aged_weight + state.nu_weight)
    adaptive, rectifier = _rectify(1 + 2 * nu_aged_weight / nu_weight, b2, threshold)
    debias_mu, debias_nu = rectifier / mu_weight, 1 / nu_weight
    debias_next = rectifier / trees.average(1, mu_weight, b1)

    def leaf(g: Any, m: Any, v: Any) -> tuple:
        m = trees.average(g, m, b1)
        v = trees.average(trees.abs_sq(g), v, b2)
        m_hat = m * debias_mu
        if nesterov:
            m_hat = trees.average(g * debias_mu, m * debias_next, b1)
        return m_hat / jnp.where(adaptive, trees.sqrt(v * debias_nu + eps_root) + eps, 1), m, v

    updates, mu, nu = trees.map_leaves(leaf, updates, state.mu, state.nu)
    count = optax.safe_increment(state.count)
    return updates, ScaleByRadamState(count, mu, nu, mu_weight, nu_weight, nu_aged_weight)


def _rectify(rho: Any, b2: Any, threshold: Any) -> tuple[jax.Array, jax.Array]:
    """Whether to divide by the average of squares, and the factor of the updates."""
    adaptive = (rho >= threshold) & (rho > 4)
    # Where it is not, numbers whose root and quotient are finite, as must be their derivatives.
    rho = jnp.where(adaptive, rho, 5)
    rho_inf = jnp.maximum(2 / (1 - b2) - 1, rho)
    square = (rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho)
    return adaptive, jnp.where(adaptive, trees.sqrt(square), 1)
