import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax
from gdjax import gating

UPDATES = jnp.array([2.0, -4.0])


def step(condition, updates, otherwise=None):
    pair = gdjax.trace(0.5)
    state = pair.init(UPDATES)
    return gating.update_if(condition, pair.update, updates, state, None, {}, otherwise)


@pytest.mark.parametrize("otherwise", [None, UPDATES + 1])
def test_an_inner_update_runs_where_the_condition_holds(otherwise):
    updates, state = step(jnp.array(True), UPDATES, otherwise)
    assert updates.tolist() == state.trace.tolist() == [2.0, -4.0]
    updates, state = step(jnp.array(False), UPDATES, otherwise)
    assert updates.tolist() == ([0.0, 0.0] if otherwise is None else [3.0, -3.0])
    assert state.trace.tolist() == [0.0, 0.0]


def test_one_branch_runs_and_in_a_population_one_result_is_selected():
    program = str(jax.make_jaxpr(step)(jnp.array(True), UPDATES))
    assert "cond[" in program
    batch = jax.vmap(step, in_axes=(0, None))(jnp.array([True, False]), UPDATES)
    assert batch[0].tolist() == [[2.0, -4.0], [0.0, 0.0]]


@gdjax.transformation(init=lambda params: (jax.random.key(0), jnp.zeros((), jnp.int32)))
def draws(updates, state, params):
    return updates, (jax.random.split(state[0])[0], 1.0 * state[1])


def test_the_state_may_hold_keys_and_keeps_its_types():
    pair = draws()
    state = pair.init(UPDATES)
    args = (pair.update, UPDATES, state, None, {})
    _, kept = gating.update_if(jnp.array(False), *args)
    _, new = gating.update_if(jnp.array(True), *args)
    assert kept[0] == state[0] != new[0]
    assert new[1].dtype == jnp.int32


def test_derivatives_of_what_is_not_used_are_zero():
    def total(rate, condition, gradient):
        pair = gdjax.scale(rate)
        args = (condition, pair.update, gradient, pair.init(None), None, {})
        return gating.update_if(*args)[0].sum()

    bad, good = jnp.array([jnp.nan, jnp.inf]), jnp.array([1.0, 2.0])
    conditions, gradients = jnp.array([False, True]), jnp.stack([bad, good])
    slopes = jax.vmap(jax.grad(total), in_axes=(None, 0, 0))(1.0, conditions, gradients)
    np.testing.assert_array_equal(slopes, [0.0, 3.0])
