"""Gradient descent with random numbers: noisy, perturbed, Bayesian.

Names, arguments, order and defaults are Optax's where it has them, but for a ``key`` that must be
given. The mathematics stands with each transformation.
"""

from typing import Any

from gdjax.composition import chain
from gdjax.ranges import Decay, NonNegative, Positive, Steps
from gdjax.transformation import GradientTransformation
from gdjax.transforms import (
    add_noise,
    langevin_step,
    perturb_where_stationary,
    preconditioned_langevin_step,
    scale_by_learning_rate,
)


def noisy_sgd(
    learning_rate: NonNegative,
    eta: NonNegative = 0.01,
    gamma: NonNegative = 0.55,
    *,
    key: Any,
) -> GradientTransformation:
    """Gradient descent with annealed noise on the gradients.

    Args:
      learning_rate: see :func:`gdjax.scale_by_learning_rate`.
      eta: see :func:`gdjax.add_noise`.
      gamma: see :func:`gdjax.add_noise`.
      key: see :func:`gdjax.add_noise`.
    """
    return chain(add_noise(eta, gamma, key), scale_by_learning_rate(learning_rate))


def perturbed_sgd(
    learning_rate: NonNegative,
    radius: NonNegative,
    stationary_norm: NonNegative,
    key: Any,
    steps_between: Steps = 10,
) -> GradientTransformation:
    """Gradient descent that leaves saddles in a random direction: perturbed gradient descent.

    Args:
      learning_rate: see :func:`gdjax.scale_by_learning_rate`.
      radius: see :func:`gdjax.perturb_where_stationary`.
      stationary_norm: see :func:`gdjax.perturb_where_stationary`.
      key: see :func:`gdjax.perturb_where_stationary`.
      steps_between: see :func:`gdjax.perturb_where_stationary`.
    """
    perturbed = perturb_where_stationary(radius, stationary_norm, key, steps_between)
    return chain(perturbed, scale_by_learning_rate(learning_rate))


def sgld(
    learning_rate: NonNegative, key: Any, temperature: NonNegative = 1.0
) -> GradientTransformation:
    """Stochastic gradient Langevin dynamics: samples of the posterior.

    Args:
      learning_rate: see :func:`gdjax.langevin_step`.
      key: see :func:`gdjax.langevin_step`.
      temperature: see :func:`gdjax.langevin_step`.
    """
    return langevin_step(learning_rate, key, temperature)


def psgld(
    learning_rate: NonNegative,
    key: Any,
    temperature: NonNegative = 1.0,
    decay: Decay = 0.99,
    eps: Positive = 1e-5,
) -> GradientTransformation:
    """Langevin dynamics with a learning rate of each parameter's own, as in RMSProp.

    Args:
      learning_rate: see :func:`gdjax.preconditioned_langevin_step`.
      key: see :func:`gdjax.preconditioned_langevin_step`.
      temperature: see :func:`gdjax.preconditioned_langevin_step`.
      decay: see :func:`gdjax.preconditioned_langevin_step`.
      eps: see :func:`gdjax.preconditioned_langevin_step`.
    """
    return preconditioned_langevin_step(learning_rate, key, temperature, decay, eps)
