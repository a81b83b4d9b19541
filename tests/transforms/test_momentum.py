import chex
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax
from gdjax.transforms import TraceState

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
        (np.array(u), TraceState(np.array(t))) for u, t in zip(updates, traces, strict=True)
    ]
    chex.assert_trees_all_equal(run(gdjax.trace(0.5, nesterov), GRADIENTS), expected)


def test_trace_keeps_its_sum_in_accumulator_dtype_only(run):
    transformation = gdjax.trace(0.5, accumulator_dtype=jnp.bfloat16)
    fine = 1 + 2**-9  # bfloat16 has 8 significant bits: it keeps 1
    (first, state), (second, _) = run(transformation, [jnp.array([fine]), jnp.array([1.0])])
    chex.assert_trees_all_equal(first, jnp.array([fine]), strict=True)
    chex.assert_trees_all_equal(state.trace, jnp.array([1.0], jnp.bfloat16), strict=True)
    chex.assert_trees_all_equal(second, jnp.array([1.5]), strict=True)
