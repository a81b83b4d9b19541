"""Where a sweep looks: distributions of hyperparameters, and points drawn from them."""

import dataclasses
import math
import sys
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np

from gdjax.errors import InvalidType, InvalidValue, nearest

Method = Literal["grid", "random", "sobol"]


@dataclasses.dataclass(frozen=True)
class Uniform:
    """Numbers spread evenly over ``[low, high]``; ``points`` of them in a grid."""

    low: float
    high: float
    points: int | None = None

    def __post_init__(self):
        _check_range(self)

    def quantile(self, u: np.ndarray) -> np.ndarray:
        """Values at probabilities ``u`` in [0, 1)."""
        return self.low + (self.high - self.low) * u

    def grid(self) -> np.ndarray | None:
        """The values of a grid; None where ``points`` does not say how many."""
        return None if self.points is None else self.quantile(np.linspace(0, 1, self.points))


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
            raise InvalidValue(f"LogUniform needs 0 < low < high, got low={self.low}")

    def quantile(self, u: np.ndarray) -> np.ndarray:
        """Values at probabilities ``u`` in [0, 1)."""
        log10 = math.log10(self.low) + math.log10(self.high / self.low) * u
        return np.clip(np.power(10.0, log10), self.low, self.high)

    def grid(self) -> np.ndarray | None:
        """The values of a grid; None where ``points`` does not say how many."""
        return None if self.points is None else self.quantile(np.linspace(0, 1, self.points))


@dataclasses.dataclass(frozen=True)
class Integer:
    """Whole numbers from ``low`` to ``high``, both included, all equally likely."""

    low: int
    high: int

    def __post_init__(self):
        _check_range(self)
        if self.low != int(self.low) or self.high != int(self.high):
            raise InvalidValue(f"Integer needs whole numbers, got {self}")

    def quantile(self, u: np.ndarray) -> np.ndarray:
        """Values at probabilities ``u`` in [0, 1)."""
        return self.low + np.floor(u * (self.high - self.low + 1)).astype(np.int64)

    def grid(self) -> np.ndarray:
        """All the values."""
        return np.arange(self.low, self.high + 1)


@dataclasses.dataclass(frozen=True)
class Choice:
    """One of a few numbers, all equally likely. A list in a space is a choice."""

    values: tuple[float, ...]

    def __post_init__(self):
        object.__setattr__(self, "values", tuple(np.ravel(np.asarray(self.values)).tolist()))
        if not self.values:
            raise InvalidValue("Choice needs at least one value, got none")
        for value in self.values:
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise InvalidType(
                    f"a space holds numbers, got {value!r}: a structural value (bool, string, "
                    "None) makes another program; compare such values as families, "
                    "{'a': lambda ...: ..., 'b': lambda ...: ...}"
                )
            if not abs(value) <= sys.float_info.max:
                raise InvalidValue(f"a space holds finite numbers, got {value}")

    def quantile(self, u: np.ndarray) -> np.ndarray:
        """Values at probabilities ``u`` in [0, 1)."""
        return self.grid()[np.floor(u * len(self.values)).astype(int)]

    def grid(self) -> np.ndarray:
        """All the values."""
        return np.asarray(self.values)


Distribution = Uniform | LogUniform | Integer | Choice


