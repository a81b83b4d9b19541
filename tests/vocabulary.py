"""What an argument may be in the conformance suite, by its name.

A name means one thing everywhere in gdjax: nothing here knows a rule.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

import gdjax
from gdjax import schedules


def _joined(i: int) -> list:
    return [
        schedules.linear_schedule(0.1 + 0.1 * i, 0.9, 3 + i),
        schedules.cosine_decay_schedule(0.8 - 0.1 * i, 5 + i, 0.2),
        schedules.constant_schedule(0.3 + 0.1 * i),
    ]


def _cycles(i: int) -> list:
    return [
        {"init_value": 0.1, "peak_value": 0.8 + 0.1 * i, "warmup_steps": 2, "decay_steps": 7 + i},
        {"init_value": 0.2, "peak_value": 0.6, "warmup_steps": 3 + i, "decay_steps": 11},
    ]


def not_scalars(params: Any) -> Any:
    """A mask as users write it; of this module, since its identity is part of the structure."""
    return jax.tree.map(lambda p: jnp.ndim(p) > 0, params)


def grows(count: Any) -> Any:
    """A function of the step as users write it; of this module for the same reason."""
    return 0.5 + 0.25 * count


def by_rank(params: Any) -> Any:
    """Labels as users write them."""
    return jax.tree.map(lambda p: "arrays" if jnp.ndim(p) > 0 else "scalars", params)


def at_even_steps(step: Any, value: Any = 0, **extra: Any) -> Any:
    """A condition on the step, and on an extra where it gets one."""
    del extra
    return (step % 2 == 0) & (value >= 0)


# Three values of each argument whose range does not say what makes sense. Numbers of one call
# differ from each other, so that a value shows which argument it came from. The values of one
# argument have one structure. With steps as here, 24 steps reach every part of a schedule.
VALUES: dict[str, Callable[[int], Any]] = {
    "precondition_frequency": lambda i: 2 + i,
    "ns_coeffs": lambda i: (1.8 + 0.05 * i, -1.2, 0.4),  # steeper ones amplify rounding
    "magnitude": lambda i: gdjax.trace(0.35 + 0.1 * i),
    "direction": lambda i: gdjax.trace(0.2 + 0.05 * i),
    "accumulation_size": lambda i: 1 + i,
    "amplitude_factor": lambda i: 0.55 + 0.1 * i,
    "atol": lambda i: 0.01 + 0.1 * i,
    "backoff_factor": lambda i: 0.9 + 0.02 * i,
    "base_optimizer": lambda i: gdjax.trace(0.6 + 0.1 * i),
    "before": lambda i: schedules.cosine_decay_schedule(0.9 - 0.1 * i, 9, 0.3, 2.0),
    "betas": lambda i: (0.6 + 0.05 * i, 0.8 + 0.05 * i),
    "boundaries": lambda i: [5 + i, 11 + i],
    "boundaries_and_scales": lambda i: {3: 0.5 + 0.1 * i, 9: 0.25 + 0.1 * i},
    "coefficient": lambda i: 1.6 + 0.1 * i,
    "cooldown": lambda i: 3 + i,
    "cosine_kwargs": _cycles,
    "decay_offset": lambda i: -3 - i,
    "decay_rate": lambda i: 0.5 + 0.1 * i,
    "decay_schedule": lambda i: schedules.exponential_decay(0.9 - 0.1 * i, 3, 0.7 - 0.1 * i),
    "decay_steps": lambda i: 15 + i,
    "end_value": lambda i: 0.14 + 0.01 * i,
    "estim_lr0": lambda i: 0.2 + 0.05 * i,
    "estim_lr_coef": lambda i: 30.0 + 10 * i,  # small rates move no estimate with less
    "every_k": lambda i: 2 + i,
    "growth_factor": lambda i: 1.5 + 0.1 * i,
    "growth_interval": lambda i: 2 + i,
    "init_scale": lambda i: 1.2 + 0.2 * i,
    "init_size": lambda i: 4 + i,
    "init_value": lambda i: 0.3 + 0.1 * i,
    "inner": lambda i: gdjax.trace(0.6 + 0.1 * i),
    "key": lambda i: 1000 + i,
    "l1": lambda i: 0.1 + 0.1 * i,
    "max_learning_rate": lambda i: 0.3 + 0.1 * i,
    "max_size": lambda i: 20 + i,
    "max_step_size": lambda i: 0.033 - 0.001 * i,
    "min_loss_scale": lambda i: 0.4 + 0.2 * i,
    "min_scale": lambda i: 0.4 + 0.2 * i,
    "min_step_size": lambda i: 0.02 + 0.002 * i,
    "patience": lambda i: 2 + i,
    "pct_final": lambda i: 0.75 + 0.1 * i,
    "pct_start": lambda i: 0.25 + 0.1 * i,
    "peak_value": lambda i: 0.8 + 0.1 * i,
    "power": lambda i: 0.5 + 0.1 * i,
    "quantile": lambda i: 0.53 + 0.1 * i,
    "rtol": lambda i: 0.3 + 0.1 * i,
    "schedules": _joined,
    "slow_step_size": lambda i: 0.4 + 0.1 * i,
    "stationary_norm": lambda i: 0.11 - 0.05 * i,
    "step_offset": lambda i: -3 - i,
    "step_size_fn": lambda i: gdjax.linear_schedule(0.5 + 0.1 * i, 0.9, 5),
    "step_tokens": lambda i: 1.5 + 0.5 * i,
    "steps_between": lambda i: 2 + i,
    "sync_period": lambda i: 2 + i,
    "temperature": lambda i: 1.28 / 8**i,
    "transforms": lambda i: {
        "arrays": gdjax.trace(0.6 + 0.1 * i),
        "scalars": gdjax.scale(0.5 + 0.1 * i),
    },
    "transition_begin": lambda i: 1 + i,
    "transition_steps": lambda i: 5 + i,
    "trim": lambda i: 0.15 + 0.15 * i,
    "unfreeze_steps": lambda i: {"arrays": 2 + i, "scalars": 4 + i},
    "values": lambda i: [0.4 + 0.1 * i, 0.1, 0.7 - 0.1 * i, 0.2],
    "warmup_steps": lambda i: 2 + i,
}

# Structural arguments: what is tried besides the default.
OPTIONS: dict[str, tuple] = {
    "clip_value_fn": (grows,),
    "depth": (len,),
    "mask": (not_scalars,),
    "param_labels": (by_rank,),
    "projection": (optax.projections.projection_non_negative, optax.projections.projection_l2_ball),
    "should_skip_update_fn": (gdjax.skip_not_finite,),
    "should_transform_fn": (at_even_steps,),
    "trust_ratio_mask": (not_scalars,),
    "weight_decay_mask": (not_scalars,),
}
