"""Numbers that a sweep's rules are made with: Python's own, inside their ranges."""

import math
import numbers
from typing import Any

from gdjax.errors import InvalidValue, shown
from gdjax.ranges import Interval


def number_within(what: str, value: Any, interval: Interval) -> Any:
    """``value``, Python's or NumPy's, as Python's ``int`` or ``float``.

    Raises:
      InvalidValue: it is no number, not finite or outside ``interval``.

    >>> import numpy as np
    >>> number_within("plateau: patience", np.int64(3), Interval(1, float("inf"), integer=True))
    3
    """
    if not interval.contains(_as_float(value, interval.integer)):
        raise InvalidValue(f"{what} must be {interval}, got {shown(value)}")
    return int(value) if interval.integer else float(value)


def settle(rule: Any, name: str, **intervals: Interval) -> None:
    """Check the numeric fields of a frozen dataclass, called ``name`` where it is made.

    A field with default ``None`` may be ``None``. Each is replaced by Python's own number, so
    that rules compare and print alike whatever they were made with.
    """
    defaults = {field: value.default for field, value in rule.__dataclass_fields__.items()}
    for field, interval in intervals.items():
        value = getattr(rule, field)
        if value is None and defaults[field] is None:
            continue
        object.__setattr__(rule, field, number_within(f"{name}: {field}", value, interval))


def choose(what: str, value: Any, choices: tuple[str, ...]) -> None:
    """Raise where ``value`` is none of the ``choices``."""
    if not isinstance(value, str) or value not in choices:
        raise InvalidValue(
            f"{what} must be one of {', '.join(map(repr, choices))}, got {shown(value)}"
        )


def _as_float(value: Any, whole: bool) -> float:
    """NaN where ``value`` is no number of the right kind, or too large."""
    number = isinstance(value, numbers.Integral if whole else numbers.Real)
    try:
        return float(value) if number and not isinstance(value, bool) else math.nan
    except OverflowError:
        return math.nan
