"""Static figures of the objective over several hyperparameters."""

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from gdjax.report import joint, scales, words
from gdjax.report.canvas import COLUMNS, STAR, apply, colour, colour_bar, marks, norm, note_omitted
from gdjax.report.contents import Contents
from gdjax.report.scales import GREY, MAP_COLOURS

WRITTEN = 80  # cells; numbers in more than these are too small to read


def parallels(contents: Contents) -> Figure:
    """Each trial as a line through its hyperparameters and the objective."""
    shown = contents.leading(COLUMNS, [entry.family for entry in contents.parallels])
    entries = [entry for entry in contents.parallels if entry.family in shown]
    figure = Figure(figsize=(7, 0.2 + 2.6 * len(entries)), layout="constrained")
    panels = figure.subplots(len(entries), squeeze=False)[:, 0]
    for axes, entry in zip(panels, entries, strict=True):
        badness = entry.shade if contents.objective.mode == "min" else 1 - entry.shade
        order = np.argsort(-np.nan_to_num(badness, nan=2.0), kind="stable")  # the best on top
        lines = [np.column_stack([np.arange(len(p)), p]) for p in entry.positions[order]]
        hues = [GREY if np.isnan(t) else colormaps[MAP_COLOURS](t) for t in entry.shade[order]]
        alpha = min(0.85, 0.1 + 50 / len(lines))
        axes.add_collection(LineCollection(lines, colors=hues, linewidths=0.9, alpha=alpha))
        _parallel_axes(axes, entry)
        _title(axes, contents, entry.family)
    note_omitted(figure, len(entries), len(contents.parallels))
    return figure


def _parallel_axes(axes: Axes, entry: joint.Parallels) -> None:
    count = len(entry.labels)
    axes.set(xlim=(-0.1, count - 0.75), xticks=range(count), yticks=[])
    axes.set_xticklabels([scales.wrap(label, 80 // count) for label in entry.labels])
    axes.tick_params(length=0)
    axes.grid(False)
    axes.spines[["left", "bottom"]].set_visible(False)
    box = {"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.8}
    for i, (positions, texts) in enumerate(entry.ticks):
        ends = min(0, *positions), max(1, *positions)
        axes.plot([i, i], ends, color=GREY, linewidth=1, zorder=3)
        axes.plot([i] * len(positions), positions, "_", color=GREY, markersize=6, zorder=3)
        for y, text in zip(positions, texts, strict=True):
            axes.annotate(text, (i, y), (5, 0), textcoords="offset points", size=7.5,
                          va="center", bbox=box, zorder=4)  # fmt: skip


def maps(contents: Contents) -> Figure:
    """The objective over the two hyperparameters that tell most about it."""
    shown = contents.leading(COLUMNS, [entry.family for entry in contents.maps])
    entries = [entry for entry in contents.maps if entry.family in shown]
    metric = contents.objective
    figure = Figure(figsize=(max(6, 1 + 4 * len(entries)), 4.2), layout="constrained")
    grid = figure.subplots(1, len(entries), squeeze=False)
    for axes, entry in zip(grid[0], entries, strict=True):
        if entry.cells is None:
            _points(axes, contents, entry)
        else:
            _cells(axes, contents, entry, entry.cells)
        if (place := contents.best_in(entry)) is not None:
            axes.plot(place[0], place[1] + (0.3 if entry.cells is not None else 0), **STAR)
        _title(axes, contents, entry.family)
    side = "max" if metric.mode == "min" else "min"
    extend = side if metric.beyond(metric.mean).any() else "neither"
    colour_bar(figure, grid, metric.scale, MAP_COLOURS, extend)
    note_omitted(figure, len(entries), len(contents.maps))
    handles = marks(words.map_legend(contents, entries))
    if handles:
        figure.legend(handles=handles, loc="outside upper left", ncols=2)
    return figure


def _points(axes: Axes, contents: Contents, entry: joint.Map) -> None:
    """A trial a point; a cross where one of its runs diverged."""
    for name, axis in ((entry.x, "x"), (entry.y, "y")):
        apply(axes, contents.axes[name], axis)
    x = contents.axes[entry.x].place(entry.x_values)
    y = contents.axes[entry.y].place(entry.y_values)
    means = contents.objective.mean[entry.trials]
    lost = np.isnan(means)
    axes.plot(x[lost], y[lost], "x", color=GREY, markersize=5)
    looks = {"cmap": MAP_COLOURS, "s": 28, "edgecolors": "black", "linewidths": 0.3}
    shade = norm(contents.objective.scale)
    axes.scatter(x[~lost], y[~lost], c=means[~lost], norm=shade, **looks)


def _cells(axes: Axes, contents: Contents, entry: joint.Map, cells: np.ndarray) -> None:
    """A setting a cell, with its value where there is space."""
    shade = norm(contents.objective.scale)
    shown = np.where(np.isfinite(cells), cells, np.nan)
    axes.imshow(shown, cmap=MAP_COLOURS, norm=shade, origin="lower", aspect="auto")
    axes.grid(False)
    for axis, name, values in (("x", entry.x, entry.x_values), ("y", entry.y, entry.y_values)):
        ticks = scales.few(len(values))
        axes.set(**{f"{axis}ticks": ticks, f"{axis}label": contents.axes[name].label})
        axes.set(**{f"{axis}ticklabels": [scales.number(v, 2) for v in values[ticks].tolist()]})
    for (row, column), value in np.ndenumerate(cells):
        if np.isinf(value):
            axes.plot(column, row, "x", color=GREY)
        elif cells.size <= WRITTEN and not np.isnan(value):
            ink = "white" if shade(value) < 0.5 else "black"
            text = scales.number(value, 2)
            axes.text(column, row, text, color=ink, size=7, ha="center", va="center")


def _title(axes: Axes, contents: Contents, family: int) -> None:
    if len(contents.families) > 1:
        name = scales.label(contents.families[family].name, 30)
        axes.set_title(name, color=colour(family), weight="bold")
