import chex
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gdjax
from gdjax.transforms import EmaState

GRADIENTS = [jnp.array([4.0, -2.0]), jnp.array([2.0, 8.0])]


@pytest.mark.parametrize(
    ("nesterov", "updates"),
    [
        (False, [[4.0, -2.0], [4.0, 7.0]]),
        # g + t / 2: 4 + 2, -2 - 1; then 2 + 2, 8 + 3.5
        (True, [[6.0, -3.0], [4.0, 11.5]]),
    ],
)
def test_trace_by_hand(run, nesterov, updates):
    # t = g; then g + t / 2: 2 + 2, 8 - 1
    traces = [[4.0, -2.0], [4.0, 7.0]]
    expected = [
        (np.array(u), optax.TraceState(np.array(t))) for u, t in zip(updates, traces, strict=True)
    ]
    chex.assert_trees_all_equal(run(gdjax.trace(0.5, nesterov), GRADIENTS), expected)


def test_trace_keeps_its_sum_in_accumulator_dtype_only(run):
    transformation = gdjax.trace(0.5, accumulator_dtype=jnp.bfloat16)
    fine = 1 + 2**-9  # bfloat16 has 8 significant bits: it keeps 1
    (first, state), (second, _) = run(transformation, [jnp.array([fine]), jnp.array([1.0])])
    chex.assert_trees_all_equal(first, jnp.array([fine]), strict=True)
    chex.assert_trees_all_equal(state.trace, jnp.array([1.0], jnp.bfloat16), strict=True)
    chex.assert_trees_all_equal(second, jnp.array([1.5]), strict=True)


@pytest.mark.parametrize(
    ("debias", "updates"),
    [
        (False, [[2.0, -1.0], [2.0, 3.5]]),
        # over weights of 1 / 2 and 3 / 4
        (True, [[4.0, -2.0], [2.0 / 0.75, 3.5 / 0.75]]),
    ],
)
def test_ema_by_hand(run, debias, updates):
    # g / 2; then m / 2 + g / 2: 1 + 1, -0.5 + 4
    averages = [[2.0, -1.0], [2.0, 3.5]]
    expected = [
        (np.array(u, np.float32), EmaState(np.array(n + 1), np.array(averages[n]), np.array(w)))
        for n, (u, w) in enumerate(zip(updates, [0.5, 0.75], strict=True))
    ]
    chex.assert_trees_all_close(run(gdjax.ema(0.5, debias), GRADIENTS), expected, rtol=1e-6)


def test_ema_keeps_its_average_in_accumulator_dtype_only(run):
    transformation = gdjax.ema(0.5, debias=False, accumulator_dtype=jnp.bfloat16)
    fine = 1 + 2**-9  # bfloat16 has 8 significant bits: it keeps 1
    (first, state), (second, _) = run(transformation, [jnp.array([2 * fine]), jnp.array([1.0])])
    chex.assert_trees_all_equal(first, jnp.array([fine]), strict=True)
    chex.assert_trees_all_equal(state.ema, jnp.array([1.0], jnp.bfloat16), strict=True)
    chex.assert_trees_all_equal(second, jnp.array([1.0]), strict=True)
