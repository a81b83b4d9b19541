"""Many runs as one program: spaces, families, results."""

from gdjax.sweep.engine import reconnect, sweep
from gdjax.sweep.results import Best, Rerun, SweepResult
from gdjax.sweep.space import Choice, Integer, LogUniform, Space, Uniform
from gdjax.sweep.table import Status

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
    "reconnect",
    "sweep",
]
