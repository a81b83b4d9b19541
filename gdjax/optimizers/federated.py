"""The server's side of federated learning.

Updates are the steps that clients made on their own data, ``x_client - x_server``, each array with
a leading axis of clients. They point downwards already, so no sign is turned.
"""

from gdjax.composition import chain, identity
from gdjax.ranges import Decay, DecayOrSum, NonNegative, Positive
from gdjax.transformation import GradientTransformation
from gdjax.transforms import (
    mean_of_workers,
    scale_by_learning_rate,
    scale_by_server_moments,
    trace,
)


def fedavg(
    learning_rate: NonNegative = 1.0, momentum: DecayOrSum | None = None
) -> GradientTransformation:
    """FedAvg: move to the mean of the clients; FedAvgM with momentum.

    Args:
      learning_rate: factor of the clients' mean step.
      momentum: ``decay`` of :func:`gdjax.trace`; no momentum where None.

    Reference:
      McMahan et al., Communication-efficient learning of deep networks from decentralized data
      (https://arxiv.org/abs/1602.05629), algorithm 1, with clients of equal weight; Hsu et al.,
      Measuring the effects of non-identical data distribution for federated visual classification
      (https://arxiv.org/abs/1909.06335), for the momentum.

    >>> import jax.numpy as jnp
    >>> init, update = fedavg()
    >>> update(jnp.array([[1.0], [2.0], [6.0]]), init(jnp.zeros(1)))[0]
    Array([3.], dtype=float32)
    """
    return chain(
        mean_of_workers(),
        identity() if momentum is None else trace(momentum),
        scale_by_learning_rate(learning_rate, flip_sign=False),
    )


def fedadagrad(
    learning_rate: NonNegative, b1: Decay = 0.0, tau: Positive = 1e-3
) -> GradientTransformation:
    """FedAdagrad: AdaGrad on the clients' mean step.

    Args:
      learning_rate: the server's, in units of the parameters.
      b1: see :func:`gdjax.scale_by_server_moments`.
      tau: see :func:`gdjax.scale_by_server_moments`.

    >>> fedadagrad(0.1)
    chain(mean_of_workers(),
          scale_by_server_moments(b1=0.0, b2=1.0, tau=0.001),
          scale_by_learning_rate(learning_rate=0.1, flip_sign=False))
    """
    return chain(
        mean_of_workers(),
        scale_by_server_moments(b1, 1.0, tau),
        scale_by_learning_rate(learning_rate, flip_sign=False),
    )


def fedadam(
    learning_rate: NonNegative, b1: Decay = 0.9, b2: Decay = 0.99, tau: Positive = 1e-3
) -> GradientTransformation:
    """FedAdam: Adam, not debiased, on the clients' mean step.

    Args:
      learning_rate: the server's, in units of the parameters.
      b1: see :func:`gdjax.scale_by_server_moments`.
      b2: see :func:`gdjax.scale_by_server_moments`.
      tau: see :func:`gdjax.scale_by_server_moments`.
    """
    return chain(
        mean_of_workers(),
        scale_by_server_moments(b1, b2, tau),
        scale_by_learning_rate(learning_rate, flip_sign=False),
    )


def fedyogi(
    learning_rate: NonNegative, b1: Decay = 0.9, b2: Decay = 0.99, tau: Positive = 1e-3
) -> GradientTransformation:
    """FedYogi: Yogi, not debiased, on the clients' mean step.

    Args:
      learning_rate: the server's, in units of the parameters.
      b1: see :func:`gdjax.scale_by_server_moments`.
      b2: see :func:`gdjax.scale_by_server_moments`.
      tau: see :func:`gdjax.scale_by_server_moments`.
    """
    return chain(
        mean_of_workers(),
        scale_by_server_moments(b1, b2, tau, additive=True),
        scale_by_learning_rate(learning_rate, flip_sign=False),
    )
