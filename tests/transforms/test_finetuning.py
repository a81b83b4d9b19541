import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gdjax
from gdjax.transforms import GradualUnfreezingState

GRADIENTS = {"head": jnp.array([4.0]), "body": {"a": jnp.array([4.0]), "b": jnp.array([8.0])}}


def updates_of(head, a, b):
    return {"head": np.float32([head]), "body": {"a": np.float32([a]), "b": np.float32([b])}}


@pytest.mark.parametrize(
    ("depth", "expected"),
    [
        ({"head": 0, "body": {"a": 1, "b": 2}}, (4, 2, 2)),
        ({"head": jnp.array(1), "body": 2.0}, (2, 1, 2)),  # a prefix
        (lambda path: len(path) - 1, (4, 2, 4)),
    ],
)
def test_scale_by_depth_by_hand(run, depth, expected):
    steps = run(gdjax.scale_by_depth(0.5, depth), [GRADIENTS] * 2)
    chex.assert_trees_all_equal(steps, [(updates_of(*expected), optax.EmptyState())] * 2)


def test_depths_are_leaves_where_they_are_numbers():
    pair = gdjax.scale_by_depth(0.5, {"head": 0, "body": 2})
    names = ["scale_by_depth.decay", "scale_by_depth.depth.body", "scale_by_depth.depth.head"]
    assert list(gdjax.hyperparameters(pair)) == names


def test_depths_of_another_structure_are_refused(run):
    with pytest.raises(gdjax.InvalidValue, match="depth does not fit the parameters"):
        run(gdjax.scale_by_depth(0.5, {"head": 0}), [GRADIENTS])


def test_gradual_unfreezing_by_hand(run):
    pair = gdjax.gradual_unfreezing({"top": 0, "rest": 1}, {"head": "top", "body": "rest"})
    expected = [
        (updates_of(4, 0, 0), GradualUnfreezingState(np.array(1))),
        (updates_of(4, 4, 8), GradualUnfreezingState(np.array(2))),
    ]
    chex.assert_trees_all_equal(run(pair, [GRADIENTS] * 2), expected)


def test_each_trial_unfreezes_at_its_own_step(run):
    def moves(step):
        pair = gdjax.gradual_unfreezing({"all": step}, "all")
        return jnp.stack([updates["head"][0] for updates, _ in run(pair, [GRADIENTS] * 3)])

    together = jax.vmap(moves)(jnp.array([0, 1, 3]))
    assert together.tolist() == [[4, 4, 4], [0, 4, 4], [0, 0, 0]]


def test_unfreezing_needs_a_step_for_each_label(run):
    with pytest.raises(gdjax.InvalidType, match="unfreeze_steps must be a dict"):
        run(gdjax.gradual_unfreezing(3, "all"), [GRADIENTS])
    with pytest.raises(gdjax.InvalidValue, match=r"label 'al' has no step: did you mean all"):
        run(gdjax.gradual_unfreezing({"all": 3}, "al"), [GRADIENTS])
