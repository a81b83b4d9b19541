"""The Pareto front: trials that no other beats in several numbers at once."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from gdjax.errors import InvalidType, InvalidValue, nearest, shown
from gdjax.sweep.measurements import Measurements

Mode = Literal["min", "max"]
STEPS = "steps"
_BLOCK = 256  # rows that are compared at once: some megabytes


def pareto(
    result: Measurements, by: Sequence[str], modes: Sequence[Mode | None] | None
) -> np.ndarray:
    """Trials on the front; see :meth:`gdjax.SweepResult.pareto`."""
    names = check_names(by, choices(result))
    signs = [-1.0 if mode == "max" else 1.0 for mode in directions(result.modes, names, modes)]
    values = columns(result, names) * signs
    trials = np.flatnonzero(front(values))
    return trials[np.lexsort(values[trials].T[::-1])]


def front(values: np.ndarray) -> np.ndarray:
    """Which rows no other row beats, ``bool[row]``.

    One beats another that is nowhere less and somewhere more. Equal rows do not beat each other,
    and one with NaN is never on the front.

    Args:
      values: ``[row, number]``, of which less is better.

    >>> front(np.array([[1.0, 3.0], [2.0, 2.0], [2.0, 2.0], [2.0, 3.0], [np.nan, 0.0]])).tolist()
    [True, True, True, False, False]
    """
    values = np.asarray(values, float)
    known = ~np.isnan(values).any(axis=1)
    rows, place = np.unique(values[known], axis=0, return_inverse=True)
    chosen = np.zeros(len(rows), bool)
    for first in range(0, len(rows), _BLOCK):
        # Rows rise, so that who beats another stands before it, and is no more in the first number.
        block = rows[first : first + _BLOCK, 1:]
        earlier = np.tri(len(block), k=-1, dtype=bool).T
        beaten = _no_more(rows[:first][chosen[:first], 1:], block).any(axis=0)
        chosen[first : first + _BLOCK] = ~(beaten | (_no_more(block, block) & earlier).any(axis=0))
    found = np.zeros(len(values), bool)
    found[known] = chosen[place.ravel()]
    return found


def columns(result: Measurements, names: Sequence[str]) -> np.ndarray:
    """Numbers of each trial, ``[trial, number]``.

    Of a metric the mean over seeds where the trial ended, NaN where one of them diverged; of
    ``"steps"`` the updates that a run made; else a hyperparameter.
    """

    def column(name: str) -> np.ndarray:
        if name == STEPS:
            return np.append(0, result.evaluation_steps)[result.segments]
        if name in result.settings:
            return result.settings[name]
        return result.final(name).mean(axis=1, dtype=float)

    return np.stack([np.asarray(column(name), float) for name in names], axis=1)


def choices(result: Measurements) -> list[str]:
    """Names that :func:`columns` knows."""
    return [*result.traces, *result.evaluations, *result.settings, STEPS]


def check_names(by: Any, known: Sequence[str]) -> list[str]:
    """Names to compare by.

    Raises:
      InvalidType: no list of names.
      InvalidValue: an unknown one, one twice, or none at all.
    """
    if not isinstance(by, (list, tuple)) or not all(isinstance(name, str) for name in by):
        raise InvalidType(f"by must be a list of names such as ('loss', 'steps'), got {shown(by)}")
    for name in by:
        if name not in known:
            raise InvalidValue(f"no number {name!r} of a trial: {nearest(name, known)}")
    if not by or len(set(by)) < len(by):
        raise InvalidValue(f"by must name different numbers, at least one, got {shown(by)}")
    return list(by)


def directions(
    known: Mapping[str, Mode], names: Sequence[str], modes: Sequence[Mode | None] | None
) -> list[Mode]:
    """Whether less or more of each is better: as told, else as it is known of metrics and steps.

    Raises:
      InvalidValue: it is neither told nor known.
    """
    modes = [None] * len(names) if modes is None else modes
    if not isinstance(modes, (list, tuple)) or len(modes) != len(names):
        raise InvalidValue(f"modes must be {len(names)} of 'min' and 'max', got {shown(modes)}")
    known = {STEPS: "min", **known}
    found = []
    for name, mode in zip(names, modes, strict=True):
        mode = known.get(name) if mode is None else mode
        if mode not in ("min", "max"):
            raise InvalidValue(
                f"say which is better of {name!r}: modes=... with 'min' or 'max', got {shown(mode)}"
            )
        found.append(mode)
    return found


def _no_more(rivals: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Whether each rival is nowhere more than each row, ``bool[rival, row]``."""
    found = np.ones((len(rivals), len(rows)), bool)
    for of_rivals, of_rows in zip(rivals.T, rows.T, strict=True):
        found &= of_rivals[:, None] <= of_rows
    return found
