"""What legends and captions say."""

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from gdjax.report import joint, scales
from gdjax.report.contents import Contents
from gdjax.report.lineage import Lineage
from gdjax.report.profiles import BINS, Family, Metric
from gdjax.report.rungs import Rungs
from gdjax.sweep.ranking import Best, Ranks

RUNG_AXIS = "updates; trials that came there → went on"


def settings(contents: Contents, trial: int) -> str:
    """The settings of a trial that vary, with its family where there are several."""
    values = {name: contents.result.settings[name][trial] for name in contents.axes}
    family = scales.label(str(contents.result.family[trial]), 30)
    return listed(values, [family] if len(contents.families) > 1 else [])


def listed(values: Mapping[str, float], before: Sequence[str] = ()) -> str:
    """Settings as text, without those that are NaN."""
    parts = [f"{scales.label(k)} {scales.number(v)}" for k, v in values.items() if v == v]
    return ", ".join([*before, *parts]) or "the only setting"


def at_trial(metric: Metric, trial: int) -> str:
    """A metric's mean and spread in a trial."""
    return scales.measured(metric.mean[trial], metric.spread[trial])


def at_best(contents: Contents, metric: Metric, short: bool = False) -> str:
    """A metric in the best trial; unless ``short``, with what the spread is."""
    if contents.best is None:
        return ""
    value = f"best trial: {at_trial(metric, contents.best.trial)}"
    if short or contents.result.seeds == 1:
        return value
    return f"{value} (standard deviation over {contents.result.seeds} seeds)"


def sureness(best: Best) -> str:
    """How sure it is that the best trial is the best."""
    if not best.peers:
        return "No other trial came as far."
    return (
        f"Of the {best.peers + 1} trials that came as far it is the best with a probability of "
        f"{best.probability:.0%}, as far as seeds tell; {best.rivals:.0f} of the others may be as "
        "good (paired t-tests over seeds, 5 %)."
    )


def rank(ranks: Ranks, index: int) -> str:
    """A rank from 1, with its interval where it is known to be wider."""
    low, high = ranks.low[index], ranks.high[index]
    return f"{index + 1} ({low:.0f}–{high:.0f})" if low < high else str(index + 1)


def profile_legend(contents: Contents, name: str) -> dict[str, str]:
    """Marks of the figures of a hyperparameter, by kind, and what they mean."""
    result, words = contents.result, {}
    profiles = [p for p in contents.profiles[name][0] if p is not None]
    here = ~np.isnan(result.settings[name])
    if contents.best and name in contents.best.settings:
        words["best"] = f"best trial: {settings(contents, contents.best.trial)}"
    words["run"] = "run (one seed)" if result.seeds > 1 else "run"
    if len(contents.shown) < result.trials:
        words["run"] += f", of {len(contents.shown)} of {result.trials} trials"
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


def map_legend(contents: Contents, entries: list[joint.Map]) -> dict[str, str]:
    """Marks of maps, by kind, and what they mean."""
    words = {}
    if contents.best and any(contents.best_in(entry) is not None for entry in entries):
        words["best"] = f"best trial: {at_trial(contents.objective, contents.best.trial)}"
    rows = np.concatenate([contents.families[entry.family].rows for entry in entries])
    if contents.diverged[rows].any():
        words["diverged"] = "diverged"
    return words


def rung_legend(contents: Contents, shown: Rungs) -> dict[str, str]:
    """Marks of the rungs, by kind, and what they mean."""
    words = {}
    if contents.best:
        words["leader"] = f"best trial: {settings(contents, contents.best.trial)}"
    words |= {"kept": "trial that went on, or came to its end", "stopped": "stopped at the rung"}
    if len(shown.points("diverged")[0]):
        words["diverged"] = "diverged after the rung"
    return words


def rung_caption(contents: Contents, shown: Rungs) -> str:
    """How to read the rungs."""
    parts = [
        "A line is a trial, mean over seeds, through the rungs at which the scheduler compared it "
        "with others; below each, how many trials came there and how many of them went on."
    ]
    if shown.beyond:
        parts.append("What is off the scale is at the edge.")
    measured = int((~np.isnan(contents.ranks.mean)).sum())
    if len(shown.trials) < measured:
        parts.append(
            f"{len(shown.trials)} of {measured} trials, from each rung evenly from best to worst."
        )
    return " ".join(parts)


def lineage_legend(contents: Contents, shown: Lineage) -> dict[str, str]:
    """Marks of the lineage, by kind, and what they mean."""
    kinds, words = np.unique(shown.kind).tolist(), {}
    if "leader" in kinds:
        words["leader"] = "best trial and its ancestors"
    if len(shown.copies()[0]):
        words["copied"] = "copied to another place"
    if "survived" in kinds and len(contents.families) == 1:
        words["survived"] = "led to the end of another trial"
    if "extinct" in kinds:
        words["extinct"] = "died out"
    if shown.diverged.any():
        words["diverged"] = "diverged after it"
    return words


