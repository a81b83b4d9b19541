import chex
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gdjax
from gdjax.errors import InvalidValue

NO_STATE = optax.EmptyState()
PARAMS = {"w": jnp.array([[3.0, 0.0], [0.0, 4.0]]), "b": jnp.array([0.0, 0.0])}  # norms 5 and 0
GRADIENTS = [
    {"w": jnp.array([[6.0, 8.0], [0.0, 0.0]]), "b": jnp.array([2.0, 0.0])},  # norms 10 and 2
    {"w": jnp.array([[0.0, 0.0], [0.0, 0.5]]), "b": jnp.array([0.0, 0.0])},  # norms 0.5 and 0
]


def _seen(*updates):
    return [({k: np.array(v) for k, v in u.items()}, NO_STATE) for u in updates]


def test_scale_by_trust_ratio_by_hand(run):
    # 5 / 10 and 5 / 0.5; where a norm is 0 as it came
    expected = _seen(
        {"w": [[3.0, 4.0], [0.0, 0.0]], "b": [2.0, 0.0]},
        {"w": [[0.0, 0.0], [0.0, 5.0]], "b": [0.0, 0.0]},
    )
    chex.assert_trees_all_equal(run(gdjax.scale_by_trust_ratio(), GRADIENTS, PARAMS), expected)
    # (2 * 5) / (10 + 6), (2 * 2) / (2 + 6); then (2 * 5) / (2 + 6), of a least norm of 2
    expected = _seen(
        {"w": [[3.75, 5.0], [0.0, 0.0]], "b": [1.0, 0.0]},
        {"w": [[0.0, 0.0], [0.0, 0.625]], "b": [0.0, 0.0]},
    )
    scaled = gdjax.scale_by_trust_ratio(min_norm=2.0, trust_coefficient=2.0, eps=6.0)
    chex.assert_trees_all_equal(run(scaled, GRADIENTS, PARAMS), expected)


@pytest.mark.parametrize("mask", [{"w": True, "b": False}, lambda params: {"w": True, "b": False}])
def test_scale_by_trust_ratio_mask_by_hand(run, mask):
    # As above where the mask is true, as it came elsewhere: there 4 / 8 would have been the factor
    expected = _seen(
        {"w": [[3.75, 5.0], [0.0, 0.0]], "b": [2.0, 0.0]},
        {"w": [[0.0, 0.0], [0.0, 0.625]], "b": [0.0, 0.0]},
    )
    scaled = gdjax.scale_by_trust_ratio(2.0, 2.0, 6.0, mask)
    chex.assert_trees_all_equal(run(scaled, GRADIENTS, PARAMS), expected)


def test_scale_by_param_block_norm_by_hand(run):
    # 5, and 0.25 for what is 0
    expected = _seen(
        {"w": [[30.0, 40.0], [0.0, 0.0]], "b": [0.5, 0.0]},
        {"w": [[0.0, 0.0], [0.0, 2.5]], "b": [0.0, 0.0]},
    )
    scaled = gdjax.scale_by_param_block_norm(min_scale=0.25)
    chex.assert_trees_all_equal(run(scaled, GRADIENTS, PARAMS), expected)


def test_scale_by_param_block_rms_by_hand(run):
    # sqrt(25 / 4), and 0.25 for what is 0
    expected = _seen(
        {"w": [[15.0, 20.0], [0.0, 0.0]], "b": [0.5, 0.0]},
        {"w": [[0.0, 0.0], [0.0, 1.25]], "b": [0.0, 0.0]},
    )
    scaled = gdjax.scale_by_param_block_rms(min_scale=0.25)
    chex.assert_trees_all_equal(run(scaled, GRADIENTS, PARAMS), expected)


def test_descend_and_shrink_by_hand(run):
    # At 0.75 the root is 1.25: (p - 0.75 g) / 1.25 - p = -0.6 g - 0.2 p
    expected = _seen(
        {"w": [[-4.2, -4.8], [0.0, -0.8]], "b": [-1.2, 0.0]},
        {"w": [[-0.6, 0.0], [0.0, -1.1]], "b": [0.0, 0.0]},
    )
    seen = run(gdjax.descend_and_shrink(0.75), GRADIENTS, PARAMS)
    chex.assert_trees_all_close(seen, expected, rtol=1e-6)
    right_angles = {"w": jnp.array([[0.0, 5.0], [0.0, 0.0]]), "b": jnp.zeros(2)}
    ((step, _),) = run(gdjax.descend_and_shrink(0.75), [right_angles], PARAMS)
    assert float(jnp.linalg.norm(PARAMS["w"] + step["w"])) == pytest.approx(5.0)


@pytest.mark.parametrize(
    "transformation",
    [
        gdjax.scale_by_trust_ratio(),
        gdjax.scale_by_param_block_norm(),
        gdjax.scale_by_param_block_rms(),
        gdjax.descend_and_shrink(0.1),
    ],
    ids=repr,
)
def test_the_parameters_are_needed(transformation):
    with pytest.raises(InvalidValue, match=r"reads the parameters.* call update\(updates, state"):
        transformation.update(GRADIENTS[0], transformation.init(PARAMS))
