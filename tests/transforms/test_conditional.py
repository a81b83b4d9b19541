import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gdjax

GRADIENTS = [jnp.array([2.0, -4.0]), jnp.array([1.0, 8.0]), jnp.array([2.0, 2.0])]
BAD = jnp.array([1.0, jnp.nan])


def not_at_one(step, start=1):
    return step != start


def test_conditionally_transform_by_hand(run):
    # t = g; the second as it is; then g + t / 2: 2 + 1, 2 - 2
    traces, updates = [[2, -4], [2, -4], [3, 0]], [[2, -4], [1, 8], [3, 0]]
    expected = [
        (
            np.array(u, np.float32),
            optax.ConditionallyTransformState(
                optax.TraceState(np.array(t, np.float32)), np.array(i + 1)
            ),
        )
        for i, (u, t) in enumerate(zip(updates, traces, strict=True))
    ]
    transformation = gdjax.conditionally_transform(gdjax.trace(0.5), not_at_one)
    chex.assert_trees_all_equal(run(transformation, GRADIENTS), expected)


def test_conditionally_mask_by_hand(run):
    traces, updates = [[2, -4], [2, -4], [3, 0]], [[2, -4], [0, 0], [3, 0]]
    expected = [
        (
            np.array(u, np.float32),
            optax.ConditionallyMaskState(
                np.array(i + 1), optax.TraceState(np.array(t, np.float32))
            ),
        )
        for i, (u, t) in enumerate(zip(updates, traces, strict=True))
    ]
    transformation = gdjax.conditionally_mask(gdjax.trace(0.5), not_at_one)
    chex.assert_trees_all_equal(run(transformation, GRADIENTS), expected)


def test_numbers_of_a_condition_are_leaves():
    """And each trial of a population decides for itself."""

    def final(start):
        condition = gdjax.bind(not_at_one, start=start)
        pair = gdjax.conditionally_mask(gdjax.scale(1.0), condition)
        state, seen = pair.init(jnp.zeros(2)), []
        for gradient in GRADIENTS:
            updates, state = pair.update(gradient, state)
            seen.append(updates[0])
        return jnp.stack(seen)

    together = jax.vmap(final)(jnp.array([0, 1, 2]))
    assert together.tolist() == [[0.0, 1.0, 2.0], [2.0, 0.0, 2.0], [2.0, 1.0, 0.0]]


def test_a_condition_may_read_the_extras():
    def improves(step, value):
        return value < 1.0

    init, update = gdjax.conditionally_mask(gdjax.scale(2.0), improves, forward_extra_args=True)
    state = init(jnp.zeros(1))
    for value, expected in ((0.5, 2.0), (1.5, 0.0)):
        assert update(jnp.ones(1), state, value=value)[0].item() == expected


def test_apply_if_finite_by_hand(run):
    # t = g; refused; then accepted, the second in a row
    expected = [
        ([2, -4], 0, True, 0, [2, -4]),
        ([0, 0], 1, False, 1, [2, -4]),
        ([2, np.nan], 2, False, 2, [2, np.nan]),
        ([3, np.nan], 0, True, 2, [3, np.nan]),
    ]
    transformation = gdjax.apply_if_finite(gdjax.trace(0.5), max_consecutive_errors=1)
    steps = run(transformation, [GRADIENTS[0], BAD, BAD, GRADIENTS[2]])
    for (updates, state), (u, count, finite, total, t) in zip(steps, expected, strict=True):
        np.testing.assert_array_equal(updates, u)
        inner = optax.TraceState(np.array(t, np.float32))
        chex.assert_trees_all_equal(
            state,
            optax.ApplyIfFiniteState(np.array(count), np.array(finite), np.array(total), inner),
        )


@pytest.mark.parametrize("batched", [False, True])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_refused_leaks_into_no_derivative(batched, bad):
    """Nor where a population selects one of two results."""

    def total(rate):
        init, update = gdjax.apply_if_finite(gdjax.chain(gdjax.adam(rate)), 3)
        state, sum_ = init(jnp.zeros(2)), 0.0
        for gradient in (GRADIENTS[0], jnp.array([1.0, bad]), GRADIENTS[1]):
            updates, state = update(gradient, state)
            sum_ += updates.sum()
        return sum_

    derivative = jax.grad(total)
    value = jax.vmap(derivative)(jnp.array([0.1, 0.2]))[1] if batched else derivative(0.2)
    _, slope = jax.value_and_grad(total)(0.2)
    assert np.isfinite(value)
    np.testing.assert_allclose(value, slope, rtol=1e-6)
