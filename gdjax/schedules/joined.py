"""Schedules one after another, warm-ups first of all."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from gdjax import curves
from gdjax.binding import Schedule
from gdjax.errors import InvalidValue
from gdjax.ranges import NonNegative, Positive, PositiveSteps, Real, Steps, in_order
from gdjax.schedules.base import schedule
from gdjax.schedules.single import (
    constant_schedule,
    cosine_decay_schedule,
    exponential_decay,
    linear_schedule,
)


def join_schedules(
    schedules: Sequence[Callable[[Any], Any]], boundaries: Sequence[Steps]
) -> Schedule:
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
    parts = tuple(
        curves.as_schedule(f"join_schedules: schedules[{i}]", part)
        for i, part in enumerate(schedules)
    )
    if len(boundaries) != len(schedules) - 1:
        raise InvalidValue(
            f"join_schedules: {len(schedules)} schedules need one boundary less, got "
            f"{len(boundaries)}: pass the first step of each schedule but the first"
        )
    if len(parts) == 1:
        return parts[0]
    joined = _join_schedules(parts, tuple(boundaries))
    if not in_order(*joined.leaves["boundaries"]):
        raise InvalidValue(f"join_schedules: boundaries must not decrease, got {boundaries}")
    return joined


@schedule
def _join_schedules(
    count: Any, schedules: tuple[Schedule, ...], boundaries: tuple[Steps, ...]
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
) -> Schedule:
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
    if not in_order(bound.leaves["warmup_steps"] + 1, bound.leaves["decay_steps"]):
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
