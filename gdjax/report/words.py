"""What legends and captions say."""

import numpy as np

from gdjax.report import scales
from gdjax.report.contents import BINS, Contents, Metric


def settings(contents: Contents, trial: int) -> str:
    """The settings of a trial that vary, with its family where there are several."""
    values = {scales.label(n): contents.result.settings[n][trial] for n in contents.axes}
    parts = [f"{name} {scales.number(value)}" for name, value in values.items() if value == value]
    if len(contents.families) > 1:
        parts.insert(0, scales.label(str(contents.result.family[trial]), 30))
    return ", ".join(parts) or "the only setting"


def at_trial(metric: Metric, trial: int) -> str:
    """A metric's mean and spread in a trial."""
    return scales.measured(metric.mean[trial], metric.spread[trial])


def at_best(contents: Contents, metric: Metric) -> str:
    """A metric in the best trial, with what the spread is."""
    if contents.best is None:
        return ""
    value, seeds = at_trial(metric, contents.best.trial), contents.result.seeds
    return f"best trial: {value}" + (
        f" (standard deviation over {seeds} seeds)" if seeds > 1 else ""
    )


def profile_legend(contents: Contents, name: str) -> dict[str, str]:
    """Marks of the figures of a hyperparameter, by kind, and what they mean."""
    result, words = contents.result, {}
    profiles = [p for p in contents.profiles[name][0] if p is not None]
    here = ~np.isnan(result.settings[name])
    if contents.best and name in contents.best.settings:
        words["best"] = f"best trial: {settings(contents, contents.best.trial)}"
    words["run"] = "run (one seed)" if result.seeds > 1 else "run"
    if any(p.best is None for p in profiles):
        words["mean"] = (
            _over_seeds("mean", result.seeds) if result.seeds > 1 else "line through runs"
        )
    if any(p.low is not None for p in profiles):
        words["range"] = _over_seeds("range", result.seeds)
    if any(p.best is not None for p in profiles):
        where = (
            "in each bin" if len(np.unique(result.settings[name][here])) > BINS else "at each value"
        )
        words["bin best"] = f"best trial {where}"
        words["bin median"] = f"median trial {where}"
    if any(metric.beyond(metric.final[here]).any() for metric in contents.metrics):
        words["beyond"] = "off the scale"
    diverged = int(contents.diverged[here].sum())
    if diverged:
        words["diverged"] = f"diverged ({diverged} of {contents.diverged[here].size} runs)"
    if np.isfinite(contents.initial_loss):
        words["start"] = "training loss before the first update"
    return words


def curve_legend(contents: Contents) -> dict[str, str]:
    """Marks of the learning curves, by kind, and what they mean."""
    seeds = contents.result.seeds
    whose = "best trial" if len(contents.families) == 1 else "best trial of the family"
    words = {"leader": f"{whose}, {_over_seeds('mean', seeds)}" if seeds > 1 else whose}
    if seeds > 1:
        words["range"] = "its range over seeds"
    if len(contents.curves.trials) > len(contents.families):
        words["fan"] = "other trials"
    return words


def map_legend(contents: Contents) -> dict[str, str]:
    """Marks of the map, by kind, and what they mean."""
    words = {}
    if any(contents.best_in(entry) is not None for entry in contents.maps):
        trial = contents.best.trial if contents.best else 0
        words["best"] = f"best trial: {at_trial(contents.objective, trial)}"
    rows = np.concatenate([contents.families[entry.family].rows for entry in contents.maps])
    if contents.diverged[rows].any():
        words["diverged"] = "diverged"
    return words


def _over_seeds(what: str, seeds: int) -> str:
    return f"{what} over {seeds} seeds"
