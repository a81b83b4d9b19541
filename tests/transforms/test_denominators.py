"""Decay rates are powers of two, so that averages are exact and can be checked for equality."""

from math import sqrt

import chex
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gdjax
from gdjax.transforms import ScaleByAdamaxState, ScaleByBeliefState, ScaleByYogiState

ROUNDING = 1e-6  # of a root and two divisions in float32
# With b1 = 1/2, b2 = 3/4 the weights are 1/2, 3/4 and 1/4, 7/16. Where after the first step
# b1 = 3/4 and b2 = 1/2 instead, both are 5/8 after the second.


def _check(seen, states, updates):
    states = [jnp.asarray(x, jnp.float32) for state in states for x in state]
    seen_states = [jnp.asarray(x, jnp.float32) for _, state in seen for x in state]
    chex.assert_trees_all_equal(seen_states, states)
    expected = [np.array(u, np.float32) for u in updates]
    chex.assert_trees_all_close([u for u, _ in seen], expected, rtol=ROUNDING)


def _with_changing_decay(pair):
    """Updates and states for 4 then 10."""
    first, state = pair.update(jnp.array([4.0]), pair.init(jnp.zeros(1)))
    changed = gdjax.replace(pair, b1=0.75, b2=0.5)
    return [(first, state), changed.update(jnp.array([10.0]), state)]


def test_scale_by_adamax_by_hand(run):
    # mu: 6/2, 14/2; then 3/2 - 1, 7/2 + 0. nu: 6 + 2, 14 + 2; then max(2, 2 + 2), max(4, 0 + 2)
    gradients = [jnp.array([6.0, 14.0]), jnp.array([-2.0, 0.0])]
    states = [
        ScaleByAdamaxState(1, [3.0, 7.0], [8.0, 16.0], 1 / 2),
        ScaleByAdamaxState(2, [0.5, 3.5], [4.0, 4.0], 3 / 4),
    ]
    updates = [[6 / 8, 14 / 16], [0.5 / 0.75 / 4, 3.5 / 0.75 / 4]]
    _check(run(gdjax.scale_by_adamax(0.5, 0.25, eps=2.0), gradients), states, updates)


BELIEF = [jnp.array([4.0, 4.0]), jnp.array([10.0, 2.0])]


@pytest.mark.parametrize(
    ("hyperparameters", "nu", "updates"),
    [
        # deviations 2, 2; then 4, 0: nu = 4 / 4; then 3 / 4 + 16 / 4, 3 / 4
        (
            {"eps": 2.0, "eps_root": 0.0},
            [[1.0, 1.0], [4.75, 0.75]],
            [[4 / 4] * 2, [8 / (sqrt(76 / 7) + 2), 8 / 3 / (sqrt(12 / 7) + 2)]],
        ),
        # 3 more at each step: 4; then 3 + 4 + 3, 3 + 3
        (
            {"eps": 0.0, "eps_root": 3.0},
            [[4.0, 4.0], [10.0, 6.0]],
            [[4 / 4] * 2, [8 / sqrt(160 / 7), 8 / 3 / sqrt(96 / 7)]],
        ),
        # b1 mu / next weight + (1 - b1) g / weight, next weights 3/4, 7/8
        (
            {"eps": 2.0, "eps_root": 0.0, "nesterov": True},
            [[1.0, 1.0], [4.75, 0.75]],
            [
                [(1 / (3 / 4) + 2 / (1 / 2)) / 4] * 2,
                [
                    (3 / (7 / 8) + 5 / (3 / 4)) / (sqrt(76 / 7) + 2),
                    (1 / (7 / 8) + 1 / (3 / 4)) / (sqrt(12 / 7) + 2),
                ],
            ],
        ),
    ],
    ids=["eps", "eps_root", "nesterov"],
)
def test_scale_by_belief_by_hand(run, hyperparameters, nu, updates):
    states = [
        ScaleByBeliefState(1, [2.0, 2.0], nu[0], 1 / 2, 1 / 4),
        ScaleByBeliefState(2, [6.0, 2.0], nu[1], 3 / 4, 7 / 16),
    ]
    _check(run(gdjax.scale_by_belief(0.5, 0.75, **hyperparameters), BELIEF), states, updates)


