"""Decays with a plateau before them, in stairs, or by a power of the step."""

from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp

from gdjax import curves
from gdjax.binding import Schedule
from gdjax.ranges import NonNegative, Positive, PositiveSteps, Real, Steps
from gdjax.schedules.base import schedule
from gdjax.schedules.joined import warmup_constant_schedule
from gdjax.schedules.single import exponential_decay


@schedule
def step_decay_schedule(
    count: Any, init_value: Real, transition_steps: Steps, decay_rate: Positive
) -> jax.Array:
    """Multiply by ``decay_rate`` every ``transition_steps`` steps.

    ``init_value * decay_rate**floor(count / transition_steps)``: :func:`exponential_decay` in
    stairs. For steps of different lengths see :func:`piecewise_constant_schedule`.

    Args:
      count: int32[], updates made so far.
      init_value: value of the first stair.
      transition_steps: length of a stair; 0 holds ``init_value``.
      decay_rate: positive factor; above 1 the value grows.

    >>> [float(step_decay_schedule(1.0, 3, 0.5)(step)) for step in (2, 3, 6)]
    [1.0, 0.5, 0.25]
    """
    return exponential_decay(init_value, transition_steps, decay_rate, staircase=True)(count)


def cooldown_schedule(
    before: Callable[[Any], Any],
    transition_begin: Steps,
    transition_steps: Steps,
    end_value: Real = 0.0,
    decay_type: curves.Shape = "linear",
) -> Schedule:
    """Another schedule until a step, then down from its value there.

    ``(before(transition_begin) - end_value) * f(p) + end_value`` with
    ``p = (count - transition_begin) / transition_steps``, ``before(count)`` until there.

    Args:
      before: what is followed first: any function of the step.
      transition_begin: first step of the decay.
      transition_steps: length of the decay; 0 holds ``before(transition_begin)``.
      end_value: value from ``transition_begin + transition_steps`` on.
      decay_type: the shape of ``f``, structural: ``"linear"``, ``1 - p``; ``"cosine"``,
        ``(1 + cos(pi * p)) / 2``; ``"1-sqrt"``, ``1 - sqrt(p)``.

    Raises:
      InvalidType: ``before`` that is not a function of the step.
      InvalidValue: another ``decay_type``.

    Reference:
      Zhai et al., Scaling Vision Transformers (https://arxiv.org/abs/2106.04560), section 3.5:
      a linear one after any schedule without an end.

    >>> cooled = cooldown_schedule(step_decay_schedule(1.0, 3, 0.5), 4, 4)
    >>> [float(cooled(step)) for step in (2, 3, 4, 6, 8)]
    [1.0, 0.5, 0.5, 0.25, 0.0]
    """
    first = curves.as_schedule("cooldown_schedule: before", before)
    return _cooldown_schedule(first, transition_begin, transition_steps, end_value, decay_type)


@schedule
def _cooldown_schedule(
    count: Any,
    before: Schedule,
    transition_begin: Steps,
    transition_steps: Steps,
    end_value: Real,
    decay_type: curves.Shape,
) -> jax.Array:
    value = jnp.asarray(before(jnp.minimum(count, transition_begin)), float)
    left = curves.fall(decay_type, count - transition_begin, transition_steps)
    return curves.mix(value, end_value, left)


def warmup_stable_decay_schedule(
    init_value: Real,
    peak_value: Real,
    warmup_steps: Steps,
    stable_steps: Steps,
    decay_steps: Steps,
    end_value: Real = 0.0,
    decay_type: curves.Shape = "linear",
) -> Schedule:
    """Linear warm-up, a plateau, then down (WSD).

    :func:`warmup_constant_schedule` for ``warmup_steps + stable_steps``, then
    ``(peak_value - end_value) * f(p) + end_value`` as in :func:`cooldown_schedule`.

    Args:
      init_value: value at step 0.
      peak_value: value of the plateau.
      warmup_steps: length of the warm-up; 0 for none.
      stable_steps: length of the plateau; 0 for none.
      decay_steps: length of the decay alone; 0 holds ``peak_value`` for ever.
      end_value: value from ``warmup_steps + stable_steps + decay_steps`` on.
      decay_type: the shape of ``f``: ``"linear"``, ``"cosine"`` or ``"1-sqrt"``; structural.

    Raises:
      InvalidValue: another ``decay_type``.

    Reference:
      Hu et al., MiniCPM (https://arxiv.org/abs/2404.06395), section 4, which leaves ``f`` open;
      Hägele et al., Scaling Laws and Compute-Optimal Training Beyond Fixed Training Durations
      (https://arxiv.org/abs/2405.18392), section 3: ``1 - p`` and ``1 - sqrt(p)``.

    >>> wsd = warmup_stable_decay_schedule(0.0, 1.0, 2, 3, 4)
    >>> [float(wsd(step)) for step in (0, 1, 2, 5, 6, 9)]
    [0.0, 0.5, 1.0, 1.0, 0.75, 0.0]
    """
    return _warmup_stable_decay_schedule(
        init_value, peak_value, warmup_steps, stable_steps, decay_steps, end_value, decay_type
    )


