import chex
import jax.numpy as jnp
import numpy as np

import gdjax


def test_cautious_by_hand(run):
    gradients = [
        {"w": jnp.array([4.0, 4.0, 4.0]), "b": jnp.array(2.0)},
        {"w": jnp.array([2.0, -1.0, -4.0]), "b": jnp.array(-0.5)},
    ]
    (first, state), (second, last) = run(gdjax.cautious(gdjax.trace(0.5)), gradients)
    # all agree: 3 / (3 + 1) and 1 / (1 + 1)
    assert (first["w"].tolist(), float(first["b"])) == ([3.0, 3.0, 3.0], 1.0)
    # the traces are 4, 1, -2 and 1/2; those of w agree but for one: 3 / (2 + 1)
    assert (second["w"].tolist(), float(second["b"])) == ([4.0, 0.0, -2.0], 0.0)
    assert state.inner_state.trace["w"].tolist() == [4.0, 4.0, 4.0]
    assert last.inner_state.trace["w"].tolist() == [4.0, 1.0, -2.0]


def test_cautious_eps_is_in_elements(run):
    ((updates, _),) = run(gdjax.cautious(gdjax.identity(), eps=2.0), [jnp.array([1.0, 2.0])])
    assert updates.tolist() == [0.5, 1.0]


def test_complex_updates_agree_within_a_right_angle(run):
    inner = gdjax.trace(0.5)
    gradients = [jnp.array([4 + 0j, 4 + 0j]), jnp.array([4j, -1 + 0.5j])]
    ((_, _), (updates, _)) = run(gdjax.cautious(inner), gradients)
    # 2 + 4j turns by less than a right angle from 4j; 1 + 0.5j from -1 + 0.5j by more
    chex.assert_trees_all_close(updates, np.array([2 + 4j, 0], np.complex64))


def test_cautious_hands_on_extras(run):
    @gdjax.transformation()
    def times_value(updates, state, params, *, value):
        return value * updates, state

    ((updates, _),) = run(gdjax.cautious(times_value()), [jnp.array([1.0])], value=4.0)
    assert updates.tolist() == [2.0]
