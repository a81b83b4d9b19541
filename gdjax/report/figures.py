"""The static figures, PNG, drawn by matplotlib without its global state."""

import io
from typing import Any

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gdjax.report import figures_joint, figures_lineage, figures_rungs, scales, words
from gdjax.report.canvas import (
    COLUMNS,
    CURVE_MAP,
    STAR,
    STYLE,
    apply,
    colour,
    colour_bar,
    marks,
    note_omitted,
)
from gdjax.report.contents import Contents
from gdjax.report.profiles import BINS, Family, Metric, Profile
from gdjax.report.scales import GREY


def draw(contents: Contents) -> dict[str, bytes]:
    """All figures that the contents call for, PNG by file name."""
    with matplotlib.style.context(["default", STYLE]):
        figures = {
            f"by_{scales.file_name(name)}": _profile(contents, name) for name in contents.axes
        }
        figures["curves"] = _curves(contents)
        if contents.rungs is not None:
            figures["rungs"] = figures_rungs.rungs(contents, contents.rungs)
        if contents.lineage is not None:
            figures["lineage"] = figures_lineage.lineage(contents, contents.lineage)
        if contents.maps:
            figures["parallel_coordinates"] = figures_joint.parallels(contents)
            figures["map"] = figures_joint.maps(contents)
        return {f"{name}.png": _png(figure) for name, figure in figures.items()}


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _profile(contents: Contents, name: str) -> Figure:
    """Metrics at the end against one hyperparameter."""
    count = len(contents.metrics)
    figure = Figure(figsize=(7, 1.4 + 2.1 * count), layout="constrained")
    panels = figure.subplots(count, sharex=True, squeeze=False)[:, 0]
    for axes, metric, profiles in zip(
        panels, contents.metrics, contents.profiles[name], strict=True
    ):
        apply(axes, metric.scale, "y", 24)
        for i, (family, profile) in enumerate(zip(contents.families, profiles, strict=True)):
            if profile is not None:
                _runs(axes, contents, metric, family, name, colour(i))
                _lines(axes, profile, colour(i))
        if metric.name == "loss" and np.isfinite(contents.initial_loss):
            axes.axhline(contents.initial_loss, color=GREY, linestyle="--", linewidth=1)
        best = contents.best
        if best and name in best.settings:
            x = contents.axes[name].place(np.asarray(best.settings[name]))
            axes.plot(x, metric.mean[best.trial], **STAR)
            axes.set_title(words.at_best(contents, metric), size=8)
    apply(panels[-1], contents.axes[name], "x")
    _legend(figure, contents, name)
    return figure


def _runs(
    axes: Axes, contents: Contents, metric: Metric, family: Family, name: str, hue: str
) -> None:
    """Each run as a point; those off the scale and those that diverged at the bad end."""
    runs = contents.runs(metric, family, name)
    axes.plot(*runs["run"][:2], ".", color=hue, alpha=0.4, markersize=4, mew=0)
    axes.plot(*runs["beyond"][:2], "^v"[metric.mode == "max"], color=hue, markersize=4)
    axes.plot(*runs["diverged"][:2], "x", color=hue, markersize=4)


def _lines(axes: Axes, profile: Profile, hue: str) -> None:
    looks: dict[str, Any] = {"color": hue, "linewidth": 1.4, "markersize": 3}
    looks["marker"] = "o" if len(profile.x) <= BINS else ""
    if profile.best is None:
        axes.plot(profile.x, profile.centre, **looks)
        if profile.low is not None and profile.high is not None:
            axes.fill_between(profile.x, profile.low, profile.high, color=hue, alpha=0.2, lw=0)
    elif profile.best_x is not None:
        axes.plot(profile.best_x, profile.best, **looks)
        looks |= {"marker": "", "linestyle": ":"}
        axes.plot(profile.x, profile.centre, **looks)


def _legend(figure: Figure, contents: Contents, name: str) -> None:
    handles = marks(words.profile_legend(contents, name))
    if len(contents.families) > 1:
        handles = [
            Line2D([], [], color=colour(i), label=scales.label(family.name, 30))
            for i, family in enumerate(contents.families)
            if contents.profiles[name][0][i] is not None
        ] + handles
    longest = max(len(str(handle.get_label())) for handle in handles)
    columns = 3 if longest < 38 else 2 if longest < 60 else 1
    figure.legend(handles=handles, loc="outside upper left", ncols=columns)


def _curves(contents: Contents) -> Figure:
    """Metrics over time: a fan of trials, and the best of each family with its seeds."""
    panels, words_of = contents.curves.panels, words.curve_legend(contents)
    shown = contents.leading(COLUMNS, list(range(len(contents.families))))
    size = (max(7, 1.2 + 2.9 * len(shown)), 1 + 2.1 * len(panels))
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(len(panels), len(shown), sharex=True, sharey="row", squeeze=False)
    for row, line in enumerate(grid):
        for family, axes in zip(shown, line, strict=True):
            _fan(axes, contents, row, family)
        apply(line[0], panels[row].scale, "y", 24)
    for family, axes in zip(shown, grid[-1], strict=True):
        axes.set(xlabel="updates", xlim=(0, contents.result.attributes["steps"]))
        if len(contents.families) > 1:
            title = scales.label(contents.families[family].name, 30)
            grid[0, shown.index(family)].set_title(title, color=colour(family), weight="bold")
    if contents.colour_by is not None and "fan" in words_of:
        colour_bar(figure, grid, contents.axes[contents.colour_by], CURVE_MAP, "neither")
    figure.legend(handles=marks(words_of), loc="outside upper left", ncols=3)
    note_omitted(figure, len(shown), len(contents.families))
    return figure


def _fan(axes: Axes, contents: Contents, row: int, family: int) -> None:
    """One metric of one family."""
    panel, curves = contents.curves.panels[row], contents.curves
    leader, *others = curves.fans[family].tolist()
    others.reverse()  # the better on top
    lines = [np.column_stack([panel.x, panel.lines[i]]) for i in others]
    hues = [GREY if np.isnan(t) else CURVE_MAP(t) for t in contents.shades(curves.trials[others])]
    axes.add_collection(LineCollection(lines, colors=hues, linewidths=0.7, alpha=0.7))
    if contents.result.seeds > 1:
        low, high = panel.low[family], panel.high[family]
        axes.fill_between(panel.x, low, high, color="black", alpha=0.2, linewidth=0, zorder=3)
    few = "o" if len(panel.x) < 30 else None
    axes.plot(panel.x, panel.lines[leader], "k", marker=few, ms=2.5, linewidth=1.6, zorder=4)
