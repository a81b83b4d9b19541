from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
import pytest

import gdjax


def state(weight_sum, step_count, z):
    b1, max_lr = np.float32(0.5), np.float32(2)
    inner = optax.EmptyState()
    return optax.contrib.ScheduleFreeState(
        b1, np.float32(weight_sum), np.array(step_count), max_lr, inner, z
    )


def test_schedule_free_by_hand(run):
    # learning rate 2: weights 4. y stays at 0, so x = (0 - z / 2) / (1 / 2) = -z.
    # z = 2, c = 1, x = 2, u = x / 2 + z / 2 = 2.
    # z = 6, c = 1 / 2, x = -2 / 2 + 6 / 2 = 2, u = 1 + 3.
    expected = [
        (np.float32([2.0]), state(4, 2, np.float32([2.0]))),
        (np.float32([4.0]), state(8, 3, np.float32([6.0]))),
    ]
    gradients = [jnp.array([2.0]), jnp.array([4.0])]
    pair = gdjax.schedule_free(gdjax.identity(), 2.0, b1=0.5)
    chex.assert_trees_all_equal(run(pair, gradients, jnp.zeros(1)), expected)


def test_schedule_free_apply_learning_rate_by_hand(run):
    # as above, of gradients that -2 multiplies
    gradients = [jnp.array([-1.0]), jnp.array([-2.0])]
    pair = gdjax.schedule_free(gdjax.identity(), 2.0, b1=0.5, apply_learning_rate=True)
    steps = run(pair, gradients, jnp.zeros(1))
    assert [u.item() for u, _ in steps] == [2.0, 4.0]
    assert gdjax.hyperparameters(pair)["schedule_free.learning_rate"] == 2.0


def test_schedule_free_warmup_steps_by_hand(run):
    # learning rates 0, 1, 2, 2: weights 0, 1, 4, 4. y stays at 0, so x = -z before each.
    # z = 1, c = 1, x = 1, u = 1 / 2 + 1 / 2
    # z = 3, c = 4 / 5, x = -1 / 5 + 12 / 5 = 11 / 5, u = 11 / 10 + 3 / 2
    # z = 5, c = 4 / 9, x = -15 / 9 + 20 / 9 = 5 / 9, u = 5 / 18 + 5 / 2
    pair = gdjax.schedule_free(
        gdjax.identity(), 2.0, b1=0.5, apply_learning_rate=True, warmup_steps=2
    )
    steps = run(pair, [jnp.array([-1.0])] * 4, jnp.zeros(1))
    np.testing.assert_allclose([u.item() for u, _ in steps], [0, 1, 13 / 5, 25 / 9], rtol=1e-6)


def test_schedule_free_sgd_warmup_steps_of_the_paper():
    """Optax weighs a step by the learning rate of the next one."""
    warmup = gdjax.warmup_constant_schedule(0.0, 0.25, 2)
    for optimizer in (
        gdjax.schedule_free_sgd(0.25, warmup_steps=2, b1=0.75),
        gdjax.chain(gdjax.schedule_free_sgd(warmup, b1=0.75)),
    ):
        _assert_of_the_paper(optimizer, lambda gradient: gradient)
    theirs = optax.contrib.schedule_free_sgd(0.25, warmup_steps=2, b1=0.75)
    with pytest.raises(AssertionError):
        _assert_of_the_paper(theirs, lambda gradient: gradient)


def test_schedule_free_adamw_warmup_steps_of_the_paper():
    """Optax weighs a step by the learning rate of the next one."""

    def scaled() -> Callable:
        nu, weight = 0.0, 1.0

        def scale(gradient: np.ndarray) -> np.ndarray:
            nonlocal nu, weight
            nu, weight = 0.9 * nu + 0.1 * gradient**2, 0.9 * weight
            return gradient / (np.sqrt(nu / (1 - weight)) + 1e-8)

        return scale

    arguments = {"learning_rate": 0.25, "warmup_steps": 2, "b1": 0.75, "b2": 0.9}
    _assert_of_the_paper(gdjax.schedule_free_adamw(**arguments), scaled())
    with pytest.raises(AssertionError):
        _assert_of_the_paper(optax.contrib.schedule_free_adamw(**arguments), scaled())


