"""The static figure of rungs."""

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gdjax.report import scales, words
from gdjax.report.canvas import MARKS, apply, colour, looks, marks
from gdjax.report.contents import Contents
from gdjax.report.rungs import Rungs

MOST = 11  # rungs that have a text below


def rungs(contents: Contents, shown: Rungs) -> Figure:
    """Each trial as a line through the rungs to where it ended."""
    figure = Figure(figsize=(7, 3.8), layout="constrained")
    axes = figure.subplots()
    apply(axes, shown.scale, "y", 40)
    family = contents.family_of(shown.trials)
    best = contents.best is not None
    lines = [np.column_stack([np.arange(len(row)), row]) for row in shown.scores[best:]]
    hues = [colour(i) for i in family[best:].tolist()]
    axes.add_collection(LineCollection(lines[::-1], colors=hues[::-1], linewidths=0.7, alpha=0.35))
    for kind in ("kept", "stopped", "diverged"):
        line, rung = shown.points(kind)
        for i in np.unique(family[line]).tolist():
            mine = family[line] == i
            mark = MARKS[kind](color=colour(i))
            axes.plot(rung[mine], shown.scores[line, rung][mine], **looks(mark))
    if best:
        axes.plot(shown.scores[0], "k", marker="o", ms=4, linewidth=2.2, zorder=4)
    axes.set_xlim(-0.3, len(shown.steps) - 0.7)
    ticks, texts = shown.ticks(MOST)
    axes.set_xticks(ticks, ["\n".join(lines) for lines in texts])
    axes.set_xlabel(words.RUNG_AXIS)
    handles = marks(words.rung_legend(contents, shown))
    if len(contents.families) > 1:
        handles = [
            Line2D([], [], color=colour(i), label=scales.label(entry.name, 30))
            for i, entry in enumerate(contents.families)
            if i in family
        ] + handles
    figure.legend(handles=handles, loc="outside upper left", ncols=2)
    return figure