def lineage_caption(contents: Contents, shown: Lineage) -> str:
    """How to read the lineage."""
    parts = [
        "A line is a trial from score to score, mean over seeds; where the trial went on from a "
        "copy of another one, its line comes from that one."
    ]
    if len(contents.families) > 1:
        parts.append("What led to the end of a trial has the colour of its family.")
    if len(shown.panels) > 1:
        parts.append(
            "Below are the settings that each segment was made with, on axes of those that led to "
            "an end; the black line there is the schedule that was found."
        )
    if shown.beyond:
        parts.append("What is off the scale is at the edge.")
    measured = int(np.isfinite(shown.panels[0].values).any(axis=1).sum())
    if len(shown.trials) < measured:
        parts.append(
            f"{len(shown.trials)} of {measured} trials, evenly from best to worst, with all their "
            "ancestors."
        )
    return " ".join(parts)


def titled(title: str, contents: Contents, family: Family) -> str:
    """A title that says which family, where there are several."""
    several = len(contents.families) > 1
    return f"{title}: {scales.label(family.name)}" if several else title


def profile_caption(contents: Contents, name: str) -> str:
    """How to read the figure of a hyperparameter."""
    result, legend = contents.result, profile_legend(contents, name)
    parts = (
        ["± is the standard deviation over seeds."] if contents.best and result.seeds > 1 else []
    )
    if "bin best" in legend:
        parts.append(
            "Other hyperparameters vary too, so the solid line goes through the best trial (mean "
            f"over seeds) of each value, or of each of up to {BINS} bins with equally many trials; "
            "the dotted line through the median trial, with diverged ones counted as worst."
        )
    if "mean" in legend:
        parts.append("A line has a gap where a run of the trial diverged.")
    if "diverged" in legend or "beyond" in legend:
        parts.append(
            "Runs that diverged (crosses) or are off the scale (triangles) are at the edge."
        )
    if contents.lineage is not None:
        parts.append("Settings are those of the last segment.")
    missing = int((~np.isfinite(contents.objective.final) & ~contents.diverged).sum())
    if missing:
        parts.append(f"{missing} other runs have no finite {contents.objective.label}.")
    if len(contents.shown) < result.trials:
        parts.append(f"Lines are of all trials, points {_thinned(contents)}.")
    return " ".join(parts)


def curve_caption(contents: Contents, family: int) -> str:
    """How to read the learning curves of a family."""
    curves, count = contents.curves, len(contents.families[family].rows)
    shown = len(curves.fans[family])
    parts = ["A curve is the mean over seeds and ends where one of them diverged."]
    if contents.lineage is not None:
        parts.append("It jumps where the trial went on from a copy of another one.")
    if curves.block > 1:
        parts.append(f"Each point of a training curve is the mean of {curves.block} updates.")
    if shown < count:
        parts.append(f"{shown} of {count} trials, chosen evenly from best to worst.")
    return " ".join(parts)


def parallel_caption(contents: Contents) -> str:
    """How to read parallel coordinates."""
    text = (
        "A line is a trial; its colour is its position on the last axis "
        f"({contents.objective.label}, mean over seeds), grey where a run diverged. Drag along an "
        "axis to select trials; drag its name to move it."
    )
    thinned = len(contents.shown) < contents.result.trials
    return f"{text} Lines are {_thinned(contents)}." if thinned else text


def map_caption(contents: Contents, entry: joint.Map) -> str:
    """How to read a map."""
    varying = contents.families[entry.family].varying
    parts = ["Mean over seeds; a cross where a run diverged."]
    if entry.cells is not None and len(varying) > 2:
        parts.append("A cell shows the best of its trials.")
    if len(varying) > 2:
        parts.append(
            "Of the hyperparameters that vary, these two tell most about the ranking (share of "
            "the variance of ranks that lies between groups of their values)."
        )
    if entry.cells is None and len(contents.shown) < contents.result.trials:
        parts.append(f"Points are {_thinned(contents)}.")
    return " ".join(parts)


def trial(contents: Contents, index: int) -> str:
    """A trial, as HTML."""
    lines = [f"trial {index}", settings(contents, index), at_trial(contents.objective, index)]
    lost = int(contents.diverged[index].sum())
    lines[2] = f"{contents.objective.label} {lines[2]}" if not lost else f"{lost} runs diverged"
    return "<br>".join(escape(line) for line in lines)


def run(contents: Contents, metric: Metric, index: int, seed: int) -> str:
    """A run, as HTML."""
    if contents.diverged[index, seed]:
        step, reason = contents.result.diverged_at[index, seed], contents.result.reason[index, seed]
        last = f"diverged at step {step}: {reason}"
    else:
        last = f"{metric.label} {scales.number(metric.final[index, seed])}"
    lines = (f"trial {index}, seed {seed}", settings(contents, index), last)
    return "<br>".join(escape(line) for line in lines)


def _thinned(contents: Contents) -> str:
    count = f"{len(contents.shown)} of {contents.result.trials}"
    return f"of {count} trials, chosen evenly from best to worst"


def _over_seeds(what: str, seeds: int) -> str:
    return f"{what} over {seeds} seeds"
