"""Tasks on real data, for demonstrations, tests and benchmarks."""

from gdjax.problems.convolutional import digits_cnn
from gdjax.problems.images import digits

__all__ = ["digits", "digits_cnn"]
