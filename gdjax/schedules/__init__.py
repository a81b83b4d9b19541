"""Schedules: pure functions from the step to a value, their constants bound as leaves.

A schedule stands wherever a hyperparameter does. ``count`` is the number of updates made so
far, 0 at the first. Names, arguments, defaults and values are Optax's where Optax has the
schedule; arguments that it logs and replaces (a negative number of steps, a decay rate of 0) are
errors.
"""

from gdjax.schedules.base import schedule
from gdjax.schedules.cyclical import (
    cosine_restarts_schedule,
    cyclical_schedule,
    sgdr_schedule,
)
from gdjax.schedules.decaying import (
    cooldown_schedule,
    inverse_power_schedule,
    inverse_sqrt_schedule,
    power_schedule,
    step_decay_schedule,
    warmup_stable_decay_schedule,
)
from gdjax.schedules.interpolated import (
    array_schedule,
    cosine_onecycle_schedule,
    linear_onecycle_schedule,
    piecewise_interpolate_schedule,
)
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
from gdjax.schedules.sizes import (
    batch_size_schedule,
    leftover_decay_schedule,
)

__all__ = [
    "array_schedule",
    "batch_size_schedule",
    "constant_schedule",
    "cooldown_schedule",
    "cosine_decay_schedule",
    "cosine_onecycle_schedule",
    "cosine_restarts_schedule",
    "cyclical_schedule",
    "exponential_decay",
    "inverse_power_schedule",
    "inverse_sqrt_schedule",
    "join_schedules",
    "leftover_decay_schedule",
    "linear_onecycle_schedule",
    "linear_schedule",
    "piecewise_constant_schedule",
    "piecewise_interpolate_schedule",
    "polynomial_schedule",
    "power_schedule",
    "schedule",
    "sgdr_schedule",
    "step_decay_schedule",
    "warmup_constant_schedule",
    "warmup_cosine_decay_schedule",
    "warmup_exponential_decay_schedule",
    "warmup_stable_decay_schedule",
]
