"""Where a sweep looks: a distribution for each hyperparameter, and points drawn from them."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from gdjax.errors import InvalidType, InvalidValue, nearest, shown
from gdjax.ranges import number, whole
from gdjax.sweep.distributions import (
    Choice,
    Distribution,
    check_size,
)

Method = Literal["grid", "random", "sobol"]


class Space:
    """Distributions by hyperparameter name.

    Args:
      dimensions: by name a distribution, a list or array of numbers to choose from, or one
        fixed number.
      first: points to try first, each a mapping of names to numbers. They are the first of the
        trials; in a grid they stand in front of it and add to its size. What a point leaves out
        is drawn as for any other trial.

    Raises:
      InvalidType, InvalidValue: what is not a number, a point outside of the distributions, a
        name that is not in the space.

    >>> Space({"learning_rate": [0.1, 0.2], "momentum": 0.9}).draw("grid")
    {'learning_rate': array([0.1, 0.2]), 'momentum': array([0.9, 0.9])}
    >>> import gdjax
    >>> rates = gdjax.LogUniform(0.01, 1.0, points=2)
    >>> Space({"learning_rate": rates}, first=[{"learning_rate": 0.3}]).draw("grid")
    {'learning_rate': array([0.3 , 0.01, 1.  ])}
    """

    def __init__(self, dimensions: Mapping[str, Any], first: Sequence[Mapping[str, Any]] = ()):
        if not isinstance(dimensions, Mapping):
            raise InvalidType(
                "space must map hyperparameter names to distributions or values, such as "
                f"{{'learning_rate': gdjax.LogUniform(1e-4, 1.0)}}, got {shown(dimensions)}"
            )
        for name in dimensions:
            if not isinstance(name, str):
                raise InvalidType(f"names of hyperparameters are strings, got {shown(name)}")
        if not dimensions:
            raise InvalidValue(
                "the space is empty; give at least one hyperparameter, such as "
                "{'learning_rate': gdjax.LogUniform(1e-4, 1.0)}"
            )
        self.dimensions = {k: _as_distribution(k, v) for k, v in dimensions.items()}
        self.first = _points(self.dimensions, first)

    def restricted(self, names: Iterable[str]) -> "Space | None":
        """The dimensions called ``names``, and of each first point what it says of them.

        None where there are no such dimensions. A point that says nothing of them is left out.
        """
        names = set(names)
        kept = {k: v for k, v in self.dimensions.items() if k in names}
        parts = [{k: v for k, v in point.items() if k in kept} for point in self.first]
        return Space(kept, [part for part in parts if part]) if kept else None

    def draw(
        self, method: Method | None = None, trials: int | None = None, seed: int = 0
    ) -> dict[str, np.ndarray]:
        """Settings of all trials, ``[trial]`` by name.

        Args:
          method: ``"grid"``, all combinations, the first name varying slowest; ``"random"``;
            ``"sobol"``, scrambled low-discrepancy points. Without it, a grid where ``trials`` is
            not given, else Sobol points.
          trials: how many, points to try first among them; a grid knows by itself.
          seed: of the random or scrambled points.

        Raises:
          InvalidValue: an unknown method, a grid of a distribution without ``points``, trials
            given for a grid of another size, missing or below 1 for points, or fewer than the
            points to try first.
        """
        if method is None:
            method = "grid" if trials is None else "sobol"
        if not isinstance(method, str) or method not in Method.__args__:
            hint = nearest(shown(method).strip("'"), Method.__args__)
            raise InvalidValue(f"no method {shown(method)}: {hint}")
        if method == "grid":
            return self._grid(trials)
        count = number(trials)
        if not isinstance(count, int) or count < 1:
            raise InvalidValue(f"method {method!r} needs trials of at least 1, got {shown(trials)}")
        if count < len(self.first):
            raise InvalidValue(
                f"trials is {count}, but the space has {len(self.first)} points to try first"
            )
        d = len(self.dimensions)
        check_size(count * d, f"{shown(count)} trials draw {shown(count * d)} numbers")
        points = _random if method == "random" else _sobol
        unit = points(count, d, whole("seed", seed, low=0))
        drawn = {k: v.quantile(unit[:, i]) for i, (k, v) in enumerate(self.dimensions.items())}
        return self._with_first(drawn)

    def _grid(self, trials: int | None) -> dict[str, np.ndarray]:
        for name, distribution in self.dimensions.items():
            if distribution.size is None:
                raise InvalidValue(
                    f"a grid needs to know how many values of {_brief(name)}: write "
                    f"{type(distribution).__name__}(..., points=16), or give trials and "
                    "method='sobol' or 'random'"
                )
        sizes = [distribution.size or 0 for distribution in self.dimensions.values()]
        size, first = math.prod(sizes), len(self.first)
        check_size(size * len(sizes), f"the grid has {shown(size)} points")
        if trials is not None and whole("trials", trials) != size + first:
            added = f" and {first} to try first" if first else ""
            raise InvalidValue(
                f"the grid has {size} points{added}, but trials is {shown(trials)}; leave one out"
            )
        # What a point to try first leaves out comes from the grid's point of the same number.
        trial = np.concatenate([np.arange(first) % size, np.arange(size)])
        drawn, stride = {}, size
        for name, distribution in self.dimensions.items():
            axis = np.asarray(distribution.grid())
            stride //= len(axis)
            drawn[name] = axis[trial // stride % len(axis)]
        return self._with_first(drawn)

    def _with_first(self, drawn: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Put the points to try first over the first of the drawn ones, in place."""
        for trial, point in enumerate(self.first):
            for name, value in point.items():
                drawn[name][trial] = value
        return drawn


