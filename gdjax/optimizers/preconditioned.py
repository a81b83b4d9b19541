"""Optimizers that precondition whole matrices: Muon, Shampoo, SOAP.

The mathematics stands with each transformation; every argument that is a number may also be a
schedule. Muon's names, arguments, order and defaults are those of ``optax.contrib``.
"""

from typing import Any

from gdjax.arrangement import MatrixMask
from gdjax.composition import chain
from gdjax.errors import InvalidValue
from gdjax.ranges import Decay, NonNegative, Positive, PositiveSteps, Size
from gdjax.transformation import GradientTransformation
from gdjax.transforms import (
    add_decayed_weights,
    graft,
    masked,
    scale_by_learning_rate,
    scale_by_muon,
    scale_by_shampoo,
    scale_by_soap,
    scale_matrices_by_shape,
)
from gdjax.transforms.orthogonalization import Start

NS_COEFFS = {
    "standard": (3.4445, -4.7750, 2.0315),
    # Ahn et al., Dion (https://arxiv.org/abs/2504.05295), one triple a step.
    "dion": (
        (4.0848, -6.8946, 2.9270),
        (3.9505, -6.3029, 2.6377),
        (3.7418, -5.5913, 2.3037),
        (2.8769, -3.1427, 1.2046),
        (2.8366, -3.0525, 1.2012),
    ),
}


def muon(
    learning_rate: NonNegative,
    ns_coeffs: Any = NS_COEFFS["standard"],
    ns_steps: Size = 5,
    beta: Decay = 0.95,
    eps: NonNegative = 1e-8,
    weight_decay: NonNegative = 0.0,
    weight_decay_mask: Any = None,
    mu_dtype: Any = None,
    *,
    nesterov: bool = True,
    adaptive: bool = False,
    preconditioning: Start = "frobenius",
    adam_b1: Decay = 0.9,
    adam_b2: Decay = 0.999,
    adam_eps_root: NonNegative = 0.0,
    adam_weight_decay: NonNegative = 0.0,
    adam_learning_rate: NonNegative | None = None,
    muon_weight_dimension_numbers: Any = None,
    consistent_rms: NonNegative | None = None,
) -> GradientTransformation:
    """Muon for matrices, AdamW for all else.

    Args:
      learning_rate: see :func:`gdjax.scale_by_learning_rate`.
      ns_coeffs: see :func:`gdjax.scale_by_muon`; also ``"standard"`` or ``"dion"``.
      ns_steps: see :func:`gdjax.scale_by_muon`.
      beta: see :func:`gdjax.scale_by_muon`.
      eps: see :func:`gdjax.scale_by_muon`.
      weight_decay: of matrices, see :func:`gdjax.add_decayed_weights`.
      weight_decay_mask: of matrices, see :func:`gdjax.add_decayed_weights`.
      mu_dtype: see :func:`gdjax.scale_by_muon`.
      nesterov: see :func:`gdjax.scale_by_muon`.
      adaptive: see :func:`gdjax.scale_by_muon`.
      preconditioning: see :func:`gdjax.scale_by_muon`.
      adam_b1: see :func:`gdjax.scale_by_muon`.
      adam_b2: see :func:`gdjax.scale_by_muon`.
      adam_eps_root: see :func:`gdjax.scale_by_muon`.
      adam_weight_decay: of all else, see :func:`gdjax.add_decayed_weights`.
      adam_learning_rate: of all else; ``learning_rate`` where None.
      muon_weight_dimension_numbers: see :func:`gdjax.scale_by_muon`.
      consistent_rms: see :func:`gdjax.scale_matrices_by_shape`.

    Raises:
      InvalidValue: a name of coefficients that is not known.
    """
    if isinstance(ns_coeffs, str):
        if ns_coeffs not in NS_COEFFS:
            raise InvalidValue(
                f"muon: ns_coeffs must be numbers or one of {', '.join(NS_COEFFS)}, got "
                f"{ns_coeffs!r}"
            )
        ns_coeffs = NS_COEFFS[ns_coeffs]
    numbers = muon_weight_dimension_numbers
    matrices, others = MatrixMask.of(numbers), MatrixMask.of(numbers, inverted=True)
    descent = scale_by_learning_rate(learning_rate)
    if adam_learning_rate is not None:
        of_adam = scale_by_learning_rate(adam_learning_rate)
        descent = chain(masked(descent, matrices), masked(of_adam, others))
    return chain(
        scale_by_muon(
            ns_coeffs,
            ns_steps,
            beta,
            eps,
            mu_dtype,
            nesterov,
            adaptive,
            preconditioning,
            numbers,
            adam_b1,
            adam_b2,
            adam_eps_root,
        ),
        scale_matrices_by_shape(consistent_rms, numbers),
        masked(add_decayed_weights(weight_decay, weight_decay_mask), matrices),
        masked(add_decayed_weights(adam_weight_decay), others),
        descent,
    )


