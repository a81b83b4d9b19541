"""Optimizers whose steps are relative to the size of each array, and Adafactor and SM3.

Names, arguments, order and defaults are Optax's. The mathematics stands with each
transformation; every argument that is a number may also be a schedule.
"""

from typing import Any

import jax.numpy as jnp

from gdjax.composition import chain
from gdjax.ranges import Decay, DecayOrSum, NonNegative, Positive, Size, WholeNumber
from gdjax.transformation import GradientTransformation
from gdjax.transforms import (
    add_decayed_weights,
    clip_by_block_rms,
    descend_and_shrink,
    ema,
    scale,
    scale_by_adam,
    scale_by_factored_rms,
    scale_by_learning_rate,
    scale_by_param_block_rms,
    scale_by_sm3,
    scale_by_trust_ratio,
    trace,
)


def lamb(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-6,
    eps_root: NonNegative = 0.0,
    weight_decay: NonNegative = 0.0,
    mask: Any = None,
) -> GradientTransformation:
    """LAMB: Adam whose step of each array is as long as the array, times the learning rate.

    Args:
      learning_rate: see :func:`gdjax.scale_by_learning_rate`.
      b1: see :func:`gdjax.scale_by_adam`.
      b2: see :func:`gdjax.scale_by_adam`.
      eps: see :func:`gdjax.scale_by_adam`.
      eps_root: see :func:`gdjax.scale_by_adam`.
      weight_decay: see :func:`gdjax.add_decayed_weights`.
      mask: of the weight decay, see :func:`gdjax.add_decayed_weights`.

    Reference:
      You et al., Large batch optimization for deep learning (https://arxiv.org/abs/1904.00962),
      algorithm 2; see :func:`gdjax.scale_by_trust_ratio`.
    """
    return chain(
        scale_by_adam(b1, b2, eps, eps_root),
        add_decayed_weights(weight_decay, mask),
        scale_by_trust_ratio(),
        scale_by_learning_rate(learning_rate),
    )


def lars(
    learning_rate: NonNegative,
    weight_decay: NonNegative = 0.0,
    weight_decay_mask: Any = True,
    trust_coefficient: NonNegative = 0.001,
    eps: NonNegative = 0.0,
    trust_ratio_mask: Any = True,
    momentum: Decay = 0.9,
    nesterov: bool = False,
) -> GradientTransformation:
    """LARS: momentum of gradients that are as long as their arrays, times a coefficient.

    Args:
      learning_rate: see :func:`gdjax.scale_by_learning_rate`.
      weight_decay: see :func:`gdjax.add_decayed_weights`.
      weight_decay_mask: ``mask`` of :func:`gdjax.add_decayed_weights`.
      trust_coefficient: see :func:`gdjax.scale_by_trust_ratio`.
      eps: see :func:`gdjax.scale_by_trust_ratio`.
      trust_ratio_mask: ``mask`` of :func:`gdjax.scale_by_trust_ratio`.
      momentum: ``decay`` of :func:`gdjax.trace`, which follows the learning rate here.
      nesterov: see :func:`gdjax.trace`.

    Reference:
      You et al., Large batch training of convolutional networks
      (https://arxiv.org/abs/1708.03888), algorithm 1; see :func:`gdjax.scale_by_trust_ratio`.
    """
    return chain(
        add_decayed_weights(weight_decay, weight_decay_mask),
        scale_by_trust_ratio(trust_coefficient=trust_coefficient, eps=eps, mask=trust_ratio_mask),
        scale_by_learning_rate(learning_rate),
        trace(momentum, nesterov),
    )


def fromage(learning_rate: NonNegative, min_norm: NonNegative = 1e-6) -> GradientTransformation:
    """Fromage: gradients as long as their arrays, of which each keeps its length.

    Args:
      learning_rate: see :func:`gdjax.descend_and_shrink`.
      min_norm: see :func:`gdjax.scale_by_trust_ratio`.

    >>> fromage(0.1)
    chain(scale_by_trust_ratio(min_norm=1e-06, trust_coefficient=1.0, eps=0.0),
          descend_and_shrink(learning_rate=0.1))
    """
    return chain(scale_by_trust_ratio(min_norm), descend_and_shrink(learning_rate))


def adafactor(
    learning_rate: NonNegative | None = None,
    min_dim_size_to_factor: Size = 128,
    decay_rate: NonNegative = 0.8,
    decay_offset: WholeNumber = 0,
    multiply_by_parameter_scale: bool = True,
    clipping_threshold: Positive | None = 1.0,
    momentum: DecayOrSum | None = None,
    dtype_momentum: Any = jnp.float32,
    weight_decay_rate: NonNegative | None = None,
    eps: NonNegative = 1e-30,
    factored: bool = True,
    weight_decay_mask: Any = None,
) -> GradientTransformation:
    """Adafactor: steps relative to each array, second moments in little memory.

    Args:
      learning_rate: see :func:`gdjax.scale_by_learning_rate`; 1 where None.
      min_dim_size_to_factor: see :func:`gdjax.scale_by_factored_rms`.
      decay_rate: see :func:`gdjax.scale_by_factored_rms`.
      decay_offset: ``step_offset`` of :func:`gdjax.scale_by_factored_rms`.
      multiply_by_parameter_scale: steps relative to the parameters, see
        :func:`gdjax.scale_by_param_block_rms`.
      clipping_threshold: ``threshold`` of :func:`gdjax.clip_by_block_rms`; nothing is clipped
        where None.
      momentum: ``decay`` of :func:`gdjax.ema`, not debiased; no momentum where None.
      dtype_momentum: ``accumulator_dtype`` of :func:`gdjax.ema`.
      weight_decay_rate: ``weight_decay`` of :func:`gdjax.add_decayed_weights`, which the learning
        rate does not multiply; none where None.
      eps: ``epsilon`` of :func:`gdjax.scale_by_factored_rms`.
      factored: see :func:`gdjax.scale_by_factored_rms`.
      weight_decay_mask: ``mask`` of :func:`gdjax.add_decayed_weights`.

    Reference:
      Shazeer and Stern, Adafactor (https://arxiv.org/abs/1804.04235), algorithm 4.
    """
    links = [scale_by_factored_rms(factored, decay_rate, decay_offset, min_dim_size_to_factor, eps)]
    if clipping_threshold is not None:
        links.append(clip_by_block_rms(clipping_threshold))
    if learning_rate is not None:
        links.append(scale_by_learning_rate(learning_rate, flip_sign=False))
    if multiply_by_parameter_scale:
        links.append(scale_by_param_block_rms())
    if momentum is not None:
        links.append(ema(momentum, debias=False, accumulator_dtype=dtype_momentum))
    if weight_decay_rate is not None:
        links.append(add_decayed_weights(weight_decay_rate, weight_decay_mask))
    return chain(*links, scale(-1.0))


def sm3(learning_rate: NonNegative, momentum: Decay = 0.9) -> GradientTransformation:
    """SM3: AdaGrad whose sums of squares are one vector for each axis.

    Args:
      learning_rate: see :func:`gdjax.scale_by_learning_rate`.
      momentum: ``b1`` of :func:`gdjax.scale_by_sm3`.

    >>> sm3(0.1)
    chain(scale_by_sm3(b1=0.9, b2=1.0, eps=1e-08), scale_by_learning_rate(learning_rate=0.1))
    """
    return chain(scale_by_sm3(momentum), scale_by_learning_rate(learning_rate))
