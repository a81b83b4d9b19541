"""Functional optimizers for JAX whose hyperparameters are pytree leaves."""

from gdjax.binding import Bound, bind
from gdjax.errors import GdjaxError, InvalidType, InvalidValue, MissingExtra
from gdjax.inspection import hyperparameters, replace
from gdjax.optimizers import adagrad, adam, adamw, amsgrad, nadam, rmsprop, sgd
from gdjax.schedules import cosine_decay_schedule, schedule
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
from gdjax.transformation import (
    GradientTransformation,
    apply_updates,
    chain,
    identity,
    named_chain,
    transformation,
)
from gdjax.transforms import (
    add_decayed_weights,
    clip,
    clip_by_global_norm,
    scale,
    scale_by_adam,
    scale_by_amsgrad,
    scale_by_learning_rate,
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
    "cosine_decay_schedule",
    "hyperparameters",
    "identity",
    "nadam",
    "named_chain",
    "reconnect",
    "replace",
    "rmsprop",
    "scale",
    "scale_by_adam",
    "scale_by_amsgrad",
    "scale_by_learning_rate",
    "scale_by_rms",
    "scale_by_rss",
    "scale_by_stddev",
    "schedule",
    "sgd",
    "sweep",
    "trace",
    "train",
    "transformation",
]
