"""Stoppers: which trials go no further, whatever the scheduler would do with them.

None stops a trial whose score is still being computed: it is asked again when that is known.
"""

import dataclasses
import math

import numpy as np

from gdjax.errors import InvalidType, InvalidValue
from gdjax.ranges import Interval
from gdjax.sweep.arguments import settle
from gdjax.sweep.table import Table

_COUNT = Interval(1, math.inf, integer=True)
_STEPS = Interval(0, math.inf, integer=True)
_POSITIVE = Interval(0, math.inf, includes_low=False)
_FINITE = Interval(-math.inf, math.inf, includes_low=False)


def median_stopping(grace_steps: int = 0, min_trials: int = 5) -> "MedianStopping":
    """Stop a trial whose best score is worse than the median of what others averaged so far.

    At step ``s``, a trial's best score up to ``s`` is compared with the median, over the other
    trials that have a score at ``s``, of the means of their scores up to ``s``.

    Args:
      grace_steps: below this step none is stopped.
      min_trials: how many others need a score at ``s``, at least 1. Both defaults are Optuna's.

    Reference:
      Golovin et al., Google Vizier: a service for black-box optimization, KDD 2017,
      section 3.2.2; a trial that still runs counts among the others as far as it has come.

    >>> table = Table(
    ...     steps=np.array([10, 20]),
    ...     done=np.array([2, 2, 1]),
    ...     pending=np.zeros(3, bool),
    ...     active=np.array([False, False, True]),
    ...     scores=np.array([[3.0, 1.0], [5.0, 3.0], [4.5, np.nan]]),
    ...     slots=1,
    ...     capacity=3,
    ... )
    >>> median_stopping(min_trials=2).stops(table)
    (array([2]), ['median rule: best score is worse than the median of 2 others at step 10'])
    """
    return MedianStopping(grace_steps, min_trials)


def plateau(patience: int, min_delta: float = 0.0) -> "Plateau":
    """Stop a trial whose best score has not improved for a while.

    At step ``s``: ``best(s) >= best(s - patience) - min_delta``, where ``best(s)`` is the lowest
    score at an evaluation up to ``s``.

    Args:
      patience: steps without improvement, at least 1, seen at the evaluations.
      min_delta: what is no more than this is no improvement, in the units of the score.

    Reference:
      Prechelt, Early stopping - but when?, in Neural Networks: Tricks of the Trade, 1998.

    >>> table = Table(
    ...     steps=np.array([10, 20, 30]),
    ...     done=np.array([2, 2]),
    ...     pending=np.zeros(2, bool),
    ...     active=np.ones(2, bool),
    ...     scores=np.array([[3.0, 3.0, np.nan], [3.0, 2.0, np.nan]]),
    ...     slots=1,
    ...     capacity=2,
    ... )
    >>> plateau(patience=10).stops(table)
    (array([0]), ['plateau: no better in the last 10 steps at step 20'])
    """
    return Plateau(patience, min_delta)


def target(value: float, all_trials: bool = False) -> "Target":
    """Stop a trial as soon as its score is good enough: ``score <= value``.

    Args:
      value: of the objective; where that is maximized, the sweep turns the sign of both.
      all_trials: stop all others too, as soon as one is good enough.

    >>> table = Table(
    ...     steps=np.array([10, 20, 30]),
    ...     done=np.array([2, 1]),
    ...     pending=np.zeros(2, bool),
    ...     active=np.ones(2, bool),
    ...     scores=np.array([[3.0, 0.5, np.nan], [3.0, np.nan, np.nan]]),
    ...     slots=1,
    ...     capacity=2,
    ... )
    >>> target(0.5).stops(table)
    (array([0]), ['target: reached at step 20'])
    """
    return Target(value, all_trials)


def budget(
    steps: int | None = None, flops: float | None = None, seconds: float | None = None
) -> "Budget":
    """Stop all trials as soon as the sweep has spent any of what is given.

    Args:
      steps: updates, summed over all runs.
      flops: floating-point operations of those, by XLA's count.
      seconds: wall time, that before a resume included. The only rule whose outcome depends on
        the machine: such a sweep cannot be repeated exactly.

    >>> from gdjax.sweep.table import Spent
    >>> table = Table(
    ...     steps=np.array([10, 20]),
    ...     done=np.array([1, 1]),
    ...     pending=np.array([False, True]),
    ...     active=np.ones(2, bool),
    ...     scores=np.array([[3.0, np.nan], [np.nan, np.nan]]),
    ...     slots=1,
    ...     capacity=2,
    ...     spent=Spent(steps=20),
    ... )
    >>> budget(steps=20).stops(table)
    (array([0]), ['budget: 20 of 20 steps spent'])
    """
    return Budget(steps, flops, seconds)


