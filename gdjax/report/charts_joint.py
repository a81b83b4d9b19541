"""Interactive figures of the objective over several hyperparameters."""

from html import escape

import numpy as np
import plotly.graph_objects as go
from plotly.colors import get_colorscale

from gdjax.report import joint, scales, words
from gdjax.report.charts_base import axis, colour_bar, finish, legend, marks
from gdjax.report.contents import Contents
from gdjax.report.scales import GREY, MAP_COLOURS

LOST = 1.1  # position of trials that diverged on the colour scale, where it is grey


def parallels(entry: joint.Parallels) -> go.Figure:
    """Each trial as a line through its hyperparameters and the objective."""
    dimensions = []
    for label, positions, (ticks, texts) in zip(
        entry.labels, entry.positions.T, entry.ticks, strict=True
    ):
        ends = [min(0, *ticks, *positions), max(1, *ticks, *positions)]
        dimensions.append(
            {
                "label": escape(scales.label(label, 24)),
                "values": positions.astype(np.float32),
                "range": ends,
                "tickvals": ticks,
                "ticktext": texts,
            }
        )
    coloured = [[stop / LOST, tint] for stop, tint in get_colorscale(MAP_COLOURS)]
    lost = [[1 / LOST + 1e-6, GREY], [1, GREY]]
    line = {
        "color": np.nan_to_num(entry.shade, nan=LOST).astype(np.float32),
        "colorscale": [*coloured, *lost],
        "cmin": 0,
        "cmax": LOST,
    }
    figure = go.Figure(go.Parcoords(dimensions=dimensions, line=line))
    return finish(figure, 380, margin={"l": 50, "r": 60, "t": 60, "b": 20})


def objective_map(contents: Contents, entry: joint.Map) -> go.Figure:
    """The objective over the two hyperparameters that tell most about it."""
    figure = go.Figure()
    if entry.cells is None:
        _points(figure, contents, entry)
    else:
        _cells(figure, contents, entry, entry.cells)
    if (place := contents.best_in(entry)) is not None:
        figure.add_trace(marks("best", GREY, x=place[:1], y=place[1:], showlegend=False))
    figure.add_traces(legend(words.map_legend(contents, [entry])))
    return finish(figure, 460)


def _points(figure: go.Figure, contents: Contents, entry: joint.Map) -> None:
    """A trial a point; a cross where one of its runs diverged."""
    metric, x_scale, y_scale = contents.objective, contents.axes[entry.x], contents.axes[entry.y]
    means = metric.mean[entry.trials]
    lost = np.isnan(means)
    marker = {"size": 9, "opacity": 1, "line": {"color": "black", "width": 0.4}}
    marker |= {"color": metric.scale.unit(means[~lost]), **colour_bar(metric.scale, MAP_COLOURS)}
    for kind, there, looks in (("diverged", lost, {}), ("run", ~lost, {"marker": marker})):
        hover = [words.trial(contents, trial) for trial in entry.trials[there].tolist()]
        values = {"hovertext": hover, "hoverinfo": "text", "showlegend": False}
        values["x"] = x_scale.place(entry.x_values[there])
        values["y"] = y_scale.place(entry.y_values[there])
        figure.add_trace(marks(kind, GREY, **values).update(looks))
    figure.update_xaxes(axis(x_scale))
    figure.update_yaxes(axis(y_scale))


def _cells(figure: go.Figure, contents: Contents, entry: joint.Map, cells: np.ndarray) -> None:
    """A setting a cell."""
    scale = contents.objective.scale
    bar = colour_bar(scale, MAP_COLOURS)
    bar |= {"zmin": bar.pop("cmin"), "zmax": bar.pop("cmax")}
    labels = [scales.label(name) for name in (entry.x, entry.y)]
    hover = np.empty(cells.shape, object)
    for (row, column), value in np.ndenumerate(cells):
        at = [scales.number(float(v)) for v in (entry.x_values[column], entry.y_values[row])]
        result = "diverged" if np.isinf(value) else f"{scale.label} {scales.number(value)}"
        text = f"{labels[0]} {at[0]}, {labels[1]} {at[1]}"
        hover[row, column] = f"{escape(text)}<br>{escape(result)}"
    shades = scale.unit(np.where(np.isfinite(cells), cells, np.nan))
    figure.add_trace(go.Heatmap(z=shades, hovertext=hover, hoverinfo="text", **bar))
    row, column = np.nonzero(np.isinf(cells))
    figure.add_trace(marks("diverged", GREY, x=column, y=row, showlegend=False))
    ways = (entry.x_values, figure.update_xaxes), (entry.y_values, figure.update_yaxes)
    for label, (values, update) in zip(labels, ways, strict=True):
        ticks = scales.few(len(values))
        texts = [scales.number(value, 3) for value in values[ticks].tolist()]
        update(tickvals=ticks, ticktext=texts, title_text=escape(label), showgrid=False)
