import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gdjax

ONE = np.zeros(1)


def test_scale_by_factored_rms_by_hand(run):
    # At a decay rate of 1 the weight of the past is 0, then 1 / 2.
    # First, the squares are [1 4; 4 16]: rows 2.5 and 10, columns 2.5 and 10, the mean of either
    # 6.25. Their products over the mean are the squares again, of rank 1: signs.
    # Second, all squares are 4: rows and columns (2.5 + 4) / 2 and (10 + 4) / 2, mean 5.125.
    gradients = [jnp.array([[1.0, -2.0], [2.0, 4.0]]), jnp.array([[2.0, 2.0], [2.0, 2.0]])]
    half = np.array([3.25, 7.0])
    second = 2 / np.sqrt(np.outer(half, half) / 5.125)
    expected = [
        ([[1.0, -1.0], [1.0, 1.0]], 1, [2.5, 10.0]),
        (second, 2, half),
    ]
    expected = [
        (np.array(u, np.float32), optax.FactoredState(np.array(n), np.array(v), np.array(v), ONE))
        for u, n, v in expected
    ]
    scaled = gdjax.scale_by_factored_rms(decay_rate=1.0, min_dim_size_to_factor=2)
    chex.assert_trees_all_close(run(scaled, gradients), expected, rtol=1e-6)


@pytest.mark.parametrize("settings", [{"min_dim_size_to_factor": 3}, {"factored": False}])
def test_small_arrays_are_not_factored(run, settings):
    # The weights of the present are 1 and 1 / 2: averages 4 and (4 + 12) / 2
    settings = {"min_dim_size_to_factor": 2, **settings}
    scaled = gdjax.scale_by_factored_rms(decay_rate=1.0, **settings)
    gradients = [jnp.full((2, 3), -2.0), jnp.full((2, 3), 12**0.5)]
    expected = [
        (np.full((2, 3), -1.0), optax.FactoredState(np.array(1), ONE, ONE, np.full((2, 3), 4.0))),
        (
            np.full((2, 3), 1.5**0.5),
            optax.FactoredState(np.array(2), ONE, ONE, np.full((2, 3), 8.0)),
        ),
    ]
    chex.assert_trees_all_close(run(scaled, gradients), expected, rtol=1e-6)


def test_the_two_longest_axes_are_factored():
    init, update = gdjax.scale_by_factored_rms(min_dim_size_to_factor=2)
    state = init({"kernel": jnp.zeros((4, 2, 3)), "bias": jnp.zeros(4)})
    assert {k: v.shape for k, v in state.v_row.items()} == {"kernel": (2, 3), "bias": (1,)}
    assert {k: v.shape for k, v in state.v_col.items()} == {"kernel": (4, 2), "bias": (1,)}
    assert {k: v.shape for k, v in state.v.items()} == {"kernel": (1,), "bias": (4,)}
    gradients = {"kernel": 2 * jnp.ones((4, 2, 3)), "bias": jnp.ones(4)}
    updates, _ = update(gradients, state)
    chex.assert_trees_all_close(updates, jax.tree.map(jnp.ones_like, updates), rtol=1e-6)


def test_a_step_before_the_offset_is_the_first(run):
    # The past weighs 0 at steps 1 and 2, then 1 / 2: (16 + 4) / 2
    scaled = gdjax.scale_by_factored_rms(decay_rate=1.0, step_offset=1)
    seen = run(scaled, [jnp.array(1.0), jnp.array(4.0), jnp.array(2.0)])
    assert [float(state.v) for _, state in seen] == [1.0, 16.0, 10.0]


def test_the_decay_is_a_function_of_the_step(run):
    def at_most(step, rate):
        return jnp.minimum(1 - (step + 1.0) ** -rate, 0.25)

    scaled = gdjax.scale_by_factored_rms(decay_rate=1.0, decay_rate_fn=at_most)
    seen = run(scaled, [jnp.array(4.0), jnp.array(0.0)])
    assert [float(state.v) for _, state in seen] == [16.0, 4.0]


def test_dead_rows_and_columns_have_derivatives():
    """Where all squares are epsilon, products of roots would leave float32."""

    def moved(epsilon):
        init, update = gdjax.scale_by_factored_rms(min_dim_size_to_factor=2, epsilon=epsilon)
        gradient = jnp.array([[0.0, 0.0], [0.0, 1.0]])
        updates, state = update(gradient, init(gradient))
        return update(gradient, state)[0] + updates

    assert jnp.isfinite(jax.jacfwd(moved)(1e-30)).all()
    assert jnp.isfinite(jax.jacrev(moved)(1e-30)).all()


def test_scale_by_sm3_by_hand(run):
    # First, all sums are the squares; the largest of each row and column are 9 and 4, 9 and 4.
    # Second, to the least of its row's and its column's: 16 + 9, 0 + 4; 0 + 4, 5 + 4.
    matrices = [jnp.array([[3.0, 0.0], [0.0, -2.0]]), jnp.array([[4.0, 0.0], [0.0, 5.0**0.5]])]
    # A vector and a scalar are their own covers: 9, 9 + 16.
    gradients = [
        {"w": m, "v": jnp.full(1, g), "s": jnp.array(g)}
        for m, g in zip(matrices, (3.0, 4.0), strict=True)
    ]
    signs = np.array([[1.0, 0.0], [0.0, -1.0]])
    # u = v / 2, then u / 2 + v / 2
    first = {"w": signs / 2, "v": np.full(1, 0.5), "s": np.array(0.5)}
    v = np.array([[0.8, 0.0], [0.0, 5.0**0.5 / 3]])
    second = {"w": signs / 4 + v / 2, "v": np.full(1, 0.65), "s": np.array(0.65)}
    covers = [
        {"w": [np.array([9.0, 4.0])] * 2, "v": [np.array([9.0])], "s": [np.array(9.0)]},
        {"w": [np.array([25.0, 9.0])] * 2, "v": [np.array([25.0])], "s": [np.array(25.0)]},
    ]
    expected = [
        (jax.tree.map(np.float32, u), optax.ScaleBySM3State(mu, u))
        for u, mu in zip((first, second), covers, strict=True)
    ]
    seen = run(gdjax.scale_by_sm3(b1=0.5, eps=0.0), gradients)
    chex.assert_trees_all_close(seen, expected, rtol=1e-6)


def test_sm3_averages_where_its_decay_is_less_than_1(run):
    # 16 * 3 / 4, then 12 / 4 + 0
    seen = run(gdjax.scale_by_sm3(b2=0.25), [jnp.array(4.0), jnp.array(0.0)])
    assert [float(state.mu[0]) for _, state in seen] == [12.0, 3.0]
