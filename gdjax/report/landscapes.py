"""Figures of loss landscapes and basins, returned to be shown or saved as PNG, PDF or SVG."""

import functools
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ParamSpec

import numpy as np

from gdjax.diagnostics.landscapes import Line, Slice
from gdjax.errors import InvalidType, InvalidValue, MissingExtra, shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

P = ParamSpec("P")


def _styled(draw: Callable[P, "Figure"]) -> Callable[P, "Figure"]:
    """Draw in the report's style, whatever the user's is."""

    @functools.wraps(draw)
    def styled(*args: P.args, **kwargs: P.kwargs) -> "Figure":
        if importlib.util.find_spec("matplotlib") is None:
            raise MissingExtra(f"gdjax.report.{draw.__name__}", "report")
        import matplotlib.style

        from gdjax.report.canvas import STYLE

        with matplotlib.style.context(["default", STYLE]):
            figure = draw(*args, **kwargs)
            for axes in figure.axes:  # saving makes ticks, and asks the style that is then on
                axes.tick_params(labelsize=STYLE["xtick.labelsize"])
            figure.draw_without_rendering()
        return figure

    return styled


@_styled
def draw_slice(
    found: Slice,
    paths: Mapping[str, Any] | None = None,
    shares: Any = None,
    labels: Sequence[str] | None = None,
    loss_label: str = "loss",
) -> "Figure":
    """A loss along one direction as a curve, along two as contours with paths over them.

    The scale is logarithmic where the loss is positive and spans more than a decade. It ends at
    ten times the median; where the loss is NaN the plane is blank.

    Args:
      found: of :func:`gdjax.diagnostics.loss_slice`.
      paths: by name, coordinates of runs ``[checkpoint, direction]``.
      shares: where the directions are principal ones, how much each explains, ``[direction]``:
        ``explained`` of :class:`gdjax.diagnostics.Path`.
      labels: of the directions.
      loss_label: what the loss is, with its unit: ``"cross-entropy, nats"``.

    Raises:
      MissingExtra: matplotlib is not installed.
      InvalidType: paths without names.
      InvalidValue: more than two directions, offsets that are all one, no finite loss, or paths
        of another shape.
    """
    from gdjax.report import figures_landscapes

    axes = [np.asarray(x, float) for x in found.offsets]
    losses = np.asarray(found.losses, float)
    if not isinstance(paths, Mapping | None):
        raise InvalidType(f"draw_slice: paths must be a dict by name, got {shown(paths)}")
    places = {name: np.asarray(path, float) for name, path in (paths or {}).items()}
    if len(axes) > 2 or not all(map(np.ptp, axes)):
        raise InvalidValue(
            "draw_slice draws one or two directions, each with different offsets, got offsets of "
            f"shapes {[x.shape for x in axes]} and lengths {[float(np.ptp(x)) for x in axes]}"
        )
    for name, path in places.items():
        if path.ndim != 2 or path.shape[1:] != (2,) or len(axes) != 2:
            raise InvalidValue(
                f"draw_slice: paths are [checkpoint, 2] over two directions, got {shown(name)} of "
                f"shape {path.shape} over {len(axes)}"
            )
    if not np.isfinite(losses).any():
        raise InvalidValue("draw_slice: no loss is finite; take offsets nearer to 0")
    labels = _axis_labels(len(axes), shares) if labels is None else labels
    if len(axes) == 1:
        return figures_landscapes.curve(axes[0], losses, labels[0], loss_label)
    return figures_landscapes.surface(axes, losses, places, labels, loss_label)


@_styled
def draw_line(
    line: Line, ends: tuple[str, str] = ("start", "end"), loss_label: str = "loss"
) -> "Figure":
    """A loss between two points, and its barrier.

    Args:
      line: of :func:`gdjax.diagnostics.loss_line`.
      ends: names of the two points.
      loss_label: what the loss is, with its unit.

    Raises:
      MissingExtra: matplotlib is not installed.
    """
    from gdjax.report import figures_landscapes

    fractions, losses = (np.asarray(x, float) for x in (line.fractions, line.losses))
    return figures_landscapes.line(fractions, losses, float(line.barrier), ends, loss_label)


@_styled
def draw_basins(
    labels: Any,
    x: Any,
    y: Any,
    diverged: Any = None,
    names: Sequence[str] | None = None,
    xlabel: str = "start",
    ylabel: str = "learning rate",
) -> "Figure":
    """A map of which minimum each run ended at, over its start and its learning rate.

    For starts in a plane ``x`` and ``y`` are its two axes, and ``labels`` those of one learning
    rate. An axis of positive numbers that span decades is logarithmic.

    Args:
      labels: of :func:`gdjax.diagnostics.nearest_minimum`, ``[x, y]``.
      x: starts, ``[x]``. Of more than 2000 along an axis so many, evenly chosen, are drawn.
      y: learning rates, ``[y]``.
      diverged: which of those at no minimum diverged, ``[x, y]``.
      names: of the minima; colours tell the first seven apart.
      xlabel: what ``x`` is.
      ylabel: what ``y`` is.

    Raises:
      MissingExtra: matplotlib is not installed.
      InvalidValue: shapes that do not fit each other.
    """
    from gdjax.report import figures_landscapes

    labels, x, y = np.asarray(labels), np.asarray(x, float), np.asarray(y, float)
    diverged = np.zeros(labels.shape, bool) if diverged is None else np.asarray(diverged)
    if labels.shape != (*x.shape, *y.shape) or labels.ndim != 2 or diverged.shape != labels.shape:
        raise InvalidValue(
            "draw_basins needs labels and diverged [x, y] of x [x] and y [y], got shapes "
            f"{labels.shape}, {diverged.shape}, {x.shape} and {y.shape}"
        )
    if names is None:
        names = [f"minimum {i}" for i in range(labels.max(initial=-1) + 1)]
    return figures_landscapes.basins(labels, x, y, diverged, names, (xlabel, ylabel))


def _axis_labels(count: int, shares: Any) -> list[str]:
    if shares is None:
        return [f"direction {i + 1}" for i in range(count)]
    return [
        f"principal direction {i + 1}\n{100 * float(share):.3g} % of squared distance"
        for i, share in zip(range(count), shares, strict=True)
    ]
