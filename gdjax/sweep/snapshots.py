"""What a sweep tells of itself while it runs."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from gdjax.sweep.families import Family
from gdjax.sweep.ledger import Ledger
from gdjax.sweep.table import Status
from gdjax.task import Task


class BestSoFar(NamedTuple):
    """The trial with the best score at any evaluation so far."""

    trial: int
    family: str
    settings: Mapping[str, float]
    score: float  # the objective, mean over seeds


class Snapshot(NamedTuple):
    """A sweep at one moment; it never changes, and changing it changes no sweep.

    What has been measured counts, not the segments that are computing.
    """

    event: str  # "start", "segment" or "end"
    seconds: float  # of wall time since the start, those before a resume included
    seconds_left: float | None  # at the pace since compilation; None: not known yet
    steps: int  # updates made, summed over runs
    steps_per_second: float | None  # since compilation; None: not known yet
    progress: float  # how much is done, of all that there may be to do, in [0, 1]
    running: int  # runs (trials times seeds) that go on, or have not begun
    done: int  # runs that came to their end
    stopped: int  # runs that a rule stopped
    diverged: int  # runs
    objective: str  # name of the metric that ranks
    best: BestSoFar | None  # None: nothing is measured yet, or nothing finite
    status: np.ndarray  # [trial, seed]: a Status, as in a SweepResult
    scores: np.ndarray  # [trial, evaluation]: the objective, mean over seeds; NaN: none so far


class Origin(NamedTuple):
    """Where the clock of the pace began."""

    seconds: float
    steps: int
    progress: float


def origin(ledger: Ledger, seconds: float) -> Origin:
    """One that begins now."""
    return Origin(seconds, int(ledger.run_steps.sum()), ledger.progress)


def take(
    event: str,
    drawn: Sequence[Family],
    ledger: Ledger,
    task: Task,
    seconds: float,
    origin: Origin | None,
) -> Snapshot:
    """A snapshot of what ``ledger`` holds.

    Args:
      event: why it is taken.
      drawn: families of the sweep.
      ledger: of the sweep.
      task: says what is told, and which is better.
      seconds: since the start.
      origin: of the pace; None where no segment can have been made yet.
    """
    steps, progress = int(ledger.run_steps.sum()), ledger.progress
    pace = left = None
    if origin is not None and steps > origin.steps and seconds > origin.seconds:
        pace = (steps - origin.steps) / (seconds - origin.seconds)
    if pace is not None and origin is not None and progress > origin.progress:
        left = (seconds - origin.seconds) * (1 - progress) / (progress - origin.progress)
    counts = np.bincount(ledger.status.ravel(), minlength=len(Status)).tolist()
    sign = -1 if task.mode == "max" else 1
    known = np.isfinite(ledger.scores)
    return Snapshot(
        event=event,
        seconds=seconds,
        seconds_left=left,
        steps=steps,
        steps_per_second=pace,
        progress=progress,
        running=counts[Status.RUNNING],
        done=counts[Status.DONE],
        stopped=counts[Status.STOPPED],
        diverged=counts[Status.DIVERGED],
        objective=task.objective,
        best=_best(drawn, ledger, sign) if known.any() else None,
        status=_frozen(ledger.status.copy()),
        scores=_frozen(np.where(known, sign * ledger.scores, np.nan)),
    )


def _best(drawn: Sequence[Family], ledger: Ledger, sign: int) -> BestSoFar:
    """That of the lowest score, ties to the lower trial; at least one must be finite."""
    scores = ledger.scores
    trial, evaluation = np.unravel_index(np.nanargmin(scores), scores.shape)
    firsts = np.cumsum([0, *(family.trials for family in drawn)])
    index = int(np.searchsorted(firsts, trial, side="right")) - 1
    family, row = drawn[index], trial - firsts[index]
    settings = {name: values[row].item() for name, values in family.settings.items()}
    if ledger.lineage is not None:  # it may have had others at other times
        settings = {k: ledger.lineage.settings[k][trial, evaluation].item() for k in settings}
    score = sign * float(scores[trial, evaluation])
    return BestSoFar(int(trial), family.name, MappingProxyType(settings), score)


def _frozen(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array
