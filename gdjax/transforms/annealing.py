"""Accepting a step or taking it back: simulated annealing."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gdjax import draws, trees
from gdjax.errors import InvalidValue
from gdjax.ranges import Positive
from gdjax.transformation import transformation


class AcceptByMetropolisState(NamedTuple):
    """State of :func:`accept_by_metropolis`."""

    accepted: Any  # like params: the last that were accepted
    value: jax.Array  # float[]: their loss; inf before the first step
    rng_key: Any  # key, or its uint32 data: of the next decision


def _nothing_accepted(params: Any, key: Any) -> AcceptByMetropolisState:
    accepted = trees.copy(params)
    value = jnp.full((), jnp.inf, trees.compute_dtype(params))
    return AcceptByMetropolisState(accepted, value, draws.random_key(key))


@transformation(init=_nothing_accepted)
def accept_by_metropolis(
    updates: Any,
    state: AcceptByMetropolisState,
    params: Any,
    temperature: Positive,
    key: Any,
    *,
    value: Any,
) -> tuple[Any, AcceptByMetropolisState]:
    """Take back a step that made the loss too much worse: simulated annealing.

    The last step is accepted with probability ``min(1, exp((old - value) / temperature))``, where
    ``value`` is the loss at ``params`` and ``old`` that at the last accepted parameters. Then
    ``u = g``; else ``u = accepted - params``, the way back, up to rounding. A loss that is not a
    number is never accepted.

    ``update`` needs ``params`` and the extra ``value``. It stands last. Random steps, such as
    those of :func:`add_noise`, make another proposal after a way back; a schedule cools.

    A step function of ``temperature``, whose derivative is 0.

    Args:
      temperature: how much worse a loss may be, in its units.
      key: PRNG key, or a seed.

    State:
      accepted: the last accepted parameters.
      value: the loss there, a scalar.
      rng_key: key of the next decision.

    Reference:
      Metropolis et al., Equation of state calculations by fast computing machines, 1953;
      Kirkpatrick, Gelatt and Vecchi, Optimization by simulated annealing, Science 220, 1983. The
      step after an acceptance is the next proposal: one evaluation a step.

    >>> init, update = accept_by_metropolis(1e-6, key=0)
    >>> _, state = update(jnp.array([1.0]), init(jnp.zeros(1)), jnp.zeros(1), value=0.0)
    >>> update(jnp.array([1.0]), state, jnp.ones(1), value=2.0)[0]
    Array([-1.], dtype=float32)
    """
    if params is None:
        raise InvalidValue(
            "accept_by_metropolis reads the parameters: call update(updates, state, params, "
            "value=...)"
        )
    rng_key, decision = jax.random.split(state.rng_key)
    value = jnp.asarray(value, state.value.dtype)
    chance = jax.random.uniform(decision, dtype=value.dtype)
    # The logarithm of a chance below the probability. A comparison with NaN is false.
    accept = value <= state.value - temperature * jnp.log(chance)

    def leaf(g: Any, accepted: Any, p: Any) -> tuple:
        return jnp.where(accept, g, accepted - p), jnp.where(accept, p, accepted)

    updates, accepted = trees.map_leaves(leaf, updates, state.accepted, given=(params,))
    value = jnp.where(accept, value, state.value)
    return updates, AcceptByMetropolisState(accepted, value, rng_key)
