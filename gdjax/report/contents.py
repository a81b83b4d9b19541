"""What the figures and the page show of a result, worked out once."""

import dataclasses
from typing import NamedTuple

import numpy as np

from gdjax.errors import InvalidValue
from gdjax.report import joint, scales
from gdjax.report.curves import Curves, evenly, learning_curves
from gdjax.report.scales import Scale
from gdjax.sweep.results import Best, SweepResult
from gdjax.sweep.table import Status

OFF_SCALE, DIVERGED = 0.09, 0.035  # depth of the markers below the bad end of an axis
RUNS = 2000  # shown as points in a panel of the page; more make a browser slow
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


class Runs(NamedTuple):
    """Runs as points."""

    x: np.ndarray  # [run]
    y: np.ndarray
    trial: np.ndarray
    seed: np.ndarray


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


@dataclasses.dataclass(frozen=True)
class Contents:
    """All that a report shows of a result."""

    result: SweepResult
    best: Best | None  # None where every trial diverged
    order: np.ndarray  # [trial] from best to worst
    shown: np.ndarray  # trials that are shown one by one
    families: list[Family]
    axes: dict[str, Scale]  # hyperparameters that vary, learning_rate first
    fixed: dict[str, float]  # hyperparameters that do not
    metrics: list[Metric]  # the objective, accuracies, the training loss
    initial_loss: float  # mean training loss before the first update; NaN where not finite
    profiles: dict[str, list[list[Profile | None]]]  # [hyperparameter][metric][family]
    maps: list[joint.Map]  # of the families in which several hyperparameters vary
    parallels: list[joint.Parallels]
    curves: Curves

    @property
    def objective(self) -> Metric:
        """The metric that ranks."""
        return self.metrics[0]

    @property
    def colour_by(self) -> str | None:
        """The hyperparameter that colours learning curves; None where none varies."""
        return next(iter(self.axes), None)

    def shades(self, trials: np.ndarray) -> np.ndarray:
        """Where trials lie between the ends of ``colour_by``, 0 to 1; NaN without it."""
        if self.colour_by is None:
            return np.full(len(trials), np.nan)
        values = self.result.settings[self.colour_by][trials]
        return self.axes[self.colour_by].unit(values)

    def leading(self, count: int, among: list[int]) -> list[int]:
        """The ``count`` families with the best trials, in their own order."""
        rank = {i: int(np.isin(self.order, self.families[i].rows).argmax()) for i in among}
        return sorted(sorted(among, key=lambda i: rank[i])[:count])

    def best_in(self, entry: joint.Map) -> tuple[float, float] | None:
        """Where the best trial is on a map, x and y; None where it is of another family."""
        if self.best is None or self.best.family != self.families[entry.family].name:
            return None
        x, y = self.best.settings[entry.x], self.best.settings[entry.y]
        if entry.cells is not None:
            columns, rows = entry.x_values, entry.y_values
            return float(np.searchsorted(columns, x)), float(np.searchsorted(rows, y))
        x, y = np.asarray(x), np.asarray(y)
        return float(self.axes[entry.x].place(x)), float(self.axes[entry.y].place(y))

    def runs(self, metric: Metric, family: Family, name: str) -> dict[str, Runs]:
        """Runs that are shown of a family against ``name``: on the scale, off it, diverged."""
        values = self.axes[name].place(self.result.settings[name])
        own = np.zeros((self.result.trials, 1), bool)
        own[np.intersect1d(family.rows, self.shown)] = True
        beyond = metric.beyond(metric.final)
        edges = {"beyond": (beyond, OFF_SCALE), "diverged": (self.diverged, DIVERGED)}
        trial, seed = np.nonzero(own & np.isfinite(metric.final) & ~beyond)
        runs = {"run": Runs(values[trial], metric.final[trial, seed], trial, seed)}
        for kind, (chosen, depth) in edges.items():
            trial, seed = np.nonzero(own & chosen)
            y = np.full(len(trial), metric.edge(depth))
            runs[kind] = Runs(values[trial], y, trial, seed)
        return runs

    @property
    def diverged(self) -> np.ndarray:
        """Which runs diverged, ``[trial, seed]``."""
        return self.result.status == Status.DIVERGED


@np.errstate(all="ignore")  # runs that diverge overflow
def prepare(result: SweepResult) -> Contents:
    """Work out all that a report shows."""
    order = result.ranking()
    shown = evenly(order, max(1, RUNS // result.seeds))
    families = [_family(result, name) for name in dict.fromkeys(result.family.tolist())]
    names = [name for name in _ordered(result) if not np.isnan(result.settings[name]).all()]
    axes = {
        name: scales.hyperparameter_scale(name, result.settings[name])
        for name in names
        if _varies(result.settings[name])
    }
    metrics = [_metric(result, name) for name in _shown_metrics(result)]
    several = [i for i, family in enumerate(families) if len(family.varying) > 1]
    first = result.traces["loss"][..., 0].astype(float)
    return Contents(
        result=result,
        best=_best(result),
        order=order,
        shown=shown,
        families=families,
        axes=axes,
        fixed={n: float(np.nanmin(result.settings[n])) for n in names if n not in axes},
        metrics=metrics,
        initial_loss=float(first.mean()) if np.isfinite(first).all() else float("nan"),
        profiles={
            name: [[_profile(result, m, f, name, axes[name]) for f in families] for m in metrics]
            for name in axes
        },
        maps=[_map(result, families, i, metrics[0], shown) for i in several],
        parallels=[_parallels(result, families, i, axes, metrics[0], shown) for i in several],
        curves=learning_curves(result, order, [family.rows for family in families]),
    )


def _best(result: SweepResult) -> Best | None:
    try:
        best = result.best()
    except InvalidValue:
        return None
    return best if np.isfinite(best.mean) else None


def _family(result: SweepResult, name: str) -> Family:
    rows = np.flatnonzero(result.family == name)
    varying = [k for k in _ordered(result) if _varies(result.settings[k][rows])]
    return Family(name, rows, varying)


def _ordered(result: SweepResult) -> list[str]:
    """Hyperparameters, learning_rate first, the others as they came."""
    return sorted(result.settings, key=lambda name: name != "learning_rate")


def _varies(values: np.ndarray) -> bool:
    return len(np.unique(values[~np.isnan(values)])) > 1


def _shown_metrics(result: SweepResult) -> list[str]:
    accuracies = [n for n in (*result.evaluations, *result.traces) if scales.is_accuracy(n)]
    return list(dict.fromkeys([result.attributes["objective"], *accuracies[:2], "loss"]))


def _metric(result: SweepResult, name: str) -> Metric:
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


def _profile(
    result: SweepResult, metric: Metric, family: Family, name: str, scale: Scale
) -> Profile | None:
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


def _map(
    result: SweepResult, families: list[Family], i: int, metric: Metric, shown: np.ndarray
) -> joint.Map:
    rows, mean = families[i].rows, metric.mean
    settings = {name: result.settings[name][rows] for name in families[i].varying}
    chosen = np.isin(rows, shown)
    return joint.objective_map(i, rows, settings, mean[rows], metric.mode, chosen)


def _parallels(
    result: SweepResult,
    families: list[Family],
    i: int,
    axes: dict[str, Scale],
    metric: Metric,
    shown: np.ndarray,
) -> joint.Parallels:
    rows = families[i].rows[np.isin(families[i].rows, shown)]
    columns = [(axes[name], result.settings[name][rows]) for name in families[i].varying]
    return joint.parallels(i, columns, (metric.scale, metric.mean[rows]), metric.mode)
