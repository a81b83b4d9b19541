"""Named optimizers: compositions of transformations, without mathematics of their own."""

from gdjax.optimizers.adam import adam, adamw, amsgrad, nadam
from gdjax.optimizers.averaging import schedule_free_adamw, schedule_free_sgd
from gdjax.optimizers.descent import adagrad, rmsprop, sgd

__all__ = [
    "adagrad",
    "adam",
    "adamw",
    "amsgrad",
    "nadam",
    "rmsprop",
    "schedule_free_adamw",
    "schedule_free_sgd",
    "sgd",
]
