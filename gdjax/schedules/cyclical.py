"""Schedules that come back: warm restarts and cycles."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import jax
import jax.numpy as jnp

from gdjax import curves
from gdjax.binding import Schedule
from gdjax.errors import InvalidValue
from gdjax.ranges import Interval, NonNegative, Positive, PositiveSteps, Real
from gdjax.schedules.base import schedule
from gdjax.schedules.joined import join_schedules, warmup_cosine_decay_schedule


def sgdr_schedule(cosine_kwargs: Sequence[Mapping[str, Any]]) -> Schedule:
    """One warm-up and cosine decay after another, each with constants of its own.

    :func:`warmup_cosine_decay_schedule` of each element, joined by :func:`join_schedules`. For
    restarts without an end, or whose lengths are swept together, see
    :func:`cosine_restarts_schedule`.

    Args:
      cosine_kwargs: the arguments of each cycle; its ``decay_steps`` is its length.

    Raises:
      InvalidValue: no cycle, or one without ``decay_steps``.

    Reference:
      Loshchilov and Hutter, SGDR (https://arxiv.org/abs/1608.03983), section 3.

    >>> cycle = {"init_value": 0.0, "peak_value": 1.0, "warmup_steps": 1, "decay_steps": 3}
    >>> twice = sgdr_schedule([cycle, cycle])
    >>> [round(float(twice(step)), 6) for step in range(7)]
    [0.0, 1.0, 0.5, 0.0, 1.0, 0.5, 0.0]
    """
    cycles = [dict(kwargs) for kwargs in cosine_kwargs]
    if not cycles or not all("decay_steps" in cycle for cycle in cycles):
        raise InvalidValue(
            "sgdr_schedule: cosine_kwargs must hold at least one cycle, and each its decay_steps, "
            f"got {cycles}"
        )
    ends = list(itertools.accumulate(cycle["decay_steps"] for cycle in cycles))
    return join_schedules([warmup_cosine_decay_schedule(**cycle) for cycle in cycles], ends[:-1])


@schedule
def cosine_restarts_schedule(
    count: Any,
    init_value: Real,
    period_steps: PositiveSteps,
    period_factor: Annotated[Any, Interval(1, float("inf"))] = 1.0,
    amplitude_factor: NonNegative = 1.0,
    alpha: Real = 0.0,
) -> jax.Array:
    """Cosine decay that starts again, without an end.

    ``init_value * ((1 - alpha) * amplitude_factor**n * (1 + cos(pi * t / T)) / 2 + alpha)`` in
    period ``n`` of ``T = period_steps * period_factor**n`` steps, ``t`` steps after its begin
    ``period_steps * (period_factor**n - 1) / (period_factor - 1)``. Begins between two steps are
    allowed: the derivative with respect to ``period_factor`` is that of the formula.

    Args:
      count: int32[], updates made so far.
      init_value: value at step 0.
      period_steps: length of the first period.
      period_factor: each period's length over the one before, at least 1: SGDR's ``T_mult``.
      amplitude_factor: factor of the part above ``alpha * init_value`` at each restart.
      alpha: end value of a period as a fraction of ``init_value``.

    Reference:
      Loshchilov and Hutter, SGDR (https://arxiv.org/abs/1608.03983), equation 5 with ``T_0`` and
      ``T_mult``; ``amplitude_factor`` as ``m_mul`` in TensorFlow's ``CosineDecayRestarts``.

    >>> restarts = cosine_restarts_schedule(1.0, 2, 2.0)
    >>> [round(float(restarts(step)), 6) for step in (0, 1, 2, 4, 6)]
    [1.0, 0.5, 1.0, 0.5, 1.0]
    """

    def begin(period: Any) -> jax.Array:
        # One whose rounding error may have moved it off a whole step is put back there.
        exact = period_steps * _geometric_sum(period_factor, period)
        off = jax.lax.stop_gradient(jnp.round(exact) - exact)
        return exact + jnp.where(jnp.abs(off) <= 32 * jnp.finfo(exact.dtype).eps * exact, off, 0)

    count = jnp.maximum(count, 0)
    growth = jnp.asarray(period_factor - 1, float)
    grows = growth > 0
    periods = count / period_steps
    grown = jnp.log1p(growth * periods) / jnp.log1p(jnp.where(grows, growth, 1))
    n = jnp.floor(jnp.where(grows, grown, periods))  # but for rounding: the neighbours are tried
    n = n + (count >= begin(n + 1)) - (count < begin(n))
    length = period_steps * curves.power(period_factor, n)
    cosine = curves.fall("cosine", count - begin(n), length)
    return init_value * ((1 - alpha) * curves.power(amplitude_factor, n) * cosine + alpha)


@schedule
def cyclical_schedule(
    count: Any,
    init_value: Real,
    peak_value: Real,
    up_steps: PositiveSteps,
    down_steps: PositiveSteps | None = None,
    amplitude_factor: NonNegative = 1.0,
    decay_rate: Positive = 1.0,
) -> jax.Array:
    """Up and down between two values along straight lines, without an end.

    ``init_value + (peak_value - init_value) * h * amplitude_factor**n * decay_rate**count`` in
    cycle ``n``, where ``h`` goes from 0 to 1 in ``up_steps`` and back in ``down_steps``.

    Args:
      count: int32[], updates made so far.
      init_value: the lower value.
      peak_value: the upper value of the first cycle.
      up_steps: steps from the lower value to the upper one: Smith's ``stepsize``.
      down_steps: steps back; None for ``up_steps``.
      amplitude_factor: factor of the height after each cycle: 1 is Smith's ``triangular``, 0.5
        his ``triangular2``.
      decay_rate: factor of the height after each step: below 1 his ``exp_range``.

    Reference:
      Smith, Cyclical Learning Rates (https://arxiv.org/abs/1506.01186), section 3. By its text
      both bounds of ``exp_range`` fall; here only the height does, as in PyTorch's ``CyclicLR``.

    >>> cycles = cyclical_schedule(0.0, 1.0, 2, amplitude_factor=0.5)
    >>> [float(cycles(step)) for step in range(8)]
    [0.0, 0.5, 1.0, 0.5, 0.0, 0.25, 0.5, 0.25]
    """
    down_steps = up_steps if down_steps is None else down_steps
    count, period = jnp.maximum(count, 0), up_steps + down_steps
    n = count // period
    t = count - n * period
    falling = curves.fall("linear", t - up_steps, down_steps)
    height = jnp.where(t < up_steps, curves.ratio(t, up_steps, 0), falling)
    # A height of 0 stays 0 also where a growing factor has overflown.
    factors = curves.power(amplitude_factor, jnp.where(height > 0, n, 0))
    factors = factors * curves.power(decay_rate, jnp.where(height > 0, count, 0))
    return curves.mix(init_value, peak_value, 1 - height * factors)


def _geometric_sum(factor: Any, terms: Any) -> jax.Array:
    """``1 + factor + ... + factor**(terms - 1)``; its derivative is right also at 1."""
    growth = jnp.asarray(factor - 1, float)
    near_1 = terms * growth < 1e-3
    some, many = jnp.where(near_1, 1, growth), jnp.where(near_1, 1, terms)
    series = terms * (1 + (terms - 1) / 2 * growth * (1 + (terms - 2) / 3 * growth))
    return jnp.where(near_1, series, jnp.expm1(many * jnp.log1p(some)) / some)
