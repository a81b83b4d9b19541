"""The figure of a search for a learning rate."""

import importlib.util
from typing import Any

import numpy as np

from gdjax.errors import MissingExtra
from gdjax.finder import LearningRates
from gdjax.report import scales
from gdjax.report.scales import FAMILY_COLOURS, GREY, OFF_SCALE


def draw_learning_rates(found: LearningRates) -> Any:
    """Draw what :func:`gdjax.find_learning_rate` found: the loss against the learning rate.

    A point is a run, the line the mean over seeds. Triangles are runs that diverged, or ended off
    the scale. Where the task has an objective of its own, a second panel shows it.

    Returns:
      A ``matplotlib.figure.Figure``; its ``savefig`` writes it.

    Raises:
      MissingExtra: matplotlib is not installed.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise MissingExtra("gdjax.report.draw_learning_rates", "report")
    import matplotlib.style
    from matplotlib.figure import Figure

    from gdjax.report import canvas

    measured = [("training loss", "min", found.losses)]
    if found.objective != "loss":
        measured.append((scales.label(found.objective), found.mode, found.scores))
    with matplotlib.style.context(["default", canvas.STYLE]):
        figure = Figure(figsize=(7, 1 + 2.3 * len(measured)), layout="constrained")
        panels = figure.subplots(len(measured), sharex=True, squeeze=False)[:, 0]
        for axes, (label, mode, values) in zip(panels, measured, strict=True):
            first, accuracy = np.append(values[0], found.start), scales.is_accuracy(label)
            label = f"{label} after {found.steps} updates"
            scale = scales.metric_scale(label, values, first, mode, accuracy)
            _points(axes, found.rates, values, scale, mode)
            axes.axvspan(found.low, found.high, color=GREY, alpha=0.12, lw=0, label="workable")
            text = f"suggestion for {found.horizon} updates: {found.suggestion:.2g}"
            axes.axvline(found.suggestion, color=FAMILY_COLOURS[1], label=text)
            canvas.apply(axes, scale, "y", 24)
        panels[0].axhline(found.start, color=GREY, linestyle="--", lw=1, label="at the start")
        canvas.apply(panels[-1], scales.hyperparameter_scale("learning_rate", found.rates), "x")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=3)
    return figure


def _points(axes: Any, rates: np.ndarray, values: np.ndarray, scale: Any, mode: str) -> None:
    """Runs as points, those off the scale at its bad end, and their mean."""
    low, high = scale.inner
    shown = (values >= low) & (values <= high)
    bad = scale.at(1 - OFF_SCALE if mode == "min" else OFF_SCALE)
    x = np.broadcast_to(rates[:, None], values.shape)
    hue, marker = FAMILY_COLOURS[0], "^" if mode == "min" else "v"
    axes.plot(x[shown], values[shown], ".", color=hue, alpha=0.4, markersize=4, mew=0)
    axes.plot(x[~shown], np.full(np.count_nonzero(~shown), bad), marker, color=hue, markersize=4)
    mean = np.where(shown.all(axis=1), values.mean(axis=1), np.nan)
    axes.plot(rates, mean, color=hue, linewidth=1.4)
