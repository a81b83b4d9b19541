"""Gradient descent on the gradients of single examples or workers.

Updates have a leading axis, of examples, which the first transformation reduces. Names, arguments,
order and defaults are Optax's, but for ``key``, which is Optax's ``seed``.
"""

from typing import Any

from gdjax.composition import chain, identity
from gdjax.ranges import DecayOrSum, NonNegative, Positive
from gdjax.transformation import GradientTransformation
from gdjax.transforms import differentially_private_aggregate, scale_by_learning_rate, trace


def dpsgd(
    learning_rate: NonNegative,
    l2_norm_clip: Positive,
    noise_multiplier: NonNegative,
    key: Any,
    momentum: DecayOrSum | None = None,
    nesterov: bool = False,
) -> GradientTransformation:
    """Differentially private gradient descent, on gradients of single examples.

    Args:
      learning_rate: see :func:`gdjax.scale_by_learning_rate`.
      l2_norm_clip: see :func:`gdjax.differentially_private_aggregate`.
      noise_multiplier: see :func:`gdjax.differentially_private_aggregate`.
      key: see :func:`gdjax.differentially_private_aggregate`; Optax's ``seed``.
      momentum: ``decay`` of :func:`gdjax.trace`; no momentum where None.
      nesterov: see :func:`gdjax.trace`.
    """
    return chain(
        differentially_private_aggregate(l2_norm_clip, noise_multiplier, key),
        identity() if momentum is None else trace(momentum, nesterov),
        scale_by_learning_rate(learning_rate),
    )
