"""Schedules of whole numbers: how many examples of a batch are used."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer

from gdjax import curves
from gdjax.binding import Schedule
from gdjax.errors import InvalidValue
from gdjax.ranges import PositiveSteps, in_order
from gdjax.schedules.base import schedule


def batch_size_schedule(
    decay_schedule: Callable[[Any], Any], init_size: PositiveSteps, max_size: PositiveSteps
) -> Schedule:
    """Grow the batch where otherwise the learning rate would decay; int32[].

    ``clip(init_size * decay_schedule(0) / decay_schedule(count), init_size, max_size)``, rounded
    to the nearest whole number: the noise of SGD depends on the learning rate over the batch
    size. For stages give :func:`piecewise_constant_schedule`, to double every n steps
    ``step_decay_schedule(1.0, n, 0.5)``. The size never falls where the decay never rises.

    A compiled program has batches of one shape: draw ``max_size`` examples and give those from
    ``batch_size_schedule(...)(step)`` on the weight 0. It saves no time, but is the run that
    growing batches would be, at any of its numbers.

    Args:
      decay_schedule: the decay of the learning rate that the growth replaces; only its ratios
        count. It must start above 0, so leave a warm-up out of it.
      init_size: size at step 0.
      max_size: the largest size.

    Raises:
      InvalidType: ``decay_schedule`` that is not a function of the step.
      InvalidValue: ``init_size`` above ``max_size``; a decay that does not start above 0.

    Reference:
      Smith et al., Don't Decay the Learning Rate, Increase the Batch Size
      (https://arxiv.org/abs/1711.00489), section 3. Past the largest batch the learning rate
      has to decay after all: :func:`leftover_decay_schedule`.

    >>> from gdjax.schedules.decaying import step_decay_schedule
    >>> sizes = batch_size_schedule(step_decay_schedule(0.1, 10, 0.5), 32, 100)
    >>> [int(sizes(step)) for step in (0, 9, 10, 20, 30)]
    [32, 32, 64, 100, 100]
    """
    decay = curves.as_schedule("batch_size_schedule: decay_schedule", decay_schedule)
    return _checked("batch_size_schedule", _batch_size_schedule(decay, init_size, max_size))


@schedule
def _batch_size_schedule(
    count: Any, decay_schedule: Schedule, init_size: PositiveSteps, max_size: PositiveSteps
) -> jax.Array:
    first, value, full = _compare(count, decay_schedule, init_size, max_size)
    grown = init_size * (first / jnp.where(full, 1, value))
    size = jnp.where(full, max_size, jnp.maximum(grown, init_size))
    return jnp.round(size).astype(jnp.int32)


def leftover_decay_schedule(
    decay_schedule: Callable[[Any], Any], init_size: PositiveSteps, max_size: PositiveSteps
) -> Schedule:
    """What is left of a decay once :func:`batch_size_schedule` has made its part of it.

    ``decay_schedule(0)`` until the batch has its largest size, from then on
    ``decay_schedule(count) * max_size / init_size``: the learning rate that goes with those sizes.

    Args:
      decay_schedule: the decay of the learning rate that is shared; it must start above 0.
      init_size: size at step 0.
      max_size: the largest size.

    Raises:
      InvalidType: ``decay_schedule`` that is not a function of the step.
      InvalidValue: ``init_size`` above ``max_size``; a decay that does not start above 0.

    Reference:
      Smith et al., Don't Decay the Learning Rate, Increase the Batch Size
      (https://arxiv.org/abs/1711.00489), section 5.1, its hybrid.

    >>> from gdjax.schedules.decaying import step_decay_schedule
    >>> learning_rate = leftover_decay_schedule(step_decay_schedule(1.0, 10, 0.5), 32, 64)
    >>> [float(learning_rate(step)) for step in (0, 10, 20, 30)]
    [1.0, 1.0, 0.5, 0.25]
    """
    decay = curves.as_schedule("leftover_decay_schedule: decay_schedule", decay_schedule)
    return _checked("leftover_decay_schedule", _leftover_decay_schedule(decay, init_size, max_size))


@schedule
def _leftover_decay_schedule(
    count: Any, decay_schedule: Schedule, init_size: PositiveSteps, max_size: PositiveSteps
) -> jax.Array:
    first, value, full = _compare(count, decay_schedule, init_size, max_size)
    return jnp.where(full, value * (max_size / init_size), jnp.maximum(first, value))


def _compare(count: Any, decay_schedule: Schedule, init_size: Any, max_size: Any) -> tuple:
    """The decay at step 0 and now, and whether the batch has its largest size."""
    steps = (jnp.zeros_like(count), count)
    first, value = (jnp.asarray(decay_schedule(step), float) for step in steps)
    # Compared as products: a decay to 0 divides by nothing.
    return first, value, init_size * first >= max_size * value


def _checked(name: str, bound: Schedule) -> Schedule:
    decay_schedule, init_size, max_size = bound.leaves.values()
    if not in_order(init_size, max_size):
        raise InvalidValue(
            f"{name}: max_size must be at least init_size, got {init_size=!s} and {max_size=!s}"
        )
    first = decay_schedule(0)
    if not isinstance(first, Tracer) and not first > 0:
        raise InvalidValue(
            f"{name}: decay_schedule must start above 0, got {first}; leave out its warm-up"
        )
    return bound
