"""Schedulers: which trials advance, by how those with equal steps compare.

A scheduler remembers nothing; it reads off the table which rungs have been decided. A trial
stands at a rung until the rung is decided, so whoever is beyond one has been kept there.
"""

import dataclasses
import functools
from typing import ClassVar, NamedTuple

import numpy as np

from gdjax.sweep.arguments import settle
from gdjax.sweep.rungs import (
    ETA,
    STEPS,
    advance,
    at_rung,
    may_go_on,
    rungs_at,
    rungs_of,
    segments_ahead,
)
from gdjax.sweep.table import Decision, Table


def run_all() -> "RunAll":
    """All trials to their end, as many at a time as may stand between first and last segment.

    Reads no scores, so no trial waits for one.

    >>> table = Table(
    ...     steps=np.array([10, 20]),
    ...     done=np.array([2, 1, 0, 0]),
    ...     pending=np.array([False, True, False, False]),
    ...     active=np.array([False, True, True, True]),
    ...     scores=np.full((4, 2), np.nan),
    ...     slots=2,
    ...     capacity=2,
    ... )
    >>> run_all().decide(table).advance
    array([1])
    """
    return RunAll()


def successive_halving(eta: int = 4, min_steps: int | None = None) -> "SuccessiveHalving":
    """Train all a little, keep the best one in ``eta``, train those ``eta`` times longer, ...

    Of a run of ``R`` steps the rungs are ``R / eta``, ``R / eta^2``, ..., each rounded up to an
    evaluation; those that fall on one evaluation are one. Of the ``n`` trials that entered it a
    rung keeps ``max(1, floor(n / eta))``, those of the lowest scores, ties to the lower trial.
    Trials that diverged count in ``n`` and are never kept. A rung is decided when all its scores
    are known, so all its trials stand between their first and last segment at once.

    Args:
      eta: one trial in how many a rung keeps, at least 2; 4 is the default of Li et al., ASHA.
      min_steps: no rung below, before rounding; where None, as many rungs as there are times that
        the number of trials can be divided by ``eta``. Above ``R / eta`` nothing is stopped.

    Reference:
      Jamieson and Talwalkar, Non-stochastic best arm identification and hyperparameter
      optimization (https://arxiv.org/abs/1502.07943), figure 3, with a ratio of ``eta`` for 2.

    >>> table = Table(
    ...     steps=np.array([25, 50, 75, 100]),
    ...     done=np.array([1, 1, 1, 1]),
    ...     pending=np.zeros(4, bool),
    ...     active=np.ones(4, bool),
    ...     scores=np.array([[4.0], [1.0], [3.0], [2.0]]) * [1, np.nan, np.nan, np.nan],
    ...     slots=2,
    ...     capacity=4,
    ... )
    >>> decision = successive_halving().decide(table)
    >>> decision.advance, decision.stop, decision.reasons[0]
    (array([1]), array([3, 2, 0]), 'successive halving: place 2 of 4 at step 25, 1 kept')
    """
    return SuccessiveHalving(eta, min_steps)


def hyperband(eta: int = 3, min_steps: int | None = None) -> "Hyperband":
    """Successive halving from several first rungs at once: a hedge against early scores that lie.

    Bracket ``s`` of ``s_max = floor(log_eta(R / min_steps)), ..., 0`` has the rungs
    ``R / eta^s, ..., R / eta`` of a run of ``R`` steps and a share of the trials in proportion to
    ``n_s = ceil((s_max + 1) / (s + 1) * eta^s)``. Each gets at least one trial while trials last;
    they are dealt like cards, in order, so that none has only the first part of a grid. The
    brackets run side by side and compare only their own trials, as in ``successive_halving``.

    Args:
      eta: one trial in how many a rung keeps, at least 2; 3 as in the paper.
      min_steps: first rung of the bracket that stops earliest; one segment where None, the
        paper's unit. Above ``R / eta`` nothing is stopped.

    Reference:
      Li et al., Hyperband (https://arxiv.org/abs/1603.06560), algorithm 1; the trials are given,
      so that the brackets share them, instead of each drawing ``n_s`` of its own.

    >>> [(bracket.number, bracket.share) for bracket in hyperband().brackets(np.arange(1, 82))]
    [(4, 81), (3, 34), (2, 15), (1, 8), (0, 5)]
    """
    return Hyperband(eta, min_steps)


@dataclasses.dataclass(frozen=True)
class RunAll:
    """See ``run_all``."""

    lags: ClassVar[bool] = True

    def decide(self, table: Table) -> Decision:
        """The next segment of the cohort, or the next cohort."""
        going = may_go_on(table)
        begun = going & (table.done > 0)
        if begun.any():
            trials = np.flatnonzero(begun & (table.done == table.done[begun].min()))
        else:
            trials = np.flatnonzero(going)[: table.capacity]
        return advance(trials, segments_ahead(np.zeros(0, int), table, trials))


