from math import sqrt

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax
from gdjax.transforms import ScaleByRadamState
from tests import runs

ROUNDING = 1e-6


def test_scale_by_radam_by_hand(run):
    # As Adam's, see test_adam.py: mu_hat is 4, 4, then 8, -16/3, and so are the updates. The
    # square of the first step has weight 1/4 and age 0, then 3/16 and 1: rho is 1, then
    # 1 + 2 (3/16) / (7/16) = 13/7, below any threshold.
    gradients = [jnp.array([4.0, 4.0]), jnp.array([10.0, -10.0])]
    (first, state), (second, last) = run(gdjax.scale_by_radam(0.5, 0.75, threshold=4.0), gradients)
    chex.assert_trees_all_close(first, np.array([4, 4], np.float32), rtol=ROUNDING)
    chex.assert_trees_all_close(second, np.array([8, -16 / 3], np.float32), rtol=ROUNDING)
    assert [float(x) for x in (state.mu_weight, state.nu_weight, state.nu_aged_weight)] == [
        0.5,
        0.25,
        0,
    ]
    assert [float(x) for x in (last.mu_weight, last.nu_weight)] == [3 / 4, 7 / 16]
    assert float(last.nu_aged_weight) == 3 / 16
    assert last.mu.tolist() == [6.0, -4.0]
    assert last.nu.tolist() == [28.0, 28.0]


@pytest.mark.parametrize(
    ("b2", "age", "threshold", "factor"),
    [
        # rho_inf = 7; of age 7/3, one step later 3/4 (7/3 + 1) = 5/2: rho = 6
        (0.75, 7 / 3, 4.0, sqrt(2 * 4 * 7 / (3 * 5 * 6)) / 4),
        (0.75, 7 / 3, 6.5, 1),
        # rho_inf = 3, but the average that there is is longer: 1/2 (3 + 1) = 2, rho = 5
        (0.5, 3.0, 5.0, 1 / 4),
        # rho = rho_inf = 4 is no threshold to divide at: 0 / 0
        (0.6, 1.5, 4.0, 1),
    ],
    ids=["rectified", "below the threshold", "b2 was larger", "4"],
)
def test_radam_divides_from_a_length_on(b2, age, threshold, factor):
    update = gdjax.scale_by_radam(0.5, b2, eps=0.0, threshold=threshold).update
    ones, square = jnp.ones(()), jnp.array([16.0])
    state = ScaleByRadamState(jnp.int32(9), jnp.array([4.0]), square, ones, ones, jnp.float32(age))
    updates, _ = update(jnp.array([4.0]), state)
    chex.assert_trees_all_close(updates, np.array([4 * factor], np.float32), rtol=ROUNDING)


def test_radam_has_the_papers_length(run):
    b2, steps = 0.9, range(1, 31)
    seen = run(gdjax.scale_by_radam(0.5, b2), [jnp.ones(1)] * len(steps))
    lengths = [1 + 2 * float(state.nu_aged_weight / state.nu_weight) for _, state in seen]
    # Algorithm 2 of the paper, line 9
    expected = [2 / (1 - b2) - 1 - 2 * t * b2**t / (1 - b2**t) for t in steps]
    np.testing.assert_allclose(lengths, expected, rtol=1e-5)


@pytest.mark.parametrize("nesterov", [False, True])
def test_derivatives_of_radam_are_right_where_it_rectifies(nesterov):
    with runs.enable_x64(True):
        gradients = jnp.array([[1.0, 0.0], [-0.5, 0.0], [2.0, 0.0], [0.7, 0.0]] * 4)

        @jax.jit
        def total(x):
            init, update = gdjax.scale_by_radam(*x, nesterov=nesterov)

            def step(state, gradient):
                updates, state = update(gradient, state)
                return state, updates

            updates = jax.lax.scan(step, init(jnp.zeros(2)), gradients)[1]
            return jnp.cos(jnp.arange(len(gradients))) @ updates[:, 0]

        x = jnp.array([0.8, 0.9, 0.1, 0.2, 4.5])  # rho passes 4.5 from step 5 to step 6
        h = 1e-5 * jnp.eye(len(x))
        central = [float(total(x + d) - total(x - d)) / 2e-5 for d in h]
        np.testing.assert_allclose(jax.grad(total)(x), central, rtol=1e-5, atol=1e-9)
        assert central[1] != 0 != central[3]
