"""Allowed ranges of hyperparameters, as annotations of the functions that take them.

``def trace(updates, state, params, decay: Decay)`` says all there is to say: what is allowed, what
the error message prints, what ``help`` shows, and from which values the conformance suite draws.
"""

import contextlib
import functools
import itertools
import math
import numbers
import sys
import typing
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

import numpy as np
from jax.core import Tracer

from gdjax.errors import InvalidValue, shown

_type_hints = functools.lru_cache(maxsize=1024)(typing.get_type_hints)


class Interval(NamedTuple):
    """Allowed range of a hyperparameter, written ``[0, 1)`` in messages."""

    low: float
    high: float
    includes_low: bool = True
    integer: bool = False
    static: bool = False  # part of the structure: shapes depend on it
    includes_high: bool = False

    def contains(self, values: Any) -> bool:
        """Whether all ``values`` lie inside; NaN never does."""
        values = np.asarray(values)
        if np.iscomplexobj(values):
            return False
        inside = values >= self.low if self.includes_low else values > self.low
        inside = inside & (values <= self.high if self.includes_high else values < self.high)
        return bool(np.all(inside & (values == np.floor(values)) if self.integer else inside))

    def __str__(self) -> str:
        left = "[" if self.includes_low else "("
        kind = "a whole number" if self.integer else "a number"
        right = "]" if self.includes_high else ")"
        return f"{kind} in {left}{self.low:g}, {self.high:g}{right}"

    __repr__ = __str__


# Typed Any, because a factory takes a number, an array or a schedule where the rule that it is
# made from sees a number.
Real = Annotated[Any, Interval(-math.inf, math.inf, includes_low=False)]
NonNegative = Annotated[Any, Interval(0, math.inf)]
Positive = Annotated[Any, Interval(0, math.inf, includes_low=False)]
Growth = Annotated[Any, Interval(1, math.inf)]
Decay = Annotated[Any, Interval(0, 1)]
DecayOrSum = Annotated[Any, Interval(0, 1, includes_high=True)]
WholeNumber = Annotated[Any, Interval(-math.inf, math.inf, includes_low=False, integer=True)]
Fraction = Annotated[Any, Interval(0, 1)]
HalfFraction = Annotated[Any, Interval(0, 0.5)]
PositiveFraction = Annotated[Any, Interval(0, 1, includes_low=False)]
Steps = Annotated[Any, Interval(0, math.inf, integer=True)]
PositiveSteps = Annotated[Any, Interval(1, math.inf, integer=True)]
# Of an array's axis, of a block: it decides over shapes, so it is structure and never a leaf.
Size = Annotated[int, Interval(1, math.inf, integer=True, static=True)]
# Structure although whole numbers stand in it: axes, labels.
Structure = Annotated[Any, "structure"]


def interval_of(function: Callable[..., Any], name: str) -> Interval | None:
    """The range that the annotation of ``name`` gives, through ``Optional`` too."""
    return next((m for m in _metadata(function, name) if isinstance(m, Interval)), None)


def is_structure(function: Callable[..., Any], name: str) -> bool:
    """Whether the annotation of ``name`` is ``Structure``."""
    return "structure" in _metadata(function, name)


def choices_of(function: Callable[..., Any], name: str) -> tuple:
    """The values that a ``Literal`` annotation of ``name`` allows; () where there is none."""
    hint = _hint(function, name)
    return typing.get_args(hint) if typing.get_origin(hint) is typing.Literal else ()


def _metadata(function: Callable[..., Any], name: str) -> list:
    hint = _hint(function, name)
    options = (hint, *typing.get_args(hint))
    return [m for option in options for m in getattr(option, "__metadata__", ())]


def _hint(function: Callable[..., Any], name: str) -> Any:
    try:
        return _type_hints(function, include_extras=True).get(name)
    except Exception:  # annotations that cannot be evaluated say nothing
        return None


def in_order(*numbers: Any) -> bool:
    """Whether concrete numbers never decrease; tracers pass."""
    if any(isinstance(number, Tracer) for number in numbers):
        return True
    return all(bool(np.all(a <= b)) for a, b in itertools.pairwise(numbers))


def number(value: Any) -> int | float | None:
    """A finite number of any numeric type as Python's own; None for whatever else."""
    with contextlib.suppress(Exception):  # whatever a foreign number does when it is converted
        if getattr(value, "ndim", None) == 0 and np.asarray(value).dtype.kind not in "mM":
            value = np.asarray(value).item()
        if isinstance(value, numbers.Real) and not isinstance(value, bool | np.timedelta64):
            value = int(value) if isinstance(value, numbers.Integral) else float(value)
            return value if abs(value) <= sys.float_info.max else None
    return None


def whole(name: str, value: Any, low: int = 1, high: int | None = None) -> int:
    """A whole number of any numeric type, of at least ``low`` and below ``high``, as Python's own.

    >>> whole("steps", np.int64(3))
    3
    """
    converted = number(value)
    if not isinstance(converted, int) or converted < low or (high and converted >= high):
        below = "" if high is None else f" and below {high}"
        raise InvalidValue(
            f"{name} must be a whole number of at least {low}{below}, got {shown(value)}"
        )
    return converted
