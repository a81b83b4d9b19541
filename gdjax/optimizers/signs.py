"""Steps by signs: every element moves by the learning rate, or not at all.

Names, arguments, order and defaults are Optax's. The mathematics stands with each
transformation; every argument that is a number may also be a schedule.
"""

from typing import Any

from gdjax.composition import chain
from gdjax.ranges import Decay, NonNegative
from gdjax.transformation import GradientTransformation
from gdjax.transforms import (
    add_decayed_weights,
    ema,
    scale_by_learning_rate,
    scale_by_lion,
    scale_by_sign,
)


def sign_sgd(learning_rate: NonNegative) -> GradientTransformation:
    """Descend by the signs of the gradients.

    Args:
      learning_rate: see :func:`gdjax.scale_by_learning_rate`.

    >>> sign_sgd(0.1)
    chain(scale_by_sign(), scale_by_learning_rate(learning_rate=0.1))
    """
    return chain(scale_by_sign(), scale_by_learning_rate(learning_rate))


def signum(
    learning_rate: NonNegative,
    beta: Decay = 0.9,
    accumulator_dtype: Any = None,
) -> GradientTransformation:
    """Descend by the signs of the gradients' moving average.

    Args:
      learning_rate: see :func:`gdjax.scale_by_learning_rate`.
      beta: ``decay`` of :func:`gdjax.ema`; not debiased, which changes no sign.
      accumulator_dtype: see :func:`gdjax.ema`.

    >>> signum(0.1)
    chain(ema(decay=0.9, debias=False),
          scale_by_sign(),
          scale_by_learning_rate(learning_rate=0.1))
    """
    return chain(
        ema(beta, debias=False, accumulator_dtype=accumulator_dtype),
        scale_by_sign(),
        scale_by_learning_rate(learning_rate),
    )


def lion(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.99,
    mu_dtype: Any = None,
    weight_decay: NonNegative = 1e-3,
    mask: Any = None,
) -> GradientTransformation:
    """Lion: descend by the signs of gradients mixed with their average, with weight decay.

    Args:
      learning_rate: see :func:`gdjax.scale_by_learning_rate`; about a tenth of Adam's.
      b1: see :func:`gdjax.scale_by_lion`.
      b2: see :func:`gdjax.scale_by_lion`.
      mu_dtype: see :func:`gdjax.scale_by_lion`.
      weight_decay: see :func:`gdjax.add_decayed_weights`.
      mask: see :func:`gdjax.add_decayed_weights`.
    """
    return chain(
        scale_by_lion(b1, b2, mu_dtype),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )
