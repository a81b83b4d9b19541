"""The static figures of landscapes and basins."""

import itertools
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import Normal, Stroke

from gdjax.report import scales
from gdjax.report.canvas import STAR, apply, colour_bar, norm
from gdjax.report.curves import evenly
from gdjax.report.scales import FAINT, FAMILY_COLOURS, GREY, MAP_COLOURS, Scale

LEVELS = 20  # bands of colour
DECADES = 6  # of a loss below its largest value: what is lower is as good as 0
WIDEST = 3  # a plane whose sides differ more is not drawn to scale
CELLS = 2000  # along an axis; more cannot be told apart
# The first one, blue, is that of low losses too.
PATH_COLOURS = FAMILY_COLOURS[1:] + FAMILY_COLOURS[:1]
OUTLINE = [Stroke(linewidth=2.6, foreground="white"), Normal()]
START = {"marker": "o", "ms": 6, "mfc": "white", "mec": "black", "linestyle": "none"}


def curve(offsets: np.ndarray, losses: np.ndarray, label: str, loss_label: str) -> Figure:
    """A loss along one direction."""
    figure = Figure(figsize=(4.2, 2.8), layout="constrained")
    axes = figure.subplots()
    axes.axvline(0, color=GREY, linestyle="--", linewidth=1)
    axes.plot(offsets, losses, color=FAMILY_COLOURS[0])
    apply(axes, _loss_scale(loss_label, losses), "y", 40)
    axes.set_xlabel(label)
    return figure


def line(
    fractions: np.ndarray,
    losses: np.ndarray,
    barrier: float,
    ends: tuple[str, str],
    loss_label: str,
) -> Figure:
    """A loss between two points, the straight line below it, and the barrier in between."""
    figure = Figure(figsize=(4.2, 2.8), layout="constrained")
    axes = figure.subplots()
    straight = losses[0] + fractions * (losses[-1] - losses[0])
    axes.plot(fractions, straight, color=GREY, linestyle="--", linewidth=1)
    axes.plot(fractions, losses, color=FAMILY_COLOURS[0])
    axes.plot(fractions[[0, -1]], losses[[0, -1]], "o", color=FAMILY_COLOURS[0], markersize=5)
    if np.isfinite(barrier):
        top = int(np.argmax(losses - straight))
        ends_of_arrow = [(fractions[top], height[top]) for height in (losses, straight)]
        arrow = {"arrowstyle": "<->", "shrinkA": 0, "shrinkB": 0, "color": FAMILY_COLOURS[1]}
        axes.annotate("", *ends_of_arrow, arrowprops=arrow)
        axes.set_title(f"barrier {scales.number(barrier, 3)}", color=FAMILY_COLOURS[1])
    label = scales.wrap(f"fraction of the way from {ends[0]} to {ends[1]}", 50)
    axes.set(xlabel=label, ylabel=scales.wrap(loss_label, 40))
    return figure


def surface(
    offsets: list[np.ndarray],
    losses: np.ndarray,
    paths: dict[str, np.ndarray],
    labels: Sequence[str],
    loss_label: str,
) -> Figure:
    """A loss along two directions, and paths over it."""
    sides = [np.ptp(x) for x in offsets]
    to_scale = max(sides) <= WIDEST * min(sides)
    height = 3.4 * sides[1] / sides[0] if to_scale else 3.4  # inches, of the plane
    figure = Figure(figsize=(4.8, 0.9 + height), layout="constrained")
    axes = figure.subplots()
    scale = _loss_scale(loss_label, losses)
    low, high = scale.inner
    levels = (np.geomspace if scale.log else np.linspace)(low, high, LEVELS + 1)
    shown = np.ma.masked_invalid(np.clip(losses, low, high)).T  # rows are the second axis
    looks = {"levels": levels, "norm": norm(scale)}
    axes.contourf(*offsets, shown, cmap=MAP_COLOURS, **looks)
    if shown.min() < shown.max():
        axes.contour(*offsets, shown, colors="white", linewidths=0.4, alpha=0.5, **looks)
    for (name, path), hue in zip(paths.items(), itertools.cycle(PATH_COLOURS), strict=False):
        marks = {"marker": ".", "markersize": 5, "linewidth": 1.2, "path_effects": OUTLINE}
        axes.plot(*path.T, color=hue, label=name, **marks)
        axes.plot(*path[0], **START)
        axes.plot(*path[-1], **STAR)
    if paths:
        handles = axes.get_legend_handles_labels()[0]
        handles += [Line2D([], [], label="start", **START), Line2D([], [], label="end", **STAR)]
        figure.legend(handles=handles, loc="outside upper left", ncols=4)
    axes.set_aspect("equal" if to_scale else "auto")
    axes.set(xlabel=labels[0], ylabel=labels[1])
    _frame(axes)
    colour_bar(figure, axes, scale, MAP_COLOURS, "max" if np.any(losses > high) else "neither")
    return figure


def basins(
    labels: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    diverged: np.ndarray,
    names: Sequence[str],
    axis_labels: tuple[str, str],
) -> Figure:
    """Each run a cell in the colour of the minimum at which it ended."""
    colours = len(FAMILY_COLOURS)
    kinds = [*zip(FAMILY_COLOURS, names, strict=False), (GREY, "other minima"),
             (FAINT, "at no minimum"), ("white", "diverged")]  # fmt: skip
    kind = np.minimum(labels, min(len(names), colours))
    kind = np.where(labels < 0, len(kinds) - 2, kind)
    kind = np.where((labels < 0) & diverged, len(kinds) - 1, kind)
    rows, columns = (evenly(np.argsort(values, kind="stable"), CELLS) for values in (x, y))
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.subplots()
    edges = []
    for axis, values, label in zip("xy", (x[rows], y[columns]), axis_labels, strict=True):
        scale = scales.hyperparameter_scale(label, values)
        edges.append(_edges(scale.place(values), scale.log))
        apply(axes, scale, axis)
        axes.set(**{f"{axis}lim": edges[-1][[0, -1]]})
    axes.pcolormesh(
        *edges,
        kind[np.ix_(rows, columns)].T,
        cmap=ListedColormap([hue for hue, _ in kinds]),
        vmin=-0.5,
        vmax=len(kinds) - 0.5,
        rasterized=True,
    )
    _frame(axes)
    handles = [
        Patch(facecolor=hue, edgecolor=GREY, linewidth=0.5, label=scales.label(name))
        for i, (hue, name) in enumerate(kinds)
        if (kind == i).any()
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=4)
    return figure


def _loss_scale(label: str, losses: np.ndarray) -> Scale:
    """The axis of a loss, whose ends differ."""
    values = losses[np.isfinite(losses)]
    if values.min() >= 0:
        values = np.maximum(values, values.max() / 10**DECADES)
    scale = scales.metric_scale(label, values, values, "min", room=0.05)
    if scale.inner[0] < scale.inner[1]:
        return scale
    return Scale(label, False, scale.low, scale.high, (scale.low, scale.high))


def _frame(axes: Axes) -> None:
    """Of a plane, whose colours may end in white."""
    axes.grid(False)
    axes.spines[:].set_visible(True)


def _edges(values: np.ndarray, log: bool) -> np.ndarray:
    """Between cells around values in ascending order, halfway on the axis."""
    places = np.log(values) if log else values
    if len(places) == 1:
        edges = places + np.array([-0.5, 0.5])
    else:
        middles = (places[1:] + places[:-1]) / 2
        edges = np.concatenate(
            [[2 * places[0] - middles[0]], middles, [2 * places[-1] - middles[-1]]]
        )
    return np.exp(edges) if log else edges
