"""Distributions of one hyperparameter: what it may be, and how likely."""

import dataclasses
import math
import numbers
from typing import Any

import numpy as np

from gdjax.errors import InvalidType, InvalidValue, shown
from gdjax.ranges import number, whole

# Numbers in one table of settings: half a gigabyte of float64. Whoever asks for more mistyped.
LARGEST = 2**26
# Float64 counts no further, and quantiles are computed in it.
WHOLE = 2**53


@dataclasses.dataclass(frozen=True)
class Uniform:
    """Numbers spread evenly over ``[low, high]``; ``points`` of them in a grid."""

    low: float
    high: float
    points: int | None = None

    def __post_init__(self):
        _check_range(self)
        if not math.isfinite(self.high - self.low):
            raise InvalidValue(f"Uniform needs a finite high - low, got {self}")

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    @property
    def size(self) -> int | None:
        """Number of values in a grid; None where ``points`` does not say it."""
        return self.points

    def quantile(self, u: np.ndarray) -> np.ndarray:
        """Values at probabilities ``u`` in [0, 1)."""
        return np.clip(self.low + (self.high - self.low) * u, self.low, self.high)

    def grid(self) -> np.ndarray | None:
        """The values of a grid; None where ``points`` does not say how many."""
        return _even_grid(self)


@dataclasses.dataclass(frozen=True)
class LogUniform:
    """Numbers whose logarithm is spread evenly over ``[low, high]``, ``low > 0``.

    >>> LogUniform(1e-4, 1.0, points=3).grid()
    array([1.e-04, 1.e-02, 1.e+00])
    """

    low: float
    high: float
    points: int | None = None

    def __post_init__(self):
        _check_range(self)
        if self.low <= 0:
            raise InvalidValue(f"LogUniform needs 0 < low < high, got low={self.low:g}")

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    @property
    def size(self) -> int | None:
        """Number of values in a grid; None where ``points`` does not say it."""
        return self.points

    def quantile(self, u: np.ndarray) -> np.ndarray:
        """Values at probabilities ``u`` in [0, 1)."""
        width = self.high / self.low
        # The ratio has the exact logarithm for powers of ten, but may be above all floats.
        width = math.log10(width) if width < math.inf else math.log10(self.high) - self._log10_low
        return np.clip(np.power(10.0, self._log10_low + width * u), self.low, self.high)

    def grid(self) -> np.ndarray | None:
        """The values of a grid; None where ``points`` does not say how many."""
        return _even_grid(self)

    @property
    def _log10_low(self) -> float:
        return math.log10(self.low)


@dataclasses.dataclass(frozen=True)
class Integer:
    """Whole numbers from ``low`` to ``high``, both included, all equally likely."""

    low: int
    high: int

    def __post_init__(self):
        _check_range(self)
        low, high = self.low, self.high
        if low != int(low) or high != int(high) or max(abs(low), abs(high)) > WHOLE:
            raise InvalidValue(
                f"Integer needs whole numbers of at most 2**53, got low={shown(low)}, "
                f"high={shown(high)}"
            )
        object.__setattr__(self, "low", int(low))
        object.__setattr__(self, "high", int(high))

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high and value == int(value)

    @property
    def size(self) -> int:
        """Number of values in a grid."""
        return self.high - self.low + 1

    def quantile(self, u: np.ndarray) -> np.ndarray:
        """Values at probabilities ``u`` in [0, 1)."""
        return self.low + np.floor(u * self.size).astype(np.int64)

    def grid(self) -> np.ndarray:
        """All the values."""
        check_size(self.size, f"Integer has {self.size} values")
        return np.arange(self.low, self.high + 1)


@dataclasses.dataclass(frozen=True)
class Choice:
    """One of a few numbers, all equally likely. A list in a space is a choice."""

    values: tuple[float, ...]

    def __post_init__(self):
        values = tuple(_checked(value) for value in _flat(self.values))
        if not values:
            raise InvalidValue("Choice needs at least one value, got none")
        # One dtype for all, as in an array; what int64 does not hold is a large float.
        if any(isinstance(value, float) or not -(2**63) <= value < 2**63 for value in values):
            values = tuple(map(float, values))
        object.__setattr__(self, "values", values)

    def __contains__(self, value: float) -> bool:
        return value in self.values

    @property
    def size(self) -> int:
        """Number of values in a grid."""
        return len(self.values)

    def quantile(self, u: np.ndarray) -> np.ndarray:
        """Values at probabilities ``u`` in [0, 1)."""
        return self.grid()[np.floor(u * len(self.values)).astype(int)]

    def grid(self) -> np.ndarray:
        """All the values."""
        return np.asarray(self.values)


Distribution = Uniform | LogUniform | Integer | Choice


def check_size(size: int, what: str) -> None:
    """Refuse a table of settings that would not fit into memory."""
    if size > LARGEST:
        raise InvalidValue(
            f"{what}, more than the {LARGEST} that a table of settings holds; "
            "draw fewer with method='sobol' or 'random' and trials=..."
        )


def _even_grid(distribution: Uniform | LogUniform) -> np.ndarray | None:
    if distribution.points is None:
        return None
    values = distribution.quantile(np.linspace(0, 1, distribution.points))
    if distribution.points > 1:  # the ends as they were given, without rounding
        values[0], values[-1] = distribution.low, distribution.high
    return values


def _flat(values: Any) -> list[Any]:
    """The entries of a list or array, or the one entry that is not one."""
    try:
        array = np.asarray(values)
    except Exception:  # a ragged list, or whatever a foreign __array__ does
        raise InvalidType(f"a choice is a flat list of numbers, got {shown(values)}") from None
    if array.ndim > 1:
        raise InvalidValue(
            f"a choice is a flat list of numbers, got shape {shown(array.shape)}: {shown(values)}; "
            "for rows that belong together sweep the row's index, and look it up in the factory"
        )
    entries = np.atleast_1d(array)
    # `tolist` would make a number of a duration or a date.
    return list(entries) if array.dtype.kind in "mM" else entries.tolist()


def _checked(value: Any) -> int | float:
    converted = number(value)
    if converted is not None:
        return converted
    if isinstance(value, numbers.Real) and not isinstance(value, bool | np.timedelta64):
        raise InvalidValue(f"a space holds finite numbers, got {shown(value)}")
    raise InvalidType(
        f"a space holds numbers, got {shown(value)}: a structural value (bool, string, "
        "None) makes another program; compare such values as families, "
        "{'a': lambda ...: ..., 'b': lambda ...: ...}"
    )


def _check_range(distribution: Any) -> None:
    kind = type(distribution).__name__
    for name in ("low", "high"):
        given = getattr(distribution, name)
        if number(given) is None:
            raise InvalidValue(f"{kind} needs finite numbers low and high, got {shown(given)}")
        object.__setattr__(distribution, name, number(given))
    low, high = distribution.low, distribution.high
    if not (low < high or (low == high and isinstance(distribution, Integer))):
        raise InvalidValue(f"{kind} needs low < high, got low={shown(low)}, high={shown(high)}")
    if isinstance(distribution, Integer):
        return
    if distribution.points is not None:
        points = whole("points", distribution.points)
        check_size(points, f"{kind} has {shown(points)} points")
        object.__setattr__(distribution, "points", points)
    object.__setattr__(distribution, "low", float(low))
    object.__setattr__(distribution, "high", float(high))
