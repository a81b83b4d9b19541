"""A scheduler that waits for nobody: asynchronous successive halving."""

import dataclasses

import numpy as np

from gdjax.sweep.arguments import settle
from gdjax.sweep.rungs import ETA, STEPS, advance, at_rung, may_go_on, rungs_of
from gdjax.sweep.table import Decision, Table


def asha(eta: int = 4, min_steps: int | None = None) -> "Asha":
    """Successive halving that waits for nobody: a trial is promoted as soon as it may be.

    The rungs are those of ``successive_halving``. Each decision fills the slots: trials between
    two rungs go on; then trials are promoted that are among the best ``floor(n / eta)`` of the
    ``n`` that have a score at their rung so far, the highest rung first; then new ones start.
    Trials that diverged on the way to a rung count in its ``n`` and are never promoted. When
    nothing is left to start, promote or wait for, the rest is stopped.

    Where fewer than ``eta`` trials stand at a rung, the paper promotes none. So that a sweep
    always has a finished trial, then, and as long as none has finished, the best trial of the
    highest rung is promoted.

    Args:
      eta: one trial in how many is promoted, at least 2; 4 as in the paper's experiments.
      min_steps: no rung below, before rounding; where None, as many rungs as there are times that
        the number of trials can be divided by ``eta``. Above ``R / eta`` nothing is stopped.

    Reference:
      Li et al., A system for massively parallel hyperparameter tuning
      (https://arxiv.org/abs/1810.05934), algorithm 2.

    >>> table = Table(
    ...     steps=np.array([25, 50, 75, 100]),
    ...     done=np.array([1, 1, 1, 1, 0]),
    ...     pending=np.zeros(5, bool),
    ...     active=np.ones(5, bool),
    ...     scores=np.array([[4.0], [1.0], [3.0], [2.0], [np.nan]]) * [1, np.nan, np.nan, np.nan],
    ...     slots=2,
    ...     capacity=5,
    ... )
    >>> asha().decide(table).advance
    array([1, 4])
    """
    return Asha(eta, min_steps)


@dataclasses.dataclass(frozen=True)
class Asha:
    """See ``asha``."""

    eta: int = 4
    min_steps: int | None = None

    def __post_init__(self):
        settle(self, "asha", eta=ETA, min_steps=STEPS)

    def decide(self, table: Table) -> Decision:
        """Trials for the slots: first who is on the way, then the promoted, then new ones."""
        rungs = rungs_of(table, self.eta, self.min_steps)
        going, begun = may_go_on(table), table.done > 0
        chosen = np.flatnonzero(going & begun & ~at_rung(rungs, table))
        for i in reversed(range(len(rungs))):
            if len(chosen) < table.slots:
                below = rungs[i - 1] if i else 0
                chosen = np.append(chosen, self._promotable(table, going, below, rungs[i]))
        chosen = np.append(chosen, np.flatnonzero(going & ~begun))[: table.slots]
        if len(chosen) or table.pending.any():
            return advance(chosen)
        return self._end(table, going)

    def _promotable(
        self, table: Table, going: np.ndarray, below: int, rung: int
    ) -> np.ndarray:  # int[n]: best first
        scores = table.scores[:, rung - 1]
        standing = going & (table.done == rung) & (scores < np.inf)
        if not standing.any():
            return np.zeros(0, int)
        lost = (table.scores[:, below:rung] == np.inf).any(axis=1)
        arrived = np.flatnonzero((table.done > below) & (lost | ~np.isnan(scores)))
        best = arrived[_best(np.where(lost, np.inf, scores)[arrived], len(arrived) // self.eta)]
        return best[standing[best]]

    def _end(self, table: Table, going: np.ndarray) -> Decision:
        whole = len(table.steps)
        finished = (table.done == whole) & ~(table.scores == np.inf).any(axis=1)
        rest = np.flatnonzero(going)
        scores = table.scores[rest, table.done[rest] - 1]
        if not finished.any() and (scores < np.inf).any():
            able, scores = rest[scores < np.inf], scores[scores < np.inf]
            return advance(able[np.lexsort((scores, -table.done[able]))[:1]])
        steps = table.steps[table.done[rest] - 1]
        return Decision(
            np.zeros(0, int), rest, [f"asha: not promoted from step {step}" for step in steps]
        )


def _best(scores: np.ndarray, count: int) -> np.ndarray:
    """Indices of the ``count`` lowest scores, best first, ties to the lower; sorts only those."""
    if count == 0:
        return np.zeros(0, int)
    near = np.flatnonzero(scores <= np.partition(scores, count - 1)[count - 1])
    return near[np.argsort(scores[near], kind="stable")][:count]