def shampoo(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-6,
    precondition_frequency: PositiveSteps = 10,
    max_precond_dim: Size = 1024,
    mu_dtype: Any = None,
    magnitude: Any = None,
    weight_decay: NonNegative = 0.0,
    mask: Any = None,
) -> GradientTransformation:
    """Shampoo, with decoupled weight decay.

    Args:
      learning_rate: see :func:`gdjax.scale_by_learning_rate`.
      b1: see :func:`gdjax.scale_by_shampoo`.
      b2: see :func:`gdjax.scale_by_shampoo`.
      eps: see :func:`gdjax.scale_by_shampoo`.
      precondition_frequency: see :func:`gdjax.scale_by_shampoo`.
      max_precond_dim: see :func:`gdjax.scale_by_shampoo`.
      mu_dtype: see :func:`gdjax.scale_by_shampoo`.
      magnitude: see :func:`gdjax.graft`: a transformation, such as ``gdjax.scale_by_adam()``,
        whose norms the updates get; their own where None.
      weight_decay: see :func:`gdjax.add_decayed_weights`.
      mask: see :func:`gdjax.add_decayed_weights`.

    >>> import gdjax
    >>> grafted = shampoo(1e-3, magnitude=gdjax.scale_by_adam())
    """
    scaling = scale_by_shampoo(b1, b2, eps, precondition_frequency, max_precond_dim, mu_dtype)
    return chain(
        scaling if magnitude is None else graft(scaling, magnitude),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )


def soap(
    learning_rate: NonNegative = 3e-3,
    b1: Decay = 0.95,
    b2: Decay = 0.95,
    shampoo_beta: Decay | None = None,
    eps: NonNegative = 1e-8,
    weight_decay: NonNegative = 0.01,
    precondition_frequency: PositiveSteps = 10,
    max_precond_dim: Size = 10000,
    precondition_1d: bool = False,
    mu_dtype: Any = None,
    mask: Any = None,
    kl_ridge: Positive | None = None,
) -> GradientTransformation:
    """SOAP, with decoupled weight decay; names and defaults of its authors.

    The weights decay at the first step too, whose update is 0.

    Args:
      learning_rate: see :func:`gdjax.scale_by_learning_rate`.
      b1: see :func:`gdjax.scale_by_soap`.
      b2: see :func:`gdjax.scale_by_soap`.
      shampoo_beta: see :func:`gdjax.scale_by_soap`.
      eps: see :func:`gdjax.scale_by_soap`.
      weight_decay: see :func:`gdjax.add_decayed_weights`.
      precondition_frequency: see :func:`gdjax.scale_by_soap`.
      max_precond_dim: see :func:`gdjax.scale_by_soap`.
      precondition_1d: see :func:`gdjax.scale_by_soap`.
      mu_dtype: see :func:`gdjax.scale_by_soap`.
      mask: see :func:`gdjax.add_decayed_weights`.
      kl_ridge: see :func:`gdjax.scale_by_soap`.
    """
    return chain(
        scale_by_soap(
            b1,
            b2,
            shampoo_beta,
            eps,
            precondition_frequency,
            max_precond_dim,
            precondition_1d,
            mu_dtype,
            kl_ridge,
        ),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )
