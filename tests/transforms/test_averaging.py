import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gdjax
from gdjax.transforms import AverageParamsState, LookaheadState

START = jnp.array([8.0, -8.0])


def averages(pair, steps, params=START, gradient=-1.0):
    """Of a run in which each update adds 1; the average after each step, and the last state."""
    state, seen = pair.init(params), []
    for _ in range(steps):
        updates, state = pair.update(jnp.full(2, gradient), state, params)
        params = gdjax.apply_updates(params, updates)
        seen.append(gdjax.averaged_params(state)[0].item())
    return seen, state


def test_average_params_by_hand(run):
    # params stay at 8, -8: p = 8 + 2, then 8 + 4; their mean
    updates = [jnp.array([2.0, -2.0]), jnp.array([4.0, -4.0])]
    steps = run(gdjax.average_params(), updates, START)
    expected = [
        (updates[0], AverageParamsState(np.array(1), np.float32(1), np.float32([10, -10]))),
        (updates[1], AverageParamsState(np.array(2), np.float32(2), np.float32([11, -11]))),
    ]
    chex.assert_trees_all_equal(steps, expected)


def test_average_params_starts_late_and_takes_some():
    # p = 9, 10, 11, 12, 13, 14, 15: up to 10 as they are, then the mean of 11, 13 and 15
    pair = gdjax.chain(gdjax.sgd(1.0), gdjax.average_params(start_step=2, every_k=2))
    assert averages(pair, 7)[0] == [9.0, 10.0, 11.0, 11.0, 12.0, 12.0, 13.0]


def test_steps_that_are_not_averaged_leak_nothing():
    init, update = gdjax.average_params(every_k=2)
    _, state = update(jnp.zeros(2), init(START), START)
    _, state = update(jnp.full(2, jnp.nan), state, START)
    chex.assert_trees_all_equal(gdjax.averaged_params(state), START)


def test_ema_params_by_hand(run):
    # weight 1/2, 3/4; p = 10, 12: 10; (1/4 10 + 1/2 12) / (3/4)
    updates = [jnp.array([2.0, -2.0]), jnp.array([5.0, -5.0])]
    steps = run(gdjax.ema_params(0.5), updates, START)
    expected = [
        (updates[0], AverageParamsState(np.array(1), np.float32(0.5), np.float32([10, -10]))),
        (updates[1], AverageParamsState(np.array(2), np.float32(0.75), np.float32([12, -12]))),
    ]
    chex.assert_trees_all_close(steps, expected, rtol=1e-6)


def test_ema_params_without_debiasing_starts_from_the_initial_parameters():
    # 8; (8 + 9) / 2; (8.5 + 10) / 2
    pair = gdjax.chain(gdjax.sgd(1.0), gdjax.ema_params(0.5, debias=False))
    assert averages(pair, 2)[0] == [8.5, 9.25]


def test_debiasing_survives_a_decay_that_changes():
    # weights of 9 and 10: (1 - 1/2) 3/4 and 1/4, of 5/8
    decay = gdjax.join_schedules([gdjax.constant_schedule(d) for d in (0.5, 0.75)], [1])
    pair = gdjax.chain(gdjax.sgd(1.0), gdjax.ema_params(decay))
    np.testing.assert_allclose(averages(pair, 2)[0][-1], (9 * 3 / 8 + 10 / 4) / (5 / 8), rtol=1e-6)


def test_an_average_may_be_kept_in_another_dtype():
    state = gdjax.ema_params(average_dtype=jnp.bfloat16).init(START)
    assert gdjax.averaged_params(state).dtype == jnp.bfloat16


def test_lookahead_by_hand(run):
    # params stay at 8, -8. u = g; then p = 8 + 4: way 4, slow 8 + 4 / 4 = 9, back 4 - 3 = 1
    gradients = [jnp.array([2.0, -2.0]), jnp.array([4.0, -4.0])]
    steps = run(gdjax.lookahead(gdjax.identity(), 2, 0.25), gradients, START)
    expected = [
        (gradients[0], LookaheadState(optax.EmptyState(), np.array(1), START)),
        (
            np.float32([1, -1]),
            LookaheadState(optax.EmptyState(), np.array(0), np.float32([9, -9])),
        ),
    ]
    chex.assert_trees_all_equal(steps, expected)


def test_lookahead_inner_by_hand(run):
    # inner doubles: way 4, back 4 - 3 = 1
    ((updates, _),) = run(gdjax.lookahead(gdjax.scale(2.0), 1, 0.25), [jnp.full(2, 2.0)], START)
    assert updates.tolist() == [1.0, 1.0]


def test_lookahead_is_optaxs_without_its_parameters():
    def loss(x):
        return jnp.sum((x - jnp.array([1.0, 2.0])) ** 2)

    theirs = optax.lookahead(optax.adam(0.5), 3, 0.5)
    ours = gdjax.lookahead(gdjax.adam(0.5), 3, 0.5)
    pair, params = optax.LookaheadParams.init_synced(START), START
    state, other = ours.init(params), theirs.init(pair)
    for _ in range(8):
        updates, state = ours.update(jax.grad(loss)(params), state, params)
        params = gdjax.apply_updates(params, updates)
        updates, other = theirs.update(jax.grad(loss)(pair.fast), other, pair)
        pair = optax.apply_updates(pair, updates)
        expected = (pair.fast, pair.slow)
        chex.assert_trees_all_close((params, gdjax.slow_params(state)), expected, rtol=1e-5)


@pytest.mark.parametrize(
    "rule",
    [gdjax.average_params(), gdjax.ema_params(), gdjax.lookahead(gdjax.scale(1.0), 2, 0.5)],
)
def test_averages_need_the_parameters(rule):
    with pytest.raises(gdjax.InvalidValue, match="reads the parameters: call update"):
        rule.update(START, rule.init(START))


@pytest.mark.parametrize("wrong", [(), gdjax.chain(*[gdjax.ema_params()] * 2).init(START)])
def test_an_average_must_be_found_once(wrong):
    with pytest.raises(gdjax.InvalidValue, match="holds one AverageParamsState, got"):
        gdjax.averaged_params(wrong)
