"""Metrics at the end of runs, and how they depend on one hyperparameter."""

import dataclasses

import numpy as np

from gdjax.report import scales
from gdjax.report.scales import Scale
from gdjax.sweep.results import SweepResult

BINS = 12
LINE = 200  # values that a line goes through; with more it is noise, and bins are shown


@dataclasses.dataclass(frozen=True)
class Family:
    """Trials of one optimizer."""

    name: str
    rows: np.ndarray  # [trial of the family] its trials in the result
    varying: list[str]  # hyperparameters, learning_rate first


@dataclasses.dataclass(frozen=True)
class Metric:
    """A metric at the end of each run."""

    name: str
    label: str
    mode: str
    final: np.ndarray  # [trial, seed]; NaN where the run diverged or the metric is not finite
    scale: Scale

    @property
    def mean(self) -> np.ndarray:
        """Over seeds, ``[trial]``; NaN where one has none."""
        return self.final.mean(axis=1)

    @property
    def spread(self) -> np.ndarray:
        """Standard deviation over seeds, ``[trial]``; NaN for one seed."""
        return self.final.std(axis=1, ddof=1) if self.final.shape[1] > 1 else np.nan * self.mean

    def beyond(self, values: np.ndarray) -> np.ndarray:
        """Which values lie off the scale, at its bad end."""
        low, high = self.scale.inner
        return values > high if self.mode == "min" else values < low

    def edge(self, depth: float) -> float:
        """A value at a fraction of the axis from its bad end."""
        return self.scale.at(1 - depth if self.mode == "min" else depth)


@dataclasses.dataclass(frozen=True)
class Profile:
    """A metric against a hyperparameter in one family, in order of the hyperparameter.

    Where nothing else varies, ``centre`` is the mean over seeds of each trial and ``low`` and
    ``high`` are their range. Else a point stands for a bin of trials: ``centre`` is the median
    of their means, with diverged trials counted as worst, and ``best`` the best of them, which is
    at ``best_x``.
    """

    x: np.ndarray
    centre: np.ndarray
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    best_x: np.ndarray | None = None
    best: np.ndarray | None = None


def family_of(result: SweepResult, name: str) -> Family:
    """The trials of a family, and what varies among them."""
    rows = np.flatnonzero(result.family == name)
    varying = [k for k in ordered(result) if varies(result.settings[k][rows])]
    return Family(name, rows, varying)


def ordered(result: SweepResult) -> list[str]:
    """Hyperparameters, learning_rate first, the others as they came."""
    return sorted(result.settings, key=lambda name: name != "learning_rate")


def varies(values: np.ndarray) -> bool:
    """Whether a hyperparameter has several values, those that have none apart."""
    return len(np.unique(values[~np.isnan(values)])) > 1


def shown_metrics(result: SweepResult) -> list[str]:
    """The objective, accuracies, the training loss."""
    accuracies = [n for n in (*result.evaluations, *result.traces) if scales.is_accuracy(n)]
    return list(dict.fromkeys([result.attributes["objective"], *accuracies[:2], "loss"]))


def metric_of(result: SweepResult, name: str) -> Metric:
    """A metric at the end of each run, with its axis."""
    final = result.final(name).astype(float)
    final[~np.isfinite(final)] = np.nan
    label, everything = scales.label(name), result.evaluations.get(name)
    if everything is None:
        everything = result.traces[name]
        updates = min(result.attributes["segment"], result.attributes["steps"])
        label = f"{'training loss' if name == 'loss' else label}, mean of last {updates} updates"
    mode = scales.metric_mode(name, result.attributes)
    first, accuracy = everything[..., 0].astype(float), scales.is_accuracy(name)
    visible = np.append(final, first.mean()) if name == "loss" else final  # with the line there
    scale = scales.metric_scale(label, visible, first, mode, accuracy)
    return Metric(name, label, mode, final, scale)


def profile_of(
    result: SweepResult, metric: Metric, family: Family, name: str, scale: Scale
) -> Profile | None:
    """A metric against a hyperparameter in a family; None where the family does not have it."""
    values = result.settings[name][family.rows]
    if np.isnan(values).all():
        return None
    order = np.argsort(values, kind="stable")
    values, final = values[order], metric.final[family.rows[order]]
    x, mean = scale.place(values), final.mean(axis=1)
    distinct, group = np.unique(values, return_inverse=True)
    if family.varying in ([name], []) and len(distinct) == len(x) <= LINE:
        if result.seeds == 1:
            return Profile(x, mean)
        return Profile(x, mean, low=final.min(axis=1), high=final.max(axis=1))
    if len(distinct) > BINS:  # as many trials in each bin
        group = np.arange(len(x)) * min(BINS, max(2, len(x) // 4)) // len(x)
    sign = 1 if metric.mode == "min" else -1
    cost = np.nan_to_num(sign * mean, nan=np.inf)
    bins = [np.flatnonzero(group == i) for i in np.unique(group)]
    leaders = [members[cost[members].argmin()] for members in bins]
    medians = np.asarray([np.median(cost[members]) for members in bins])
    return Profile(
        x=np.asarray([np.median(x[members]) for members in bins]),
        centre=np.where(np.isfinite(medians), sign * medians, np.nan),
        best_x=x[leaders],
        best=mean[leaders],
    )
