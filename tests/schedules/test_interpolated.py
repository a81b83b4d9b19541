"""Schedules through given values: by hand, against Optax and against PyTorch's formulas."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gdjax import schedules
from gdjax.errors import InvalidValue

COUNTS = np.arange(14, dtype=np.int32)
IS_CURRENT = tuple(map(int, optax.__version__.split(".")[:3])) >= (0, 2, 8)


def test_piecewise_interpolate_schedule_by_hand():
    line = schedules.piecewise_interpolate_schedule("linear", 8.0, {6: 2.0, 4: 0.25})
    # 8 to 2 in 4 steps, to 4 in 2 more
    assert [float(line(t)) for t in range(8)] == [8, 6.5, 5, 3.5, 2, 3, 4, 4]
    wave = schedules.piecewise_interpolate_schedule("cosine", 8.0, {3: 0.5})
    # (1 + cos(pi / 3)) / 2 = 3/4 and 1/4 of the way back
    np.testing.assert_allclose(wave(jnp.arange(5)), [8, 7, 5, 4, 4], rtol=1e-6)


def test_linear_onecycle_schedule_by_hand():
    # 1 to 4 in 3 steps, back in 4, to 1/8 in 2
    line = schedules.linear_onecycle_schedule(9, 4.0, 0.34, 0.8, 4.0, 8.0)
    expected = [1, 2, 3, 4, 3.25, 2.5, 1.75, 1, (1 + 0.125) / 2, 0.125, 0.125]
    np.testing.assert_allclose(line(jnp.arange(11)), expected, rtol=1e-6)


def test_cosine_onecycle_schedule_by_hand():
    # 1 to 4 in 2 steps, to 1/8 in 3: 3/4 and 1/4 of the way back
    wave = schedules.cosine_onecycle_schedule(5, 4.0, 0.4, 4.0, 8.0)
    fall = 4 - 0.125
    expected = [1, 2.5, 4, 0.125 + 0.75 * fall, 0.125 + 0.25 * fall, 0.125, 0.125]
    np.testing.assert_allclose(wave(jnp.arange(7)), expected, rtol=1e-6)


def test_array_schedule_by_hand():
    values = [0.5, 2.0, 0.25]
    schedule = schedules.array_schedule(values)
    assert [leaf.tolist() for leaf in jax.tree.leaves(schedule)] == [values]
    assert [float(schedule(t)) for t in (0, 1, 2, 3, 10**6)] == [0.5, 2, 0.25, 0.25, 0.25]
    assert jnp.float32 == schedules.array_schedule([1, 2])(0).dtype
    held = jax.grad(lambda values: schedules.array_schedule(values)(7))(jnp.array(values))
    assert held.tolist() == [0, 0, 1]
    batch = jax.vmap(schedules.array_schedule)(jnp.arange(6.0).reshape(2, 3))  # [trial, step]
    assert jax.vmap(lambda schedule: schedule(1))(batch).tolist() == [1, 4]


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("piecewise_interpolate_schedule", ("linear", 0.7)),
        ("piecewise_interpolate_schedule", ("cosine", 0.7, {})),
        ("piecewise_interpolate_schedule", ("cosine", 0.7, {4: 0.0, 7: 3.0})),
        ("linear_onecycle_schedule", (11, 0.7)),
        ("linear_onecycle_schedule", (13, 0.7, 0.5, 0.6, 2.0, 0.5)),
        ("linear_onecycle_schedule", (7, -0.7, 0.3, 0.9)),
        ("cosine_onecycle_schedule", (11, 0.7)),
        ("cosine_onecycle_schedule", (13, 0.7, 0.6, 0.5, 3.0)),
    ]
    # Optax 0.2.5 divides by the length of a piece without steps.
    + [
        ("piecewise_interpolate_schedule", ("linear", 0.7, {0: 2.0, 5: 0.5})),
        ("cosine_onecycle_schedule", (5, 0.7, 0.1)),
    ]
    * IS_CURRENT,
)
def test_equals_optax(name, arguments):
    ours = jax.jit(jax.vmap(getattr(schedules, name)(*arguments)))(COUNTS)
    theirs = jax.jit(jax.vmap(getattr(optax, name)(*arguments)))(COUNTS)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)


def test_given_values_are_reached_exactly():
    for steps in (9, 41, 100):
        for make in (schedules.linear_onecycle_schedule, schedules.cosine_onecycle_schedule):
            onecycle = jax.jit(make(steps, 0.3, 1 / 3, div_factor=5.0, final_div_factor=7.0))
            first = jnp.float32(0.3) / 5
            assert onecycle(0) == first
            assert onecycle(steps // 3) == jnp.float32(0.3)
            assert onecycle(steps) == onecycle(10**6) == first / 7


def test_a_fraction_of_the_steps_that_is_whole_is_not_cut():
    # 0.29 * 100 is 28.999999999999996, of which Optax takes 28.
    ours = schedules.cosine_onecycle_schedule(100, 1.0, 0.29)
    assert ours(29) == 1 > ours(28)
    assert optax.cosine_onecycle_schedule(100, 1.0, 0.29)(28) == pytest.approx(1, rel=1e-6)
    for steps in (10, 100, 1000, 100_000):
        for hundredths in range(10, 100, 10):
            peak = steps * hundredths // 100
            assert schedules.cosine_onecycle_schedule(steps, 1.0, hundredths / 100)(peak) == 1


def test_fractions_out_of_order_leave_out_the_way_back():
    onecycle = schedules.linear_onecycle_schedule(10, 1.0, 0.5, 0.2, 2.0, 4.0)
    np.testing.assert_allclose([onecycle(t) for t in (4, 5, 10)], [0.9, 0.5, 0.125], rtol=1e-6)


def _torch_onecycle(step, total, top, pct_start, div, final_div, three_phase, cosine):
    """One value of PyTorch's ``OneCycleLR``, from its documentation."""
    first = top / div
    if three_phase:
        ends = [pct_start * total - 1, 2 * pct_start * total - 2, total - 1]
        values = [first, top, first, first / final_div]
    else:
        ends, values = [pct_start * total - 1, total - 1], [first, top, first / final_div]
    begin = 0.0
    for i, end in enumerate(ends):
        if step <= end or i == len(ends) - 1:
            p = (step - begin) / (end - begin)
            p = (1 - math.cos(math.pi * p)) / 2 if cosine else p
            return values[i] + (values[i + 1] - values[i]) * p
        begin = end
    raise AssertionError


