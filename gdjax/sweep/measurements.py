"""All that a sweep measured, as arrays, and how a metric is read off them."""

import dataclasses
from typing import Any

import numpy as np

from gdjax.errors import InvalidValue, nearest
from gdjax.sweep.lineage import Lineage, segments_made
from gdjax.sweep.table import Status, mean_of_finite


@dataclasses.dataclass
class Measurements:
    """The arrays of a :class:`gdjax.SweepResult`, which describes them."""

    family: np.ndarray
    settings: dict[str, np.ndarray]
    traces: dict[str, np.ndarray]
    evaluations: dict[str, np.ndarray]
    evaluation_steps: np.ndarray
    status: np.ndarray
    diverged_at: np.ndarray
    reason: np.ndarray
    width: np.ndarray
    lost: np.ndarray
    attributes: dict[str, Any]
    copied: Lineage | None = None

    @property
    def trials(self) -> int:
        """Number of trials."""
        return self.status.shape[0]

    @property
    def seeds(self) -> int:
        """Runs of each trial."""
        return self.status.shape[1]

    @property
    def segments(self) -> np.ndarray:
        """Up to which segment each trial came, with an evaluation behind each, ``int[trial]``."""
        return segments_made(self.width)

    @property
    def modes(self) -> dict[str, Any]:
        """Of which metrics it is known whether less or more is better: ``"min"`` or ``"max"``."""
        return {"loss": "min", self.attributes["objective"]: self.attributes["mode"]}

    def final(self, name: str) -> np.ndarray:
        """A metric where each trial ended, ``[trial, seed]``: NaN where a run diverged.

        The last evaluation; for what is measured at every step, the mean over the steps of the
        last segment at which it is finite.
        """
        self._check(name)
        made = self.segments
        if name in self.evaluations:
            last = np.maximum(made - 1, 0)[:, None, None]
            values = np.take_along_axis(self.evaluations[name], last, axis=2)[..., 0]
        else:
            values = np.full(self.status.shape, np.nan)
            for count in np.unique(made[made > 0]).tolist():
                values[made == count] = self.at(name, count - 1, made == count)
        usable = np.isfinite(values) & (self.status != Status.DIVERGED)
        return np.where(usable, values, np.nan)

    def at(self, name: str, evaluation: int, trials: Any = slice(None)) -> np.ndarray:
        """A metric at one evaluation, ``[trial, seed]``; NaN where a run did not come so far.

        For what is measured at every step, the mean over the steps since the evaluation before at
        which it is finite. Of some ``trials``, or of all.
        """
        self._check(name)
        if name in self.evaluations:
            return self.evaluations[name][trials, :, evaluation]
        begins = np.append(0, self.evaluation_steps)
        steps = slice(begins[evaluation], begins[evaluation + 1])
        values = mean_of_finite(self.traces[name][trials, :, steps])
        since = self.diverged_at[trials]
        fallen = (since >= 0) & (since < steps.stop)
        if self.copied is not None:  # in whose place a copy went on
            replaced = self.copied.replaced_at[trials]
            fallen |= ((replaced >= steps.start) & (replaced < steps.stop)).any(axis=-1)
        return np.where(fallen, np.nan, values)

    def best_evaluation(self, trial: int) -> int:
        """At which of its evaluations a trial's objective was best, mean over seeds.

        Raises:
          InvalidValue: there is no such trial, it never started, or no evaluation was finite in
            all seeds.
        """
        self.check_started(trial)
        by, mode = self.objective(None, None)
        values = [self.at(by, e, [trial]).mean(dtype=float) for e in range(self.segments[trial])]
        costs = np.array(values) * (-1 if mode == "max" else 1)
        if not np.isfinite(costs).any():
            raise InvalidValue(f"trial {trial} has no evaluation with a finite {by} in all seeds")
        return int(np.where(np.isfinite(costs), costs, np.inf).argmin())

    def check_trial(self, trial: int) -> None:
        """Raise where there is no such trial."""
        if not 0 <= trial < self.trials:
            raise InvalidValue(f"there is no trial {trial}; they are 0 to {self.trials - 1}")

    def check_started(self, trial: int) -> None:
        """Raise where there is no such trial, or it never started."""
        self.check_trial(trial)
        if not self.width[trial].any():
            raise InvalidValue(
                f"trial {trial} was stopped before its first segment ({self.reason[trial, 0]})"
            )

    def objective(self, by: str | None, mode: Any) -> tuple[str, Any]:
        """A metric, the sweep's objective where None, and which of its values are better.

        Raises:
          InvalidValue: an unknown metric, or one of which it is not known.
        """
        objective: str = self.attributes["objective"]
        by = objective if by is None else by
        if mode not in (None, "min", "max"):
            raise InvalidValue(f"mode must be 'min' or 'max', got {mode!r}")
        if mode is None and by not in self.modes:
            self._check(by)  # an unknown metric is told first
            raise InvalidValue(f"say which is better of {by!r}: mode='min' or mode='max'")
        return by, mode or self.modes[by]

    def _check(self, metric: str) -> None:
        names = [*self.traces, *self.evaluations]
        if metric not in names:
            raise InvalidValue(f"no metric {metric!r}: {nearest(metric, names)}")
