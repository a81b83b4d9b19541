"""Learning curves: thinned to what an eye can tell apart."""

import dataclasses

import numpy as np

from gdjax.report import profiles, scales
from gdjax.report.scales import Scale
from gdjax.sweep.results import SweepResult

CURVES = 200  # of all families
POINTS = 100  # of a curve
PANELS = 5  # metrics
TELLING = ("gradient_norm", "stability", "update_ratio", "gradient_cosine", "dead_units")
"""Of what monitors measure, that which says most."""


@dataclasses.dataclass(frozen=True)
class Panel:
    """A metric over time in some trials."""

    x: np.ndarray  # [point] updates made
    lines: np.ndarray  # [curve, point] mean over seeds
    low: np.ndarray  # [family, point] least over seeds of each family's best trial
    high: np.ndarray  # [family, point]
    scale: Scale


@dataclasses.dataclass(frozen=True)
class Curves:
    """The curves of a few trials of each family, from best to worst.

    Args:
      trials: of each curve, ``[curve]``.
      fans: of each family which curves are its own; the first is its best trial.
      block: updates that a point of a training curve is the mean of.
      panels: one a metric.
    """

    trials: np.ndarray
    fans: list[np.ndarray]
    block: int
    panels: list[Panel]


def learning_curves(result: SweepResult, order: np.ndarray, families: list[np.ndarray]) -> Curves:
    """Thin the curves of a result.

    Args:
      result: of a sweep.
      order: trials from best to worst.
      families: of each family its trials.
    """
    each = max(2, CURVES // len(families))
    chosen = [evenly(order[np.isin(order, rows)], each) for rows in families]
    ends = np.cumsum([len(trials) for trials in chosen])
    fans = [np.arange(end - len(trials), end) for end, trials in zip(ends, chosen, strict=True)]
    trials = np.concatenate(chosen)
    block = -(-result.attributes["steps"] // POINTS)
    panels = [_panel(result, name, trials, fans, block) for name in _names(result)]
    return Curves(trials, fans, block, panels)


def _names(result: SweepResult) -> list[str]:
    """The metrics that are shown: of those that monitors measure the most telling ones."""
    telling = [name for name in TELLING if name in result.evaluations]
    first = ["loss", *profiles.shown_metrics(result), *telling]
    return list(dict.fromkeys([*first, *result.evaluations]))[:PANELS]


def evenly(order: np.ndarray, size: int) -> np.ndarray:
    """At most ``size`` of the items, evenly spaced from the first to the last."""
    if len(order) <= size:
        return order
    return order[np.linspace(0, len(order) - 1, size).round().astype(int)]


def _panel(
    result: SweepResult, name: str, trials: np.ndarray, fans: list[np.ndarray], block: int
) -> Panel:
    label = scales.label(name)
    if name in result.evaluations:
        values, steps = result.evaluations[name], result.evaluation_steps
        block = -(-len(steps) // POINTS)
    else:
        values, steps = result.traces[name], np.arange(result.attributes["steps"])
        label = "training loss" if name == "loss" else f"{label} in training"
        label = f"{label}, mean of each {block} updates" if block > 1 else label
    runs = np.stack([_block_means(values[trial], block) for trial in trials])
    runs[~np.isfinite(runs)] = np.nan
    lines = runs.mean(axis=1)
    leaders = runs[[fan[0] for fan in fans]]
    shown = np.concatenate([lines.ravel(), leaders.ravel()])
    mode, accuracy = scales.metric_mode(name, result.attributes), scales.is_accuracy(name)
    scale = scales.metric_scale(label, shown, values[trials, :, 0], mode, accuracy, 0.05)
    x = _block_means(steps, block)
    return Panel(x, lines, leaders.min(axis=1), leaders.max(axis=1), scale)


def _block_means(values: np.ndarray, block: int) -> np.ndarray:
    """Means of each ``block`` values along the last axis; the last block may be shorter.

    >>> _block_means(np.asarray([1.0, 3.0, 10.0]), 2).tolist()
    [2.0, 10.0]
    """
    starts = np.arange(0, values.shape[-1], block)
    sums = np.add.reduceat(values.astype(float), starts, axis=-1)
    return sums / np.diff(np.append(starts, values.shape[-1]))
