import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gdjax

GRADIENTS = [jnp.array([2.0, -4.0]), jnp.array([4.0, 8.0]), jnp.array([1.0, 1.0])]
BAD = jnp.array([1.0, jnp.nan])


def floats(*numbers):
    return np.array(numbers, np.float32)


def test_apply_every_by_hand(run):
    # 2, -4; + 4, 8; then from the start again
    expected = [
        (floats(0, 0), optax.ApplyEvery(np.array(1), floats(2, -4))),
        (floats(6, 4), optax.ApplyEvery(np.array(0), floats(6, 4))),
        (floats(0, 0), optax.ApplyEvery(np.array(1), floats(1, 1))),
    ]
    chex.assert_trees_all_equal(run(gdjax.apply_every(2), GRADIENTS), expected)


def test_what_apply_every_let_through_is_forgotten(run):
    steps = run(gdjax.apply_every(1), [BAD, GRADIENTS[0]])
    assert steps[1][0].tolist() == [2.0, -4.0]


def test_multi_steps_by_hand(run):
    # mean of 2, -4 and 4, 8: 3, 2; t = 3, 2. Then 1, 1 and 1, 1: 1 + 1.5, 1 + 1
    def state(mini, step, trace, mean):
        return optax.MultiStepsState(
            np.array(mini), np.array(step), optax.TraceState(trace), mean, ()
        )

    expected = [
        (floats(0, 0), state(1, 0, floats(0, 0), floats(2, -4))),
        (floats(3, 2), state(0, 1, floats(3, 2), floats(0, 0))),
        (floats(0, 0), state(1, 1, floats(3, 2), floats(1, 1))),
        (floats(2.5, 2), state(0, 2, floats(2.5, 2), floats(0, 0))),
    ]
    gradients = [*GRADIENTS, GRADIENTS[2]]
    chex.assert_trees_all_equal(run(gdjax.multi_steps(gdjax.trace(0.5), 2), gradients), expected)


def test_multi_steps_may_sum(run):
    steps = run(gdjax.multi_steps(gdjax.identity(), 2, use_grad_mean=False), GRADIENTS)
    assert [u.tolist() for u, _ in steps] == [[0, 0], [6, 4], [0, 0]]


@pytest.mark.parametrize(
    "rule",
    [gdjax.skip_not_finite, gdjax.bind(gdjax.skip_large_updates, max_squared_norm=1e3)],
)
def test_a_skipped_gradient_is_as_if_it_never_came(run, rule):
    def steps(gradients):
        return run(gdjax.multi_steps(gdjax.trace(0.5), 2, True, rule), gradients)

    g = GRADIENTS
    (_, first), (update, skipped), *rest = steps([g[0], BAD, g[1], BAD, g[2]])
    assert update.tolist() == [0.0, 0.0]
    assert skipped.skip_state["should_skip"]
    chex.assert_trees_all_equal(first._replace(skip_state=()), skipped._replace(skip_state=()))
    chex.assert_trees_all_equal([rest[0], rest[2]], steps(g)[1:])


def test_skipping_counts_and_measures():
    _, seen = gdjax.skip_not_finite({"a": BAD, "b": jnp.array(jnp.inf)}, 0, None)
    assert seen["num_not_finite"] == 2
    skip, seen = gdjax.skip_large_updates({"a": jnp.array([3.0]), "b": jnp.array(4.0)}, 0, None, 26)
    assert (skip.item(), seen["norm_squared"].item()) == (False, 25.0)


def test_nothing_leaks_out_of_a_step_that_does_not_update():
    """Also where each trial of a population has its own number of steps."""

    def run(k):
        init, update = gdjax.multi_steps(gdjax.adam(0.5), k, True, gdjax.skip_not_finite)
        state, seen = init(jnp.zeros(2)), []
        for gradient in (GRADIENTS[0], BAD, GRADIENTS[1]):
            updates, state = update(gradient, state)
            seen.append(updates)
        return jnp.stack(seen), state.gradient_step

    seen, steps = jax.vmap(run)(jnp.array([1, 2, 4]))
    assert np.isfinite(seen).all()
    assert steps.tolist() == [2, 1, 0]
    assert [int(jnp.count_nonzero(trial.any(1))) for trial in seen] == [2, 1, 0]


@pytest.mark.parametrize("k", [1, 3, 4])
def test_multi_steps_is_one_step_on_the_mean(k):
    """And what Optax's does."""
    gradients = jax.random.normal(jax.random.key(0), (12, 5))
    inner = gdjax.adamw(0.1)
    theirs = optax.MultiSteps(optax.adamw(0.1), k)
    ours = gdjax.multi_steps(inner, k)
    params = other = means = jnp.ones(5)
    state, other_state, mean_state = ours.init(params), theirs.init(params), inner.init(params)
    for i, gradient in enumerate(gradients):
        updates, state = ours.update(gradient, state, params)
        params = gdjax.apply_updates(params, updates)
        updates, other_state = theirs.update(gradient, other_state, other)
        other = gdjax.apply_updates(other, updates)
        if (i + 1) % k == 0:
            mean = gradients[i + 1 - k : i + 1].mean(0)
            updates, mean_state = inner.update(mean, mean_state, means)
            means = gdjax.apply_updates(means, updates)
        chex.assert_trees_all_close(params, means, other, rtol=1e-5)
    assert state.gradient_step == 12 // k


def test_the_mean_is_kept_in_at_least_float32():
    gradient = jnp.array([1 + 2**-7], jnp.bfloat16)
    init, update = gdjax.multi_steps(gdjax.identity(), 3)
    state = init(gradient)
    assert state.acc_grads.dtype == jnp.float32
    for factor in (1, 0, 0):
        updates, state = update(gradient * factor, state)
    chex.assert_trees_all_equal(updates, (gradient.astype(jnp.float32) / 3).astype(jnp.bfloat16))
