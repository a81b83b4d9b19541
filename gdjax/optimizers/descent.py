"""Gradient descent and what scales each element by its history of squares.

Names, arguments, order and defaults are Optax's. The mathematics stands with each
transformation; every argument that is a number may also be a schedule.
"""

from typing import Any

from gdjax.composition import chain, identity
from gdjax.ranges import Decay, DecayOrSum, NonNegative
from gdjax.transformation import GradientTransformation
from gdjax.transforms import (
    scale_by_learning_rate,
    scale_by_rms,
    scale_by_rss,
    scale_by_stddev,
    trace,
)


def sgd(
    learning_rate: NonNegative,
    momentum: DecayOrSum | None = None,
    nesterov: bool = False,
    accumulator_dtype: Any = None,
) -> GradientTransformation:
    """Gradient descent, with momentum where it is given.

    Args:
      learning_rate: see :func:`gdjax.scale_by_learning_rate`.
      momentum: ``decay`` of :func:`gdjax.trace`; no momentum where None.
      nesterov: see :func:`gdjax.trace`.
      accumulator_dtype: see :func:`gdjax.trace`.

    >>> sgd(0.1, momentum=0.9)
    chain(trace(decay=0.9), scale_by_learning_rate(learning_rate=0.1))
    """
    return chain(
        _momentum(momentum, nesterov, accumulator_dtype), scale_by_learning_rate(learning_rate)
    )


def adagrad(
    learning_rate: NonNegative,
    initial_accumulator_value: NonNegative = 0.1,
    eps: NonNegative = 1e-7,
) -> GradientTransformation:
    """AdaGrad: each element's step shrinks with the sum of its squared gradients.

    Args:
      learning_rate: see :func:`gdjax.scale_by_learning_rate`.
      initial_accumulator_value: see :func:`gdjax.scale_by_rss`.
      eps: see :func:`gdjax.scale_by_rss`.

    >>> adagrad(0.1)
    chain(scale_by_rss(initial_accumulator_value=0.1, eps=1e-07),
          scale_by_learning_rate(learning_rate=0.1))
    """
    return chain(
        scale_by_rss(initial_accumulator_value, eps), scale_by_learning_rate(learning_rate)
    )


def rmsprop(
    learning_rate: NonNegative,
    decay: Decay = 0.9,
    eps: NonNegative = 1e-8,
    initial_scale: NonNegative = 0.0,
    eps_in_sqrt: bool = True,
    centered: bool = False,
    momentum: DecayOrSum | None = None,
    nesterov: bool = False,
    bias_correction: bool = False,
) -> GradientTransformation:
    """RMSProp: each element's step is relative to a moving average of its squared gradients.

    Args:
      learning_rate: see :func:`gdjax.scale_by_learning_rate`.
      decay: see :func:`gdjax.scale_by_rms`.
      eps: see :func:`gdjax.scale_by_rms`.
      initial_scale: see :func:`gdjax.scale_by_rms`.
      eps_in_sqrt: see :func:`gdjax.scale_by_rms`.
      centered: use the standard deviation, :func:`gdjax.scale_by_stddev`.
      momentum: ``decay`` of :func:`gdjax.trace`, which follows the learning rate here.
      nesterov: see :func:`gdjax.trace`.
      bias_correction: see :func:`gdjax.scale_by_rms`.
    """
    scaling = scale_by_stddev if centered else scale_by_rms
    return chain(
        scaling(decay, eps, initial_scale, eps_in_sqrt, bias_correction),
        scale_by_learning_rate(learning_rate),
        _momentum(momentum, nesterov),
    )


def _momentum(decay: Any, nesterov: bool, accumulator_dtype: Any = None) -> GradientTransformation:
    return identity() if decay is None else trace(decay, nesterov, accumulator_dtype)
