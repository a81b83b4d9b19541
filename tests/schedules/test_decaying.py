"""Plateaus, stairs and powers: by hand, and against the papers' formulas."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gdjax import schedules
from gdjax.errors import InvalidType, InvalidValue


def test_step_decay_schedule_by_hand():
    stairs = schedules.step_decay_schedule(8.0, 3, 0.25)
    assert [float(stairs(t)) for t in (0, 2, 3, 5, 6, 9)] == [8, 8, 2, 2, 0.5, 0.125]
    assert schedules.step_decay_schedule(8.0, 0, 0.25)(100) == 8


def test_cooldown_schedule_by_hand():
    line = schedules.linear_schedule(9.0, 1.0, 8)
    # 9, 8, 7, then from 6 to 2 in 4 steps
    cooled = schedules.cooldown_schedule(line, 3, 4, 2.0)
    assert [float(cooled(t)) for t in range(9)] == [9, 8, 7, 6, 5, 4, 3, 2, 2]
    # 1 - sqrt(1/4) = 1/2
    root = schedules.cooldown_schedule(line, 3, 4, 2.0, "1-sqrt")
    assert [float(root(t)) for t in (2, 3, 4, 7, 8)] == [7, 6, 4, 2, 2]
    # (1 + cos(pi / 3)) / 2 = 3/4
    wave = schedules.cooldown_schedule(line, 3, 3, 2.0, "cosine")
    np.testing.assert_allclose([wave(t) for t in (3, 4, 5, 6)], [6, 5, 3, 2], rtol=1e-6)


def test_cooldown_schedule_of_anything():
    """Of a schedule of Optax or a function too; its constants are leaves if they can be."""
    theirs = schedules.cooldown_schedule(optax.linear_schedule(9.0, 1.0, 8), 3, 4, 2.0)
    assert [float(theirs(t)) for t in range(5)] == [9, 8, 7, 6, 5]
    assert len(jax.tree.leaves(theirs)) == 3
    cooled = schedules.cooldown_schedule(schedules.constant_schedule(4.0), 0, 0)
    assert cooled(10**6) == 4  # without a length there is no decay
    assert len(jax.tree.leaves(cooled)) == 4


def test_warmup_stable_decay_schedule_by_hand():
    # 0, 2, 4, 4, 4 and down by 1
    wsd = schedules.warmup_stable_decay_schedule(0.0, 4.0, 2, 2, 3, 1.0)
    assert [float(wsd(t)) for t in range(9)] == [0, 2, 4, 4, 4, 3, 2, 1, 1]
    # 1 + 3 * {3/4, 1/4}
    wave = schedules.warmup_stable_decay_schedule(0.0, 4.0, 2, 2, 3, 1.0, "cosine")
    np.testing.assert_allclose([wave(t) for t in (4, 5, 6, 7)], [4, 3.25, 1.75, 1], rtol=1e-6)
    # 1 - sqrt(1/4) = 1/2
    root = schedules.warmup_stable_decay_schedule(0.0, 4.0, 2, 2, 4, decay_type="1-sqrt")
    assert [float(root(t)) for t in (1, 4, 5, 8)] == [2, 4, 2, 0]


@pytest.mark.parametrize("decay_type", ["linear", "1-sqrt"])
def test_cooldown_of_haegele(decay_type):
    """Equation 1 of arXiv 2405.18392, with its two forms of f."""
    peak, warmup, steps, decay = 0.7, 5, 40, 12

    def value(n):
        if n < warmup:
            return n / warmup * peak
        if n <= steps - decay:
            return peak
        p = (n - (steps - decay)) / decay
        return (1 - p if decay_type == "linear" else 1 - math.sqrt(p)) * peak

    stable = steps - decay - warmup
    ours = schedules.warmup_stable_decay_schedule(
        0.0, peak, warmup, stable, decay, decay_type=decay_type
    )
    expected = [value(n) for n in range(steps + 1)]
    np.testing.assert_allclose(ours(jnp.arange(steps + 1)), expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("decay_type", ["linear", "cosine", "1-sqrt"])
def test_ends_of_a_decay_are_exact(decay_type):
    for steps in (3, 9, 41):
        wsd = jax.jit(
            schedules.warmup_stable_decay_schedule(0.0, 0.3, 7, 5, steps, 0.1, decay_type)
        )
        assert wsd(7) == wsd(12) == jnp.float32(0.3) > wsd(13)
        assert wsd(12 + steps) == wsd(10**6) == jnp.float32(0.1) < wsd(11 + steps)


def test_a_decay_that_is_disabled_holds_the_peak():
    wsd = schedules.warmup_stable_decay_schedule(0.0, 1.0, 0, 0, 0)
    assert wsd(0) == wsd(10**6) == 1


def test_inverse_sqrt_schedule_by_hand():
    # (count + 1) / 4 * 8, then 8 * sqrt(4 / (count + 1))
    noam = schedules.inverse_sqrt_schedule(8.0, 4)
    assert [float(noam(t)) for t in (0, 1, 3, 15, 63)] == [2, 4, 8, 4, 2]
    held = schedules.inverse_sqrt_schedule(8.0, 4, "constant")
    assert [float(held(t)) for t in (0, 1, 3, 15, 63)] == [8, 8, 8, 4, 2]


def test_inverse_sqrt_of_the_papers():
    d_model, warmup = 512, 40
    steps = np.arange(1, 200)
    attention = d_model**-0.5 * np.minimum(steps**-0.5, steps * warmup**-1.5)
    ours = schedules.inverse_sqrt_schedule((d_model * warmup) ** -0.5, warmup)
    np.testing.assert_allclose(ours(jnp.asarray(steps - 1)), attention, rtol=1e-5)
    t5 = 1 / np.sqrt(np.maximum(steps, warmup))
    ours = schedules.inverse_sqrt_schedule(warmup**-0.5, warmup, "constant")
    np.testing.assert_allclose(ours(jnp.asarray(steps - 1)), t5, rtol=1e-5)


def test_inverse_power_schedule_by_hand():
    # 8 / sqrt(1 + t / 4) with t = count - 2
    root = schedules.inverse_power_schedule(8.0, 4, transition_begin=2)
    assert [float(root(t)) for t in (0, 2, 14, 62)] == [8, 8, 4, 2]
    time = schedules.inverse_power_schedule(8.0, 2, 1.0)
    assert [float(time(t)) for t in (0, 2, 6, 14)] == [8, 4, 2, 1]
    assert schedules.inverse_power_schedule(8.0, 0)(100) == 8


def test_power_schedule_by_hand():
    # 8 / sqrt(4 * count), at most 2: count 4 is where the power comes down to it
    plain = schedules.power_schedule(2.0, 8.0, 0.5, 4.0)
    assert [float(plain(t)) for t in (0, 1, 4, 16, 64)] == [2, 2, 2, 1, 0.5]
    # up to 8 / sqrt(4 * 16) = 1 in 16 steps
    warm = schedules.power_schedule(2.0, 8.0, 0.5, 4.0, 16)
    assert [float(warm(t)) for t in (0, 4, 8, 16, 64)] == [0, 0.25, 0.5, 1, 0.5]


def test_power_schedule_of_the_paper():
    """With a cooldown, the three parts of the power scheduler; its tokens are the variable."""
    a, b, batch, length, top = 4, -0.51, 128, 4096, 0.02
    tokens = batch * length
    warmup, total, decay = 50, 4000, 400

    def power(n):
        return min(top, batch * a * n**b)

    def value(step):
        n = step * tokens
        if step < warmup:
            return step / warmup * power(warmup * tokens)
        if step <= total - decay:
            return power(n)
        return (total - step) / decay * power((total - decay) * tokens)

    ours = schedules.cooldown_schedule(
        schedules.power_schedule(top, a * batch, -b, tokens, warmup), total - decay, decay
    )
    steps = np.arange(0, total, 19)
    expected = [value(int(step)) for step in steps]
    np.testing.assert_allclose(ours(jnp.asarray(steps)), expected, rtol=1e-5)
    assert len({round(x, 9) for x in expected}) > 100  # it is not the cap alone


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: schedules.cooldown_schedule(0.5, 3, 4),
            InvalidType,
            r"before must be a function of the step, got 0\.5; .* use constant_schedule",
        ),
        (
            lambda: schedules.warmup_stable_decay_schedule(0.0, 1.0, 2, 2, 3, decay_type="sqrt"),
            InvalidValue,
            "decay_type must be one of 'linear', 'cosine', '1-sqrt', got 'sqrt'",
        ),
        (
            lambda: schedules.inverse_sqrt_schedule(1.0, 3, "cosine"),
            InvalidValue,
            "warmup_type must be one of 'linear', 'constant', got 'cosine'",
        ),
        (lambda: schedules.inverse_sqrt_schedule(1.0, 0), InvalidValue, "warmup_steps .* got 0"),
        (lambda: schedules.power_schedule(1.0, -1.0), InvalidValue, "coefficient must be"),
    ],
)
def test_errors_name_the_argument_and_the_value(make, error, message):
    with pytest.raises(error, match=message):
        make()
