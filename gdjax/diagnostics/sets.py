"""Monitors that are measured together."""

from gdjax.diagnostics.activations import units
from gdjax.diagnostics.batches import noise
from gdjax.diagnostics.sharpness import spectrum
from gdjax.diagnostics.sizes import norms
from gdjax.monitoring import Monitor


def economy() -> tuple[Monitor, ...]:
    """What costs little: :func:`norms` and :func:`units`."""
    return norms(), units()


def full() -> tuple[Monitor, ...]:
    """What costs some ten updates: :func:`economy`, :func:`noise` and :func:`spectrum`."""
    return *economy(), noise(), spectrum()
