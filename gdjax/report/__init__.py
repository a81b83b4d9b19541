"""Figures and an HTML page of what a sweep found, of landscapes: the only place that plots."""

from gdjax.report.landscapes import draw_basins, draw_line, draw_slice
from gdjax.report.writer import write

__all__ = ["draw_basins", "draw_line", "draw_slice", "write"]
