import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
import pytest

import gdjax
from gdjax.transforms import SAMState

PARAMS = jnp.array([3.0, 4.0])


def identity(params):
    """The gradient of half of the squared norm."""
    return params


@pytest.mark.parametrize("extra", [{"grad_fn": identity}, {"value_fn": lambda p: p @ p / 2}])
def test_sam_by_hand(run, extra):
    # norm 5: the worst place is 3 + 3 / 2, 4 + 4 / 2, and so is the gradient; t = g + t / 2
    pair = gdjax.sam(gdjax.trace(0.5), rho=2.5)
    steps = run(pair, [PARAMS] * 2, PARAMS, **extra)
    expected = [np.float32([4.5, 6.0]), np.float32([6.75, 9.0])]
    chex.assert_trees_all_close(
        steps, [(t, SAMState(optax.TraceState(t))) for t in expected], rtol=1e-6
    )


def test_sam_inner_by_hand(run):
    # the gradient of the worst place, 4.5 and 6, doubled
    ((updates, _),) = run(gdjax.sam(gdjax.scale(2.0), 2.5), [PARAMS], PARAMS, grad_fn=identity)
    np.testing.assert_allclose(updates, [9.0, 12.0], rtol=1e-6)


def test_sam_rho_by_hand(run):
    # 3 + 6, 4 + 8
    ((updates, _),) = run(gdjax.sam(gdjax.identity(), 10.0), [PARAMS], PARAMS, grad_fn=identity)
    np.testing.assert_allclose(updates, [9.0, 12.0], rtol=1e-6)


def test_asam_by_hand(run):
    # t = |p| + 1 = 4, 5; t g = 8, 15 with norm 17; the worst place is 3 + 4 * 8, 4 + 5 * 15
    gradient = jnp.array([2.0, 3.0])
    pair = gdjax.asam(gdjax.trace(0.5), rho=17.0, eta=1.0)
    steps = run(pair, [gradient] * 2, PARAMS, grad_fn=identity)
    worst = np.float32([3 + 4 * 8, 4 + 5 * 15])
    expected = [(t, SAMState(optax.TraceState(t))) for t in (worst, 1.5 * worst)]
    chex.assert_trees_all_close(steps, expected, rtol=1e-6)


def test_asam_does_not_depend_on_the_scale():
    """Parameters ten times as large of a model that divides them by ten move alike."""

    def moved(scale):
        params = scale * PARAMS
        init, update = gdjax.asam(gdjax.identity(), eta=0.0)

        def loss(p):
            return jnp.sum((p / scale - 1) ** 4)

        return scale * update(jax.grad(loss)(params), init(params), params, value_fn=loss)[0]

    np.testing.assert_allclose(moved(10.0), moved(1.0), rtol=1e-5)


def test_sam_agrees_with_optaxs_opaque_mode():
    def loss(p):
        return jnp.sum(jnp.cos(p) * p)

    adversary = optax.chain(optax.contrib.normalize(), optax.sgd(0.1))
    theirs = optax.contrib.sam(optax.adam(0.1), adversary, opaque_mode=True)
    ours = gdjax.sam(gdjax.adam(0.1), rho=0.1)
    params = other = PARAMS
    state, other_state = ours.init(params), theirs.init(other)
    for _ in range(5):
        updates, state = ours.update(jax.grad(loss)(params), state, params, value_fn=loss)
        params = gdjax.apply_updates(params, updates)
        updates, other_state = theirs.update(
            jax.grad(loss)(other), other_state, other, grad_fn=lambda p, _: jax.grad(loss)(p)
        )
        other = optax.apply_updates(other, updates)
        np.testing.assert_allclose(params, other, rtol=1e-5)


def test_what_is_not_trained_stays_where_it_is():
    params = {"a": PARAMS, "b": PARAMS}
    init, update = gdjax.sam(gdjax.identity())
    updates, _ = update({"a": PARAMS, "b": None}, init(params), params, grad_fn=identity)
    assert updates["b"] is None


@gdjax.transformation()
def reads_both(updates, state, params, *, value_fn, value):
    return jax.tree.map(lambda g: g + value_fn(params) + value, updates), state


def test_extras_are_handed_on():
    init, update = gdjax.sam(reads_both(), rho=0.0)
    updates, _ = update(PARAMS, init(PARAMS), PARAMS, value_fn=lambda p: p @ p / 2, value=1.0)
    assert updates.tolist() == [16.5, 17.5]


@pytest.mark.parametrize("rule", [gdjax.sam, gdjax.asam])
def test_a_second_gradient_needs_a_function_and_the_parameters(rule):
    init, update = rule(gdjax.identity())
    with pytest.raises(gdjax.InvalidType, match="needs the extra argument 'grad_fn' or 'value_fn'"):
        update(PARAMS, init(PARAMS), PARAMS)
    with pytest.raises(gdjax.InvalidValue, match="params is None"):
        update(PARAMS, init(PARAMS), grad_fn=identity)


def test_sam_trains_in_a_task():
    """Whose runs hand on the loss as a function."""
    task = gdjax.Task(
        init=lambda key: jnp.ones(2), loss=lambda p, batch, key: p @ p, batch=lambda key, step: None
    )
    # the worst place is 1 + 0.5 / sqrt(2), the gradient twice that
    run = gdjax.train(task, gdjax.sam(gdjax.sgd(0.25), rho=0.5), steps=1, key=0)
    np.testing.assert_allclose(run.params, 1 - 0.5 * (1 + 0.5 / np.sqrt(2)), rtol=1e-6)
