"""Optimizers that find the length of their steps by themselves.

Names, arguments, order and defaults are Optax's. The mathematics stands with each
transformation; every argument that is a number may also be a schedule.
"""

from typing import Any, Literal

from gdjax.composition import chain
from gdjax.ranges import Decay, Growth, NonNegative, Positive, Real
from gdjax.transformation import GradientTransformation
from gdjax.transforms import (
    add_decayed_weights,
    scale,
    scale_by_adadelta,
    scale_by_dadapt_adam,
    scale_by_learning_rate,
    scale_by_polyak,
    scale_by_prodigy,
    scale_by_rprop,
)


def adadelta(
    learning_rate: NonNegative | None = None,
    rho: Decay = 0.9,
    eps: Positive = 1e-6,
    weight_decay: NonNegative = 0.0,
    weight_decay_mask: Any = None,
) -> GradientTransformation:
    """AdaDelta: steps as long as past ones, relative to past gradients.

    Args:
      learning_rate: see :func:`gdjax.scale_by_learning_rate`; 1 where None, which is the paper's
        algorithm. Optax's adadelta ascends where none is given.
      rho: see :func:`gdjax.scale_by_adadelta`.
      eps: see :func:`gdjax.scale_by_adadelta`.
      weight_decay: see :func:`gdjax.add_decayed_weights`; it comes before the scaling.
      weight_decay_mask: ``mask`` of :func:`gdjax.add_decayed_weights`.

    >>> adadelta().update.leaves["links"][2]
    scale_by_learning_rate(learning_rate=1.0)
    """
    return chain(
        add_decayed_weights(weight_decay, weight_decay_mask),
        scale_by_adadelta(rho, eps),
        scale_by_learning_rate(1.0 if learning_rate is None else learning_rate),
    )


def rprop(
    learning_rate: Positive,
    eta_minus: Decay = 0.5,
    eta_plus: Growth = 1.2,
    min_step_size: Positive = 1e-6,
    max_step_size: Positive = 50.0,
) -> GradientTransformation:
    """Rprop: a step size for each element that grows until its gradient's sign turns.

    For gradients of all data: the noise of small batches turns signs.

    Args:
      learning_rate: see :func:`gdjax.scale_by_rprop`.
      eta_minus: see :func:`gdjax.scale_by_rprop`.
      eta_plus: see :func:`gdjax.scale_by_rprop`.
      min_step_size: see :func:`gdjax.scale_by_rprop`.
      max_step_size: see :func:`gdjax.scale_by_rprop`.
    """
    return chain(
        scale_by_rprop(learning_rate, eta_minus, eta_plus, min_step_size, max_step_size),
        scale(-1.0),
    )


def polyak_sgd(
    max_learning_rate: NonNegative = 1.0,
    scaling: NonNegative = 1.0,
    f_min: Real = 0.0,
    eps: NonNegative = 0.0,
    variant: Literal["sps", "sps+"] = "sps",
) -> GradientTransformation:
    """Gradient descent with Polyak's step; ``update`` needs the loss as ``value``.

    Args:
      max_learning_rate: see :func:`gdjax.scale_by_polyak`.
      scaling: factor of the gradient, schedule or not, before Polyak's step is taken from it: the
        step is ``1 / scaling`` times as long where ``max_learning_rate`` does not hold it.
      f_min: see :func:`gdjax.scale_by_polyak`.
      eps: see :func:`gdjax.scale_by_polyak`.
      variant: see :func:`gdjax.scale_by_polyak`.

    >>> polyak_sgd()
    chain(scale_by_learning_rate(learning_rate=1.0),
          scale_by_polyak(f_min=0.0, max_learning_rate=1.0, eps=0.0))
    """
    # The loss is an argument of the update, not of the factory.
    polyak = scale_by_polyak(f_min, max_learning_rate, eps, variant)  # pyright: ignore[reportCallIssue]
    return chain(scale_by_learning_rate(scaling), polyak)


def dadapt_adamw(
    learning_rate: NonNegative = 1.0,
    betas: tuple[Any, Any] = (0.9, 0.999),
    eps: Positive = 1e-8,
    estim_lr0: Positive = 1e-6,
    weight_decay: NonNegative = 0.0,
) -> GradientTransformation:
    """AdamW without a learning rate to choose, by D-Adaptation.

    Args:
      learning_rate: see :func:`gdjax.scale_by_dadapt_adam`; 1, or a schedule that starts there.
      betas: ``b1`` and ``b2`` of :func:`gdjax.scale_by_dadapt_adam`.
      eps: see :func:`gdjax.scale_by_dadapt_adam`.
      estim_lr0: see :func:`gdjax.scale_by_dadapt_adam`.
      weight_decay: see :func:`gdjax.scale_by_dadapt_adam`.
    """
    b1, b2 = betas
    return scale_by_dadapt_adam(learning_rate, b1, b2, eps, estim_lr0, weight_decay)


def prodigy(
    learning_rate: NonNegative = 1.0,
    betas: tuple[Any, Any] = (0.9, 0.999),
    beta3: Decay | None = None,
    eps: NonNegative = 1e-8,
    estim_lr0: Positive = 1e-6,
    estim_lr_coef: NonNegative = 1.0,
    weight_decay: NonNegative = 0.0,
    safeguard_warmup: bool = False,
) -> GradientTransformation:
    """AdamW without a learning rate to choose, by Prodigy.

    Args:
      learning_rate: see :func:`gdjax.scale_by_prodigy`; 1, or a schedule that starts there.
      betas: ``b1`` and ``b2`` of :func:`gdjax.scale_by_prodigy`.
      beta3: ``b3`` of :func:`gdjax.scale_by_prodigy`.
      eps: see :func:`gdjax.scale_by_prodigy`.
      estim_lr0: see :func:`gdjax.scale_by_prodigy`.
      estim_lr_coef: see :func:`gdjax.scale_by_prodigy`.
      weight_decay: see :func:`gdjax.scale_by_prodigy`.
      safeguard_warmup: see :func:`gdjax.scale_by_prodigy`.
    """
    b1, b2 = betas
    return scale_by_prodigy(
        learning_rate,
        b1,
        b2,
        beta3,
        eps,
        estim_lr0,
        estim_lr_coef,
        weight_decay,
        safeguard_warmup,
    )