class Space:
    """Distributions by hyperparameter name.

    Args:
      dimensions: by name a distribution, a list or array of numbers to choose from, or one
        fixed number.

    >>> Space({"learning_rate": [0.1, 0.2], "momentum": 0.9}).draw("grid")
    {'learning_rate': array([0.1, 0.2]), 'momentum': array([0.9, 0.9])}
    """

    def __init__(self, dimensions: Mapping[str, Any]):
        if not isinstance(dimensions, Mapping):
            raise InvalidType(
                "space must map hyperparameter names to distributions or values, such as "
                f"{{'learning_rate': gdjax.LogUniform(1e-4, 1.0)}}, got {dimensions!r}"
            )
        for name in dimensions:
            if not isinstance(name, str):
                raise InvalidType(f"names of hyperparameters are strings, got {name!r}")
        if not dimensions:
            raise InvalidValue(
                "the space is empty; give at least one hyperparameter, such as "
                "{'learning_rate': gdjax.LogUniform(1e-4, 1.0)}"
            )
        self.dimensions = {k: _as_distribution(k, v) for k, v in dimensions.items()}

    def restricted(self, names: Iterable[str]) -> "Space | None":
        """The dimensions called ``names``; None where there are none."""
        kept = {k: v for k, v in self.dimensions.items() if k in set(names)}
        return Space(kept) if kept else None

    def draw(
        self, method: Method | None = None, trials: int | None = None, seed: int = 0
    ) -> dict[str, np.ndarray]:
        """Settings of all trials, ``[trial]`` by name.

        Args:
          method: ``"grid"``, all combinations, the first name varying slowest; ``"random"``;
            ``"sobol"``, scrambled low-discrepancy points. Without it, a grid where ``trials`` is
            not given, else Sobol points.
          trials: how many; a grid knows by itself.
          seed: of the random or scrambled points.

        Raises:
          InvalidValue: an unknown method, a grid of a distribution without ``points``, trials
            given for a grid of another size, or missing or below 1 for points.
        """
        method = method or ("grid" if trials is None else "sobol")
        if method not in ("grid", "random", "sobol"):
            raise InvalidValue(f"no method {method!r}: {nearest(str(method), Method.__args__)}")
        if method == "grid":
            return self._grid(trials)
        if trials is None or trials < 1:
            raise InvalidValue(f"method {method!r} needs trials of at least 1, got {trials}")
        d = len(self.dimensions)
        if method == "random":
            unit = np.random.default_rng(seed).random((trials, d))
        else:
            unit = _sobol(trials, d, seed)
        return {k: v.quantile(unit[:, i]) for i, (k, v) in enumerate(self.dimensions.items())}

    def _grid(self, trials: int | None) -> dict[str, np.ndarray]:
        axes = {}
        for name, distribution in self.dimensions.items():
            axes[name] = distribution.grid()
            if axes[name] is None:
                raise InvalidValue(
                    f"a grid needs to know how many values of {name}: write "
                    f"{type(distribution).__name__}(..., points=16), or give trials and "
                    "method='sobol' or 'random'"
                )
        size = math.prod(map(len, axes.values()))
        if trials not in (None, size):
            raise InvalidValue(f"the grid has {size} points, but trials is {trials}; leave one out")
        index = np.unravel_index(np.arange(size), [len(axis) for axis in axes.values()])
        return {name: axes[name][i] for name, i in zip(axes, index, strict=True)}


def _sobol(trials: int, d: int, seed: int) -> np.ndarray:
    from scipy.stats import qmc  # slow to import, and comes with JAX

    power_of_two = math.ceil(math.log2(trials))
    return qmc.Sobol(d, rng=np.random.default_rng(seed)).random_base2(power_of_two)[:trials]


def _as_distribution(name: str, value: Any) -> Distribution:
    if isinstance(value, Distribution):
        return value
    try:
        return Choice(value)
    except (InvalidValue, InvalidType) as error:
        raise type(error)(f"space[{name!r}]: {error}") from None


def _check_range(distribution: Any) -> None:
    kind, low, high = type(distribution).__name__, distribution.low, distribution.high
    for value in (low, high):
        if not isinstance(value, (int, float)) or not abs(value) <= sys.float_info.max:
            raise InvalidValue(f"{kind} needs finite numbers low and high, got {value!r}")
    if not (low < high or (low == high and isinstance(distribution, Integer))):
        raise InvalidValue(f"{kind} needs low < high, got low={low}, high={high}")
    points = getattr(distribution, "points", None)
    if points is not None and not (isinstance(points, int) and points >= 1):
        raise InvalidValue(f"points must be a whole number of at least 1, got {points!r}")
