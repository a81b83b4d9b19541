"""The interactive figure of rungs."""

from html import escape

import numpy as np
import plotly.graph_objects as go

from gdjax.report import scales, words
from gdjax.report.charts_base import axis, colour, finish, legend, marks
from gdjax.report.contents import Contents
from gdjax.report.rungs import Rungs

MOST = 6  # rungs that have a text below; more overlap on a telephone


def rungs(contents: Contents, shown: Rungs) -> go.Figure:
    """Each trial as a line through the rungs to where it ended."""
    figure, family = go.Figure(), contents.family_of(shown.trials)
    best = contents.best is not None
    for i in np.unique(family).tolist():
        group = {"legendgroup": f"family {i}", "showlegend": False}
        mine = np.flatnonzero((family == i) & (np.arange(len(family)) >= best))[::-1]
        gaps = np.append(np.arange(len(shown.steps), dtype=float), np.nan)  # between lines
        y = np.pad(shown.scores[mine], ((0, 0), (0, 1)), constant_values=np.nan)
        looks = {"x": np.tile(gaps, len(mine)), "y": y.ravel(), "opacity": 0.35, **group}
        figure.add_trace(marks("fan", colour(i), **looks).update(line_color=colour(i)))
        for kind in ("kept", "stopped", "diverged"):
            line, rung = shown.points(kind)
            line, rung = line[family[line] == i], rung[family[line] == i]
            hover = [words.trial(contents, trial) for trial in shown.trials[line].tolist()]
            if hover:
                values = {"x": rung, "y": shown.scores[line, rung], "hovertext": hover}
                figure.add_trace(marks(kind, colour(i), hoverinfo="text", **values, **group))
    if best:
        x = np.arange(len(shown.steps))
        leader = marks("leader", "black", x=x, y=shown.scores[0], showlegend=False)
        figure.add_trace(leader.update(mode="lines+markers", marker={"size": 7}))
    if len(contents.families) > 1:
        for i in np.unique(family).tolist():
            text = escape(scales.label(contents.families[i].name, 30))
            figure.add_trace(marks("mean", colour(i), name=text, legendgroup=f"family {i}"))
    entries = legend(words.rung_legend(contents, shown))
    figure.add_traces(entries)
    figure.update_yaxes(axis(shown.scale))
    ticks, texts = shown.ticks(MOST)
    figure.update_xaxes(
        range=[-0.3, len(shown.steps) - 0.7],
        tickvals=ticks,
        ticktext=["<br>".join(lines) for lines in texts],
        tickangle=0,
        tickfont_size=11,
        title_text=words.RUNG_AXIS,
    )
    return finish(figure, 400 + 12 * len(entries))
