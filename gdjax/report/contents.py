"""What the figures and the page show of a result, worked out once."""

import dataclasses
import json
import math
from typing import NamedTuple

import numpy as np

from gdjax.doctor import Diagnosis, diagnose_sweep
from gdjax.errors import InvalidValue
from gdjax.report import joint, lineage, profiles, rungs, scales
from gdjax.report.curves import Curves, evenly, learning_curves
from gdjax.report.lineage import Lineage
from gdjax.report.profiles import Family, Metric, Profile
from gdjax.report.rungs import Rungs
from gdjax.report.scales import Scale
from gdjax.sweep.ranking import Best, Ranks
from gdjax.sweep.results import SweepResult
from gdjax.sweep.table import Status

RUNS = 2000  # shown as points in a panel of the page; more make a browser slow


class Width(NamedTuple):
    """What a family's programs of one width did, and what was measured of it beforehand."""

    family: Family
    runs: int  # side by side
    trials: int  # that they advanced
    segments: int  # summed over those
    speed: float  # times that of the default width; NaN where it was not tried
    compile_seconds: float  # NaN where it was not tried


class Divergence(NamedTuple):
    """A run that diverged."""

    trial: int
    seed: int
    step: int
    reason: str
    settings: dict[str, float]  # that it had then
    replaced: bool  # whether a copy of another run took its place


class Runs(NamedTuple):
    """Runs as points."""

    x: np.ndarray  # [run]
    y: np.ndarray
    trial: np.ndarray
    seed: np.ndarray


@dataclasses.dataclass(frozen=True)
class Contents:
    """All that a report shows of a result."""

    result: SweepResult
    best: Best | None  # None where every trial diverged
    ranks: Ranks  # of all trials, from best to worst
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
    rungs: Rungs | None  # None where no scheduler stopped a trial
    lineage: Lineage | None  # None where no trial copied another
    diagnosis: Diagnosis | None  # of the best trial, or the first one; None: none started

    @property
    def order(self) -> np.ndarray:
        """Trials from best to worst, ``[trial]``."""
        return self.ranks.trial

    @property
    def objective(self) -> Metric:
        """The metric that ranks."""
        return self.metrics[0]

    @property
    def widths(self) -> list[Width]:
        """The widths that each family's programs have, or were tried with, the widest first."""
        found = []
        unknown = json.dumps([[]] * len(self.families))
        measured = json.loads(self.result.attributes.get("tried_widths", unknown))
        for family, tried in zip(self.families, measured, strict=True):
            times = {entry["width"]: entry for entry in tried}
            widths = self.result.width[family.rows]  # [trial, evaluation]
            for runs in sorted({*widths[widths > 0].tolist(), *times}, reverse=True):
                made = widths == runs
                counts = int(made.any(axis=1).sum()), int(made.sum())
                time = times.get(runs, {"speed": math.nan, "compile_seconds": math.nan})
                found.append(Width(family, runs, *counts, time["speed"], time["compile_seconds"]))
        return found

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

    def family_of(self, trials: np.ndarray) -> np.ndarray:
        """Of each trial which of the families it is of, ``int[trial]``."""
        names = [family.name for family in self.families]
        return np.array([names.index(name) for name in self.result.family[trials].tolist()])

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
        edges = {"beyond": (beyond, scales.OFF_SCALE), "diverged": (self.diverged, scales.DIVERGED)}
        trial, seed = np.nonzero(own & np.isfinite(metric.final) & ~beyond)
        runs = {"run": Runs(values[trial], metric.final[trial, seed], trial, seed)}
        for kind, (chosen, depth) in edges.items():
            trial, seed = np.nonzero(own & chosen)
            y = np.full(len(trial), metric.edge(depth))
            runs[kind] = Runs(values[trial], y, trial, seed)
        return runs

    @property
    def divergences(self) -> list[Divergence]:
        """Runs that diverged, by trial and seed; those too whose place a copy took."""
        result, copied = self.result, self.result.copied
        found = []
        for trial, seed in np.argwhere(self.diverged).tolist():
            step, reason = int(result.diverged_at[trial, seed]), result.reason[trial, seed]
            used = {name: values[trial] for name, values in result.settings.items()}
            found.append(Divergence(trial, seed, step, reason, used, False))
        if copied is not None:
            for trial, seed, segment in np.argwhere(copied.replaced_at >= 0).tolist():
                step = int(copied.replaced_at[trial, seed, segment])
                reason = copied.replaced_reason[trial, seed, segment]
                used = {k: values[trial, segment - 1] for k, values in copied.settings.items()}
                found.append(Divergence(trial, seed, step, reason, used, True))
        return sorted(found, key=lambda entry: entry[:3])

    @property
    def diverged(self) -> np.ndarray:
        """Which runs diverged, ``[trial, seed]``."""
        return self.result.status == Status.DIVERGED


@np.errstate(all="ignore")  # runs that diverge overflow
def prepare(result: SweepResult) -> Contents:
    """Work out all that a report shows."""
    ranks = result.ranks()
    order, best = ranks.trial, _best(result)
    shown = evenly(order, max(1, RUNS // result.seeds))
    families = [profiles.family_of(result, name) for name in dict.fromkeys(result.family.tolist())]
    names = [name for name in profiles.ordered(result) if not np.isnan(result.settings[name]).all()]
    axes = {
        name: scales.hyperparameter_scale(name, result.settings[name])
        for name in names
        if profiles.varies(result.settings[name])
    }
    metrics = [profiles.metric_of(result, name) for name in profiles.shown_metrics(result)]
    several = [i for i, family in enumerate(families) if len(family.varying) > 1]
    first = result.traces["loss"][..., 0].astype(float)
    return Contents(
        result=result,
        best=best,
        ranks=ranks,
        shown=shown,
        families=families,
        axes=axes,
        fixed={n: float(np.nanmin(result.settings[n])) for n in names if n not in axes},
        metrics=metrics,
        initial_loss=float(first.mean()) if np.isfinite(first).all() else float("nan"),
        profiles={
            name: [
                [profiles.profile_of(result, m, f, name, axes[name]) for f in families]
                for m in metrics
            ]
            for name in axes
        },
        maps=[_map(result, families, i, metrics[0], shown) for i in several],
        parallels=[_parallels(result, families, i, axes, metrics[0], shown) for i in several],
        curves=learning_curves(result, order, [family.rows for family in families]),
        rungs=rungs.of(result, order, metrics[0].label),
        lineage=lineage.of(result, order, best, metrics[0].label),
        diagnosis=diagnose_sweep(result) if result.segments.any() else None,
    )


def _best(result: SweepResult) -> Best | None:
    try:
        best = result.best()
    except InvalidValue:
        return None
    return best if np.isfinite(best.mean) else None


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
