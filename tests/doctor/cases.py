"""Runs made by hand, on which a rule is right or wrong."""

import numpy as np

from gdjax.doctor import Case

SEEDS, STEPS = 4, 64


def series(*values):
    """Of every seed the same, from one value to the next as a straight line, ``[seed, look]``."""
    looks = np.linspace(0, len(values) - 1, STEPS)
    return np.tile(np.interp(looks, np.arange(len(values)), values), (SEEDS, 1))


def case(loss=None, **measured):
    """A run whose loss falls from 2 to 1, if no other is given."""
    fields = {"seen": measured.pop("seen", {})} | measured
    return Case(loss=series(2.0, 1.0) if loss is None else loss, **fields)


def raised(values, place, value):
    """The series with another value at one place, in all seeds."""
    values = values.copy()
    values[:, place] = value
    return values
