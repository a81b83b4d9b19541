"""Rungs: the evaluations at which trials of equal steps are compared."""

import math

import numpy as np

from gdjax.ranges import Interval
from gdjax.sweep.table import Decision, Table

ETA = Interval(2, math.inf, integer=True)
STEPS = Interval(1, math.inf, integer=True)


def rungs_of(table: Table, eta: int, min_steps: int | None) -> np.ndarray:
    """Segments made at each rung, ``int[rung]``, rising."""
    trials, whole = len(table.done), int(table.steps[-1])
    parts, part = [], eta
    while part <= trials if min_steps is None else part * min_steps <= whole:
        parts.append(part)
        part *= eta
    return rungs_at(table.steps, parts)


def rungs_at(steps: np.ndarray, parts: list[int]) -> np.ndarray:
    """Segments made at the first evaluation from ``1 / part`` of a run on, short of its end."""
    least = [-(-int(steps[-1]) // part) for part in parts]
    rungs = np.unique(np.searchsorted(steps, least)) + 1
    return rungs[rungs < len(steps)]


def may_go_on(table: Table) -> np.ndarray:
    """Whether each trial has a segment left to make, ``bool[trial]``."""
    return table.active & (table.done < len(table.steps))


def at_rung(rungs: np.ndarray, table: Table) -> np.ndarray:
    """Whether each trial stands at a rung, ``bool[trial]``."""
    is_rung = np.zeros(len(table.steps) + 1, bool)
    is_rung[rungs] = True
    return is_rung[table.done]


def segments_ahead(rungs: np.ndarray, table: Table, trials: np.ndarray) -> int:
    """Segments until the first of ``trials`` is at its next rung, or at its end.

    >>> empty = dict.fromkeys(("pending", "active", "scores", "slots", "capacity"))
    >>> table = Table(steps=np.arange(1, 9), done=np.array([2, 3, 0]), **empty)
    >>> segments_ahead(np.array([2, 5]), table, np.array([0, 1]))
    2
    >>> segments_ahead(np.array([]), table, np.array([2]))
    8
    """
    ends = np.append(rungs, len(table.steps))
    done = table.done[trials]
    left = ends[np.searchsorted(ends, done, side="right")] - done
    return int(left.min(initial=len(table.steps)))


def advance(trials: np.ndarray, segments: int = 1) -> Decision:
    """Only advance."""
    return Decision(trials, np.zeros(0, int), [], segments)
