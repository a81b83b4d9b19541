"""The static figure of a lineage."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gdjax.report import scales, words
from gdjax.report.canvas import MARKS, apply, colour, looks, marks
from gdjax.report.contents import Contents
from gdjax.report.lineage import Lineage, Lines, Panel, joined
from gdjax.report.scales import FAINT


def lineage(contents: Contents, shown: Lineage) -> Figure:
    """The objective and the settings over time, the ancestors of the best trial on top."""
    count = len(shown.panels)
    width = float(np.clip(40 / len(shown.trials), 0.3, 0.8))  # hundreds of lines stay apart
    ratios = [2.0] + [1.0] * (count - 1)
    figure = Figure(figsize=(7, 2.2 + 1.4 * count), layout="constrained")
    grid = figure.subplots(count, sharex=True, squeeze=False, height_ratios=ratios)[:, 0]
    for axes, panel in zip(grid, shown.panels, strict=True):
        apply(axes, panel.scale, "y", 40 if panel is shown.panels[0] else 20)
        _draw(axes, shown.lines(panel, "extinct"), panel, FAINT, width)
        for i, family in enumerate(contents.families):
            _draw(axes, shown.lines(panel, "survived", family.rows), panel, colour(i), width)
        style = "steps-pre" if panel.stepwise else "default"
        leader = shown.lines(panel, "leader")
        line = {"color": "black", "drawstyle": style, "linewidth": 2, "zorder": 4}
        axes.plot(joined(leader.x), joined(leader.y), **line)
    grid[0].plot(*shown.copies(), **looks(MARKS["copied"]()) | {"alpha": 1, "zorder": 5})
    for i, family in enumerate(contents.families):
        grid[0].plot(*shown.fallen(family.rows), **looks(MARKS["diverged"](color=colour(i))))
    grid[-1].set(xlabel="updates", xlim=(0, contents.result.attributes["steps"]))
    handles = marks(words.lineage_legend(contents, shown))
    if len(contents.families) > 1:
        handles = [
            Line2D([], [], color=colour(i), label=scales.label(family.name, 30))
            for i, family in enumerate(contents.families)
        ] + handles
    figure.legend(handles=handles, loc="outside upper left", ncols=3)
    return figure


def _draw(axes: Axes, lines: Lines, panel: Panel, hue: str, width: float) -> None:
    corners = ([0, 0, 1], [0, 1, 1]) if panel.stepwise else ([0, 1], [0, 1])
    points = np.stack([lines.x[:, corners[0]], lines.y[:, corners[1]]], axis=2)
    axes.add_collection(LineCollection(list(points), colors=hue, linewidths=width))
