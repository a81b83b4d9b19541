"""Names, numbers and axes as both kinds of figures show them."""

import dataclasses
import math
import re
import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np

# Okabe and Ito's palette, told apart by colour-blind people; its yellow is too faint on white.
FAMILY_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
# Viridis without its last tenth, which is too faint for thin lines on white.
CURVE_COLOURS = ("#440154", "#472777", "#3E4989", "#31688E", "#26828E", "#1F9E89", "#35B779",
                 "#6DCD59", "#A5DB36")  # fmt: skip
MAP_COLOURS = "cividis"
GREY = "#6B7280"
FAINT = "#C3C8D0"
OFF_SCALE, DIVERGED = 0.09, 0.035  # depth of the markers below the bad end of an axis
# Ranges of more decades than these are shown on a logarithmic axis.
HYPERPARAMETER_DECADES = 1.5
METRIC_DECADES = 1.0


@dataclasses.dataclass(frozen=True)
class Scale:
    """An axis.

    Args:
      label: what stands beside it.
      log: whether it is logarithmic.
      low: where the axis begins.
      high: where it ends.
      inner: the range of the values that it shows to scale; beyond lies room for markers.
      zero: where a logarithmic axis shows 0, which it cannot place.
      ticks: where the ticks are; the drawing library chooses where None.
    """

    label: str
    log: bool
    low: float
    high: float
    inner: tuple[float, float]
    zero: float | None = None
    ticks: tuple[float, ...] | None = None

    def place(self, values: np.ndarray) -> np.ndarray:
        """Values as the axis takes them."""
        return values if self.zero is None else np.where(values == 0, self.zero, values)

    def unit(self, values: np.ndarray) -> np.ndarray:
        """Positions between 0 and 1, the ends of ``inner``; what lies beyond is at the end."""
        low, high = self.inner
        values = np.clip(self.place(values), low, high)
        if self.log:
            low, high, values = math.log10(low), math.log10(high), np.log10(values)
        return (values - low) / (high - low) if high > low else 0.5 + 0 * values

    def at(self, fraction: float) -> float:
        """The value at a fraction of the axis, 0 at its low end and 1 at its high end."""
        if self.log:
            return self.low * (self.high / self.low) ** fraction
        return self.low + (self.high - self.low) * fraction

    def texts(self) -> list[str]:
        """What stands at each of the ticks."""
        return ["0" if tick == self.zero else number(tick) for tick in self.ticks or ()]

    def inner_ticks(self) -> tuple[np.ndarray, list[str]]:
        """A few values between the ends of ``inner``, as such and as text."""
        low, high = self.inner
        if self.ticks is None:
            ticks = _round_numbers(low, high)
            return ticks, [number(tick, 3) for tick in ticks]
        ticks = np.asarray(self.ticks)
        inside = (ticks >= low) & (ticks <= high)
        return ticks[inside], [t for t, keep in zip(self.texts(), inside, strict=True) if keep]


def label(name: str, width: int = 40) -> str:
    """A name as text: underscores become spaces, and what is too long loses its middle.

    >>> label("learning_rate"), label("a_very_long_name", 9)
    ('learning rate', 'a ve…name')
    """
    text = name.replace("_", " ")
    half = (width - 1) // 2
    return text if len(text) <= width else f"{text[:half]}…{text[len(text) - half :]}"


def number(value: float, digits: int = 4) -> str:
    """A number with a few significant digits.

    >>> number(0.0012345678), number(64.0), number(float("nan"))
    ('0.001235', '64', '')
    """
    return "" if math.isnan(value) else f"{value:.{digits}g}"


def measured(mean: float, spread: float) -> str:
    """A mean and its spread.

    >>> measured(0.0876049, 0.0152469), measured(0.5, float("nan"))
    ('0.0876 ± 0.015', '0.5')
    """
    return f"{number(mean)} ± {number(spread, 2)}" if spread == spread else number(mean)


