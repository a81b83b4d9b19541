"""Tasks on real data, and test functions, for demonstrations, tests and benchmarks."""

from gdjax.problems.convolutional import digits_cnn, mnist_cnn
from gdjax.problems.embeddings import skip_gram
from gdjax.problems.factorization import digits_factorization
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
from gdjax.problems.recurrent import adding
from gdjax.problems.regression import breast_cancer, diabetes, four_points
from gdjax.problems.transformer import language_model

__all__ = [
    "ackley",
    "adding",
    "beale",
    "booth",
    "breast_cancer",
    "deep_quadratic",
    "diabetes",
    "digits",
    "digits_cnn",
    "digits_factorization",
    "four_points",
    "himmelblau",
    "language_model",
    "mnist_cnn",
    "monkey_saddle",
    "quadratic",
    "rastrigin",
    "rosenbrock",
    "sigmoid_plateau",
    "skip_gram",
    "styblinski_tang",
    "two_wells",
]
