"""Schedules: pure functions from the step to a value, their constants bound as leaves.

A schedule stands wherever a hyperparameter does. ``count`` is the number of updates made so
far, 0 at the first. Names, arguments, defaults and values are Optax's; arguments that Optax
logs and replaces (a negative number of steps, a decay rate of 0) are errors.
"""

from gdjax.schedules.base import schedule
from gdjax.schedules.joined import (
    join_schedules,
    warmup_constant_schedule,
    warmup_cosine_decay_schedule,
    warmup_exponential_decay_schedule,
)
from gdjax.schedules.single import (
    constant_schedule,
    cosine_decay_schedule,
    exponential_decay,
    linear_schedule,
    piecewise_constant_schedule,
    polynomial_schedule,
)

__all__ = [
    "constant_schedule",
    "cosine_decay_schedule",
    "exponential_decay",
    "join_schedules",
    "linear_schedule",
    "piecewise_constant_schedule",
    "polynomial_schedule",
    "schedule",
    "warmup_constant_schedule",
    "warmup_cosine_decay_schedule",
    "warmup_exponential_decay_schedule",
]
