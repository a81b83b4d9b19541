"""What a run, a sweep or a loss is like: pure measurements, and what they mean."""

from gdjax.diagnostics.activations import units
from gdjax.diagnostics.batches import noise, noise_scale
from gdjax.diagnostics.histograms import histogram
from gdjax.diagnostics.sets import economy, full
from gdjax.diagnostics.sharpness import spectrum
from gdjax.diagnostics.sizes import norms

__all__ = [
    "economy",
    "full",
    "histogram",
    "noise",
    "noise_scale",
    "norms",
    "spectrum",
    "units",
]
