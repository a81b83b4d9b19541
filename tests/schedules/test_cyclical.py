"""Warm restarts and cycles: by hand, and against PyTorch's formulas."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdjax import schedules
from gdjax.errors import InvalidValue
from tests import runs

CYCLE = {"init_value": 0.0, "peak_value": 4.0, "warmup_steps": 2, "decay_steps": 5}


def test_sgdr_schedule_by_hand():
    half = {**CYCLE, "peak_value": 2.0, "warmup_steps": 1, "decay_steps": 3, "end_value": 1.0}
    restarts = schedules.sgdr_schedule([CYCLE, half])
    # 4 * {3/4, 1/4} after the first warm-up; 1 + (2 - 1) / 2 after the second
    expected = [0, 2, 4, 3, 1, 0, 2, 1.5, 1, 1]
    np.testing.assert_allclose(restarts(jnp.arange(10)), expected, rtol=1e-6, atol=1e-7)
    only = schedules.sgdr_schedule([CYCLE])
    np.testing.assert_allclose(only(jnp.arange(4)), expected[:4], rtol=1e-6, atol=1e-7)


def test_cosine_restarts_schedule_by_hand():
    restarts = schedules.cosine_restarts_schedule(4.0, 2, 2.0, 0.5, 0.25)
    # 1 + 3 * {1, 1/2}, then 1 + 3/2 * (1 + cos({0, 1/4, 1/2, 3/4} pi)) / 2, then 1 + 3/4
    c = math.sqrt(0.5)
    expected = [4, 2.5, 2.5, 1 + 0.75 * (1 + c), 1.75, 1 + 0.75 * (1 - c), 1.75]
    np.testing.assert_allclose(restarts(jnp.arange(7)), expected, rtol=1e-6)


def test_cyclical_schedule_by_hand():
    cycles = schedules.cyclical_schedule(1.0, 5.0, 2, 4, amplitude_factor=0.5)
    # up by 2 in each step, down by 1; half of it in the second cycle
    expected = [1, 3, 5, 4, 3, 2, 1, 2, 3, 2.5, 2, 1.5, 1, 1.5]
    np.testing.assert_array_equal(cycles(jnp.arange(14)), expected)
    falling = schedules.cyclical_schedule(1.0, 5.0, 1, decay_rate=0.5)
    np.testing.assert_array_equal(falling(jnp.arange(5)), [1, 3, 1, 1.5, 1])


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_restarts_are_those_of_pytorch(factor):
    """``CosineAnnealingWarmRestarts``, step by step as its documentation has it."""
    steps, expected, length = 0, [], 7
    for _ in range(1000):
        expected.append(0.1 + (0.8 - 0.1) * (1 + math.cos(math.pi * steps / length)) / 2)
        steps += 1
        if steps >= length:
            steps, length = 0, length * factor
    ours = schedules.cosine_restarts_schedule(0.8, 7, factor, alpha=0.125)
    np.testing.assert_allclose(jax.jit(ours)(jnp.arange(1000)), expected, rtol=1e-5)


@pytest.mark.parametrize(("length", "factor"), [(1, 2), (7, 3), (41, 1), (8, 1.5), (1000, 2)])
def test_each_restart_is_at_its_step_and_exact(length, factor):
    begins, begin, period = [], 0, length
    while begin < 100_000 and len(begins) < 500 and begin == int(begin):
        begins.append(int(begin))
        begin, period = begin + period, period * factor
    restarts = jax.jit(schedules.cosine_restarts_schedule(0.3, length, factor))
    assert (restarts(jnp.array(begins)) == jnp.float32(0.3)).all()
    before = restarts(jnp.array([b - 1 for b in begins[1:] if length > 1]))
    assert (before < 0.15).all()


def test_period_factor_has_the_right_derivative_also_at_1():
    # In period n = 2 of length T at factor 1: t = count - (1 + m) T, length m**2 T; at m = 1,
    # d(t / length) = (-T) / T - 2 t / T = -1 - 2 t / T.
    def value(factor):
        return schedules.cosine_restarts_schedule(1.0, 8, factor)(18)

    phase, slope = 2 / 8, -1 - 2 * 2 / 8
    expected = -0.5 * math.pi * math.sin(math.pi * phase) * slope
    np.testing.assert_allclose(jax.grad(value)(1.0), expected, rtol=1e-5)
    with runs.enable_x64(True):
        for factor in (1 + 1e-5, 1.001, 1.01, 1.5):
            difference = (value(factor + 1e-7) - value(factor - 1e-7)) / 2e-7
            np.testing.assert_allclose(jax.grad(value)(factor), difference, rtol=1e-5)


def _torch_cyclic(epoch, low, high, up, down, mode, gamma):
    """One value of PyTorch's ``CyclicLR``, from its documentation."""
    total = up + down
    cycle = math.floor(1 + epoch / total)
    x = 1 + epoch / total - cycle
    ratio = up / total
    scale = x / ratio if x <= ratio else (x - 1) / (ratio - 1)
    factor = {"triangular": 1, "triangular2": 0.5 ** (cycle - 1), "exp_range": gamma**epoch}
    return low + (high - low) * scale * factor[mode]