@dataclasses.dataclass(frozen=True)
class SuccessiveHalving:
    """See ``successive_halving``."""

    lags: ClassVar[bool] = True
    eta: int = 4
    min_steps: int | None = None

    def __post_init__(self):
        settle(self, "successive_halving", eta=ETA, min_steps=STEPS)

    def decide(self, table: Table) -> Decision:
        """The next segment of all below the next rung; there, who is kept."""
        rungs = rungs_of(table, self.eta, self.min_steps)
        return _halve(table, np.arange(len(table.done)), rungs, self.eta, "successive halving")


class Bracket(NamedTuple):
    """Successive halving inside Hyperband."""

    number: int  # how many rungs the paper gives it
    share: int  # trials that the paper gives it
    rungs: np.ndarray  # int[rung]: segments made at each, rising


@dataclasses.dataclass(frozen=True)
class Hyperband:
    """See ``hyperband``."""

    lags: ClassVar[bool] = True
    eta: int = 3
    min_steps: int | None = None

    def __post_init__(self):
        settle(self, "hyperband", eta=ETA, min_steps=STEPS)

    def brackets(self, steps: np.ndarray) -> list[Bracket]:
        """The brackets of runs with evaluations at ``steps``, the one with most rungs first."""
        least, whole, eta = self.min_steps or int(steps[0]), int(steps[-1]), self.eta
        most = 0
        while least * eta ** (most + 1) <= whole:
            most += 1
        return [
            Bracket(
                number=s,
                share=-(-(most + 1) * eta**s // (s + 1)),  # rounded up
                rungs=rungs_at(steps, [eta**i for i in range(1, s + 1)]),
            )
            for s in range(most, -1, -1)
        ]

    def decide(self, table: Table) -> Decision:
        """The next segment of all brackets."""
        brackets = self.brackets(table.steps)
        hand = _deal(len(table.done), tuple(bracket.share for bracket in brackets))
        parts = [
            _halve(table, trials, bracket.rungs, self.eta, f"hyperband, bracket {bracket.number}")
            for bracket, trials in zip(brackets, hand, strict=True)
        ]
        return Decision(
            advance=np.sort(np.concatenate([part.advance for part in parts])),
            stop=np.concatenate([part.stop for part in parts]),
            reasons=[reason for part in parts for reason in part.reasons],
            segments=min(part.segments for part in parts),
        )


def _halve(table: Table, trials: np.ndarray, rungs: np.ndarray, eta: int, name: str) -> Decision:
    """Successive halving among ``trials``, which rise."""
    going, done = may_go_on(table)[trials], table.done[trials]
    waiting = going & at_rung(rungs, table)[trials]
    on = trials[going & ~waiting]
    lowest = done[going].min() if going.any() else 0
    here = trials[waiting & (done == lowest)]
    if not len(here) or table.pending[here].any():
        return advance(on, segments_ahead(rungs, table, on))
    entered = np.count_nonzero(done > max(rungs[rungs < lowest], default=0))
    scores = table.scores[here, lowest - 1]
    order = np.argsort(scores, kind="stable")  # NaN last
    known = np.count_nonzero(scores < np.inf)
    kept = min(max(1, entered // eta), known)
    at = f"at step {table.steps[lowest - 1]}"
    reasons = [
        f"{name}: place {i + 1} of {entered} {at}, {kept} kept"
        if i < known
        else f"{name}: score {scores[order[i]]} {at} is never kept"
        for i in range(kept, len(here))
    ]
    on = np.sort(np.append(on, here[order[:kept]]))
    return Decision(on, here[order[kept:]], reasons, segments_ahead(rungs, table, on))


@functools.lru_cache(maxsize=8)
def _deal(trials: int, shares: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """Trials of each bracket, in proportion to ``shares``, at least one each while they last."""
    exact = np.array(shares) * (trials / sum(shares))
    counts = np.maximum(1, np.floor(exact)).astype(int)
    counts[trials:] = 0
    while counts.sum() < trials:
        counts[np.argmax(exact - counts)] += 1
    while counts.sum() > trials:
        counts[np.argmin(np.where(counts > 1, exact - counts, np.inf))] -= 1
    # Each bracket takes its cards evenly from first to last.
    times = np.concatenate([(np.arange(count) + 0.5) / count for count in counts if count])
    owner = np.repeat(np.arange(len(counts)), counts)[np.argsort(times, kind="stable")]
    return tuple(np.flatnonzero(owner == bracket) for bracket in range(len(counts)))
