"""The style of the static figures, and axes, legends and colours in it."""

import functools
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import NullLocator

from gdjax.report import scales
from gdjax.report.scales import CURVE_COLOURS, FAINT, FAMILY_COLOURS, GREY, Scale

STYLE: dict[str, Any] = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E5E7EB",
    "grid.linewidth": 0.6,
    "xtick.color": GREY,
    "xtick.labelcolor": "black",
    "xtick.labelsize": 8,
    "ytick.color": GREY,
    "ytick.labelcolor": "black",
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "figure.dpi": 160,
    "text.parse_math": False,  # a name with a dollar is text
}
COLUMNS = 4  # families side by side; the page has all
CURVE_MAP = LinearSegmentedColormap.from_list("curves", CURVE_COLOURS)
STAR: dict[str, Any] = {
    "marker": "*",
    "markersize": 12,
    "color": "#FFD700",
    "markeredgecolor": "black",
    "markeredgewidth": 0.8,
    "linestyle": "none",
    "zorder": 5,
}
MARKS: dict[str, Any] = {
    "best": functools.partial(Line2D, [], [], **STAR),
    "run": functools.partial(Line2D, [], [], color=GREY, marker=".", mew=0, linestyle="none"),
    "mean": functools.partial(Line2D, [], [], color=GREY),
    "range": functools.partial(Patch, color=GREY, alpha=0.3, linewidth=0),
    "bin best": functools.partial(Line2D, [], [], color=GREY),
    "bin median": functools.partial(Line2D, [], [], color=GREY, linestyle=":"),
    "beyond": functools.partial(Line2D, [], [], color=GREY, marker="^", ms=4, linestyle="none"),
    "diverged": functools.partial(Line2D, [], [], color=GREY, marker="x", ms=4, linestyle="none"),
    "kept": functools.partial(
        Line2D, [], [], color=GREY, marker="o", ms=3, mew=0, linestyle="none"
    ),
    "stopped": functools.partial(
        Line2D, [], [], color=GREY, marker="o", ms=3.5, mfc="white", mew=0.7, linestyle="none"
    ),
    "start": functools.partial(Line2D, [], [], color=GREY, linestyle="--", linewidth=1),
    "leader": functools.partial(Line2D, [], [], color="black", linewidth=1.6),
    "survived": functools.partial(Line2D, [], [], color=FAMILY_COLOURS[0], linewidth=0.8),
    "extinct": functools.partial(Line2D, [], [], color=FAINT, linewidth=0.8),
    "copied": functools.partial(
        Line2D, [], [], color="black", marker="o", ms=4.5, mfc="white", linestyle="none"
    ),
    "fan": functools.partial(Line2D, [], [], color=CURVE_COLOURS[4], linewidth=0.8),
}


def colour(family: int) -> str:
    """A family's colour."""
    return FAMILY_COLOURS[family % len(FAMILY_COLOURS)]


def norm(scale: Scale) -> Normalize:
    """Where a value lies on a scale's colours."""
    return (LogNorm if scale.log else Normalize)(*scale.inner, clip=True)


def apply(axes: Axes, scale: Scale, axis: str, width: int = 60) -> None:
    """Give one axis (``"x"`` or ``"y"``) its scale, limits, ticks and label."""
    if scale.log:
        axes.set(**{f"{axis}scale": "log"})
    axes.set(**{f"{axis}lim": (scale.low, scale.high)})
    if scale.ticks is not None:
        axes.set(**{f"{axis}ticks": scale.ticks})
        axes.set(**{f"{axis}ticklabels": scale.texts()})
        getattr(axes, f"{axis}axis").set_minor_locator(NullLocator())  # slow to draw
    axes.set(**{f"{axis}label": scales.wrap(scale.label, width)})


def marks(words: dict[str, str]) -> list[Artist]:
    """Entries of a legend by the kind of mark."""
    return [MARKS[kind](label=scales.wrap(text, 90)) for kind, text in words.items()]


def looks(mark: Line2D) -> dict:
    """How a mark of a legend looks, for many of them."""
    names = ("color", "marker", "markersize", "markerfacecolor", "markeredgewidth", "linestyle")
    return {name: getattr(mark, f"get_{name}")() for name in names} | {"alpha": 0.8}


def colour_bar(figure: Figure, axes: Any, scale: Scale, colours: Any, extend: str) -> None:
    """Show what the colours of a scale mean."""
    bar = figure.colorbar(
        ScalarMappable(norm(scale), colours), ax=axes, extend=extend, aspect=30, pad=0.02
    )
    bar.outline.set_visible(False)
    bar.set_label(scales.wrap(scale.label, 40))
    ticks, texts = scale.inner_ticks()
    bar.set_ticks(ticks.tolist(), labels=texts)
    bar.minorticks_off()


def note_omitted(figure: Figure, shown: int, families: int) -> None:
    """Say that families are left out, where they are."""
    if shown < families:
        note = f"the best {shown} of {families} families; report.html shows all"
        figure.supxlabel(note, size=8, color=GREY)
