"""Functional optimizers for JAX whose hyperparameters are pytree leaves."""

from gdjax import problems, report
from gdjax.binding import Bound, bind
from gdjax.composition import chain, identity, named_chain
from gdjax.errors import GdjaxError, InvalidType, InvalidValue, MissingExtra
from gdjax.estimators import evolution_strategies, parameter_shift, spsa
from gdjax.inspection import hyperparameters, replace
from gdjax.optimizers import adagrad, adam, adamw, amsgrad, nadam, rmsprop, sgd
from gdjax.schedules import (
    constant_schedule,
    cosine_decay_schedule,
    exponential_decay,
    join_schedules,
    linear_schedule,
    piecewise_constant_schedule,
    polynomial_schedule,
    schedule,
    warmup_constant_schedule,
    warmup_cosine_decay_schedule,
    warmup_exponential_decay_schedule,
)
from gdjax.sweep import (
    Choice,
    Integer,
    LogUniform,
    Space,
    SweepResult,
    Uniform,
    reconnect,
    sweep,
)
from gdjax.task import Task
from gdjax.training import train
from gdjax.transformation import GradientTransformation, apply_updates, transformation
from gdjax.transforms import (
    add_decayed_weights,
    clip,
    clip_by_global_norm,
    scale,
    scale_by_adam,
    scale_by_amsgrad,
    scale_by_learning_rate,
    scale_by_lion,
    scale_by_rms,
    scale_by_rss,
    scale_by_stddev,
    trace,
)

__version__ = "0.1.0"

__all__ = [
    "Bound",
    "Choice",
    "GdjaxError",
    "GradientTransformation",
    "Integer",
    "InvalidType",
    "InvalidValue",
    "LogUniform",
    "MissingExtra",
    "Space",
    "SweepResult",
    "Task",
    "Uniform",
    "adagrad",
    "adam",
    "adamw",
    "add_decayed_weights",
    "amsgrad",
    "apply_updates",
    "bind",
    "chain",
    "clip",
    "clip_by_global_norm",
    "constant_schedule",
    "cosine_decay_schedule",
    "evolution_strategies",
    "exponential_decay",
    "hyperparameters",
    "identity",
    "join_schedules",
    "linear_schedule",
    "nadam",
    "named_chain",
    "parameter_shift",
    "piecewise_constant_schedule",
    "polynomial_schedule",
    "problems",
    "reconnect",
    "replace",
    "report",
    "rmsprop",
    "scale",
    "scale_by_adam",
    "scale_by_amsgrad",
    "scale_by_learning_rate",
    "scale_by_lion",
    "scale_by_rms",
    "scale_by_rss",
    "scale_by_stddev",
    "schedule",
    "sgd",
    "spsa",
    "sweep",
    "trace",
    "train",
    "transformation",
    "warmup_constant_schedule",
    "warmup_cosine_decay_schedule",
    "warmup_exponential_decay_schedule",
]
