"""Who went on from whom, and with which settings, in a sweep whose trials copied others."""

import dataclasses
from typing import NamedTuple

import numpy as np

from gdjax.report import profiles, scales
from gdjax.report.curves import evenly
from gdjax.report.scales import Scale
from gdjax.sweep.ranking import Best
from gdjax.sweep.results import SweepResult

POINTS = 5_000  # of the trials shown; their ancestors come on top


class Panel(NamedTuple):
    """A number of each trial over time."""

    values: np.ndarray  # [trial, evaluation]
    y: np.ndarray  # where they are on the axis: at its edge where off the scale
    scale: Scale
    stepwise: bool  # whether it holds for the segment before the evaluation, as settings do


class Lines(NamedTuple):
    """Lines, each from the state that a segment started from to the one that it led to."""

    trial: np.ndarray  # int[line, 2]
    evaluation: np.ndarray  # int[line, 2]
    x: np.ndarray  # [line, 2] updates made
    y: np.ndarray  # [line, 2]


@dataclasses.dataclass(frozen=True)
class Lineage:
    """All trials after each segment, and where each of these states came from.

    Args:
      trials: that are shown with all their states, from best to worst, ``int[n]``; of the others
        those that led to one of these.
      begins: updates made before each segment, and in the end, ``int[evaluation + 1]``.
      parent: whose state each segment started from, ``int[trial, evaluation]``.
      kind: how each state is shown, ``[trial, evaluation]``: as ``leader`` where it led to the end
        of the best trial, ``survived`` to that of another one, ``extinct`` to none; empty where it
        is not shown or was not measured.
      diverged: whether a run diverged in the segment that followed, ``bool[trial, evaluation]``.
      panels: the objective, mean over seeds, and the settings that varied.
      beyond: whether any score is off the scale.
    """

    trials: np.ndarray
    begins: np.ndarray
    parent: np.ndarray
    kind: np.ndarray
    diverged: np.ndarray
    panels: list[Panel]
    beyond: bool

    def lines(self, panel: Panel, kind: str, trials: np.ndarray | None = None) -> Lines:
        """What leads to the states of one kind, in order of time; of some trials, or of all."""
        chosen = self.kind == kind
        chosen[:, 0] &= panel.stepwise  # before it nothing was measured
        if trials is not None:
            chosen[np.isin(np.arange(len(chosen)), trials, invert=True)] = False
        evaluation, trial = np.nonzero(chosen.T)
        ends = np.stack([self.parent[trial, evaluation], trial], axis=1)
        at = np.stack([np.maximum(evaluation - 1, 0), evaluation], axis=1)
        x = np.stack([self.begins[evaluation], self.begins[evaluation + 1]], axis=1)
        return Lines(ends, at, x, panel.y[ends, at])

    def copies(self) -> tuple[np.ndarray, np.ndarray]:
        """Where the ancestors of the best trial were copied to another place: updates, score."""
        found = self.lines(self.panels[0], "leader")
        moved = found.trial[:, 0] != found.trial[:, 1]
        return found.x[moved, 0], found.y[moved, 0]

    def fallen(self, trials: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where those of some trials are after which a run diverged: updates, score."""
        trial, evaluation = np.nonzero(self.diverged)
        mine = np.isin(trial, trials)
        trial, evaluation = trial[mine], evaluation[mine]
        return self.begins[evaluation + 1], self.panels[0].y[trial, evaluation]


def of(result: SweepResult, order: np.ndarray, best: Best | None, label: str) -> Lineage | None:
    """The lineage of a result; None where no trial copied another, or none was measured.

    Args:
      result: of a sweep.
      order: trials from best to worst.
      best: the best trial.
      label: of the objective.
    """
    copied, made, name = result.copied, result.segments, result.attributes["objective"]
    if copied is None or (copied.parent == np.arange(result.trials)[:, None]).all():
        return None
    evaluations = len(result.evaluation_steps)
    scores = [result.at(name, i).mean(axis=1, dtype=float) for i in range(evaluations)]
    scores = np.stack(scores, axis=1)
    scores[~np.isfinite(scores)] = np.nan
    known = ~np.isnan(scores)
    if not known.any():
        return None
    last = known & (np.arange(evaluations) == made[:, None] - 1)
    winner = np.full(known.shape, False) if best is None else last & _rows(known, [best.trial])
    trials = evenly(order[known[order].any(axis=1)], max(2, POINTS // evaluations))
    shown = with_ancestors(copied.parent, _rows(known, trials)) & known
    best_line, alive = with_ancestors(copied.parent, winner), with_ancestors(copied.parent, last)
    mode = result.attributes["mode"]
    y, scale, beyond = scales.bounded(label, name, mode, scores)
    return Lineage(
        trials=trials,
        begins=np.append(0, result.evaluation_steps),
        parent=copied.parent,
        kind=np.where(shown, np.select([best_line, alive], ["leader", "survived"], "extinct"), ""),
        diverged=shown & ~last & np.pad(~known[:, 1:], ((0, 0), (0, 1))),
        panels=[Panel(scores, y, scale, stepwise=False), *_settings(result, alive)],
        beyond=bool((beyond & shown).any()),
    )


def joined(ends: np.ndarray) -> np.ndarray:
    """Points of lines of which each begins where the one before ends.

    >>> joined(np.array([[1, 2], [2, 3]])).tolist()
    [1, 2, 3]
    """
    return np.append(ends[:1, 0], ends[:, 1])


def apart(ends: np.ndarray) -> np.ndarray:
    """Points of lines with a gap after each.

    >>> apart(np.array([[1, 2], [1, 3]])).tolist()
    [1.0, 2.0, nan, 1.0, 3.0, nan]
    """
    return np.pad(ends.astype(float), ((0, 0), (0, 1)), constant_values=np.nan).ravel()


def with_ancestors(parent: np.ndarray, states: np.ndarray) -> np.ndarray:
    """Some states and all that led to them, ``bool[trial, evaluation]``.

    Args:
      parent: whose state each segment started from, ``int[trial, evaluation]``.
      states: which, ``bool[trial, evaluation]``.

    >>> with_ancestors(np.array([[0, 0], [1, 0]]), np.array([[False, False], [False, True]]))
    array([[ True, False],
           [False,  True]])
    """
    found = states.copy()
    for segment in reversed(range(1, states.shape[1])):
        found[parent[found[:, segment], segment], segment - 1] = True
    return found


def _settings(result: SweepResult, alive: np.ndarray) -> list[Panel]:
    """The settings that varied, on axes of those that led to an end if they did among these."""
    panels, used = [], {} if result.copied is None else result.copied.settings
    for name in profiles.ordered(result):
        if profiles.varies(used[name]):
            led = used[name][alive]
            scale = scales.hyperparameter_scale(name, led if profiles.varies(led) else used[name])
            panels.append(Panel(used[name], scale.place(used[name]), scale, stepwise=True))
    return panels


def _rows(like: np.ndarray, trials: np.ndarray | list[int]) -> np.ndarray:
    """All states of some trials, ``bool[trial, evaluation]``."""
    rows = np.full(like.shape, False)
    rows[trials] = True
    return rows
