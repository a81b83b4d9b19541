"""Named optimizers: compositions of transformations, without mathematics of their own."""

from gdjax.optimizers.adam import (
    adam,
    adamw,
    amsgrad,
    nadam,
)
from gdjax.optimizers.aggregation import (
    dpsgd,
)
from gdjax.optimizers.descent import (
    adagrad,
    rmsprop,
    sgd,
)
from gdjax.optimizers.noisy import (
    noisy_sgd,
    psgld,
    sgld,
)

__all__ = [
    "adagrad",
    "adam",
    "adamw",
    "amsgrad",
    "dpsgd",
    "nadam",
    "noisy_sgd",
    "psgld",
    "rmsprop",
    "sgd",
    "sgld",
]
