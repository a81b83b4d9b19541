"""Figures and an HTML page of what was found: the only place that plots."""

from gdjax.report.rates import learning_rates
from gdjax.report.writer import write

__all__ = ["learning_rates", "write"]
