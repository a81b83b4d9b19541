"""Who went on from whom: the past of each trial where trials may copy others."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from gdjax.errors import InvalidValue
from gdjax.sweep.table import Copies

RESERVED = frozenset(
    ("hyperparameter", "parent", "settings_used", "replaced_at", "replaced_reason")
)
"""What a lineage is called in a file."""


class Ancestor(NamedTuple):
    """One segment on the way to a trial's last state."""

    trial: int  # in whose place it was made
    begin: int  # updates before it
    end: int  # updates after it
    settings: dict[str, float]  # that it was made with


@dataclasses.dataclass
class Lineage:
    """The past of all trials.

    Args:
      parent: from whose state each segment started, ``int[trial, evaluation]``; the trial itself
        where from its own.
      settings: those of each segment, ``[trial, evaluation]`` by name; NaN where a family has none.
      replaced_at: step at which a run had diverged whose place a copy took before the segment,
        ``int[trial, seed, evaluation]``; -1 where none had.
      replaced_reason: why it had, ``[trial, seed, evaluation]``; empty where it had not.
    """

    parent: np.ndarray
    settings: dict[str, np.ndarray]
    replaced_at: np.ndarray
    replaced_reason: np.ndarray

    def record(self, copies: Copies, segment: int, at: np.ndarray, reason: np.ndarray) -> None:
        """Write down who goes on from whom.

        Args:
          copies: who.
          segment: the one that comes next, the first is 0.
          at: step at which each run diverged, ``[trial, seed]``; -1 where it did not.
          reason: why, ``[trial, seed]``.
        """
        children = copies.children
        self.parent[children, segment] = copies.parents
        for name, values in copies.settings.items():
            self.settings[name][children, segment:] = values[:, None]
        fallen = at[children] >= 0
        self.replaced_at[children, :, segment] = at[children]
        self.replaced_reason[children, :, segment] = np.where(fallen, reason[children], "")

    def current(self) -> dict[str, np.ndarray]:
        """Settings of each trial's next segment, or of its last one, ``[trial]`` by name."""
        return {name: values[:, -1] for name, values in self.settings.items()}

    def places(self, trial: int, segments: int) -> list[int]:
        """In whose place each of the segments was made that led to the state of a trial.

        >>> lineage = start({"x": np.array([1.0, 2.0])}, seeds=1, evaluations=3)
        >>> lineage.parent[0, 2] = 1
        >>> lineage.places(0, segments=3)
        [1, 1, 0]
        """
        places, place = [], trial
        for segment in reversed(range(segments)):
            places.append(place)
            place = int(self.parent[place, segment])
        return places[::-1]

    def arrays(self) -> dict[str, np.ndarray]:
        """All that a file must keep."""
        own = {"parent": self.parent, "replaced_at": self.replaced_at}
        own["replaced_reason"] = self.replaced_reason.astype(str)
        return own | {f"settings_used/{name}": values for name, values in self.settings.items()}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Take over what :meth:`arrays` returned."""
        self.parent, self.replaced_at = arrays["parent"], arrays["replaced_at"]
        self.replaced_reason = arrays["replaced_reason"].astype(object)
        self.settings = {name: arrays[f"settings_used/{name}"] for name in self.settings}


def start(settings: Mapping[str, np.ndarray], seeds: int, evaluations: int) -> Lineage:
    """A past without copies: ``settings`` are ``[trial]`` by name."""
    trials = len(next(iter(settings.values())))
    return Lineage(
        parent=np.repeat(np.arange(trials)[:, None], evaluations, axis=1),
        settings={k: np.repeat(v[:, None], evaluations, axis=1) for k, v in settings.items()},
        replaced_at=np.full((trials, seeds, evaluations), -1),
        replaced_reason=np.full((trials, seeds, evaluations), "", object),
    )


def take(lineage: Lineage, trials: np.ndarray) -> Lineage:
    """The past of some trials, ``int[n]``, each once, numbered in that order.

    Raises:
      InvalidValue: one of them copied a trial that is not among them.
    """
    place = np.full(len(lineage.parent), -1)
    place[trials] = np.arange(len(trials))
    parent = place[lineage.parent[trials]]
    if (parent < 0).any():
        row, segment = np.argwhere(parent < 0)[0]
        raise InvalidValue(
            f"trial {trials[row]} went on from trial {lineage.parent[trials[row], segment]}, so "
            "that none of them can be taken without the other"
        )
    return Lineage(
        parent,
        {name: values[trials] for name, values in lineage.settings.items()},
        lineage.replaced_at[trials],
        lineage.replaced_reason[trials],
    )


def concatenate(lineages: Sequence[Lineage]) -> Lineage:
    """The pasts of several sweeps' trials, numbered in their order."""
    firsts = np.cumsum([0, *(len(lineage.parent) for lineage in lineages)]).tolist()
    names = dict.fromkeys(name for lineage in lineages for name in lineage.settings)

    def used(lineage: Lineage, name: str) -> np.ndarray:
        return lineage.settings.get(name, np.full(lineage.parent.shape, np.nan))

    return Lineage(
        np.concatenate([x.parent + i for x, i in zip(lineages, firsts, strict=False)]),
        {name: np.concatenate([used(x, name) for x in lineages]) for name in names},
        np.concatenate([lineage.replaced_at for lineage in lineages]),
        np.concatenate([lineage.replaced_reason for lineage in lineages]),
    )


