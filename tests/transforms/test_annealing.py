import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax


def test_accept_by_metropolis_by_hand():
    """Almost no temperature: only what is no worse is accepted."""
    init, update = gdjax.accept_by_metropolis(2**-20, key=0)
    proposals = [(4.0, 3.0), (2.0, 1.0), (8.0, 5.0), (2.0, 1.0), (1.0, np.nan), (0.0, 0.5)]
    # Accepted: 4, 2, then not 8: 2 - 8 back; 2 again; not a loss of NaN: 2 - 1 back; 0.
    expected = [(1.0, 4.0, 3.0), (1.0, 2.0, 1.0), (-6.0, 2.0, 1.0)]
    expected += [(1.0, 2.0, 1.0), (1.0, 2.0, 1.0), (1.0, 0.0, 0.5)]
    state = init(jnp.array(4.0))
    for (params, value), numbers in zip(proposals, expected, strict=True):
        updates, state = update(jnp.array(1.0), state, jnp.array(params), value=value)
        assert (updates.item(), state.accepted.item(), state.value.item()) == numbers


@pytest.mark.parametrize("chance", [0.25, 0.75])
def test_a_worse_loss_is_accepted_as_often_as_it_should(chance):
    temperature = 2.0

    def accepted(key):
        init, update = gdjax.accept_by_metropolis(temperature, key)
        _, state = update(jnp.ones(()), init(jnp.zeros(())), jnp.zeros(()), value=1.0)
        worse = 1.0 - temperature * jnp.log(chance)
        return update(jnp.ones(()), state, jnp.ones(()), value=worse)[1].accepted

    often = jax.vmap(accepted)(jnp.arange(4000)).mean()
    np.testing.assert_allclose(often, chance, atol=0.03)


def test_an_infinite_loss_at_the_start_is_left():
    init, update = gdjax.accept_by_metropolis(1.0, key=0)
    state = init(jnp.zeros(1))
    for value in (jnp.inf, 4.0):
        updates, state = update(jnp.ones(1), state, jnp.zeros(1), value=value)
        chex.assert_trees_all_equal(updates, jnp.ones(1))
    assert state.value == 4.0


def test_annealing_leaves_a_local_minimum():
    def loss(x):  # minima near -1 and, deeper, 1; a wall of height 1 between them
        return (x**2 - 1) ** 2 - 0.3 * x

    def end(key):
        cooling = gdjax.exponential_decay(1.0, 1, 0.99)
        noise = gdjax.chain(gdjax.add_noise(0.25, 0.0, key), gdjax.scale(1.0))
        optimizer = gdjax.chain(gdjax.scale(0.0), noise, gdjax.accept_by_metropolis(cooling, key))

        def step(carry, _):
            params, state = carry
            updates, state = optimizer.update(params, state, params, value=loss(params))
            return (gdjax.apply_updates(params, updates), state), None

        start = jnp.array(-1.0)
        (_, state), _ = jax.lax.scan(step, (start, optimizer.init(start)), length=600)
        return state[-1].inner_state.accepted

    ends = jax.vmap(end)(jnp.arange(50))
    assert (jnp.abs(ends - 1.03) < 0.15).mean() > 0.8


def test_acceptance_needs_params_and_value():
    init, update = gdjax.accept_by_metropolis(1.0, key=0)
    with pytest.raises(gdjax.InvalidValue, match="reads the parameters"):
        update(jnp.ones(1), init(jnp.ones(1)), value=1.0)
    with pytest.raises(gdjax.InvalidType, match="needs the extra argument 'value'"):
        update(jnp.ones(1), init(jnp.ones(1)), jnp.ones(1))
