"""Schedules: pure functions from the step to a value, their constants bound as leaves.

A schedule stands wherever a hyperparameter does. ``count`` is the number of updates made so
far, 0 at the first. Names, arguments, defaults and values are Optax's; arguments that Optax
logs and replaces (a negative number of steps, a decay rate of 0) are errors.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Concatenate, ParamSpec

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from gdjax import binding
from gdjax.binding import Bound, NonNegative, Positive, PositiveSteps, Real, Steps
from gdjax.errors import InvalidType, InvalidValue

P = ParamSpec("P")


def schedule(rule: Callable[Concatenate[Any, P], jax.Array]) -> Callable[P, Bound]:
    """Turn a pure function of ``count`` and constants into a factory of schedules.

    >>> @schedule
    ... def ramp(count, slope: Real = 0.5):
    ...     return slope * count
    >>> float(ramp(2.0)(3))
    6.0
    """
    signature = binding.factory_signature(rule, skip=1, returns=Bound)
    return binding.factory(rule, signature, lambda bound: bound)


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
    left = _ratio(steps_left, transition_steps, 1)
    return (init_value - end_value) * _power(left, power) + end_value


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
) -> Bound:
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
    p = _ratio(elapsed, transition_steps, 0)
    value = init_value * _power(decay_rate, p)
    if end_value is None:
        return value
    ended = jnp.where(decay_rate < 1, value <= end_value, value >= end_value)
    # Growth past the end may overflow: its derivative is taken at 0 instead, and dropped.
    value = init_value * _power(decay_rate, jnp.where(ended, 0, p))
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
    fraction = _ratio(jnp.minimum(count, decay_steps), decay_steps, 0)
    cosine = 0.5 * (1 + jnp.cos(jnp.pi * fraction))
    return init_value * ((1 - alpha) * _power(cosine, exponent) + alpha)


def join_schedules(schedules: Sequence[Callable[[Any], Any]], boundaries: Sequence[Steps]) -> Bound:
    """One schedule after another.

    ``schedules[i](count - boundaries[i - 1])`` from ``boundaries[i - 1]`` until before
    ``boundaries[i]``; the first counts from 0, the last never ends.

    Args:
      schedules: functions of the step, gdjax's or any others, Optax's for instance.
      boundaries: first step of each schedule but the first, not decreasing.

    Raises:
      InvalidType: a schedule that is not a function of the step.
      InvalidValue: boundaries of another number than one for each change, or out of order.

    >>> joined = join_schedules([linear_schedule(0.0, 1.0, 4), constant_schedule(0.5)], [4])
    >>> [float(joined(step)) for step in (0, 3, 4)]
    [0.0, 0.75, 0.5]
    """
    for position, part in enumerate(schedules):
        if not callable(part):
            raise InvalidType(
                f"join_schedules: schedules[{position}] must be a function of the step, got "
                f"{part!r}; for a fixed value use constant_schedule"
            )
    if len(boundaries) != len(schedules) - 1:
        raise InvalidValue(
            f"join_schedules: {len(schedules)} schedules need one boundary less, got "
            f"{len(boundaries)}: pass the first step of each schedule but the first"
        )
    parts = tuple(part if isinstance(part, Bound) else Bound(part) for part in schedules)
    if len(parts) == 1:
        return parts[0]
    joined = _join_schedules(parts, tuple(boundaries))
    if not _in_order(*joined.leaves["boundaries"]):
        raise InvalidValue(f"join_schedules: boundaries must not decrease, got {boundaries}")
    return joined


@schedule
def _join_schedules(
    count: Any, schedules: tuple[Bound, ...], boundaries: tuple[Steps, ...]
) -> jax.Array:
    # Outside its own steps a schedule is held at their ends: its value there is not used, but
    # an infinite one would make the derivatives NaN.
    value = jnp.asarray(schedules[0](jnp.clip(count, 0, boundaries[0])), float)
    for part, begin, end in zip(schedules[1:], boundaries, (*boundaries[1:], None), strict=True):
        steps = jnp.clip(count - begin, 0, None if end is None else end - begin)
        value = jnp.where(count < begin, value, part(steps))
    return value


@schedule
def warmup_constant_schedule(
    count: Any, init_value: Real, peak_value: Real, warmup_steps: Steps
) -> jax.Array:
    """Linear warm-up, then constant.

    :func:`linear_schedule` from ``init_value`` to ``peak_value``, which is held.

    Args:
      count: int32[], updates made so far.
      init_value: value at step 0.
      peak_value: value from ``warmup_steps`` on.
      warmup_steps: length of the warm-up. 0 is none: ``peak_value`` at once, where Optax holds
        ``init_value`` for ever.

    >>> [float(warmup_constant_schedule(0.0, 1.0, 4)(step)) for step in (0, 1, 9)]
    [0.0, 0.25, 1.0]
    """
    warmup = linear_schedule(init_value, peak_value, warmup_steps)
    return join_schedules([warmup, constant_schedule(peak_value)], [warmup_steps])(count)


def warmup_cosine_decay_schedule(
    init_value: Real,
    peak_value: Real,
    warmup_steps: Steps,
    decay_steps: PositiveSteps,
    end_value: Real = 0.0,
    exponent: NonNegative = 1.0,
) -> Bound:
    """Linear warm-up, then cosine decay.

    :func:`linear_schedule` from ``init_value`` to ``peak_value`` in ``warmup_steps``, then
    :func:`cosine_decay_schedule` to ``end_value`` in ``decay_steps - warmup_steps``.

    Args:
      init_value: value at step 0.
      peak_value: value at step ``warmup_steps``. If 0 it stays 0, whatever ``end_value``.
      warmup_steps: length of the warm-up; 0 for none.
      decay_steps: length of the whole schedule, the warm-up included.
      end_value: value from ``decay_steps`` on.
      exponent: power of the cosine factor.

    Raises:
      InvalidValue: ``decay_steps`` that does not exceed ``warmup_steps``.

    >>> warmup_cosine = warmup_cosine_decay_schedule(0.0, 1.0, 2, 6)
    >>> [round(float(warmup_cosine(step)), 6) for step in (0, 1, 2, 4, 6)]
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    bound = _warmup_cosine_decay_schedule(
        init_value, peak_value, warmup_steps, decay_steps, end_value, exponent
    )
    if not _in_order(bound.leaves["warmup_steps"] + 1, bound.leaves["decay_steps"]):
        raise InvalidValue(
            "warmup_cosine_decay_schedule: decay_steps includes the warm-up and must exceed "
            f"warmup_steps, got {decay_steps=} and {warmup_steps=}"
        )
    return bound


