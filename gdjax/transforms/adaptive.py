"""Scaling each element of the updates by the history of its squares: AdaGrad, RMSProp."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from gdjax import trees
from gdjax.ranges import Decay, NonNegative
from gdjax.transformation import transformation


def _initial_sum(params: Any, initial_accumulator_value: Any) -> optax.ScaleByRssState:
    return optax.ScaleByRssState(trees.full_like_real(params, initial_accumulator_value))


@transformation(init=_initial_sum)
def scale_by_rss(
    updates: Any,
    state: optax.ScaleByRssState,
    params: Any,
    initial_accumulator_value: NonNegative = 0.1,
    eps: NonNegative = 1e-7,
) -> tuple[Any, optax.ScaleByRssState]:
    """Divide by the root of the sum of squares of all updates so far: AdaGrad.

    ``s = s + g**2``, ``u = g / sqrt(s + eps)``, and ``u = g`` where ``s`` is 0: there ``g`` is 0
    or so small that its square is.

    Args:
      initial_accumulator_value: the sum before the first step.
      eps: added under the root.

    State:
      sum_of_squares: the sum, of the parameters' shapes, real.

    Reference:
      Duchi et al., Adaptive subgradient methods for online learning and stochastic
      optimization, JMLR 12, 2011, the diagonal form; ``eps`` as in Optax.

    >>> init, update = scale_by_rss(initial_accumulator_value=0.0, eps=0.0)
    >>> update(jnp.array([3.0, 0.0]), init(jnp.zeros(2)))[0]
    Array([1., 0.], dtype=float32)
    """

    def leaf(g: Any, s: Any) -> tuple:
        s = s + trees.abs_sq(g)
        return g / trees.sqrt(jnp.where(s > 0, s + eps, 1)), s

    updates, sum_of_squares = trees.map_leaves(leaf, updates, state.sum_of_squares)
    return updates, optax.ScaleByRssState(sum_of_squares)


class ScaleByRmsState(NamedTuple):
    """State of :func:`scale_by_rms`."""

    nu: Any  # like params, real: average of squares
    nu_weight: jax.Array  # float[]: sum of the weights in nu


def _initial_square(params: Any, initial_scale: Any) -> ScaleByRmsState:
    return ScaleByRmsState(trees.full_like_real(params, initial_scale), trees.no_weight(params))


@transformation(init=_initial_square)
def scale_by_rms(
    updates: Any,
    state: ScaleByRmsState,
    params: Any,
    decay: Decay = 0.9,
    eps: NonNegative = 1e-8,
    initial_scale: NonNegative = 0.0,
    eps_in_sqrt: bool = True,
    bias_correction: bool = False,
) -> tuple[Any, ScaleByRmsState]:
    """Divide by the root of a moving average of squares: RMSProp.

    ``nu = decay * nu + (1 - decay) * g**2``, then ``u = g / sqrt(nu + eps)``, or
    ``u = g / (sqrt(nu) + eps)`` without ``eps_in_sqrt``.

    Args:
      decay: weight of the past in the average, in [0, 1).
      eps: added to the denominator.
      initial_scale: the average before the first step.
      eps_in_sqrt: add ``eps`` under the root (as TensorFlow does) or to it (as PyTorch does).
      bias_correction: divide the average by the sum of its weights.

    State:
      nu: the average, of the parameters' shapes, real.
      nu_weight: the sum of its weights, a scalar.

    Reference:
      Tieleman and Hinton, Lecture 6.5: rmsprop, Coursera, 2012.

    >>> init, update = scale_by_rms(decay=0.75, eps=0.0)
    >>> update(jnp.array([3.0]), init(jnp.zeros(1)))[0]
    Array([2.], dtype=float32)
    """
    nu_weight = trees.average(1, state.nu_weight, decay)
    debias = 1 / nu_weight if bias_correction else 1

    def leaf(g: Any, v: Any) -> tuple:
        v = trees.average(trees.abs_sq(g), v, decay)
        return g / _root(v * debias, eps, eps_in_sqrt), v

    updates, nu = trees.map_leaves(leaf, updates, state.nu)
    return updates, ScaleByRmsState(nu, nu_weight)


class ScaleByRStdDevState(NamedTuple):
    """State of :func:`scale_by_stddev`."""

    mu: Any  # like params: average
    nu: Any  # like params, real: average of squares
    weight: jax.Array  # float[]: sum of the weights in both


def _initial_deviation(params: Any, initial_scale: Any) -> ScaleByRStdDevState:
    nu = trees.full_like_real(params, initial_scale)
    return ScaleByRStdDevState(trees.zeros_like(params), nu, trees.no_weight(params))


@transformation(init=_initial_deviation)
def scale_by_stddev(
    updates: Any,
    state: ScaleByRStdDevState,
    params: Any,
    decay: Decay = 0.9,
    eps: NonNegative = 1e-8,
    initial_scale: NonNegative = 0.0,
    eps_in_sqrt: bool = True,
    bias_correction: bool = False,
) -> tuple[Any, ScaleByRStdDevState]:
    """Divide by a moving standard deviation: centred RMSProp.

    ``mu = decay * mu + (1 - decay) * g``, ``nu = decay * nu + (1 - decay) * g**2``, then
    ``u = g / sqrt(nu - mu**2 + eps)``, or ``u = g / (sqrt(nu - mu**2) + eps)`` without
    ``eps_in_sqrt``. A variance that rounding made negative counts as 0.

    Args:
      decay: weight of the past in the averages, in [0, 1).
      eps: added to the denominator.
      initial_scale: the average of squares before the first step.
      eps_in_sqrt: add ``eps`` under the root (as TensorFlow does) or to it (as PyTorch does).
      bias_correction: divide the averages by the sum of their weights.

    State:
      mu: the average, of the parameters' shapes.
      nu: the average of squares, of the parameters' shapes, real.
      weight: the sum of their weights, a scalar.

    Reference:
      Graves, Generating sequences with recurrent neural networks
      (https://arxiv.org/abs/1308.0850), equations 38 to 40.

    >>> init, update = scale_by_stddev(decay=0.5, eps=0.0)
    >>> update(jnp.array([3.0]), init(jnp.zeros(1)))[0]
    Array([2.], dtype=float32)
    """
    weight = trees.average(1, state.weight, decay)
    debias = 1 / weight if bias_correction else 1

    def leaf(g: Any, m: Any, v: Any) -> tuple:
        m = trees.average(g, m, decay)
        v = trees.average(trees.abs_sq(g), v, decay)
        variance = jnp.maximum(v * debias - trees.abs_sq(m * debias), 0)
        return g / _root(variance, eps, eps_in_sqrt), m, v

    updates, mu, nu = trees.map_leaves(leaf, updates, state.mu, state.nu)
    return updates, ScaleByRStdDevState(mu, nu, weight)


def _root(square: Any, eps: Any, eps_in_sqrt: bool) -> Any:
    return trees.sqrt(square + eps) if eps_in_sqrt else trees.sqrt(square) + eps