@schedule
def _warmup_stable_decay_schedule(
    count: Any,
    init_value: Real,
    peak_value: Real,
    warmup_steps: Steps,
    stable_steps: Steps,
    decay_steps: Steps,
    end_value: Real,
    decay_type: curves.Shape,
) -> jax.Array:
    before = warmup_constant_schedule(init_value, peak_value, warmup_steps)
    begin = warmup_steps + stable_steps
    return cooldown_schedule(before, begin, decay_steps, end_value, decay_type)(count)


def inverse_sqrt_schedule(
    peak_value: Real,
    warmup_steps: PositiveSteps,
    warmup_type: Literal["linear", "constant"] = "linear",
) -> Schedule:
    """Warm-up, then down with the square root of the step.

    ``peak_value * sqrt(warmup_steps / max(s, warmup_steps))`` with ``s = count + 1``, times
    ``min(s / warmup_steps, 1)`` where ``warmup_type`` is ``"linear"``.

    Args:
      peak_value: the largest value, at ``count = warmup_steps - 1``: both papers count from 1.
        The first one's is ``1 / sqrt(d_model * warmup_steps)``, T5's ``1 / sqrt(warmup_steps)``.
      warmup_steps: length of the warm-up; 1 is none.
      warmup_type: ``"linear"`` from ``peak_value / warmup_steps``, or ``"constant"``: the peak
        from the first step on; structural.

    Raises:
      InvalidValue: another ``warmup_type``.

    Reference:
      Vaswani et al., Attention Is All You Need (https://arxiv.org/abs/1706.03762), equation 3;
      Raffel et al., T5 (https://arxiv.org/abs/1910.10683), section 3.1.2, for ``"constant"``.

    >>> noam = inverse_sqrt_schedule(1.0, 4)
    >>> [float(noam(step)) for step in (0, 1, 3, 15)]
    [0.25, 0.5, 1.0, 0.5]
    """
    return _inverse_sqrt_schedule(peak_value, warmup_steps, warmup_type)


@schedule
def _inverse_sqrt_schedule(
    count: Any,
    peak_value: Real,
    warmup_steps: PositiveSteps,
    warmup_type: Literal["linear", "constant"],
) -> jax.Array:
    step = jnp.asarray(jnp.maximum(count, 0) + 1, float)
    value = peak_value * jnp.sqrt(warmup_steps / jnp.maximum(step, warmup_steps))
    if warmup_type == "linear":
        value = value * jnp.where(step < warmup_steps, step / warmup_steps, 1)
    return value


@schedule
def inverse_power_schedule(
    count: Any,
    init_value: Real,
    transition_steps: Steps,
    power: NonNegative = 0.5,
    transition_begin: Steps = 0,
) -> jax.Array:
    """Down with a power of the step, shifted so that it starts at a given value.

    ``init_value * (1 + t / transition_steps)**-power`` with
    ``t = max(count - transition_begin, 0)``.

    Args:
      count: int32[], updates made so far.
      init_value: value until ``transition_begin``.
      transition_steps: steps after which the base has doubled, the time scale; 0 holds
        ``init_value``.
      power: 0.5 for the reciprocal root, 1 for inverse-time decay.
      transition_begin: steps before the decay.

    Reference:
      Zhai et al., Scaling Vision Transformers (https://arxiv.org/abs/2106.04560), section 3.5,
      for ``power=0.5``; Robbins and Monro, A Stochastic Approximation Method (1951), for
      ``power=1``.

    >>> [float(inverse_power_schedule(1.0, 4)(step)) for step in (0, 12, 60)]
    [1.0, 0.5, 0.25]
    """
    t = jnp.maximum(count - transition_begin, 0)
    return init_value * (1 + curves.ratio(t, transition_steps, 0)) ** -power


@schedule
def power_schedule(
    count: Any,
    peak_value: Real,
    coefficient: NonNegative,
    power: NonNegative = 0.51,
    step_tokens: Positive = 1.0,
    warmup_steps: Steps = 0,
) -> jax.Array:
    """A power of the tokens seen, at most a peak, after a linear warm-up.

    ``min(peak_value, coefficient * n**-power)`` with ``n = step_tokens * max(count,
    warmup_steps)``, times ``count / warmup_steps`` before ``warmup_steps``. With
    :func:`cooldown_schedule` after it, it is the whole schedule of the paper, equation 8.

    Args:
      count: int32[], updates made so far.
      peak_value: the largest value.
      coefficient: of the power: the paper's ``a`` (4) times the batch size in sequences.
      power: the paper's ``-b``.
      step_tokens: tokens in a batch; 1 counts steps.
      warmup_steps: length of the warm-up; 0 for none.

    Reference:
      Shen et al., Power Scheduler (https://arxiv.org/abs/2408.13359).

    >>> [float(power_schedule(1.0, 2.0, 0.5)(step)) for step in (0, 4, 16)]
    [1.0, 1.0, 0.5]
    """
    count = jnp.maximum(count, 0)
    tokens = jnp.asarray(step_tokens * jnp.maximum(count, warmup_steps), float)
    some = tokens > 0  # before the first token the power is infinite
    decayed = coefficient * jnp.where(some, tokens, 1) ** -power
    value = jnp.where(some, jnp.minimum(peak_value, decayed), peak_value)
    return value * jnp.where(count < warmup_steps, curves.ratio(count, warmup_steps, 1), 1)