def few(count: int) -> np.ndarray:
    """Indices of at most eight of ``count`` things, evenly spaced, for ticks.

    >>> few(12).tolist()
    [0, 2, 4, 6, 8, 10]
    """
    return np.arange(0, count, -(-count // 8))


def file_name(name: str) -> str:
    """A name with only letters, digits and underscores, not too long.

    >>> file_name("decay/rate (1)")
    'decay_rate_1'
    """
    return re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_")[:60] or "unnamed"


def wrap(text: str, width: int) -> str:
    """A text in lines no longer than ``width``."""
    return "\n".join(textwrap.wrap(text, width))


def hyperparameter_scale(name: str, values: np.ndarray) -> Scale:
    """The axis of a hyperparameter: logarithmic for numbers of at least 0 that span decades."""
    values = np.unique(values[~np.isnan(values)])
    positive = values[values > 0]
    low, high = float(values[0]), float(values[-1])
    if low >= 0 and positive.size > 1 and high / positive[0] > 10**HYPERPARAMETER_DECADES:
        if low > 0:
            return _logarithmic(label(name), low, high, 0.05, 0.05)
        zero = 10 ** (math.ceil(math.log10(positive[0])) - 1.0)
        ticks = (zero, *_decades(float(positive[0]), high).tolist())
        return Scale(label(name), True, *_padded(zero, high, True), (zero, high), zero, ticks)
    whole = len(values) <= 12 and bool((values == np.round(values)).all())
    ticks = tuple(values.tolist()) if whole else None
    return Scale(label(name), False, *_padded(low, high, False), (low, high), ticks=ticks)


def metric_scale(
    label: str,
    values: np.ndarray,
    first: np.ndarray,
    mode: str,
    accuracy: bool = False,
    room: float = 0.16,
) -> Scale:
    """The axis of a metric.

    A run may end at 1e30 without having diverged, so the axis ends where the metric is ten times
    what it typically was at first, or, for a metric with negative values, far from the bulk.

    Args:
      label: what stands beside the axis.
      values: to show; those that are not finite are left out.
      first: the metric when it was measured first, in each run.
      mode: whether less (``"min"``) or more (``"max"``) of it is better.
      accuracy: whether it is a fraction of hits, which is shown whole and linear.
      room: for markers at the bad end, a fraction of the axis.
    """
    values, first = values[np.isfinite(values)].astype(float), first[np.isfinite(first)]
    if not values.size:
        return Scale(label, False, 0.0, 1.0, (0.0, 1.0), ticks=())
    low, high = float(values.min()), float(values.max())
    if not accuracy and mode == "min" and low > 0:
        high = min(high, 10 * max(low, float(np.median(first)) if first.size else high))
    elif not accuracy:
        q25, q75 = np.quantile(values, [0.25, 0.75]).tolist()
        far = 20 * (q75 - q25) if q75 > q25 else math.inf
        low, high = (low, min(high, q75 + far)) if mode == "min" else (max(low, q25 - far), high)
    log = low > 0 and high / low > 10**METRIC_DECADES and not accuracy
    pads = (0.05, room) if mode == "min" else (room, 0.05)
    if log:
        return _logarithmic(label, low, high, *pads)
    return Scale(label, False, *_padded(low, high, False, *pads), (low, high))


def bounded(
    label: str, name: str, mode: str, values: np.ndarray
) -> tuple[np.ndarray, Scale, np.ndarray]:
    """A metric over time on its axis: values with those off the scale at its bad end.

    Args:
      label: what stands beside the axis.
      name: of the metric.
      mode: whether less (``"min"``) or more (``"max"``) of it is better.
      values: ``[trial, time]``, NaN where there are none.

    Returns:
      The values, their axis, and which of them are off it.
    """
    scale = metric_scale(label, values, values[:, 0], mode, is_accuracy(name))
    low, high = scale.inner
    beyond = values > high if mode == "min" else values < low
    edge = scale.at(1 - OFF_SCALE if mode == "min" else OFF_SCALE)
    return np.where(beyond, edge, values), scale, beyond


def is_accuracy(name: str) -> bool:
    """Whether a metric is a fraction of hits, by its name."""
    return "accuracy" in name.lower()


def metric_mode(name: str, attributes: Mapping[str, Any]) -> str:
    """Whether less or more of a metric is better: as the task says, else by its name."""
    if name == attributes["objective"]:
        return attributes["mode"]
    return "max" if is_accuracy(name) else "min"


def _round_numbers(low: float, high: float) -> np.ndarray:
    """About five round numbers from ``low`` to ``high``."""
    if high <= low:
        return np.asarray([low])
    rough = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * min((1, 2, 5, 10), key=lambda factor: abs(factor * power - rough))
    return step * np.arange(math.ceil(low / step), math.floor(high / step) + 1)


def _logarithmic(label: str, low: float, high: float, below: float, above: float) -> Scale:
    first, last = _padded(low, high, True, below, above)
    ticks = _decades(first, last)
    if len(ticks) < 3:
        ticks = np.outer(10.0 ** np.arange(-1, len(ticks) + 1) * ticks[0], [1, 2, 5]).ravel()
        ticks = ticks[(ticks >= first) & (ticks <= last)]
    return Scale(label, True, first, last, (low, high), ticks=tuple(ticks.tolist()))


def _decades(low: float, high: float) -> np.ndarray:
    """Powers of ten between two numbers, at most about eight."""
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    return 10.0 ** np.arange(first, last + 1, max(1, (last - first) // 6))


def _padded(
    low: float, high: float, log: bool, below: float = 0.05, above: float = 0.05
) -> tuple[float, float]:
    """Ends of an axis a fraction of its length beyond the values."""
    if log:
        length = math.log10(high / low)
        return low * 10 ** (-below * length), high * 10 ** (above * length)
    length = high - low or abs(low) or 1.0
    return low - below * length, high + above * length
