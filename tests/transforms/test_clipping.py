import chex
import jax.numpy as jnp
import numpy as np
import optax

import gdjax


def test_clip_by_hand(run):
    seen = run(gdjax.clip(1.5), [jnp.array([-3.0, 0.5]), jnp.array([1.5, 2.0])])
    expected = [np.array([-1.5, 0.5]), np.array([1.5, 1.5])]
    chex.assert_trees_all_equal(seen, [(u, optax.EmptyState()) for u in expected])


def test_clip_by_global_norm_by_hand(run):
    gradients = [
        {"w": jnp.array([3.0]), "b": jnp.array([[4.0]])},  # norm 5: halved
        {"w": jnp.array([1.5]), "b": jnp.array([[2.0]])},  # norm 2.5: at the limit
    ]
    half = {"w": np.array([1.5]), "b": np.array([[2.0]])}
    seen = run(gdjax.clip_by_global_norm(2.5), gradients)
    chex.assert_trees_all_equal(seen, [(half, optax.EmptyState())] * 2)


def test_clip_by_global_norm_leaves_small_updates_and_zeros_alone(run):
    small = {"w": jnp.array([0.3, -0.1]), "b": jnp.zeros(())}
    zero = {"w": jnp.zeros(2), "b": jnp.zeros(())}
    seen = run(gdjax.clip_by_global_norm(0.75), [small, zero])
    chex.assert_trees_all_equal([updates for updates, _ in seen], [small, zero])


def test_clip_by_global_norm_squares_in_float32(run):
    gradients = jnp.array([300.0, 400.0], jnp.float16)  # 400**2 overflows float16
    ((updates, _),) = run(gdjax.clip_by_global_norm(5.0), [gradients])
    chex.assert_trees_all_equal(updates, jnp.array([3.0, 4.0], jnp.float16), strict=True)
