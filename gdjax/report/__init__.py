"""Figures and an HTML page of what a sweep found: the only place that plots."""

from gdjax.report.writer import write

__all__ = ["write"]
