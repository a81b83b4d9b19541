"""Sizes of batches: by hand, bounds, and a task that uses them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax
from gdjax import schedules
from gdjax.errors import InvalidType, InvalidValue
from tests import runs


def test_batch_size_schedule_by_hand():
    doubling = schedules.batch_size_schedule(schedules.step_decay_schedule(0.1, 3, 0.5), 4, 20)
    assert [int(doubling(t)) for t in (0, 2, 3, 6, 9, 10**6)] == [4, 4, 8, 16, 20, 20]
    # 4 / 0.75 = 5.33, 4 / 0.5 = 8, 4 / 0.25 = 16; then the decay has reached 0
    line = schedules.batch_size_schedule(schedules.linear_schedule(1.0, 0.0, 4), 4, 100)
    assert [int(line(t)) for t in range(6)] == [4, 5, 8, 16, 100, 100]
    stages = schedules.piecewise_constant_schedule(7.0, {2: 0.2, 5: 0.2})
    assert schedules.batch_size_schedule(stages, 3, 500)(jnp.arange(6)).tolist() == [
        *(3, 3, 15, 15, 15, 75)
    ]


def test_leftover_decay_schedule_by_hand():
    # the batch grows from 4 to 16 in 2 stairs; then the learning rate has to fall
    stairs = schedules.step_decay_schedule(8.0, 3, 0.5)
    rest = schedules.leftover_decay_schedule(stairs, 4, 16)
    assert [float(rest(t)) for t in (0, 3, 6, 8, 9, 12)] == [8, 8, 8, 8, 4, 2]
    # and to 10 in a part of the second: 8 / 4 * 10 / 4
    rest = schedules.leftover_decay_schedule(stairs, 4, 10)
    assert [float(rest(t)) for t in (0, 3, 6, 9)] == [8, 8, 5, 2.5]


DECAYS = {
    "exponential": schedules.exponential_decay(0.3, 7, 0.8),
    "cosine": schedules.cosine_decay_schedule(0.3, 41),
    "power": schedules.inverse_power_schedule(0.3, 3, 1.0),
    "stairs": schedules.step_decay_schedule(0.3, 9, 0.2),
    "constant": schedules.constant_schedule(0.3),
}


@pytest.mark.parametrize("name", DECAYS)
def test_sizes_grow_between_their_bounds_and_share_the_decay(name):
    counts = jnp.append(jnp.arange(100), 10**6)
    sizes = jax.jit(schedules.batch_size_schedule(DECAYS[name], 32, 333))(counts)
    assert sizes.dtype == jnp.int32
    assert sizes[0] == 32
    assert (jnp.diff(sizes) >= 0).all()
    assert sizes.max() == (32 if name == "constant" else 333)
    # The noise, learning rate over size, is what it was: but for the rounding of the size.
    rate = jax.jit(schedules.leftover_decay_schedule(DECAYS[name], 32, 333))(counts)
    np.testing.assert_allclose(rate / sizes, DECAYS[name](counts) / 32, rtol=0.5 / 32, atol=1e-9)


def test_doubling_is_not_rounded_down():
    """Compiled powers and quotients lie some units in the last place beside whole numbers."""
    for decay_rate in (1 / 2, 1 / 3, 1 / 5):
        decay = schedules.step_decay_schedule(0.1, 7, decay_rate)
        sizes = jax.jit(schedules.batch_size_schedule(decay, 3, 10**6))
        for stage in range(8):
            assert sizes(7 * stage) == 3 * round(1 / decay_rate) ** stage


@pytest.mark.parametrize("x64", [False, True])
def test_sizes_are_int32(x64):
    with runs.enable_x64(x64):
        sizes = schedules.batch_size_schedule(schedules.step_decay_schedule(0.1, 7, 0.5), 3, 99)
        for count in (3, np.int64(3), jnp.int32(3)):
            assert (sizes(count).dtype, sizes(count).shape) == (jnp.int32, ())


def _batch(key, step, data, sizes):
    rows = jax.random.choice(key, data, (8,))  # the largest size
    return rows, jnp.arange(8) < sizes(step)


def _loss(params, batch, key):
    rows, used = batch
    return jnp.sum(used * (params - rows) ** 2) / jnp.sum(used)


def test_a_masked_batch_is_a_smaller_batch():
    decay = schedules.step_decay_schedule(1.0, 2, 0.5)
    task = gdjax.Task(
        init=lambda key: jnp.zeros(()),
        loss=_loss,
        batch=gdjax.bind(
            _batch, data=jnp.arange(32.0), sizes=schedules.batch_size_schedule(decay, 2, 8)
        ),
    )
    assert task.check() == {"loss"}
    for step, size in ((0, 2), (1, 2), (2, 4), (4, 8), (100, 8)):
        key = jax.random.key(step)
        rows, used = jax.jit(task.batch)(key, step)
        assert used.sum() == size
        slope = jax.grad(task.loss)(1.0, (rows, used), key)
        np.testing.assert_allclose(slope, jnp.mean(2 * (1.0 - rows[:size])), rtol=1e-6)


def test_sizes_are_swept_in_one_program():
    def make(init_size, decay_rate):
        decay = schedules.step_decay_schedule(1.0, 2, decay_rate)
        return schedules.batch_size_schedule(decay, init_size, 64)

    trials = jax.vmap(make)(jnp.array([2, 4]), jnp.array([0.5, 0.25]))
    sizes = jax.jit(jax.vmap(lambda trial: trial(jnp.arange(6))))(trials)  # [trial, step]
    assert sizes.tolist() == [[2, 2, 4, 4, 8, 8], [4, 4, 16, 16, 64, 64]]


@pytest.mark.parametrize("name", ["batch_size_schedule", "leftover_decay_schedule"])
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((0.5, 2, 8), InvalidType, "decay_schedule must be a function of the step, got 0.5"),
        ((DECAYS["cosine"], 9, 8), InvalidValue, "max_size must be at least init_size, got .*=9"),
        ((DECAYS["cosine"], 0, 8), InvalidValue, "init_size must be a whole number"),
        (
            (schedules.linear_schedule(0.0, 1.0, 3), 2, 8),
            InvalidValue,
            "must start above 0, got 0.0; leave out its warm-up",
        ),
    ],
)
def test_errors_name_the_argument_and_the_value(name, arguments, error, message):
    with pytest.raises(error, match=message):
        getattr(schedules, name)(*arguments)
