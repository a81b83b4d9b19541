"""Who came how far, in a sweep whose scheduler stopped trials for others did better."""

import dataclasses

import numpy as np

from gdjax.report import scales
from gdjax.report.curves import evenly
from gdjax.report.scales import Scale
from gdjax.sweep.results import SweepResult
from gdjax.sweep.table import Status

LINES = 200  # trials shown


@dataclasses.dataclass(frozen=True)
class Rungs:
    """Trials at the rungs where some were stopped, and at the end.

    Args:
      steps: updates made at each rung, ``int[rung]``; the last one is the end.
      came: trials that were measured there, ``int[rung]``.
      went_on: of those, ``int[rung]``.
      trials: that are shown, from best to worst, ``int[line]``.
      scores: their objective, mean over seeds, ``[line, rung]``; NaN where there is none, at the
        edge where it is off the scale.
      last: where each line ends, ``int[line]``.
      ended: whether a line ends as ``kept``, ``stopped`` or ``diverged``, ``[line]``.
      scale: of the scores.
      beyond: whether any score is off the scale.
    """

    steps: np.ndarray
    came: np.ndarray
    went_on: np.ndarray
    trials: np.ndarray
    scores: np.ndarray
    last: np.ndarray
    ended: np.ndarray
    scale: Scale
    beyond: bool

    def ticks(self, most: int) -> tuple[list[int], list[list[str]]]:
        """At most so many rungs, the end among them, and what stands below each.

        Lines of text: its updates, how many trials came there, and how many went on.
        """
        end, every = len(self.steps) - 1, -(-len(self.steps) // most)
        chosen = np.arange(end % every, end + 1, every)
        counts = zip(self.steps[chosen], self.came[chosen], self.went_on[chosen], strict=True)
        return chosen.tolist(), [[f"{s}", f"{n}", *([f"→ {m}"] if m else [])] for s, n, m in counts]

    def points(self, kind: str) -> tuple[np.ndarray, np.ndarray]:
        """Lines and rungs of the marks of one kind, ``int[mark]`` each."""
        at_end = np.arange(len(self.steps)) == self.last[:, None]
        of_kind = np.where(at_end, self.ended[:, None], "kept") == kind
        line, rung = np.nonzero(of_kind & ~np.isnan(self.scores))
        return line, rung


def of(result: SweepResult, order: np.ndarray, label: str) -> Rungs | None:
    """The rungs of a result; None where no scheduler stopped a trial that was measured.

    Args:
      result: of a sweep.
      order: trials from best to worst.
      label: of the objective.
    """
    made, name = result.segments, result.attributes["objective"]
    ends = np.unique(np.append(made[result.lost & (made > 0)], made.max()))
    if len(ends) < 2:
        return None
    scores = np.stack([result.at(name, end - 1).mean(axis=1, dtype=float) for end in ends], axis=1)
    scores[~np.isfinite(scores) | (made[:, None] < ends)] = np.nan
    measured = order[np.isfinite(scores[order]).any(axis=1)]
    if not len(measured):
        return None
    groups = [measured[made[measured] == count] for count in np.unique(made[measured])]
    shown = np.concatenate([evenly(group, max(2, LINES // len(groups))) for group in groups])
    shown = measured[np.isin(measured, shown)]
    mode = result.attributes["mode"]
    scores, scale, beyond = scales.bounded(label, name, mode, scores[shown])
    diverged = (result.status[shown] == Status.DIVERGED).any(axis=1)
    return Rungs(
        steps=result.evaluation_steps[ends - 1],
        came=(made[:, None] >= ends).sum(axis=0),
        went_on=(made[:, None] > ends).sum(axis=0),
        trials=shown,
        scores=scores,
        last=len(ends) - 1 - np.isfinite(scores)[:, ::-1].argmax(axis=1),
        ended=np.select([diverged, result.lost[shown]], ["diverged", "stopped"], "kept"),
        scale=scale,
        beyond=bool(beyond.any()),
    )
