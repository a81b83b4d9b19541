"""Adam and its kin.

Names, arguments, order and defaults are Optax's. The mathematics stands with each
transformation; every argument that is a number may also be a schedule.
"""

from typing import Any

from gdjax.composition import chain
from gdjax.ranges import Decay, NonNegative
from gdjax.transformation import GradientTransformation
from gdjax.transforms import (
    add_decayed_weights,
    scale_by_adam,
    scale_by_amsgrad,
    scale_by_learning_rate,
)


def adam(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    mu_dtype: Any = None,
    *,
    nesterov: bool = False,
) -> GradientTransformation:
    """Adam; see :func:`gdjax.scale_by_adam` for the mathematics and all arguments but one.

    Args:
      learning_rate: see :func:`gdjax.scale_by_learning_rate`.
      b1: see :func:`gdjax.scale_by_adam`.
      b2: see :func:`gdjax.scale_by_adam`.
      eps: see :func:`gdjax.scale_by_adam`.
      eps_root: see :func:`gdjax.scale_by_adam`.
      mu_dtype: see :func:`gdjax.scale_by_adam`.
      nesterov: see :func:`gdjax.scale_by_adam`.

    >>> import jax, jax.numpy as jnp
    >>> jax.vmap(adam)(jnp.logspace(-4, 0, 256)).update.leaves["links"][1]
    scale_by_learning_rate(learning_rate=float32[256])
    """
    return chain(
        scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov),
        scale_by_learning_rate(learning_rate),
    )


def nadam(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    mu_dtype: Any = None,
) -> GradientTransformation:
    """NAdam: :func:`gdjax.adam` with Nesterov's momentum.

    Args:
      learning_rate: see :func:`gdjax.scale_by_learning_rate`.
      b1: see :func:`gdjax.scale_by_adam`.
      b2: see :func:`gdjax.scale_by_adam`.
      eps: see :func:`gdjax.scale_by_adam`.
      eps_root: see :func:`gdjax.scale_by_adam`.
      mu_dtype: see :func:`gdjax.scale_by_adam`.
    """
    return adam(learning_rate, b1, b2, eps, eps_root, mu_dtype, nesterov=True)


def adamw(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    mu_dtype: Any = None,
    weight_decay: NonNegative = 1e-4,
    mask: Any = None,
    *,
    nesterov: bool = False,
) -> GradientTransformation:
    """Adam with decoupled weight decay, which the learning rate multiplies.

    Args:
      learning_rate: see :func:`gdjax.scale_by_learning_rate`.
      b1: see :func:`gdjax.scale_by_adam`.
      b2: see :func:`gdjax.scale_by_adam`.
      eps: see :func:`gdjax.scale_by_adam`.
      eps_root: see :func:`gdjax.scale_by_adam`.
      mu_dtype: see :func:`gdjax.scale_by_adam`.
      weight_decay: see :func:`gdjax.add_decayed_weights`.
      mask: see :func:`gdjax.add_decayed_weights`.
      nesterov: see :func:`gdjax.scale_by_adam`.

    Reference:
      Loshchilov and Hutter, Decoupled weight decay regularization
      (https://arxiv.org/abs/1711.05101).
    """
    return chain(
        scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )


def nadamw(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    mu_dtype: Any = None,
    weight_decay: NonNegative = 1e-4,
    mask: Any = None,
) -> GradientTransformation:
    """NAdamW: :func:`gdjax.adamw` with Nesterov's momentum.

    Args:
      learning_rate: see :func:`gdjax.scale_by_learning_rate`.
      b1: see :func:`gdjax.scale_by_adam`.
      b2: see :func:`gdjax.scale_by_adam`.
      eps: see :func:`gdjax.scale_by_adam`.
      eps_root: see :func:`gdjax.scale_by_adam`.
      mu_dtype: see :func:`gdjax.scale_by_adam`.
      weight_decay: see :func:`gdjax.add_decayed_weights`.
      mask: see :func:`gdjax.add_decayed_weights`.
    """
    return adamw(learning_rate, b1, b2, eps, eps_root, mu_dtype, weight_decay, mask, nesterov=True)


def amsgrad(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    mu_dtype: Any = None,
    bias_correction_mu: bool = True,
    bias_correction_nu: bool = True,
) -> GradientTransformation:
    """AMSGrad: Adam whose denominator never shrinks.

    Args:
      learning_rate: see :func:`gdjax.scale_by_learning_rate`.
      b1: see :func:`gdjax.scale_by_amsgrad`.
      b2: see :func:`gdjax.scale_by_amsgrad`.
      eps: see :func:`gdjax.scale_by_amsgrad`.
      eps_root: see :func:`gdjax.scale_by_amsgrad`.
      mu_dtype: see :func:`gdjax.scale_by_amsgrad`.
      bias_correction_mu: see :func:`gdjax.scale_by_amsgrad`.
      bias_correction_nu: see :func:`gdjax.scale_by_amsgrad`.
    """
    return chain(
        scale_by_amsgrad(b1, b2, eps, eps_root, mu_dtype, bias_correction_mu, bias_correction_nu),
        scale_by_learning_rate(learning_rate),
    )