@dataclasses.dataclass(frozen=True)
class MedianStopping:
    """See ``median_stopping``."""

    grace_steps: int = 0
    min_trials: int = 5

    def __post_init__(self):
        settle(self, "median_stopping", grace_steps=_STEPS, min_trials=_COUNT)

    def stops(self, table: Table) -> tuple[np.ndarray, list[str]]:
        """Trials that are worse than the median of the others."""
        asked = _asked(table)
        made = table.done[asked]
        trials, reasons = [np.zeros(0, int)], []
        for done in np.unique(made[made > 0]):
            step = table.steps[done - 1]
            if step >= self.grace_steps:
                worse, others = self._worse(table.scores[:, :done], asked[made == done])
                trials.append(worse)
                reasons += [
                    f"median rule: best score is worse than the median of {others} others "
                    f"at step {step}"
                ] * len(worse)
        return np.concatenate(trials), reasons

    def _worse(self, scores: np.ndarray, trials: np.ndarray) -> tuple[np.ndarray, int]:
        """Those of ``trials`` whose best is worse than the median of others, of how many."""
        arrived = ~np.isnan(scores[:, -1])
        others = int(np.count_nonzero(arrived)) - 1
        trials = trials[arrived[trials]]
        if not len(trials) or others < self.min_trials:
            return trials[:0], others
        with np.errstate(invalid="ignore"):  # the mean of inf and -inf is NaN, and says nothing
            means = scores.mean(axis=1)
            holes = np.flatnonzero(arrived & np.isnan(means))
            known = ~np.isnan(scores[holes])
            means[holes] = np.where(known, scores[holes], 0).sum(axis=1) / known.sum(axis=1)
            medians = _medians_of_others(means[arrived], means[trials])
        return trials[np.fmin.reduce(scores[trials], axis=1) > medians], others


@dataclasses.dataclass(frozen=True)
class Plateau:
    """See ``plateau``."""

    patience: int
    min_delta: float = 0.0

    def __post_init__(self):
        settle(self, "plateau", patience=_COUNT, min_delta=Interval(0, math.inf))

    def stops(self, table: Table) -> tuple[np.ndarray, list[str]]:
        """Trials that have not improved."""
        asked = _asked(table)
        made = table.done[asked]
        trials, reasons = [np.zeros(0, int)], []
        for done in np.unique(made[made > 0]):
            step = table.steps[done - 1]
            old = np.searchsorted(table.steps, step - self.patience, side="right")
            here = asked[(made == done) & ~np.isnan(table.scores[asked, done - 1])]
            if old and len(here):
                before, since = (
                    np.fmin.reduce(scores, axis=1, initial=np.inf)  # of what is known
                    for scores in (table.scores[here, :old], table.scores[here, old:done])
                )
                worse = here[~(since < before - self.min_delta)]
                trials.append(worse)
                reason = f"plateau: no better in the last {self.patience} steps at step {step}"
                reasons += [reason] * len(worse)
        return np.concatenate(trials), reasons


@dataclasses.dataclass(frozen=True)
class Target:
    """See ``target``."""

    value: float
    all_trials: bool = False

    def __post_init__(self):
        settle(self, "target", value=_FINITE)
        if not isinstance(self.all_trials, bool):
            raise InvalidType(f"target: all_trials must be True or False, got {self.all_trials!r}")

    def stops(self, table: Table) -> tuple[np.ndarray, list[str]]:
        """Trials that have reached the target, or all once one has."""
        asked = _asked(table)
        reached = np.less_equal(table.scores, self.value)  # [trial, evaluation]
        first = reached.argmax(axis=1)
        if not self.all_trials or not reached.any():
            stopped = asked[reached[asked].any(axis=1)]
            at = table.steps[first[stopped]]
            return stopped, [f"target: reached at step {step}" for step in at]
        best = int(np.argmin(np.where(reached.any(axis=1), first, len(table.steps))))
        reason = f"target: reached by trial {best} at step {table.steps[first[best]]}"
        return asked, [reason] * len(asked)


@dataclasses.dataclass(frozen=True)
class Budget:
    """See ``budget``."""

    steps: int | None = None
    flops: float | None = None
    seconds: float | None = None

    def __post_init__(self):
        settle(self, "budget", steps=_COUNT, flops=_POSITIVE, seconds=_POSITIVE)
        if self.steps is None and self.flops is None and self.seconds is None:
            raise InvalidValue(
                "budget must limit something, got neither steps, flops nor seconds; give one, "
                "such as budget(steps=100_000)"
            )

    def stops(self, table: Table) -> tuple[np.ndarray, list[str]]:
        """All trials, once a limit is reached."""
        for unit, spent in table.spent._asdict().items():
            limit = getattr(self, unit)
            if limit is not None and spent >= limit:
                asked = _asked(table)
                return asked, [f"budget: {spent:.10g} of {limit:.10g} {unit} spent"] * len(asked)
        return np.zeros(0, int), []


def _asked(table: Table) -> np.ndarray:
    """Trials about which all is known that ever will be before their next segment, ``int[n]``."""
    return np.flatnonzero(table.active & ~table.pending)


def _medians_of_others(values: np.ndarray, left_out: np.ndarray) -> np.ndarray:
    """Medians of two or more ``values``, each without one of them, which is ``left_out``.

    >>> _medians_of_others(np.array([1.0, 4.0, 2.0, 8.0]), np.array([1.0, 4.0]))
    array([4., 2.])
    """
    rising = np.sort(values)
    place = np.searchsorted(rising, left_out)
    low, high = (len(rising) - 2) // 2, (len(rising) - 1) // 2  # of all but one
    return (rising[low + (low >= place)] + rising[high + (high >= place)]) / 2
