"""Adam with another numerator: mixed, corrected, masked, or divided before it is averaged.

Names, arguments, order and defaults are Optax's, where it has the optimizer. The mathematics
stands with each transformation; every argument that is a number may also be a schedule.
"""

from collections.abc import Callable
from typing import Any

from gdjax.composition import chain
from gdjax.ranges import Decay, NonNegative, Positive, Real
from gdjax.transformation import GradientTransformation
from gdjax.transforms import (
    add_decayed_weights,
    cautious,
    clip_by_global_norm,
    correct_by_mars,
    scale_by_adam,
    scale_by_adan,
    scale_by_ademamix,
    scale_by_adopt,
    scale_by_learning_rate,
    scale_by_novograd,
    scale_by_optimistic_gradient,
    scale_by_simplified_ademamix,
)
from gdjax.transforms.normalized import fourth_root


def adan(
    learning_rate: NonNegative,
    b1: Decay = 0.98,
    b2: Decay = 0.92,
    b3: Decay = 0.99,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 1e-8,
    weight_decay: NonNegative = 0.0,
    mask: Any = None,
) -> GradientTransformation:
    """Adan: Nesterov's momentum from differences of gradients, in Adam's units.

    Args:
      learning_rate: see :func:`gdjax.scale_by_learning_rate`.
      b1: see :func:`gdjax.scale_by_adan`.
      b2: see :func:`gdjax.scale_by_adan`.
      b3: see :func:`gdjax.scale_by_adan`.
      eps: see :func:`gdjax.scale_by_adan`.
      eps_root: see :func:`gdjax.scale_by_adan`.
      weight_decay: see :func:`gdjax.add_decayed_weights`.
      mask: see :func:`gdjax.add_decayed_weights`.
    """
    return chain(
        scale_by_adan(b1, b2, b3, eps, eps_root),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )


def adopt(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.9999,
    eps: NonNegative = 1e-6,
    mu_dtype: Any = None,
    *,
    nesterov: bool = False,
    use_clipping: bool = True,
    clip_value_fn: Callable[[Any], Any] = fourth_root,
) -> GradientTransformation:
    """ADOPT: Adam that divides by the squares before the gradient, and converges for any ``b2``.

    Args:
      learning_rate: see :func:`gdjax.scale_by_learning_rate`.
      b1: see :func:`gdjax.scale_by_adopt`.
      b2: see :func:`gdjax.scale_by_adopt`.
      eps: see :func:`gdjax.scale_by_adopt`.
      mu_dtype: see :func:`gdjax.scale_by_adopt`.
      nesterov: see :func:`gdjax.scale_by_adopt`.
      use_clipping: see :func:`gdjax.scale_by_adopt`.
      clip_value_fn: see :func:`gdjax.scale_by_adopt`.
    """
    return chain(
        scale_by_adopt(b1, b2, eps, mu_dtype, nesterov, use_clipping, clip_value_fn),
        scale_by_learning_rate(learning_rate),
    )


def ademamix(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    b3: Decay = 0.9999,
    alpha: NonNegative = 5.0,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    mu_dtype: Any = None,
    weight_decay: NonNegative = 0.0,
    mask: Any = None,
) -> GradientTransformation:
    """AdEMAMix: Adam with a second average that remembers thousands of steps.

    Args:
      learning_rate: see :func:`gdjax.scale_by_learning_rate`.
      b1: see :func:`gdjax.scale_by_ademamix`.
      b2: see :func:`gdjax.scale_by_ademamix`.
      b3: see :func:`gdjax.scale_by_ademamix`.
      alpha: see :func:`gdjax.scale_by_ademamix`.
      eps: see :func:`gdjax.scale_by_ademamix`.
      eps_root: see :func:`gdjax.scale_by_ademamix`.
      mu_dtype: see :func:`gdjax.scale_by_ademamix`.
      weight_decay: see :func:`gdjax.add_decayed_weights`.
      mask: see :func:`gdjax.add_decayed_weights`.
    """
    return chain(
        scale_by_ademamix(b1, b2, b3, alpha, eps, eps_root, mu_dtype),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )


def simplified_ademamix(
    learning_rate: NonNegative,
    b1: Decay = 0.99,
    b2: Decay = 0.95,
    alpha: NonNegative = 0.0,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    weight_decay: NonNegative = 0.0,
    mask: Any = None,
) -> GradientTransformation:
    """AdEMAMix with one sum instead of two averages.

    Args:
      learning_rate: see :func:`gdjax.scale_by_learning_rate`.
      b1: see :func:`gdjax.scale_by_simplified_ademamix`.
      b2: see :func:`gdjax.scale_by_simplified_ademamix`.
      alpha: see :func:`gdjax.scale_by_simplified_ademamix`.
      eps: see :func:`gdjax.scale_by_simplified_ademamix`.
      eps_root: see :func:`gdjax.scale_by_simplified_ademamix`.
      weight_decay: see :func:`gdjax.add_decayed_weights`.
      mask: see :func:`gdjax.add_decayed_weights`.
    """
    return chain(
        scale_by_simplified_ademamix(b1, b2, alpha, eps, eps_root),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )


