"""Pure measurements of losses and runs; :mod:`gdjax.report` draws them."""

from gdjax.diagnostics.basins import Basins, basins, distinct_ends, nearest_minimum
from gdjax.diagnostics.landscapes import (
    Line,
    Slice,
    filter_normalized_direction,
    loss_line,
    loss_slice,
)
from gdjax.diagnostics.paths import Path, coordinates, principal_directions

__all__ = [
    "Basins",
    "Line",
    "Path",
    "Slice",
    "basins",
    "coordinates",
    "distinct_ends",
    "filter_normalized_direction",
    "loss_line",
    "loss_slice",
    "nearest_minimum",
    "principal_directions",
]
