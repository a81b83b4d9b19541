"""The interactive figures, drawn by plotly."""

from html import escape
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go
from plotly.colors import sample_colorscale
from plotly.subplots import make_subplots

from gdjax.report import charts_joint, charts_lineage, charts_rungs, scales, words
from gdjax.report.charts_base import (
    CURVE_SCALE,
    axis,
    band,
    colour,
    colour_bar,
    finish,
    legend,
    marks,
)
from gdjax.report.contents import Contents
from gdjax.report.profiles import BINS, Family, Metric, Profile
from gdjax.report.scales import GREY


class Chart(NamedTuple):
    """An interactive figure and its words."""

    title: str
    caption: str
    figure: go.Figure


def draw(contents: Contents) -> list[Chart]:
    """All figures that the contents call for."""
    charts = []
    for name in contents.axes:
        title = f"Metrics against {scales.label(name)}"
        caption = words.profile_caption(contents, name)
        charts.append(Chart(title, caption, _profile(contents, name)))
    for i, family in enumerate(contents.families):
        title = words.titled("Learning curves", contents, family)
        charts.append(Chart(title, words.curve_caption(contents, i), _curves(contents, i)))
    if contents.rungs is not None:
        caption = words.rung_caption(contents, contents.rungs)
        figure = charts_rungs.rungs(contents, contents.rungs)
        charts.append(Chart("Rungs: who went on, and who was stopped", caption, figure))
    if contents.lineage is not None:
        caption = words.lineage_caption(contents, contents.lineage)
        figure = charts_lineage.lineage(contents, contents.lineage)
        charts.append(Chart("Lineage: who went on from whom", caption, figure))
    for entry in contents.parallels:
        title = words.titled("Parallel coordinates", contents, contents.families[entry.family])
        figure = charts_joint.parallels(entry)
        charts.append(Chart(title, words.parallel_caption(contents), figure))
    for entry in contents.maps:
        family = contents.families[entry.family]
        title = words.titled(f"Map of {contents.objective.label}", contents, family)
        figure = charts_joint.objective_map(contents, entry)
        charts.append(Chart(title, words.map_caption(contents, entry), figure))
    return charts


def _stacked(count: int, titles: list[str] | None = None) -> go.Figure:
    spacing = (0.25 if titles else 0.12) / count
    return make_subplots(
        count, 1, shared_xaxes=True, vertical_spacing=spacing, subplot_titles=titles
    )


def _profile(contents: Contents, name: str) -> go.Figure:
    """Metrics at the end against one hyperparameter."""
    count, best = len(contents.metrics), contents.best
    figure = _stacked(
        count, [escape(words.at_best(contents, m, short=True)) for m in contents.metrics]
    )
    figure.update_annotations(x=0, xanchor="left", font_size=12)
    for row, metric in enumerate(contents.metrics, 1):
        traces: list[Any] = []
        for i, (family, profile) in enumerate(
            zip(contents.families, contents.profiles[name][row - 1], strict=True)
        ):
            if profile is not None:
                traces += _runs(contents, metric, family, name, i) + _lines(profile, i)
        if metric.name == "loss" and np.isfinite(contents.initial_loss):
            scale = contents.axes[name]
            level = [contents.initial_loss] * 2
            traces.append(
                marks("start", GREY, x=[scale.low, scale.high], y=level, showlegend=False)
            )
        if best and name in best.settings:
            x = contents.axes[name].place(np.asarray([best.settings[name]]))
            y = metric.mean[[best.trial]]
            traces.append(marks("best", GREY, x=x, y=y, showlegend=False))
        figure.add_traces(traces, rows=row, cols=1)
        figure.update_yaxes(axis(metric.scale), row=row)
        figure.update_xaxes(axis(contents.axes[name], titled=row == count), row=row)
    if len(contents.families) > 1:
        for i, family in enumerate(contents.families):
            if contents.profiles[name][0][i] is not None:
                text = escape(scales.label(family.name, 30))
                figure.add_trace(marks("mean", colour(i), name=text, legendgroup=f"family {i}"))
    entries = legend(words.profile_legend(contents, name))
    figure.add_traces(entries)
    return finish(figure, 100 + 220 * count + 12 * len(entries))


def _runs(contents: Contents, metric: Metric, family: Family, name: str, i: int) -> list[Any]:
    """Each run as a point; those off the scale and diverged at the bad end."""
    traces = []
    for kind, runs in contents.runs(metric, family, name).items():
        index = zip(runs.trial.tolist(), runs.seed.tolist(), strict=True)
        hover = [words.run(contents, metric, *where) for where in index]
        values = {"x": runs.x, "y": runs.y, "hovertext": hover, "hoverinfo": "text"}
        if hover:
            group = {"legendgroup": f"family {i}", "showlegend": False}
            traces.append(marks(kind, colour(i), **values, **group))
    return traces


def _lines(profile: Profile, i: int) -> list[Any]:
    group: dict[str, Any] = {"legendgroup": f"family {i}", "showlegend": False}
    few = {"mode": "lines+markers" if len(profile.x) <= BINS else "lines", "marker": {"size": 5}}
    if profile.best_x is not None:
        best = marks("bin best", colour(i), x=profile.best_x, y=profile.best, **group).update(few)
        return [best, marks("bin median", colour(i), x=profile.x, y=profile.centre, **group)]
    traces: list[Any] = [
        marks("mean", colour(i), x=profile.x, y=profile.centre, **group).update(few)
    ]
    if profile.low is not None and profile.high is not None:
        traces += band(profile.x, profile.low, profile.high, colour(i), **group)
    return traces


def _curves(contents: Contents, i: int) -> go.Figure:
    """Metrics over time in one family: a fan of trials, and the best with its seeds."""
    curves = contents.curves
    leader, *others = curves.fans[i].tolist()
    figure = _stacked(len(curves.panels))
    tints = contents.shades(curves.trials)
    hues = [GREY if np.isnan(t) else sample_colorscale(CURVE_SCALE, [t])[0] for t in tints]
    hover = [escape(f"trial {t}: {words.settings(contents, t)}") for t in curves.trials.tolist()]
    for row, panel in enumerate(curves.panels, 1):
        traces: list[Any] = []
        for j in [*reversed(others), leader]:  # the better on top
            kind = "leader" if j == leader else "fan"
            line = {"x": panel.x, "y": panel.lines[j].astype(np.float32), "showlegend": False}
            template = f"%{{y:.4g}} after %{{x}} updates<br>{hover[j]}<extra></extra>"
            trace = marks(kind, hues[j], hoverinfo=None, hovertemplate=template, **line)
            traces.append(trace if kind == "leader" else trace.update(line_color=hues[j]))
        if contents.result.seeds > 1:
            traces += band(panel.x, panel.low[i], panel.high[i], "black", showlegend=False)
        figure.add_traces(traces, rows=row, cols=1)
        figure.update_yaxes(axis(panel.scale), row=row)
    figure.update_xaxes(range=[0, contents.result.attributes["steps"]])
    figure.update_xaxes(title_text="updates", row=len(curves.panels))
    if contents.colour_by is not None and others:
        bar = colour_bar(contents.axes[contents.colour_by], CURVE_SCALE)
        marker = {"color": [0.0], "size": 0.1, **bar}
        dummy = {"x": [None], "y": [None], "showlegend": False, "hoverinfo": "skip"}
        figure.add_trace(go.Scatter(mode="markers", marker=marker, **dummy))
    figure.add_traces(legend(words.curve_legend(contents)))
    return finish(figure, 100 + 220 * len(curves.panels))
