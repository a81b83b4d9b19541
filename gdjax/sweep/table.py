"""What a sweep's rules see of it, and what they answer."""

import enum
from typing import NamedTuple, Protocol

import numpy as np

from gdjax.sweep.distributions import Distribution


class Status(enum.IntEnum):
    """What became of a run."""

    RUNNING = 0
    DONE = 1
    STOPPED = 2
    DIVERGED = 3


class Spent(NamedTuple):
    """What a sweep has used up so far."""

    steps: int = 0  # updates, summed over runs
    flops: float = 0.0  # floating-point operations of those, by XLA's count; 0 where no budget asks
    seconds: float = 0.0  # of wall time, those before a resume included


class Population(NamedTuple):
    """What a rule sees of the trials where one may go on from another's state."""

    family: np.ndarray  # str[trial]: states are alike inside of a family only
    settings: dict[str, np.ndarray]  # [trial] by name, those of the next segment; NaN: has none
    dimensions: dict[str, dict[str, Distribution]]  # by family: what its settings are drawn from
    diverged: np.ndarray  # bool[trial]: all its runs; it goes on only from another's state
    key: int  # of the sweep, for whatever is drawn


class Table(NamedTuple):
    """A sweep at one moment: one row a trial, numbers of which less is better.

    Trials advance by segments, each of which ends with an evaluation.
    """

    steps: np.ndarray  # int[evaluation]: updates made at each evaluation; the last is a whole run
    done: np.ndarray  # int[trial]: segments made or computing
    pending: np.ndarray  # bool[trial]: the last of them is computing, its score not yet known
    active: np.ndarray  # bool[trial]: may go on: neither stopped nor diverged nor at its end
    scores: np.ndarray  # [trial, evaluation]: mean over seeds; inf: diverged, NaN: not measured
    slots: int  # trials that one program advances at once
    capacity: int  # trials that may stand between their first and last segment
    spent: Spent = Spent()
    population: Population | None = None  # where the scheduler says ``copies``


class Copies(NamedTuple):
    """Trials that go on from others' states, all seeds of them, and with new settings."""

    children: np.ndarray  # int[n], each once
    parents: np.ndarray  # int[n]: of the same family and with as many segments made, none pending
    settings: dict[str, np.ndarray]  # [n] by name: those of the children from now on


class Decision(NamedTuple):
    """What happens next; no trials to advance: wait for what is pending, or end."""

    advance: np.ndarray  # int[n]: trials that make one more segment, whatever their steps
    stop: np.ndarray  # int[m]: trials that go no further
    reasons: list[str]  # [m]
    segments: int = 1  # that those may make before the next decision
    copies: Copies | None = None  # before the advance, in which every child takes part


class Scheduler(Protocol):
    """Says which trials advance: a pure function of the table.

    One that says ``lags = True`` decides the same whether or not it is asked before the last
    segments are measured: where it needs their scores, it waits for them itself. One that says
    ``copies = True`` is shown the population, and may let trials go on from others' states.
    """

    def decide(self, table: Table) -> Decision:
        """The next trials; called again after each segment."""
        ...


class Stopper(Protocol):
    """Says which trials stop, whatever the others do: a pure function of the table."""

    def stops(self, table: Table) -> tuple[np.ndarray, list[str]]:
        """Trials that go no further, ``int[m]``, and why."""
        ...


def mean_of_finite(values: np.ndarray) -> np.ndarray:
    """Over the last axis, in float64; NaN where none is: a step that an optimizer skips is none.

    >>> mean_of_finite(np.array([[1.0, np.nan, 3.0], [np.nan, np.inf, np.nan]]))
    array([ 2., nan])
    """
    with np.errstate(invalid="ignore", over="ignore"):
        total = values.sum(axis=-1, dtype=float)
    if np.isfinite(total).all():  # as mostly, and three times as fast
        return total / values.shape[-1]
    finite = np.isfinite(values)
    count = finite.sum(axis=-1)
    total = np.where(finite, values, 0).sum(axis=-1, dtype=float)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
