import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gdjax
from gdjax.transforms import DynamicLossScaleState

BAD = jnp.array([jnp.inf, 1.0])


def test_dynamic_loss_scale_by_hand(run):
    # u = t = g / 4; g / 4 + t / 2 = 2, and twice the scale; refused, a quarter of it; g / 2
    pair = gdjax.dynamic_loss_scale(
        gdjax.trace(0.5),
        init_scale=4.0,
        growth_interval=2,
        backoff_factor=0.25,
        min_loss_scale=0.5,
    )
    gradients = [jnp.array([4.0, -4.0]), jnp.array([6.0, 2.0]), BAD, jnp.array([2.0, 2.0])]
    expected = [
        ([1, -1], 4, 1, [1, -1]),
        ([2, 0], 8, 0, [2, 0]),
        ([0, 0], 2, 0, [2, 0]),
        ([2, 1], 2, 1, [2, 1]),
    ]
    for (updates, state), (u, scale, count, t) in zip(run(pair, gradients), expected, strict=True):
        assert updates.tolist() == u
        inner = optax.TraceState(np.array(t, np.float32))
        chex.assert_trees_all_equal(
            state, DynamicLossScaleState(np.float32(scale), np.array(count), inner)
        )


def test_the_scale_keeps_within_bounds(run):
    pair = gdjax.dynamic_loss_scale(gdjax.identity(), init_scale=2.0, min_loss_scale=1.0)
    assert [state.scale.item() for _, state in run(pair, [BAD] * 3)] == [1.0, 1.0, 1.0]
    pair = gdjax.dynamic_loss_scale(gdjax.identity(), init_scale=2.0**127, growth_interval=1)
    assert run(pair, [jnp.ones(1)])[0][1].scale == 2.0**127  # twice that is infinite


def test_small_gradients_survive_float16():
    """Of a loss in float16: 2**-26 underflows, 2**10 times as much does not."""

    def loss(weights, scale=1.0):
        small = jnp.float16(2.0**-13) * weights.astype(jnp.float16)
        return (small * jnp.float16(2.0**-13)).astype(jnp.float32).sum() * scale

    optimizer = gdjax.chain(gdjax.dynamic_loss_scale(gdjax.sgd(1.0), init_scale=2.0**10))
    weights = jnp.ones(2)
    state = optimizer.init(weights)
    assert not jax.grad(loss)(weights).any()
    gradient = jax.grad(loss)(weights, gdjax.loss_scale(state))
    updates, _ = optimizer.update(gradient, state, weights)
    assert updates.tolist() == [-(2.0**-26)] * 2


def test_what_float16_cannot_hold_reaches_the_optimizer():
    """3 * 2**-26 is no number of float16; 2**14 times that is a step that float16 has."""
    optimizer = gdjax.dynamic_loss_scale(gdjax.sgd(2.0**14), init_scale=2.0**10)
    weights = jnp.ones(2, jnp.float16)
    gradient = jnp.full(2, 3 * 2.0**-16, jnp.float16)
    updates, _ = optimizer.update(gradient, optimizer.init(weights), weights)
    assert updates.dtype == jnp.float16
    assert updates.tolist() == [-3 * 2.0**-12] * 2


def squares(params, batch, key):
    return jnp.sum(params**2)


def bumped(fun, has_aux):
    """A gradient function with a value of its own."""

    def value_and_grad(*args, **kwargs):
        (value, aux), gradient = jax.value_and_grad(fun, has_aux=has_aux)(*args, **kwargs)
        return (1.5 * value, aux), gradient

    return value_and_grad


@pytest.mark.parametrize("rate", [0.125, gdjax.exponential_decay(0.125, 1, 0.5)])
@pytest.mark.parametrize("value_and_grad", [jax.value_and_grad, bumped])
def test_training_scales_the_loss(rate, value_and_grad):
    """What a rule inside sees of the loss and of its gradient is not scaled."""
    task = gdjax.Task(
        init=lambda key: jnp.array([3.0, -1.0]),
        batch=lambda key, step: None,
        loss=squares,
        value_and_grad=value_and_grad,
    )
    plain = gdjax.chain(gdjax.sgd(rate), optax.scale_by_backtracking_linesearch(10))
    growth = rate if callable(rate) else 2.0  # a schedule of its own makes it hold a count
    scaled = gdjax.dynamic_loss_scale(plain, 2.0**10, growth_factor=growth)
    expected, found = (gdjax.train(task, x, steps=4, key=0) for x in (plain, scaled))
    chex.assert_trees_all_equal(found.params, expected.params)
    chex.assert_trees_all_equal(found.traces, expected.traces)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda scaled: gdjax.chain(gdjax.clip_by_global_norm(1.0), scaled),
        lambda scaled: gdjax.masked(scaled, True),
        gdjax.dynamic_loss_scale,
    ],
    ids=["chain", "masked", "twice"],
)
def test_training_scales_the_loss_of_what_is_outermost_only(wrap):
    task = gdjax.Task(lambda key: jnp.ones(2), squares, lambda key, step: None)
    optimizer = wrap(gdjax.dynamic_loss_scale(gdjax.sgd(0.125)))
    with pytest.raises(gdjax.InvalidValue, match="must be the outermost transformation"):
        gdjax.train(task, optimizer, steps=1, key=0)
