import chex
import jax.numpy as jnp
import numpy as np

import gdjax

ROUNDING = 2e-6
TINY = 1e-30


def _check(actual, expected):
    np.testing.assert_allclose(np.asarray(actual), np.asarray(expected, np.float32), rtol=ROUNDING)


def test_scale_by_dadapt_adam_by_hand():
    # b = 1/2, weights of mu 1/2 then 3/4, of nu 3/4 then 15/16
    init, update = gdjax.scale_by_dadapt_adam(1.0, 0.5, 0.25, TINY, 0.5, weight_decay=0.5)
    params = jnp.array([2.0, 0.0])
    updates, state = update(jnp.array([4.0, -4.0]), init(params), params)
    # mu = s = dlr / 2 g, nu = 3/4 * 16, whose root is 4 dlr; s was 0, so nothing is estimated
    dlr = 0.5 * 0.75**0.5 / 0.5
    _check(state.exp_avg, [2 * dlr, -2 * dlr])
    _check(updates, [-0.5 - dlr, 0.5])
    _check(state.estim_lr, 0.5)
    updates, state = update(jnp.array([8.0, 0.0]), state, params)
    # s / sqrt(nu) = 1/2, times 8 is 4: r = 4 / 2 dlr
    new = 0.5 * (15 / 16) ** 0.5 / 0.75
    _check(state.numerator_weighted, 2 * new)
    _check(state.grad_sum, [dlr + 4 * new, -dlr])
    _check(state.estim_lr, 2 * new / (0.5 * (2 * dlr + 4 * new)))
    # nu = 12 / 4 + 3/4 * 64, and 12 / 4
    _check(updates, [-(dlr + 4 * new) / 51**0.5 - new, dlr / 3**0.5])


def test_scale_by_dadapt_adam_with_changing_decay_by_hand():
    pair = gdjax.scale_by_dadapt_adam(1.0, 0.5, 0.75, TINY, 0.5)
    params = jnp.zeros(2)
    # Weights 1/2 and 1/4: dlr = 1/2, mu = 1, nu = 4
    updates, state = pair.update(jnp.array([4.0, 0.0]), pair.init(params), params)
    _check(updates, [-0.5, 0.0])
    # Weights 3/8 + 1/4 and 1/8 + 1/2, both 5/8; nothing along s, so that d stays 1/2
    updates, state = gdjax.replace(pair, b1=0.75, b2=0.5).update(
        jnp.array([0.0, 4.0]), state, params
    )
    dlr = 0.5 / 0.625**0.5
    _check(updates, [-0.75 / 2**0.5, -dlr / 8**0.5])
    _check(state.estim_lr, 0.5)


def test_scale_by_prodigy_by_hand():
    # The weights of mu are 1/2 and 3/4, that of nu is 1: dlr = 1, then 2/3
    init, update = gdjax.scale_by_prodigy(1.0, 0.5, 0.0, 0.5, 4.0, 0.5, 2.0, 0.5)
    params = jnp.array([1.0, -1.0])
    updates, state = update(jnp.array([4.0, -4.0]), init(params), params)
    # mu = g / 4, over 2 + 4 / 2, and half of the parameters
    assert updates.tolist() == [-0.75, 0.75]
    assert state.grad_sum.tolist() == [4.0, -4.0]
    assert state.estim_lr == 0.5
    updates, state = update(jnp.array([4.0, 4.0]), state, jnp.array([-2.0, 0.0]))
    # 4 * 3 - 4 * 1 = 8 along the gradient, times dlr; s = 2 + 8/3, -2 + 8/3; twice their ratio
    _check(state.numerator_weighted, 16 / 3)
    _check(state.grad_sum, [14 / 3, 2 / 3])
    _check(state.estim_lr, 2.0)
    # mu = 1/2 + 1, -1/2 + 1, over 2 + 2 * 4, and half of the parameters
    _check(updates, [-2 / 3 * (0.15 - 1), -2 / 3 * 0.05])


def test_scale_by_prodigy_with_changing_decay_by_hand():
    pair = gdjax.scale_by_prodigy(1.0, 0.5, 0.75, eps=0.0, estim_lr0=0.5)
    params = jnp.zeros(1)
    # mu = 2 / 2, its weight 1/2; nu = 4 / 4, its weight 1/4
    updates, state = pair.update(jnp.array([4.0]), pair.init(params), params)
    _check(updates, [-0.5])
    # mu = 3/4 + 6 / 4, nu = 1/2 + 36 / 2, the weights of both 5/8
    updates, state = gdjax.replace(pair, b1=0.75, b2=0.5).update(jnp.array([12.0]), state, params)
    _check(updates, [-0.5 * (2.25 / 0.625) / (18.5 / 0.625) ** 0.5])


def test_the_distance_is_found_where_the_first_estimate_is_far_too_small():
    """Of a linear slope of length 1 to a kink: the estimate grows by orders of magnitude."""
    for pair in (gdjax.prodigy(), gdjax.dadapt_adamw()):
        params = jnp.array([1.0])
        state = pair.init(params)
        for _ in range(200):
            updates, state = pair.update(jnp.sign(params), state, params)
            params = gdjax.apply_updates(params, updates)
        assert 0.01 < float(state.estim_lr) <= 2.0
        assert abs(params.item()) < 0.5


def test_a_small_estimate_survives_float16():
    """Squares of updates times 1e-6 are 0 in float16."""
    params = jnp.ones(2, jnp.float16)
    for pair in (gdjax.prodigy(), gdjax.dadapt_adamw()):
        updates, state = pair.update(params, pair.init(params), params)
        wide, wide_state = pair.update(
            params.astype(jnp.float32), pair.init(params.astype(jnp.float32)), params
        )
        chex.assert_trees_all_equal(updates, wide.astype(jnp.float16))
        chex.assert_trees_all_equal(state.exp_avg, wide_state.exp_avg)
