"""The interactive figure of a lineage."""

from html import escape

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from gdjax.report import scales, words
from gdjax.report.charts_base import axis, colour, finish, legend, marks
from gdjax.report.contents import Contents
from gdjax.report.lineage import Lineage, Lines, apart, joined
from gdjax.report.scales import FAINT


def lineage(contents: Contents, shown: Lineage) -> go.Figure:
    """The objective and the settings over time, the ancestors of the best trial on top."""
    count = len(shown.panels)
    figure = make_subplots(
        count,
        1,
        shared_xaxes=True,
        vertical_spacing=0.12 / count,
        row_heights=[2.0] + [1.0] * (count - 1),
    )
    groups = [
        {"legendgroup": f"family {i}", "showlegend": False} for i in range(len(contents.families))
    ]
    for row, panel in enumerate(shown.panels, 1):
        for kind in ("extinct", "survived", "leader"):
            for i, family in enumerate(contents.families):
                lines = shown.lines(panel, kind, family.rows)
                hue = {"extinct": FAINT, "leader": "black"}.get(kind, colour(i))
                trace = marks(kind, hue, **_points(shown, lines, kind == "leader"), **groups[i])
                shape = "vh" if panel.stepwise else "linear"
                figure.add_trace(trace.update(line={"color": hue, "shape": shape}), row=row, col=1)
        figure.update_yaxes(axis(panel.scale), row=row)
    x, y = shown.copies()
    figure.add_trace(marks("copied", "black", x=x, y=y, showlegend=False), row=1, col=1)
    for i, family in enumerate(contents.families):
        x, y = shown.fallen(family.rows)
        figure.add_trace(marks("diverged", colour(i), x=x, y=y, **groups[i]), row=1, col=1)
    if len(contents.families) > 1:
        for i, family in enumerate(contents.families):
            text = escape(scales.label(family.name, 30))
            figure.add_trace(marks("mean", colour(i), name=text, legendgroup=f"family {i}"))
    entries = legend(words.lineage_legend(contents, shown))
    figure.add_traces(entries)
    figure.update_xaxes(range=[0, contents.result.attributes["steps"]])
    figure.update_xaxes(title_text="updates", row=count)
    height = 180 + 140 * (count + 1) + 12 * len(entries)
    return finish(figure, height, margin_r=20)  # for the last tick


def _points(shown: Lineage, lines: Lines, one: bool) -> dict:
    """Lines as the values of one trace, and what they say; ``one`` where they are one path."""
    ends = lines.trial, lines.evaluation
    known = [panel for panel in shown.panels if not np.isnan(panel.values[ends]).all()]
    told = [lines.trial, shown.begins[lines.evaluation + 1], *(p.values[ends] for p in known)]
    x, y, *told = (
        (joined if one else apart)(values).astype(np.float32)
        for values in (lines.x, lines.y, *told)
    )
    texts = [f"{escape(p.scale.label)} %{{customdata[{i}]:.4g}}" for i, p in enumerate(known, 2)]
    head = "trial %{customdata[0]} after %{customdata[1]} updates"
    template = "<br>".join([head, *texts]) + "<extra></extra>"
    custom = {"customdata": np.stack(told, axis=1), "hovertemplate": template, "hoverinfo": None}
    return {"x": x, "y": y, **custom}
