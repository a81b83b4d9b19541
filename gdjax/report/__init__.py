"""Figures and an HTML page of what was found: the only place that plots."""

from gdjax.report.landscapes import draw_basins, draw_line, draw_slice
from gdjax.report.rates import draw_learning_rates
from gdjax.report.writer import write

__all__ = ["draw_basins", "draw_learning_rates", "draw_line", "draw_slice", "write"]
