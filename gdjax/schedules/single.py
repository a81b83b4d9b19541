"""Schedules of one piece: constant, polynomial, stepwise, exponential, cosine."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gdjax import curves
from gdjax.binding import Schedule
from gdjax.ranges import NonNegative, Positive, PositiveSteps, Real, Steps
from gdjax.schedules.base import schedule


@schedule
def constant_schedule(count: Any, value: Real) -> jax.Array:
    """The same value at every step: ``value``.

    Args:
      count: int32[], updates made so far.
      value: the value.

    >>> float(constant_schedule(0.5)(100))
    0.5
    """
    return value + jnp.zeros_like(count)


@schedule
def polynomial_schedule(
    count: Any,
    init_value: Real,
    end_value: Real,
    power: NonNegative,
    transition_steps: Steps,
    transition_begin: Steps = 0,
) -> jax.Array:
    """From ``init_value`` to ``end_value`` along a power of the steps that are left.

    ``(init_value - end_value) * (1 - t / transition_steps)**power + end_value`` with
    ``t = clip(count - transition_begin, 0, transition_steps)``.

    Args:
      count: int32[], updates made so far.
      init_value: value until ``transition_begin``.
      end_value: value from ``transition_begin + transition_steps`` on.
      power: of the fraction left; 0 holds ``init_value``.
      transition_steps: length of the transition; 0 holds ``init_value``.
      transition_begin: steps before the transition.

    >>> float(polynomial_schedule(1.0, 0.0, 2.0, 4)(2))
    0.25
    """
    # Exactly 0 at the end; 1 - t / transition_steps, compiled with a rounded reciprocal, is not.
    steps_left = transition_steps - jnp.clip(count - transition_begin, 0, transition_steps)
    left = curves.ratio(steps_left, transition_steps, 1)
    return (init_value - end_value) * curves.power(left, power) + end_value


@schedule
def linear_schedule(
    count: Any,
    init_value: Real,
    end_value: Real,
    transition_steps: Steps,
    transition_begin: Steps = 0,
) -> jax.Array:
    """A straight line: :func:`polynomial_schedule` of power 1.

    ``init_value + (end_value - init_value) * t / transition_steps`` with
    ``t = clip(count - transition_begin, 0, transition_steps)``.

    Args:
      count: int32[], updates made so far.
      init_value: value until ``transition_begin``.
      end_value: value from ``transition_begin + transition_steps`` on.
      transition_steps: length of the transition; 0 holds ``init_value``.
      transition_begin: steps before the transition.

    >>> float(linear_schedule(1.0, 0.0, 4)(1))
    0.75
    """
    line = polynomial_schedule(init_value, end_value, 1.0, transition_steps, transition_begin)
    return line(count)


def piecewise_constant_schedule(
    init_value: Real, boundaries_and_scales: Mapping[int, NonNegative] | None = None
) -> Schedule:
    """Constant between steps at which the value is multiplied by a scale.

    ``init_value`` times the product of the scales whose step is at most ``count``.

    Args:
      init_value: value before the first boundary.
      boundaries_and_scales: ``{step: scale}``; scales are not negative. The steps become the
        leaf ``boundaries`` (int32[n], ascending) and their scales the leaf ``scales``.

    >>> halved = piecewise_constant_schedule(1.0, {10: 0.5, 20: 0.5})
    >>> [float(halved(step)) for step in (9, 10, 20)]
    [1.0, 0.5, 0.25]
    """
    scale_at = dict(boundaries_and_scales or {})
    boundaries = sorted(scale_at)
    scales = [scale_at[step] for step in boundaries]
    traced = any(isinstance(scale, jax.Array) for scale in scales)
    stacked = jnp.stack([jnp.asarray(x, float) for x in scales]) if traced else np.asarray(scales)
    return _piecewise_constant_schedule(init_value, np.asarray(boundaries), stacked)


@schedule
def _piecewise_constant_schedule(
    count: Any, init_value: Real, boundaries: Steps, scales: NonNegative
) -> jax.Array:
    value = constant_schedule(init_value)(count)
    for boundary, scale in zip(boundaries, scales, strict=True):
        value = value * jnp.where(count < boundary, 1, scale)
    return value


@schedule
def exponential_decay(
    count: Any,
    init_value: Real,
    transition_steps: Steps,
    decay_rate: Positive,
    transition_begin: Steps = 0,
    staircase: bool = False,
    end_value: Real | None = None,
) -> jax.Array:
    """Multiply by ``decay_rate`` every ``transition_steps`` steps, smoothly or at once.

    ``init_value * decay_rate**p`` with
    ``p = max(count - transition_begin, 0) / transition_steps``, rounded down if ``staircase``;
    then at least ``end_value`` if ``decay_rate < 1``, else at most ``end_value``.

    Args:
      count: int32[], updates made so far.
      init_value: value until ``transition_begin``.
      transition_steps: steps for one factor ``decay_rate``; 0 holds ``init_value``.
      decay_rate: positive factor; above 1 the value grows.
      transition_begin: steps before the decay.
      staircase: change only at whole multiples of ``transition_steps``.
      end_value: where the value stops; None for nowhere.

    >>> float(exponential_decay(1.0, 10, 0.5)(20))
    0.25
    """
    elapsed = jnp.maximum(count - transition_begin, 0)
    if staircase:
        elapsed = elapsed - elapsed % jnp.maximum(transition_steps, 1)
    p = curves.ratio(elapsed, transition_steps, 0)
    value = init_value * curves.power(decay_rate, p)
    if end_value is None:
        return value
    ended = jnp.where(decay_rate < 1, value <= end_value, value >= end_value)
    # Growth past the end may overflow: its derivative is taken at 0 instead, and dropped.
    value = init_value * curves.power(decay_rate, jnp.where(ended, 0, p))
    return jnp.where(ended, end_value, value)


@schedule
def cosine_decay_schedule(
    count: Any,
    init_value: Real,
    decay_steps: PositiveSteps,
    alpha: Real = 0.0,
    exponent: NonNegative = 1.0,
) -> jax.Array:
    """Half a period of the cosine, from ``init_value`` to ``alpha * init_value``.

    ``init_value * ((1 - alpha) * ((1 + cos(pi * t / decay_steps)) / 2)**exponent + alpha)``
    with ``t = min(count, decay_steps)``.

    Args:
      count: int32[], updates made so far.
      init_value: value at step 0.
      decay_steps: steps until the end value is reached; held from then on.
      alpha: end value as a fraction of ``init_value``.
      exponent: power of the cosine factor; 0 holds ``init_value``.

    Reference:
      Loshchilov and Hutter, SGDR (https://arxiv.org/abs/1608.03983), equation 5 without
      restarts; ``alpha`` and ``exponent`` as in Optax.

    >>> round(float(cosine_decay_schedule(1.0, 10)(5)), 6)
    0.5
    """
    cosine = curves.fall("cosine", count, decay_steps)
    return init_value * ((1 - alpha) * curves.power(cosine, exponent) + alpha)
