"""What the server of federated learning does with the mean of its clients' steps."""

from typing import Any, NamedTuple

import jax.numpy as jnp

from gdjax import trees
from gdjax.ranges import Decay, DecayOrSum, Positive
from gdjax.transformation import transformation


class ScaleByServerMomentsState(NamedTuple):
    """State of :func:`scale_by_server_moments`."""

    mu: Any  # like params: average
    nu: Any  # like params, real: average or sum of squares, or what follows the squares


def _from_tau(params: Any, tau: Any) -> ScaleByServerMomentsState:
    return ScaleByServerMomentsState(trees.zeros_like(params), trees.full_like_real(params, tau**2))


@transformation(init=_from_tau)
def scale_by_server_moments(
    updates: Any,
    state: ScaleByServerMomentsState,
    params: Any,
    b1: Decay = 0.9,
    b2: DecayOrSum = 0.99,
    tau: Positive = 1e-3,
    additive: bool = False,
) -> tuple[Any, ScaleByServerMomentsState]:
    """Divide an average of the updates by the root of a history of their squares, from a floor.

    ``mu = b1 * mu + (1 - b1) * g``, ``nu = b2 * nu + (1 - b2) * g**2``, which starts at
    ``tau**2``, then ``u = mu / (sqrt(nu) + tau)``. Nothing is debiased. With ``b2 = 1`` it is the
    sum ``nu = nu + g**2``. With ``additive`` it is Yogi's
    ``nu = nu - (1 - b2) * sign(nu - g**2) * g**2``.

    Args:
      b1: weight of the past in the average, in [0, 1).
      b2: weight of the past in the average of squares, in [0, 1), or 1 for their sum.
      tau: how far updates adapt, in their units: much larger ones than those are only scaled.
      additive: change ``nu`` by no more than the square of the update, as Yogi does.

    State:
      mu: the average, of the parameters' shapes.
      nu: the history of squares, of the parameters' shapes, real.

    Reference:
      Reddi et al., Adaptive federated optimization (https://arxiv.org/abs/2003.00295),
      algorithm 2: FedAdam, FedAdagrad with ``b2 = 1``, FedYogi with ``additive``.

    >>> init, update = scale_by_server_moments(b1=0.5, b2=1.0, tau=3.0)
    >>> update(jnp.array([4.0]), init(jnp.zeros(1)))[0]
    Array([0.25], dtype=float32)
    """
    fresh = jnp.where(b2 < 1, 1 - b2, 1)

    def leaf(g: Any, m: Any, v: Any) -> tuple:
        m, square = trees.average(g, m, b1), trees.abs_sq(g)
        v = v - fresh * jnp.sign(v - square) * square if additive else b2 * v + fresh * square
        return m / (trees.sqrt(v) + tau), m, v

    updates, mu, nu = trees.map_leaves(leaf, updates, state.mu, state.nu)
    return updates, ScaleByServerMomentsState(mu, nu)
