"""Many runs as one program: spaces, families, results."""

from gdjax.sweep.distributions import Choice, Integer, LogUniform, Uniform
from gdjax.sweep.engine import reconnect, sweep
from gdjax.sweep.results import Best, Rerun, SweepResult
from gdjax.sweep.space import Space
from gdjax.sweep.spacefile import load_space
from gdjax.sweep.stopping import Status

__all__ = [
    "Best",
    "Choice",
    "Integer",
    "LogUniform",
    "Rerun",
    "Space",
    "Status",
    "SweepResult",
    "Uniform",
    "load_space",
    "reconnect",
    "sweep",
]
