"""Named optimizers: compositions of transformations, without mathematics of their own."""

from gdjax.optimizers.adam import adam, adamw, amsgrad, nadam
from gdjax.optimizers.descent import adagrad, rmsprop, sgd
from gdjax.optimizers.preconditioned import muon, shampoo, soap

__all__ = [
    "adagrad",
    "adam",
    "adamw",
    "amsgrad",
    "muon",
    "nadam",
    "rmsprop",
    "sgd",
    "shampoo",
    "soap",
]