def _assert_of_the_paper(
    optimizer: optax.GradientTransformation, scale: Callable[[np.ndarray], np.ndarray]
) -> None:
    """Algorithm 1 with its three sequences, in NumPy, and the weights of the squared rates.

    With ``b1=0.75`` and learning rates 0, 0.125, 0.25, 0.25, ...
    """
    target, b1, rates = np.array([1.0, -2.0]), 0.75, [0.0, 0.125, 0.25, 0.25, 0.25]
    x = z = np.zeros(2)
    total = 0.0
    params = jnp.zeros(2)
    run_state = optimizer.init(params)
    for rate in rates:
        y = (1 - b1) * z + b1 * x
        np.testing.assert_allclose(params, y, rtol=1e-5)
        z = z - rate * scale(y - target)
        total += rate**2
        c = rate**2 / total if total else 0.0
        x = (1 - c) * x + c * z
        updates, run_state = optimizer.update(params - jnp.asarray(target), run_state, params)
        params = gdjax.apply_updates(params, updates)
        found = gdjax.schedule_free_eval_params(run_state, params)
        np.testing.assert_allclose(found, x, rtol=1e-5)


def test_mixing_may_change_during_a_run():
    """The average is computed with the ``b1`` with which the parameters were mixed."""
    rates = gdjax.join_schedules([gdjax.constant_schedule(b) for b in (0.5, 0.75)], [1])
    pair = gdjax.schedule_free(gdjax.sgd(1.0), 1.0, rates)
    params = jnp.zeros(1)
    run_state = pair.init(params)
    for z, x in ((1.0, 1.0), (2.0, 1.5), (3.0, 2.0)):
        updates, run_state = pair.update(jnp.array([-1.0]), run_state, params)
        params = gdjax.apply_updates(params, updates)
        assert run_state.inner_state.z.item() == z
        assert gdjax.schedule_free_eval_params(run_state, params).item() == pytest.approx(x)


def test_evaluation_agrees_with_optax():
    ours, theirs = gdjax.schedule_free_adamw(0.1), optax.contrib.schedule_free_adamw(0.1)
    params = other = jnp.array([1.0, -3.0])
    run_state, other_state = ours.init(params), theirs.init(other)
    for _ in range(5):
        updates, run_state = ours.update(jax.grad(jnp.vdot)(params, params), run_state, params)
        params = gdjax.apply_updates(params, updates)
        updates, other_state = theirs.update(jax.grad(jnp.vdot)(other, other), other_state, other)
        other = gdjax.apply_updates(other, updates)
    found = gdjax.schedule_free_eval_params(run_state, params)
    expected = optax.contrib.schedule_free_eval_params(other_state, other)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_evaluation_leaves_alone_what_is_masked():
    pair = gdjax.schedule_free(gdjax.sgd(1.0), 1.0, 0.5)
    both = gdjax.masked(pair, {"averaged": True, "plain": False})
    alone, run_state = jnp.zeros(1), pair.init(jnp.zeros(1))
    params = {"averaged": alone, "plain": alone}
    both_state, gradients = both.init(params), {"averaged": -jnp.ones(1), "plain": jnp.ones(1)}
    for _ in range(3):
        updates, run_state = pair.update(-jnp.ones(1), run_state, alone)
        alone = gdjax.apply_updates(alone, updates)
        updates, both_state = both.update(gradients, both_state, params)
        params = gdjax.apply_updates(params, updates)
    found = gdjax.schedule_free_eval_params(both_state, params)
    assert found["plain"].tolist() == [3.0]
    assert found["averaged"] == gdjax.schedule_free_eval_params(run_state, alone) == 2.0


def test_evaluation_takes_masks_that_are_prefixes():
    pair = gdjax.schedule_free(gdjax.sgd(1.0), 1.0, 0.5)
    params = {"a": jnp.ones(2), "b": {"w": jnp.ones(2), "c": jnp.ones(3)}}
    for masked in (
        gdjax.masked(pair, {"a": True, "b": False}),
        gdjax.partition({"x": pair, "y": gdjax.sgd(0.1)}, {"a": "x", "b": "y"}),
    ):
        found = gdjax.schedule_free_eval_params(masked.init(params), params)
        chex.assert_trees_all_equal(found, params)
    with pytest.raises(gdjax.InvalidValue, match="state does not fit the parameters"):
        gdjax.schedule_free_eval_params(masked.init(params), {"a": jnp.ones(2)})


def test_schedule_free_needs_the_parameters():
    pair = gdjax.schedule_free(gdjax.sgd(1.0), 1.0)
    with pytest.raises(gdjax.InvalidValue, match="reads the parameters: call update"):
        pair.update(jnp.zeros(1), pair.init(jnp.zeros(1)))
