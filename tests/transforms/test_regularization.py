import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gdjax

PARAMS = {"w": jnp.array([4.0, -2.0]), "b": {"x": jnp.array([8.0]), "y": jnp.array([2.0])}}
GRADIENTS = jax.tree.map(jnp.ones_like, PARAMS)


def test_add_decayed_weights_by_hand():
    init, update = gdjax.add_decayed_weights(0.5)
    state = init(jnp.zeros(2))
    updates, state = update(jnp.array([1.0, 2.0]), state, jnp.array([4.0, -2.0]))
    chex.assert_trees_all_equal((updates, state), (np.array([3.0, 1.0]), optax.EmptyState()))
    updates, state = update(jnp.array([1.0, 2.0]), state, jnp.array([0.0, 8.0]))
    chex.assert_trees_all_equal((updates, state), (np.array([1.0, 6.0]), optax.EmptyState()))


@pytest.mark.parametrize(
    "mask",
    [
        {"w": True, "b": {"x": False, "y": False}},
        {"w": True, "b": False},  # a prefix
        lambda params: jax.tree.map(lambda p: p.ndim == 1 and p.size > 1, params),
        lambda params: {"w": True, "b": False},
    ],
    ids=["tree", "prefix", "function", "function of prefix"],
)
def test_mask_chooses_what_decays(run, mask):
    ((updates, _),) = run(gdjax.add_decayed_weights(0.5, mask), [GRADIENTS], PARAMS)
    expected = {"w": np.array([3.0, 0.0]), "b": {"x": np.array([1.0]), "y": np.array([1.0])}}
    chex.assert_trees_all_equal(updates, expected)


@pytest.mark.parametrize("mask", [False, {"w": False, "b": False}])
def test_mask_may_choose_nothing(run, mask):
    ((updates, _),) = run(gdjax.add_decayed_weights(0.5, mask), [GRADIENTS], PARAMS)
    chex.assert_trees_all_equal(updates, GRADIENTS)


@pytest.mark.parametrize("mask", [None, {"w": True, "b": True}])
def test_frozen_parameters_do_not_decay(run, mask):
    gradients = {"w": jnp.ones(2), "b": {"x": None, "y": jnp.ones(1)}}
    ((updates, _),) = run(gdjax.add_decayed_weights(0.5, mask), [gradients], PARAMS)
    expected = {"w": np.array([3.0, 0.0]), "b": {"x": None, "y": np.array([2.0])}}
    chex.assert_trees_all_equal(updates, expected)


def test_decay_reads_the_parameters():
    init, update = gdjax.add_decayed_weights(0.5)
    with pytest.raises(gdjax.InvalidValue, match=r"add_decayed_weights reads .*params\)$"):
        update(jnp.ones(2), init(jnp.ones(2)))


def test_mask_of_another_structure_is_an_error(run):
    with pytest.raises(gdjax.InvalidValue, match="mask does not fit the parameters") as error:
        run(gdjax.add_decayed_weights(0.5, {"v": True}), [GRADIENTS], PARAMS)
    for tree in ({"v": True}, PARAMS):
        assert str(jax.tree.structure(tree)) in str(error.value)