def ancestors(
    lineage: Lineage | None,
    settings: Mapping[str, np.ndarray],
    steps: np.ndarray,
    trial: int,
    made: int,
) -> list[Ancestor]:
    """The segments that led to a trial's last state, the first one first.

    Args:
      lineage: of the sweep, where trials copied others.
      settings: of each trial where they never change, ``[trial]`` by name.
      steps: updates made at each evaluation.
      trial: its number.
      made: segments up to its last state.
    """
    if lineage is None:
        lineage = start(settings, seeds=1, evaluations=len(steps))
    begins = np.append(0, steps)
    found = []
    for segment, place in enumerate(lineage.places(trial, made)):
        used = {name: float(values[place, segment]) for name, values in lineage.settings.items()}
        used = {name: value for name, value in used.items() if not np.isnan(value)}
        found.append(Ancestor(place, int(begins[segment]), int(begins[segment + 1]), used))
    return found


def counts(lineage: Lineage) -> dict[str, np.ndarray]:
    """How often each run's trial copied another, and how often the run had diverged before that.

    ``[trial * seed]``, columns of a table with one row a run.
    """
    copies = np.count_nonzero(lineage.parent != np.arange(len(lineage.parent))[:, None], axis=1)
    replaced = np.count_nonzero(lineage.replaced_at >= 0, axis=2)
    return {
        "copies": np.repeat(copies, replaced.shape[1]),
        "replaced": replaced.ravel(),
    }


def segments_made(width: np.ndarray) -> np.ndarray:
    """Up to which segment each trial came, ``int[trial]``, by the widths of the programs.

    Whose place was taken by a copy after it had diverged made none of those between.

    >>> segments_made(np.array([[4, 0, 4, 0], [0, 0, 0, 0]])).tolist()
    [3, 0]
    """
    made = width > 0
    return np.where(made.any(axis=1), width.shape[1] - made[:, ::-1].argmax(axis=1), 0)


def variables(lineage: Lineage) -> dict[str, tuple]:
    """What a data set holds of a lineage."""
    runs = ("trial", "seed", "evaluation_step")
    used = np.stack([values.astype(float) for values in lineage.settings.values()])
    return {
        "hyperparameter": ("hyperparameter", np.array(list(lineage.settings), object)),
        "parent": (("trial", "evaluation_step"), lineage.parent),
        "settings_used": (("hyperparameter", "trial", "evaluation_step"), used),
        "replaced_at": (runs, lineage.replaced_at, {"units": "step", "none": -1}),
        "replaced_reason": (runs, lineage.replaced_reason.astype(object)),
    }


def from_variables(data: Any) -> Lineage | None:
    """The lineage in a data set; None where trials did not copy others."""
    if "parent" not in data:
        return None
    names = data["hyperparameter"].values.tolist()
    return Lineage(
        parent=data["parent"].values,
        settings=dict(zip(names, data["settings_used"].values, strict=True)),
        replaced_at=data["replaced_at"].values,
        replaced_reason=data["replaced_reason"].values.astype(object),
    )
