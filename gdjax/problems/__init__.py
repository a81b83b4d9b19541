"""Tasks on real data, and test functions, for demonstrations, tests and benchmarks."""

from gdjax.problems.convolutional import digits_cnn
from gdjax.problems.images import digits
from gdjax.problems.landscapes import (
    ackley,
    beale,
    booth,
    himmelblau,
    monkey_saddle,
    quadratic,
    rastrigin,
    rosenbrock,
    sigmoid_plateau,
    styblinski_tang,
    two_wells,
)
from gdjax.problems.quadratics import deep_quadratic

__all__ = [
    "ackley",
    "beale",
    "booth",
    "deep_quadratic",
    "digits",
    "digits_cnn",
    "himmelblau",
    "monkey_saddle",
    "quadratic",
    "rastrigin",
    "rosenbrock",
    "sigmoid_plateau",
    "styblinski_tang",
    "two_wells",
]
