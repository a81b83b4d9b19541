import chex
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gdjax

GRADIENTS = [jnp.array([4.0, -2.0]), jnp.array([1.0, 0.0])]


@pytest.mark.parametrize("step_size", [-0.5, 0.0, 2.0])
def test_scale_by_hand(run, step_size):
    expected = [np.array([4.0 * step_size, -2.0 * step_size]), np.array([step_size, 0.0])]
    seen = run(gdjax.scale(step_size), GRADIENTS)
    chex.assert_trees_all_equal(seen, [(u, optax.EmptyState()) for u in expected])


@pytest.mark.parametrize(
    ("flip_sign", "expected"), [(True, [[-1.0, 0.5], [-0.25, 0]]), (False, [[1, -0.5], [0.25, 0]])]
)
def test_scale_by_learning_rate_by_hand(run, flip_sign, expected):
    seen = run(gdjax.scale_by_learning_rate(0.25, flip_sign), GRADIENTS)
    chex.assert_trees_all_equal(seen, [(np.array(u), optax.EmptyState()) for u in expected])


def test_scale_by_schedule_by_hand(run):
    # -1 / 2 of the first gradient, -1 / 4 of the second
    scaled = gdjax.scale_by_schedule(lambda count: -0.5 / (1 + count))
    seen = run(scaled, GRADIENTS)
    chex.assert_trees_all_equal([u for u, _ in seen], [np.array([-2.0, 1.0]), np.array([-0.25, 0])])
    assert [int(optax.tree.get(state, "count")) for _, state in seen] == [1, 2]
