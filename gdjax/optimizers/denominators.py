"""Adam with another denominator, or with none at first.

Names, arguments, order and defaults are Optax's. The mathematics stands with each
transformation; every argument that is a number may also be a schedule.
"""

from typing import Any

from gdjax.composition import chain
from gdjax.ranges import Decay, NonNegative
from gdjax.transformation import GradientTransformation
from gdjax.transforms import (
    add_decayed_weights,
    scale_by_adamax,
    scale_by_belief,
    scale_by_learning_rate,
    scale_by_radam,
    scale_by_yogi,
)
from gdjax.transforms.rectified import Length


def adamax(
    learning_rate: NonNegative, b1: Decay = 0.9, b2: Decay = 0.999, eps: NonNegative = 1e-8
) -> GradientTransformation:
    """AdaMax: steps relative to the largest gradient, not to the root of their mean square.

    Args:
      learning_rate: see :func:`gdjax.scale_by_learning_rate`.
      b1: see :func:`gdjax.scale_by_adamax`.
      b2: see :func:`gdjax.scale_by_adamax`.
      eps: see :func:`gdjax.scale_by_adamax`.
    """
    return chain(scale_by_adamax(b1, b2, eps), scale_by_learning_rate(learning_rate))


def adamaxw(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    weight_decay: NonNegative = 1e-4,
    mask: Any = None,
) -> GradientTransformation:
    """AdaMax with decoupled weight decay, which the learning rate multiplies.

    Args:
      learning_rate: see :func:`gdjax.scale_by_learning_rate`.
      b1: see :func:`gdjax.scale_by_adamax`.
      b2: see :func:`gdjax.scale_by_adamax`.
      eps: see :func:`gdjax.scale_by_adamax`.
      weight_decay: see :func:`gdjax.add_decayed_weights`.
      mask: see :func:`gdjax.add_decayed_weights`.
    """
    return chain(
        scale_by_adamax(b1, b2, eps),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )


def radam(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    threshold: Length = 5.0,
    *,
    nesterov: bool = False,
) -> GradientTransformation:
    """RAdam: Adam whose first steps, with too few squares to average, do without them.

    Args:
      learning_rate: see :func:`gdjax.scale_by_learning_rate`.
      b1: see :func:`gdjax.scale_by_radam`.
      b2: see :func:`gdjax.scale_by_radam`.
      eps: see :func:`gdjax.scale_by_radam`.
      eps_root: see :func:`gdjax.scale_by_radam`.
      threshold: see :func:`gdjax.scale_by_radam`.
      nesterov: see :func:`gdjax.scale_by_radam`.
    """
    return chain(
        scale_by_radam(b1, b2, eps, eps_root, threshold, nesterov),
        scale_by_learning_rate(learning_rate),
    )


def adabelief(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-16,
    eps_root: NonNegative = 1e-16,
    *,
    nesterov: bool = False,
) -> GradientTransformation:
    """AdaBelief: long steps where gradients are as expected, short ones where they surprise.

    Args:
      learning_rate: see :func:`gdjax.scale_by_learning_rate`.
      b1: see :func:`gdjax.scale_by_belief`.
      b2: see :func:`gdjax.scale_by_belief`.
      eps: see :func:`gdjax.scale_by_belief`.
      eps_root: see :func:`gdjax.scale_by_belief`.
      nesterov: see :func:`gdjax.scale_by_belief`.
    """
    return chain(
        scale_by_belief(b1, b2, eps, eps_root, nesterov), scale_by_learning_rate(learning_rate)
    )


def yogi(
    learning_rate: NonNegative, b1: Decay = 0.9, b2: Decay = 0.999, eps: NonNegative = 1e-3
) -> GradientTransformation:
    """Yogi: Adam whose step cannot grow fast after a large gradient is forgotten.

    Args:
      learning_rate: see :func:`gdjax.scale_by_learning_rate`.
      b1: see :func:`gdjax.scale_by_yogi`.
      b2: see :func:`gdjax.scale_by_yogi`.
      eps: see :func:`gdjax.scale_by_yogi`.
    """
    return chain(scale_by_yogi(b1, b2, eps), scale_by_learning_rate(learning_rate))
