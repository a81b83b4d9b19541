"""Named optimizers: compositions of transformations, without mathematics of their own."""

from gdjax.optimizers.adam import adam, adamw, amsgrad, nadam
from gdjax.optimizers.descent import adagrad, rmsprop, sgd
from gdjax.optimizers.layerwise import adafactor, fromage, lamb, lars, sm3
from gdjax.optimizers.self_scaled import adadelta, polyak_sgd, rprop

__all__ = [
    "adadelta",
    "adafactor",
    "adagrad",
    "adam",
    "adamw",
    "amsgrad",
    "fromage",
    "lamb",
    "lars",
    "nadam",
    "polyak_sgd",
    "rmsprop",
    "rprop",
    "sgd",
    "sm3",
]