@schedule
def _warmup_cosine_decay_schedule(
    count: Any,
    init_value: Real,
    peak_value: Real,
    warmup_steps: Steps,
    decay_steps: PositiveSteps,
    end_value: Real,
    exponent: NonNegative,
) -> jax.Array:
    alpha = jnp.where(peak_value == 0, 0, end_value / jnp.where(peak_value == 0, 1, peak_value))
    warmup = linear_schedule(init_value, peak_value, warmup_steps)
    decay = cosine_decay_schedule(peak_value, decay_steps - warmup_steps, alpha, exponent)
    return join_schedules([warmup, decay], [warmup_steps])(count)


@schedule
def warmup_exponential_decay_schedule(
    count: Any,
    init_value: Real,
    peak_value: Real,
    warmup_steps: Steps,
    transition_steps: Steps,
    decay_rate: Positive,
    transition_begin: Steps = 0,
    staircase: bool = False,
    end_value: Real | None = None,
) -> jax.Array:
    """Linear warm-up, then exponential decay.

    :func:`linear_schedule` from ``init_value`` to ``peak_value`` in ``warmup_steps``, then
    :func:`exponential_decay` from there.

    Args:
      count: int32[], updates made so far.
      init_value: value at step 0.
      peak_value: value at step ``warmup_steps``.
      warmup_steps: length of the warm-up; 0 for none.
      transition_steps: steps for one factor ``decay_rate``; 0 holds ``peak_value``.
      decay_rate: positive factor; above 1 the value grows.
      transition_begin: steps after the warm-up and before the decay.
      staircase: change only at whole multiples of ``transition_steps``.
      end_value: where the value stops; None for nowhere.

    >>> warmup_exponential = warmup_exponential_decay_schedule(0.0, 1.0, 2, 10, 0.5)
    >>> [float(warmup_exponential(step)) for step in (1, 2, 12)]
    [0.5, 1.0, 0.5]
    """
    warmup = linear_schedule(init_value, peak_value, warmup_steps)
    decay = exponential_decay(
        peak_value, transition_steps, decay_rate, transition_begin, staircase, end_value
    )
    return join_schedules([warmup, decay], [warmup_steps])(count)


def _ratio(part: Any, steps: Any, disabled: float) -> jax.Array:
    """``part / steps``, and ``disabled`` where ``steps`` is 0."""
    enabled = steps > 0
    return jnp.where(enabled, part / jnp.where(enabled, steps, 1), disabled)


def _power(base: Any, exponent: Any) -> jax.Array:
    """``base**exponent`` of numbers that are not negative, with derivative 0 where base is 0."""
    positive = base > 0
    return jnp.where(positive, jnp.where(positive, base, 1) ** exponent, exponent == 0)


def _in_order(*steps: Any) -> bool:
    """Whether concrete steps never decrease; tracers pass."""
    if any(isinstance(step, Tracer) for step in steps):
        return True
    return all(bool(np.all(a <= b)) for a, b in itertools.pairwise(steps))