def test_scale_by_belief_with_changing_decay_by_hand():
    # mu = 3/4 2 + 1/4 10, nu = 1/2 1 + 1/2 (10 - 4)^2
    states = [
        ScaleByBeliefState(1, [2.0], [1.0], 1 / 2, 1 / 4),
        ScaleByBeliefState(2, [4.0], [18.5], 5 / 8, 5 / 8),
    ]
    updates = [[4 / 2], [4 / (5 / 8) / sqrt(18.5 / (5 / 8))]]
    pair = gdjax.scale_by_belief(0.5, 0.75, eps=0.0, eps_root=0.0)
    _check(_with_changing_decay(pair), states, updates)


@pytest.mark.parametrize(
    ("hyperparameters", "nu", "updates"),
    [
        # towards g^2 by g^2 / 4: 4, 4; then 4 + 25, 4 - 1/4
        (
            {"eps": 2.0},
            [[4.0, 4.0], [29.0, 3.75]],
            [[4 / 6] * 2, [8 / (sqrt(464 / 7) + 2), 2 / 3 / (sqrt(60 / 7) + 2)]],
        ),
        # 12 + 4; then 16 + 25, 16 - 1/4
        (
            {"eps": 0.0, "initial_accumulator_value": 12.0},
            [[16.0, 16.0], [41.0, 15.75]],
            [[4 / 8] * 2, [8 / sqrt(656 / 7), 2 / 3 / 6]],
        ),
        # 16 + 33 = 7^2
        (
            {"eps": 0.0, "eps_root": 33.0},
            [[4.0, 4.0], [29.0, 3.75]],
            [[4 / 7] * 2, [8 / sqrt(464 / 7 + 33), 2 / 3 / sqrt(60 / 7 + 33)]],
        ),
    ],
    ids=["eps", "initial_accumulator_value", "eps_root"],
)
def test_scale_by_yogi_by_hand(run, hyperparameters, nu, updates):
    gradients = [jnp.array([4.0, 4.0]), jnp.array([10.0, -1.0])]
    states = [
        ScaleByYogiState(1, [2.0, 2.0], nu[0], 1 / 2, 1 / 4),
        ScaleByYogiState(2, [6.0, 0.5], nu[1], 3 / 4, 7 / 16),
    ]
    pair = gdjax.scale_by_yogi(0.5, 0.75, **{"initial_accumulator_value": 0.0} | hyperparameters)
    _check(run(pair, gradients), states, updates)


def test_scale_by_yogi_with_changing_decay_by_hand():
    # mu = 3/4 2 + 1/4 10, nu = 4 + 100 / 2
    states = [
        ScaleByYogiState(1, [2.0], [4.0], 1 / 2, 1 / 4),
        ScaleByYogiState(2, [4.0], [54.0], 5 / 8, 5 / 8),
    ]
    updates = [[1.0], [4 / (5 / 8) / sqrt(54 / (5 / 8))]]
    pair = gdjax.scale_by_yogi(0.5, 0.75, eps=0.0, initial_accumulator_value=0.0)
    _check(_with_changing_decay(pair), states, updates)


def test_yogi_is_optaxs_but_for_the_start_of_its_average(run):
    """Optax starts the average at 1e-6, so that it moves where gradients are 0."""
    gradients = [jnp.array([4.0, 0.0]), jnp.array([-1.0, 0.0]), jnp.array([0.5, 0.25])]
    ours, theirs = gdjax.scale_by_yogi(0.5, 0.75), optax.scale_by_yogi(0.5, 0.75)
    state = theirs.init(gradients[0])
    state = state._replace(mu=jnp.zeros(2))
    for gradient, (updates, _) in zip(gradients, run(ours, gradients), strict=True):
        expected, state = theirs.update(gradient, state)
        chex.assert_trees_all_close(updates, expected, rtol=ROUNDING)
