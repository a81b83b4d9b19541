"""The style of the interactive figures, and axes, legends and colours in it."""

from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go

from gdjax.report import scales
from gdjax.report.scales import CURVE_COLOURS, FAINT, FAMILY_COLOURS, GREY, Scale

_AXIS = {
    "gridcolor": "#E5E7EB",
    "linecolor": GREY,
    "showline": True,
    "ticks": "outside",
    "tickcolor": GREY,
    "zeroline": False,
    "automargin": True,
    "title": {"standoff": 8},
}
STYLE = go.layout.Template(
    layout={
        "font": {"family": "system-ui, sans-serif", "size": 12, "color": "#111827"},
        "paper_bgcolor": "white",
        "plot_bgcolor": "white",
        "hoverlabel": {"align": "left"},
        "margin": {"l": 10, "r": 10, "t": 30, "b": 10},
        "legend": {"orientation": "h", "y": 1.0, "yref": "container", "yanchor": "top"}
        | {"borderwidth": 9, "bordercolor": "white"},  # room for the title below it
        "xaxis": _AXIS,
        "yaxis": _AXIS,
        "annotationdefaults": {"font": {"size": 12}},
    }
)
CURVE_SCALE = [[i / (len(CURVE_COLOURS) - 1), colour] for i, colour in enumerate(CURVE_COLOURS)]
STAR = {
    "symbol": "star",
    "size": 15,
    "color": "#FFD700",
    "line": {"color": "black", "width": 1},
}
_LINES: dict[str, dict[str, Any]] = {
    "mean": {"width": 2},
    "bin best": {"width": 2},
    "bin median": {"width": 2, "dash": "dot"},
    "start": {"width": 1, "dash": "dash"},
    "leader": {"width": 2.5, "color": "black"},
    "survived": {"width": 1, "color": FAMILY_COLOURS[0]},
    "extinct": {"width": 1, "color": FAINT},
    "fan": {"width": 1, "color": CURVE_COLOURS[4]},
}
_MARKERS: dict[str, dict[str, Any]] = {
    "best": STAR,
    "run": {"size": 4, "opacity": 0.5},
    "beyond": {"size": 7, "symbol": "triangle-up"},
    "copied": {"size": 8, "color": "white", "line": {"color": "black", "width": 1.5}},
    "kept": {"size": 6},
    "stopped": {"size": 7, "symbol": "circle-open"},
    "diverged": {"size": 6, "symbol": "x-thin-open"},
    "range": {"size": 12, "symbol": "square", "opacity": 0.3},
}


def colour(family: int) -> str:
    """A family's colour."""
    return FAMILY_COLOURS[family % len(FAMILY_COLOURS)]


def marks(kind: str, hue: str, **values: Any) -> go.Scatter:
    """A trace of one kind of mark; with no values, an entry of the legend."""
    values = {"x": [None], "y": [None], "hoverinfo": "skip"} | values
    if kind in _LINES:
        return go.Scatter(mode="lines", line={"color": hue} | _LINES[kind], **values)
    return go.Scatter(mode="markers", marker={"color": hue} | _MARKERS[kind], **values)


def band(x: np.ndarray, low: np.ndarray, high: np.ndarray, hue: str, **values: Any) -> list[Any]:
    """The area between two lines, with gaps where there is a NaN."""
    traces, known = [], np.isfinite(low) & np.isfinite(high)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], known, [False]]).astype(int)))
    for first, end in edges.reshape(-1, 2):
        there = np.concatenate([x[first:end], x[first:end][::-1]])
        around = np.concatenate([high[first:end], low[first:end][::-1]])
        looks = {"mode": "lines", "line": {"width": 0, "color": hue}, "fill": "toself"}
        traces.append(
            go.Scatter(x=there, y=around, hoverinfo="skip", opacity=0.45, **looks, **values)
        )
    return traces


def legend(entries: dict[str, str]) -> list[go.Scatter]:
    """Entries of a legend by the kind of mark."""
    return [
        marks(kind, GREY, name=wrapped(text, 40), showlegend=True) for kind, text in entries.items()
    ]


def axis(scale: Scale, titled: bool = True) -> dict[str, Any]:
    """An axis as plotly describes it."""
    ends = [scale.low, scale.high]
    described: dict[str, Any] = {"range": np.log10(ends).tolist() if scale.log else ends}
    if scale.log:
        described |= {"type": "log", "dtick": 1 if scale.high / scale.low > 50 else "D2"}
        described["tickformat"] = "~g"
    if scale.ticks is not None and (scale.zero is not None or not scale.log):
        described |= {"tickvals": list(scale.ticks), "ticktext": scale.texts()}
    if titled:
        described["title"] = {"text": wrapped(scale.label, 24)}
    return described


def wrapped(text: str, width: int) -> str:
    """Text in lines, safe from plotly's tags."""
    return escape(scales.wrap(text, width)).replace("\n", "<br>")


def colour_bar(scale: Scale, colours: Any, low: float = 0, high: float = 1) -> dict[str, Any]:
    """Colours of positions 0 to 1 on a scale, and what they mean."""
    ticks, texts = scale.inner_ticks()
    bar = {"thickness": 10, "outlinewidth": 0, "tickvals": scale.unit(ticks), "ticktext": texts}
    bar["title"] = {"text": wrapped(scale.label, 30), "side": "right"}
    return {"colorscale": colours, "cmin": low, "cmax": high, "showscale": True, "colorbar": bar}


def finish(figure: go.Figure, height: int, **layout: Any) -> go.Figure:
    """Give a figure its style and height in pixels."""
    return figure.update_layout(template=STYLE, height=height, hovermode="closest", **layout)