@pytest.mark.parametrize(
    ("mode", "factors"),
    [
        ("triangular", {}),
        ("triangular2", {"amplitude_factor": 0.5}),
        ("exp_range", {"decay_rate": 0.9}),
    ],
)
def test_cycles_are_those_of_pytorch(mode, factors):
    ours = schedules.cyclical_schedule(0.1, 0.7, 3, 5, **factors)
    expected = [_torch_cyclic(t, 0.1, 0.7, 3, 5, mode, 0.9) for t in range(30)]
    np.testing.assert_allclose(jax.jit(ours)(jnp.arange(30)), expected, rtol=1e-5)


def test_cycles_are_those_of_smith():
    """The formula of section 3.1, whose ``stepsize`` is ``up_steps``."""

    def value(t):
        cycle = math.floor(1 + t / (2 * 4))
        x = abs(t / 4 - 2 * cycle + 1)
        return 0.1 + (0.7 - 0.1) * max(0, 1 - x)

    ours = schedules.cyclical_schedule(0.1, 0.7, 4)
    np.testing.assert_allclose(ours(jnp.arange(30)), [value(t) for t in range(30)], rtol=1e-5)


def test_ends_of_a_cycle_are_exact():
    for up, down in ((9, 41), (41, 9), (1, 1)):
        cycles = jax.jit(schedules.cyclical_schedule(0.1, 0.7, up, down))
        for begin in (0, up + down, 1000 * (up + down)):
            assert cycles(begin) == jnp.float32(0.1)
            assert cycles(begin + up) == jnp.float32(0.7)


def test_one_program_for_all_periods():
    """Trials whose numbers of restarts differ run together."""
    lengths, factors = jnp.array([3, 5, 40]), jnp.array([1.0, 2.0, 1.5])
    trials = jax.vmap(schedules.cosine_restarts_schedule, (None, 0, 0))(1.0, lengths, factors)
    together = jax.jit(jax.vmap(lambda trial: trial(jnp.arange(50))))(trials)  # [trial, step]
    for i in range(3):
        alone = schedules.cosine_restarts_schedule(1.0, lengths[i], factors[i])(jnp.arange(50))
        np.testing.assert_allclose(together[i], alone, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: schedules.sgdr_schedule([]), "at least one cycle"),
        (lambda: schedules.sgdr_schedule([{"init_value": 0.0}]), "each its decay_steps, got"),
        (
            lambda: schedules.cosine_restarts_schedule(1.0, 3, 0.5),
            r"period_factor must be a number in \[1, inf\), got 0.5",
        ),
        (lambda: schedules.cosine_restarts_schedule(1.0, 0), "period_steps must be a whole"),
        (lambda: schedules.cyclical_schedule(0.0, 1.0, 3, 0), "down_steps must be a whole"),
    ],
)
def test_errors_name_the_argument_and_the_value(make, message):
    with pytest.raises(InvalidValue, match=message):
        make()
