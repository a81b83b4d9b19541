"""What a sweep's rules see of it, and what they answer."""

import enum
from typing import NamedTuple, Protocol

import numpy as np


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


class Decision(NamedTuple):
    """What happens next; no trials to advance: wait for what is pending, or end."""

    advance: np.ndarray  # int[n]: trials that make one more segment, whatever their steps
    stop: np.ndarray  # int[m]: trials that go no further
    reasons: list[str]  # [m]
    segments: int = 1  # that those may make before the next decision


class Scheduler(Protocol):
    """Says which trials advance: a pure function of the table.

    One that says ``lags = True`` decides the same whether or not it is asked before the last
    segments are measured: where it needs their scores, it waits for them itself.
    """

    def decide(self, table: Table) -> Decision:
        """The next trials; called again after each segment."""
        ...


class Stopper(Protocol):
    """Says which trials stop, whatever the others do: a pure function of the table."""

    def stops(self, table: Table) -> tuple[np.ndarray, list[str]]:
        """Trials that go no further, ``int[m]``, and why."""
        ...
