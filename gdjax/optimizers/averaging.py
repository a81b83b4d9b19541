"""Optimizers that average instead of following a schedule.

Names, arguments, order and defaults are Optax's.
"""

from typing import Any

from gdjax.composition import chain, identity
from gdjax.ranges import Decay, NonNegative, PositiveFraction, Steps
from gdjax.transformation import GradientTransformation
from gdjax.transforms import add_decayed_weights, scale_by_rms, schedule_free


def schedule_free_sgd(
    learning_rate: NonNegative = 1.0,
    warmup_steps: Steps | None = None,
    b1: PositiveFraction = 0.9,
    weight_decay: NonNegative | None = None,
    weight_lr_power: NonNegative = 2.0,
    state_dtype: Any = None,
) -> GradientTransformation:
    """Schedule-free gradient descent; evaluate at :func:`gdjax.schedule_free_eval_params`.

    Args:
      learning_rate: see :func:`gdjax.schedule_free`.
      warmup_steps: see :func:`gdjax.schedule_free`; none where None.
      b1: see :func:`gdjax.schedule_free`.
      weight_decay: see :func:`gdjax.add_decayed_weights`; none where None.
      weight_lr_power: see :func:`gdjax.schedule_free`.
      state_dtype: see :func:`gdjax.schedule_free`.

    >>> import gdjax
    >>> optimizer = schedule_free_sgd(1.0, warmup_steps=100)
    """
    base = identity() if weight_decay is None else add_decayed_weights(weight_decay)
    return schedule_free(
        base,
        learning_rate,
        b1,
        weight_lr_power,
        state_dtype,
        apply_learning_rate=True,
        warmup_steps=warmup_steps,
    )


def schedule_free_adamw(
    learning_rate: NonNegative = 0.0025,
    warmup_steps: Steps | None = None,
    b1: PositiveFraction = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    weight_decay: NonNegative = 0.0,
    weight_lr_power: NonNegative = 2.0,
    state_dtype: Any = None,
) -> GradientTransformation:
    """Schedule-free AdamW; evaluate at :func:`gdjax.schedule_free_eval_params`.

    Args:
      learning_rate: see :func:`gdjax.schedule_free`.
      warmup_steps: see :func:`gdjax.schedule_free`; none where None.
      b1: see :func:`gdjax.schedule_free`.
      b2: ``decay`` of :func:`gdjax.scale_by_rms`.
      eps: see :func:`gdjax.scale_by_rms`.
      weight_decay: see :func:`gdjax.add_decayed_weights`.
      weight_lr_power: see :func:`gdjax.schedule_free`.
      state_dtype: see :func:`gdjax.schedule_free`.
    """
    scaling = scale_by_rms(b2, eps, eps_in_sqrt=False, bias_correction=True)
    base = chain(scaling, add_decayed_weights(weight_decay))
    return schedule_free(
        base,
        learning_rate,
        b1,
        weight_lr_power,
        state_dtype,
        apply_learning_rate=True,
        warmup_steps=warmup_steps,
    )
