"""Pure measurements of losses and runs, and what they mean; :mod:`gdjax.report` draws them."""

from gdjax.diagnostics.activations import units
from gdjax.diagnostics.attraction import Basins, basins, distinct_ends, nearest_minimum
from gdjax.diagnostics.batches import noise, noise_scale
from gdjax.diagnostics.generalization import Generalization, generalization_gap
from gdjax.diagnostics.histograms import histogram
from gdjax.diagnostics.landscapes import (
    Line,
    Slice,
    filter_normalized_direction,
    loss_line,
    loss_slice,
)
from gdjax.diagnostics.paths import Path, coordinates, principal_directions
from gdjax.diagnostics.precision import underflow
from gdjax.diagnostics.series import spikes, tail_index
from gdjax.diagnostics.sets import economy, full
from gdjax.diagnostics.sharpness import spectrum
from gdjax.diagnostics.sizes import norms
from gdjax.diagnostics.workers import disagreement

__all__ = [
    "Basins",
    "Generalization",
    "Line",
    "Path",
    "Slice",
    "basins",
    "coordinates",
    "disagreement",
    "distinct_ends",
    "economy",
    "filter_normalized_direction",
    "full",
    "generalization_gap",
    "histogram",
    "loss_line",
    "loss_slice",
    "nearest_minimum",
    "noise",
    "noise_scale",
    "norms",
    "principal_directions",
    "spectrum",
    "spikes",
    "tail_index",
    "underflow",
    "units",
]
