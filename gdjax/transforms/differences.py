"""What uses the difference of successive updates: Adan, optimistic gradients, MARS.

The first update has none before it: there the difference is 0.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from gdjax import trees
from gdjax.ranges import Decay, NonNegative, Real
from gdjax.transformation import transformation


class ScaleByAdanState(NamedTuple):
    """State of :func:`scale_by_adan`."""

    m: Any  # like params: average
    v: Any  # like params: average of differences
    n: Any  # like params, real: average of squares
    g: Any  # like params: the last updates
    t: Any  # int32[]: updates made so far
    m_weight: jax.Array  # float[]: sum of the weights in m
    v_weight: jax.Array  # float[]: sum of the weights in v
    n_weight: jax.Array  # float[]: sum of the weights in n


def _zero_moments(params: Any) -> ScaleByAdanState:
    return ScaleByAdanState(
        m=trees.zeros_like(params),
        v=trees.zeros_like(params),
        n=trees.full_like_real(params, 0),
        g=trees.zeros_like(params),
        t=jnp.zeros((), jnp.int32),
        m_weight=trees.no_weight(params),
        v_weight=trees.no_weight(params),
        n_weight=trees.no_weight(params),
    )


@transformation(init=_zero_moments)
def scale_by_adan(
    updates: Any,
    state: ScaleByAdanState,
    params: Any,
    b1: Decay = 0.98,
    b2: Decay = 0.92,
    b3: Decay = 0.99,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
) -> tuple[Any, ScaleByAdanState]:
    """Adam with Nesterov's momentum made of differences: Adan.

    With ``d`` the difference of ``g`` and the update before it,
    ``m = b1 * m + (1 - b1) * g``, ``v = b2 * v + (1 - b2) * d``,
    ``n = b3 * n + (1 - b3) * (g + b2 * d)**2``, all debiased by the sum of their weights,
    then ``u = (m_hat + b2 * v_hat) / (sqrt(n_hat + eps_root) + eps)``.

    Args:
      b1: weight of the past in the average, in [0, 1).
      b2: weight of the past in the average of differences, in [0, 1).
      b3: weight of the past in the average of squares, in [0, 1).
      eps: added to the root, in units of the updates.
      eps_root: added under the root, in units of the updates squared.

    State:
      m: the average, of the parameters' shapes.
      v: the average of differences, of the parameters' shapes.
      n: the average of squares, of the parameters' shapes, real.
      g: the last updates, of the parameters' shapes.
      t: updates made so far, an int32 scalar.
      m_weight: the sum of the weights in ``m``, a scalar.
      v_weight: the sum of the weights in ``v``, a scalar.
      n_weight: the sum of the weights in ``n``, a scalar.

    Reference:
      Xie et al., Adan (https://arxiv.org/abs/2208.06677), algorithm 1; its decay rates are 1 less
      these, and debiasing is that of its authors' code. Optax (0.2.8) has ``1 - b2`` where the
      paper, in these letters, has ``b2``.

    >>> init, update = scale_by_adan()
    >>> update(jnp.array([-2.0, 0.0]), init(jnp.zeros(2)))[0]
    Array([-1.,  0.], dtype=float32)
    """
    m_weight = trees.average(1, state.m_weight, b1)
    v_weight = trees.average(1, state.v_weight, b2)
    n_weight = trees.average(1, state.n_weight, b3)
    debias_m, debias_v, debias_n = 1 / m_weight, b2 / v_weight, 1 / n_weight

    def leaf(g: Any, m: Any, v: Any, n: Any, last: Any) -> tuple:
        d = g - jnp.where(state.t > 0, last, g)
        m = trees.average(g, m, b1)
        v = trees.average(d, v, b2)
        n = trees.average(trees.abs_sq(g + b2 * d), n, b3)
        u = (m * debias_m + v * debias_v) / (trees.sqrt(n * debias_n + eps_root) + eps)
        return u, m, v, n, g

    updates, m, v, n, g = trees.map_leaves(leaf, updates, state.m, state.v, state.n, state.g)
    t = optax.safe_increment(state.t)
    return updates, ScaleByAdanState(m, v, n, g, t, m_weight, v_weight, n_weight)


class ScaleByOptimisticGradientState(NamedTuple):
    """State of :func:`scale_by_optimistic_gradient`."""

    is_initial_step: Any  # bool[]: whether there is no update yet
    previous_gradient: Any  # like params: the last updates


def _no_gradient(params: Any) -> ScaleByOptimisticGradientState:
    return ScaleByOptimisticGradientState(jnp.ones((), bool), trees.zeros_like(params))


@transformation(init=_no_gradient)
def scale_by_optimistic_gradient(
    updates: Any,
    state: ScaleByOptimisticGradientState,
    params: Any,
    alpha: Real = 1.0,
    beta: Real = 1.0,
) -> tuple[Any, ScaleByOptimisticGradientState]:
    """Add to the updates their change, as if it went on: optimistic gradients.

    ``u = alpha * g + beta * (g - previous_gradient)``. In games, where gradients turn, this
    converges where plain descent goes round.

    Args:
      alpha: factor of the updates.
      beta: factor of their change.

    State:
      is_initial_step: whether there is no update yet, a bool scalar.
      previous_gradient: the last updates, of the parameters' shapes.

    Reference:
      Mokhtari et al., A unified analysis of extra-gradient and optimistic gradient methods for
      saddle point problems (https://arxiv.org/abs/1901.08511v2), the generalized form.

    >>> init, update = scale_by_optimistic_gradient()
    >>> u, state = update(jnp.array([1.0]), init(jnp.zeros(1)))
    >>> update(jnp.array([3.0]), state)[0]
    Array([5.], dtype=float32)
    """

    def leaf(g: Any, last: Any) -> tuple:
        return alpha * g + beta * (g - jnp.where(state.is_initial_step, g, last)), g

    updates, last = trees.map_leaves(leaf, updates, state.previous_gradient)
    return updates, ScaleByOptimisticGradientState(jnp.zeros((), bool), last)


class CorrectByMarsState(NamedTuple):
    """State of :func:`correct_by_mars`."""

    count: Any  # int32[]: updates made so far
    previous_gradient: Any  # like params: the last updates, before their correction


def _first_gradient(params: Any) -> CorrectByMarsState:
    return CorrectByMarsState(jnp.zeros((), jnp.int32), trees.zeros_like(params))


@transformation(init=_first_gradient)
def correct_by_mars(
    updates: Any,
    state: CorrectByMarsState,
    params: Any,
    b1: Decay = 0.95,
    gamma: NonNegative = 0.025,
) -> tuple[Any, CorrectByMarsState]:
    """Correct gradients by their change, so that their average varies less: MARS.

    ``u = g + gamma * b1 / (1 - b1) * (g - previous_gradient)``. It stands before what averages
    gradients, and before it the norm of the corrected gradient is bounded:
    ``chain(correct_by_mars(b1), clip_by_global_norm(1.0), scale_by_adam(b1, 0.99))``. It is named
    a correction, because it scales nothing.

    Args:
      b1: weight of the past in the average that follows, in [0, 1).
      gamma: strength of the correction, 1 for the full one of STORM. 0 for none.

    State:
      count: updates made so far, an int32 scalar.
      previous_gradient: the last updates, before their correction, of the parameters' shapes.

    Reference:
      Yuan et al., MARS (https://arxiv.org/abs/2411.10438), algorithm 2, in the
      approximate form: the previous gradient is that of the previous step's batch. There the
      norm of ``u`` is bounded by 1; in its authors' code that of each array.

    >>> init, update = correct_by_mars(b1=0.5, gamma=0.5)
    >>> u, state = update(jnp.array([1.0]), init(jnp.zeros(1)))
    >>> update(jnp.array([3.0]), state)[0]
    Array([4.], dtype=float32)
    """
    factor = gamma * b1 / (1 - b1)

    def leaf(g: Any, last: Any) -> tuple:
        return g + factor * (g - jnp.where(state.count > 0, last, g)), g

    updates, last = trees.map_leaves(leaf, updates, state.previous_gradient)
    return updates, CorrectByMarsState(optax.safe_increment(state.count), last)
