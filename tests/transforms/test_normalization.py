import chex
import jax.numpy as jnp
import numpy as np
import optax

import gdjax

GRADIENTS = [
    {"w": jnp.array([6.0]), "b": jnp.array(8.0)},  # norm 10
    {"w": jnp.array([0.0]), "b": jnp.array(-4.0)},  # norm 4
]


def _stateless(*updates):
    return [(u, optax.EmptyState()) for u in updates]


def test_normalize_by_hand(run):
    expected = [
        {"w": np.array([0.6]), "b": np.array(0.8)},
        {"w": np.array([0.0]), "b": np.array(-1.0)},
    ]
    seen = run(gdjax.normalize(), GRADIENTS)
    chex.assert_trees_all_close(seen, _stateless(*expected), rtol=1e-6)


def test_normalize_by_update_norm_by_hand(run):
    # -4 / (10 + 6) and -4 / (4 + 6)
    expected = [
        {"w": np.array([-1.5]), "b": np.array(-2.0)},
        {"w": np.array([0.0]), "b": np.array(1.6)},
    ]
    seen = run(gdjax.normalize_by_update_norm(scale_factor=-4.0, eps=6.0), GRADIENTS)
    chex.assert_trees_all_close(seen, _stateless(*expected), rtol=1e-6)


def test_zeros_stay_zeros(run):
    zero = {"w": jnp.zeros(1), "b": jnp.zeros(())}
    for rule in (gdjax.normalize(), gdjax.normalize_by_update_norm(eps=0.0)):
        chex.assert_trees_all_equal(run(rule, [zero]), _stateless(zero))


def test_centralize_by_hand(run):
    gradients = [
        {"w": jnp.array([[1.0, 3.0], [0.0, 8.0]]), "b": jnp.array([1.0, 3.0])},
        {"w": jnp.array([[[1.0, 3.0], [0.0, 8.0]]]), "b": jnp.array([2.0, 2.0])},
    ]
    # Rows of mean 2 and 4; then all of one output, of mean 3. Vectors as they are.
    expected = [
        {"w": np.array([[-1.0, 1.0], [-4.0, 4.0]]), "b": np.array([1.0, 3.0])},
        {"w": np.array([[[-2.0, 0.0], [-3.0, 5.0]]]), "b": np.array([2.0, 2.0])},
    ]
    chex.assert_trees_all_equal(run(gdjax.centralize(), gradients), _stateless(*expected))