def novograd(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.25,
    eps: NonNegative = 1e-6,
    eps_root: NonNegative = 0.0,
    weight_decay: NonNegative = 0.0,
) -> GradientTransformation:
    """NovoGrad: momentum of gradients that were divided by the norm of their array.

    Args:
      learning_rate: see :func:`gdjax.scale_by_learning_rate`.
      b1: see :func:`gdjax.scale_by_novograd`.
      b2: see :func:`gdjax.scale_by_novograd`.
      eps: see :func:`gdjax.scale_by_novograd`.
      eps_root: see :func:`gdjax.scale_by_novograd`.
      weight_decay: see :func:`gdjax.scale_by_novograd`.
    """
    return chain(
        scale_by_novograd(b1, b2, eps, eps_root, weight_decay),
        scale_by_learning_rate(learning_rate),
    )


def optimistic_gradient_descent(
    learning_rate: NonNegative, alpha: Real = 1.0, beta: Real = 1.0
) -> GradientTransformation:
    """Gradient descent that expects the change of the gradient to go on.

    Args:
      learning_rate: see :func:`gdjax.scale_by_learning_rate`.
      alpha: see :func:`gdjax.scale_by_optimistic_gradient`.
      beta: see :func:`gdjax.scale_by_optimistic_gradient`.
    """
    return chain(scale_by_optimistic_gradient(alpha, beta), scale_by_learning_rate(learning_rate))


def optimistic_adam_v2(
    learning_rate: NonNegative,
    *,
    alpha: Real = 1.0,
    beta: Real = 1.0,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    mu_dtype: Any = None,
    nesterov: bool = True,
) -> GradientTransformation:
    """Adam that expects the change of its updates to go on.

    Args:
      learning_rate: see :func:`gdjax.scale_by_learning_rate`.
      alpha: see :func:`gdjax.scale_by_optimistic_gradient`.
      beta: see :func:`gdjax.scale_by_optimistic_gradient`.
      b1: see :func:`gdjax.scale_by_adam`.
      b2: see :func:`gdjax.scale_by_adam`.
      eps: see :func:`gdjax.scale_by_adam`.
      eps_root: see :func:`gdjax.scale_by_adam`.
      mu_dtype: see :func:`gdjax.scale_by_adam`.
      nesterov: see :func:`gdjax.scale_by_adam`.
    """
    return chain(
        scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov),
        scale_by_optimistic_gradient(alpha, beta),
        scale_by_learning_rate(learning_rate),
    )


def mars_adamw(
    learning_rate: NonNegative,
    b1: Decay = 0.95,
    b2: Decay = 0.99,
    eps: NonNegative = 1e-8,
    weight_decay: NonNegative = 1e-4,
    mask: Any = None,
    gamma: NonNegative = 0.025,
    max_norm: Positive = 1.0,
) -> GradientTransformation:
    """MARS-AdamW: AdamW on gradients whose variance is reduced.

    Args:
      learning_rate: see :func:`gdjax.scale_by_learning_rate`.
      b1: see :func:`gdjax.scale_by_adam` and :func:`gdjax.correct_by_mars`.
      b2: see :func:`gdjax.scale_by_adam`.
      eps: see :func:`gdjax.scale_by_adam`.
      weight_decay: see :func:`gdjax.add_decayed_weights`.
      mask: see :func:`gdjax.add_decayed_weights`.
      gamma: see :func:`gdjax.correct_by_mars`.
      max_norm: see :func:`gdjax.clip_by_global_norm`; of the corrected gradients.

    Reference:
      Yuan et al., MARS (https://arxiv.org/abs/2411.10438), algorithm 2, defaults of ``b1``,
      ``b2``, ``gamma`` and ``max_norm`` included.
    """
    return chain(
        correct_by_mars(b1, gamma),
        clip_by_global_norm(max_norm),
        scale_by_adam(b1, b2, eps),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )


def cautious_adamw(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    weight_decay: NonNegative = 1e-4,
    mask: Any = None,
) -> GradientTransformation:
    """C-AdamW: AdamW without those elements of its step that go against their gradient.

    Args:
      learning_rate: see :func:`gdjax.scale_by_learning_rate`.
      b1: see :func:`gdjax.scale_by_adam`.
      b2: see :func:`gdjax.scale_by_adam`.
      eps: see :func:`gdjax.scale_by_adam`.
      weight_decay: see :func:`gdjax.add_decayed_weights`.
      mask: see :func:`gdjax.add_decayed_weights`.

    Reference:
      Liang et al., Cautious optimizers (https://arxiv.org/abs/2411.16085), algorithm 2; see
      :func:`gdjax.cautious`.
    """
    return chain(
        cautious(scale_by_adam(b1, b2, eps)),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )
