"""Many runs as one program: spaces, families, rules, results."""

from gdjax.sweep.asha import asha
from gdjax.sweep.concatenation import concatenate
from gdjax.sweep.distributions import Choice, Integer, LogUniform, Uniform
from gdjax.sweep.engine import reconnect, sweep
from gdjax.sweep.ensembles import Top
from gdjax.sweep.halving import hyperband, successive_halving
from gdjax.sweep.lineage import Ancestor
from gdjax.sweep.lines import log_lines
from gdjax.sweep.pbt import population_based_training
from gdjax.sweep.ranking import Best, Ranks
from gdjax.sweep.results import Rerun, SweepResult
from gdjax.sweep.snapshots import BestSoFar, Snapshot
from gdjax.sweep.space import Space
from gdjax.sweep.spacefile import load_space
from gdjax.sweep.stoppers import budget, median_stopping, plateau, target
from gdjax.sweep.table import Status

__all__ = [
    "Ancestor",
    "Best",
    "BestSoFar",
    "Choice",
    "Integer",
    "LogUniform",
    "Ranks",
    "Rerun",
    "Snapshot",
    "Space",
    "Status",
    "SweepResult",
    "Top",
    "Uniform",
    "asha",
    "budget",
    "concatenate",
    "hyperband",
    "load_space",
    "log_lines",
    "median_stopping",
    "plateau",
    "population_based_training",
    "reconnect",
    "successive_halving",
    "sweep",
    "target",
]