def checked_value(dimensions: Mapping[str, Distribution], name: Any, value: Any) -> int | float:
    """A value that a point gives to one of the dimensions.

    Raises:
      InvalidType, InvalidValue: an unknown name, no number, or one outside of the distribution.
    """
    if not isinstance(name, str) or name not in dimensions:
        raise InvalidValue(f"no hyperparameter {shown(name)} in the space{_hint(name, dimensions)}")
    (converted,) = Choice((value,)).values
    if converted not in dimensions[name]:
        raise InvalidValue(
            f"{_brief(name)} is {shown(value)}, which is not in {shown(dimensions[name], 200)}"
        )
    return converted


def _points(
    dimensions: Mapping[str, Distribution], first: Any
) -> tuple[dict[str, int | float], ...]:
    if not isinstance(first, list | tuple):
        raise InvalidType(
            "first must be a list of points to try first, such as [{'learning_rate': 1e-3}], "
            f"got {shown(first)}"
        )
    points = []
    for i, point in enumerate(first):
        if not isinstance(point, Mapping):
            raise InvalidType(
                f"first[{i}] must map hyperparameter names to numbers, such as "
                f"{{'learning_rate': 1e-3}}, got {shown(point)}"
            )
        if not point:
            raise InvalidValue(f"first[{i}] is empty; give it at least one hyperparameter")
        try:
            points.append({k: checked_value(dimensions, k, v) for k, v in point.items()})
        except (InvalidValue, InvalidType) as error:
            raise type(error)(f"first[{i}]: {error}") from None
    return tuple(points)


def _random(trials: int, d: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random((trials, d))


def _sobol(trials: int, d: int, seed: int) -> np.ndarray:
    from scipy.stats import qmc  # slow to import, and comes with JAX

    if d > qmc.Sobol.MAXDIM:
        raise InvalidValue(
            f"Sobol points have at most {qmc.Sobol.MAXDIM} dimensions, the space has {d}; "
            "use method='random'"
        )
    power_of_two = math.ceil(math.log2(trials))
    return qmc.Sobol(d, rng=np.random.default_rng(seed)).random_base2(power_of_two)[:trials]


def _as_distribution(name: str, value: Any) -> Distribution:
    if isinstance(value, Distribution):
        return value
    try:
        return Choice(value)
    except (InvalidValue, InvalidType) as error:
        raise type(error)(f"space[{shown(name)}]: {error}") from None


def _brief(name: str) -> str:
    """A name as it stands, where it is one."""
    return name if name.isidentifier() and len(name) <= 100 else shown(name)


def _hint(name: Any, names: Iterable[str]) -> str:
    """What else there is; nothing where a line does not hold it."""
    hint = nearest(name, names) if isinstance(name, str) else nearest("", names)
    return f"; {hint}" if len(hint) <= 300 and hint.isprintable() else ""
