"""Schedules between given values at given steps: piecewise, one-cycle, from an array."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from gdjax import curves
from gdjax.binding import Schedule
from gdjax.errors import InvalidValue
from gdjax.ranges import NonNegative, Positive, PositiveSteps, Real, Steps, in_order
from gdjax.schedules.base import schedule


def piecewise_interpolate_schedule(
    interpolate_type: Literal["linear", "cosine"],
    init_value: Real,
    boundaries_and_scales: Mapping[int, NonNegative] | None = None,
) -> Schedule:
    """Along lines or half cosines through values that are multiplied at given steps.

    At each boundary the value is ``init_value`` times the product of the scales up to there;
    between two boundaries it goes from one such value to the next, and the last is held.

    Args:
      interpolate_type: ``"linear"`` or ``"cosine"``; structural.
      init_value: value at step 0.
      boundaries_and_scales: ``{step: scale}``; scales are not negative. The steps become the
        leaf ``boundaries`` (int32[n], ascending) and their scales the leaf ``scales``. A scale
        at step 0 is a jump at once.

    Raises:
      InvalidValue: another ``interpolate_type``.

    >>> zigzag = piecewise_interpolate_schedule("linear", 1.0, {4: 0.5, 6: 4.0})
    >>> [float(zigzag(step)) for step in (0, 2, 4, 5, 6, 9)]
    [1.0, 0.75, 0.5, 1.25, 2.0, 2.0]
    """
    scale_at = dict(boundaries_and_scales or {})
    boundaries = sorted(scale_at)
    scales = _stack([scale_at[step] for step in boundaries])
    return _piecewise_interpolate_schedule(
        interpolate_type, init_value, np.asarray(boundaries), scales
    )


@schedule
def _piecewise_interpolate_schedule(
    count: Any,
    interpolate_type: Literal["linear", "cosine"],
    init_value: Real,
    boundaries: Steps,
    scales: NonNegative,
) -> jax.Array:
    values = [init_value]
    for scale in scales:
        values.append(values[-1] * scale)
    return _through(count, interpolate_type, tuple(boundaries), tuple(values))


def linear_onecycle_schedule(
    transition_steps: PositiveSteps,
    peak_value: Real,
    pct_start: NonNegative = 0.3,
    pct_final: NonNegative = 0.85,
    div_factor: Positive = 25.0,
    final_div_factor: Positive = 1e4,
) -> Schedule:
    """Three lines: up to the peak, down again, and further down.

    From ``peak_value / div_factor`` to ``peak_value`` at step ``pct_start * transition_steps``,
    back at step ``pct_final * transition_steps``, and to
    ``peak_value / div_factor / final_div_factor`` at ``transition_steps``. Both products are
    rounded down, so derivatives with respect to the fractions are exactly 0.

    Args:
      transition_steps: length of the whole schedule; the last value is held.
      peak_value: the largest value.
      pct_start: fraction of the steps at which the peak is reached, at most 1.
      pct_final: fraction of the steps at which the first value is reached again, at most 1; one
        below ``pct_start`` is taken as ``pct_start``.
      div_factor: peak over first value.
      final_div_factor: first over last value.

    Raises:
      InvalidValue: a fraction above 1.

    Reference:
      Smith and Topin, Super-Convergence (https://arxiv.org/abs/1708.07120), section 3: the
      1cycle policy, whose two first phases are equally long: ``pct_start = pct_final / 2``.

    >>> onecycle = linear_onecycle_schedule(10, 1.0, 0.4, 0.8, 2.0, 4.0)
    >>> [float(onecycle(step)) for step in (0, 2, 4, 8, 10)]
    [0.5, 0.75, 1.0, 0.5, 0.125]
    """
    bound = _linear_onecycle_schedule(
        transition_steps, peak_value, pct_start, pct_final, div_factor, final_div_factor
    )
    return _checked_fractions("linear_onecycle_schedule", bound)


@schedule
def _linear_onecycle_schedule(
    count: Any,
    transition_steps: PositiveSteps,
    peak_value: Real,
    pct_start: NonNegative,
    pct_final: NonNegative,
    div_factor: Positive,
    final_div_factor: Positive,
) -> jax.Array:
    first = peak_value / div_factor
    up = _whole_part(pct_start, transition_steps)
    down = jnp.maximum(_whole_part(pct_final, transition_steps), up)
    values = (first, peak_value, first, first / final_div_factor)
    return _through(count, "linear", (up, down, transition_steps), values)


def cosine_onecycle_schedule(
    transition_steps: PositiveSteps,
    peak_value: Real,
    pct_start: NonNegative = 0.3,
    div_factor: Positive = 25.0,
    final_div_factor: Positive = 1e4,
) -> Schedule:
    """Two half cosines: up to the peak, and down.

    From ``peak_value / div_factor`` to ``peak_value`` at step ``pct_start * transition_steps``,
    rounded down, and to ``peak_value / div_factor / final_div_factor`` at ``transition_steps``.
    The derivative with respect to ``pct_start`` is exactly 0.

    Args:
      transition_steps: length of the whole schedule; the last value is held.
      peak_value: the largest value.
      pct_start: fraction of the steps at which the peak is reached; at most 1.
      div_factor: peak over first value.
      final_div_factor: first over last value.

    Raises:
      InvalidValue: ``pct_start`` above 1.

    Reference:
      Smith and Topin, Super-Convergence (https://arxiv.org/abs/1708.07120), with half cosines
      and in two phases, as in Optax.

    >>> onecycle = cosine_onecycle_schedule(10, 1.0, 0.4, 2.0, 4.0)
    >>> [round(float(onecycle(step)), 6) for step in (0, 2, 4, 10)]
    [0.5, 0.75, 1.0, 0.125]
    """
    bound = _cosine_onecycle_schedule(
        transition_steps, peak_value, pct_start, div_factor, final_div_factor
    )
    return _checked_fractions("cosine_onecycle_schedule", bound)


@schedule
def _cosine_onecycle_schedule(
    count: Any,
    transition_steps: PositiveSteps,
    peak_value: Real,
    pct_start: NonNegative,
    div_factor: Positive,
    final_div_factor: Positive,
) -> jax.Array:
    first = peak_value / div_factor
    up = _whole_part(pct_start, transition_steps)
    values = (first, peak_value, first / final_div_factor)
    return _through(count, "cosine", (up, transition_steps), values)


def array_schedule(values: Sequence[Real] | jax.Array) -> Schedule:
    """One given value a step: ``values[min(count, len(values) - 1)]``.

    Any schedule at all, as one leaf: computed elsewhere, learned by its gradient, or swept.

    Args:
      values: float[steps], the value at each step; the last is held.

    Raises:
      InvalidValue: no value, or more than one axis.

    >>> [float(array_schedule([0.5, 1.0, 0.25])(step)) for step in (0, 1, 2, 9)]
    [0.5, 1.0, 0.25, 0.25]
    """
    stacked = values if isinstance(values, jax.Array) else _stack(list(values))
    if stacked.ndim != 1 or not stacked.size:
        raise InvalidValue(
            f"array_schedule: values must have one axis, one value a step, got shape "
            f"{stacked.shape}; for a batch of schedules use jax.vmap(array_schedule)"
        )
    return _array_schedule(stacked)


@schedule
def _array_schedule(count: Any, values: Real) -> jax.Array:
    return jnp.take(values, jnp.clip(count, 0, len(values) - 1).astype(int))


def _through(count: Any, shape: str, boundaries: tuple, values: tuple) -> jax.Array:
    """Through ``values[0]`` at step 0 and ``values[i + 1]`` at ``boundaries[i]``, each exact."""
    value = values[0] + jnp.zeros_like(count)
    begins = (0, *boundaries)
    for begin, boundary, start, end in zip(begins, boundaries, values, values[1:], strict=False):
        left = curves.fall(shape, count - begin, boundary - begin)
        value = jnp.where(count < begin, value, curves.mix(start, end, left))
        value = jnp.where(count < boundary, value, end)  # also where the piece has no steps
    return value


def _checked_fractions(name: str, bound: Schedule) -> Schedule:
    for key, value in bound.leaves.items():
        if key.startswith("pct_") and not in_order(value, 1):
            raise InvalidValue(
                f"{name}: {key} is a fraction of the steps and must not exceed 1, got {value}"
            )
    return bound


def _whole_part(fraction: Any, steps: Any) -> jax.Array:
    """``floor(fraction * steps)``; a product that is whole but for rounding is not cut."""
    product = jnp.asarray(fraction * steps, float)
    return jnp.floor(product * (1 + 4 * jnp.finfo(product.dtype).eps)).astype(jnp.int32)


def _stack(numbers: list) -> Any:
    if any(isinstance(x, jax.Array) for x in numbers):
        return jnp.stack([jnp.asarray(x, float) for x in numbers])
    return np.asarray(numbers)