def test_onecycle_is_pytorchs_whose_phases_end_a_step_earlier():
    peak_at = 4  # pct_start * total - 1 there, pct_start * transition_steps here
    theirs = (11, 0.6, (peak_at + 1) / 11, 5.0, 50.0)
    cosine = schedules.cosine_onecycle_schedule(10, 0.6, peak_at / 10, 5.0, 50.0)
    linear = schedules.linear_onecycle_schedule(10, 0.6, peak_at / 10, 2 * peak_at / 10, 5.0, 50.0)
    for ours, three_phase in ((cosine, False), (linear, True)):
        expected = [_torch_onecycle(t, *theirs, three_phase, not three_phase) for t in range(11)]
        np.testing.assert_allclose(ours(jnp.arange(11)), expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: schedules.piecewise_interpolate_schedule("cubic", 1.0),
            "interpolate_type must be one of 'linear', 'cosine', got 'cubic'",
        ),
        (
            lambda: schedules.piecewise_interpolate_schedule("linear", 1.0, {3: -0.1}),
            "scales must be a number",
        ),
        (lambda: schedules.linear_onecycle_schedule(0, 1.0), "transition_steps"),
        (
            lambda: schedules.linear_onecycle_schedule(9, 1.0, pct_final=85),
            "pct_final is a fraction of the steps and must not exceed 1, got 85",
        ),
        (lambda: schedules.cosine_onecycle_schedule(9, 1.0, 30), "pct_start .* 30"),
        (lambda: schedules.array_schedule([]), r"one axis, .* got shape \(0,\)"),
        (lambda: schedules.array_schedule([[1.0]]), r"got shape \(1, 1\)"),
        (lambda: schedules.array_schedule([1.0, math.nan]), "values .* nan"),
    ],
)
def test_errors_name_the_argument_and_the_value(make, message):
    with pytest.raises(InvalidValue, match=message):
        make()
