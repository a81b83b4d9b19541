"""What schedules are made of: curves with exact ends and finite derivatives, other schedules.

Compiled, a division by a number of steps is a multiplication with its rounded reciprocal, so a
fraction need not be 1 at the end. What must be exact there is computed from the steps left.
"""

from typing import Any, Literal

import jax
import jax.numpy as jnp

from gdjax import trees
from gdjax.binding import Schedule
from gdjax.errors import InvalidType

Shape = Literal["linear", "cosine", "1-sqrt"]


def ratio(part: Any, steps: Any, disabled: float) -> jax.Array:
    """``part / steps``, and ``disabled`` where ``steps`` is 0."""
    enabled = steps > 0
    return jnp.where(enabled, part / jnp.where(enabled, steps, 1), disabled)


def power(base: Any, exponent: Any) -> jax.Array:
    """``base**exponent`` of numbers that are not negative, with derivative 0 where base is 0."""
    positive = base > 0
    return jnp.where(positive, jnp.where(positive, base, 1) ** exponent, exponent == 0)


def half_cosine(left: Any) -> jax.Array:
    """``(1 + cos(pi * (1 - left))) / 2``, as a square that keeps its digits near 0."""
    return jnp.sin(0.5 * jnp.pi * left) ** 2


def fall(shape: str, elapsed: Any, steps: Any) -> jax.Array:
    """From exactly 1 at 0 to exactly 0 from ``steps`` on; 1 for ever where ``steps`` is 0.

    ``linear``: ``1 - p``, ``cosine``: ``(1 + cos(pi * p)) / 2``, ``1-sqrt``: ``1 - sqrt(p)``,
    with ``p = clip(elapsed / steps, 0, 1)``.

    >>> [float(fall("1-sqrt", elapsed, 4)) for elapsed in (0, 1, 4)]
    [1.0, 0.5, 0.0]
    """
    elapsed = jnp.clip(elapsed, 0, steps)
    left = jnp.where(elapsed == 0, 1, ratio(steps - elapsed, steps, 1))
    if shape == "linear":
        return left
    if shape == "cosine":
        return half_cosine(left)
    return left / (1 + trees.sqrt(ratio(elapsed, steps, 0)))  # (1 - p) / (1 + sqrt(p))


def mix(start: Any, end: Any, left: Any) -> jax.Array:
    """``start`` where ``left`` is 1, ``end`` where it is 0, both exactly."""
    return start * left + end * (1 - left)


def as_schedule(what: str, function: Any) -> Schedule:
    """A schedule from any function of the step; ``what`` says where it was passed.

    Raises:
      InvalidType: something else.
    """
    if not callable(function):
        raise InvalidType(
            f"{what} must be a function of the step, got {function!r}; for a fixed value use "
            "constant_schedule"
        )
    return Schedule.of(function)
