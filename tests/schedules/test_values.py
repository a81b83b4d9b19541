"""Values worked by hand, Optax as the oracle, joins and edges."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gdjax import schedules
from tests import runs

COUNTS = np.array([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 20, 1000], np.int32)

BY_HAND = {
    "constant": (schedules.constant_schedule(3), {0: 3, 7: 3}),
    # 2 + (10 - 2) * ((4 - t) / 4)**2 with t = count - 1
    "polynomial": (
        schedules.polynomial_schedule(10.0, 2.0, 2.0, 4, 1),
        {0: 10, 1: 10, 2: 2 + 8 * 9 / 16, 3: 2 + 8 * 4 / 16, 4: 2 + 8 / 16, 5: 2, 6: 2},
    ),
    "linear": (
        schedules.linear_schedule(1.0, 3.0, 4, 2),
        {0: 1, 2: 1, 3: 1.5, 4: 2, 5: 2.5, 6: 3, 7: 3},
    ),
    "piecewise": (
        schedules.piecewise_constant_schedule(8.0, {5: 0.25, 2: 0.5}),
        {0: 8, 1: 8, 2: 4, 4: 4, 5: 1, 9: 1},
    ),
    "exponential": (
        schedules.exponential_decay(8.0, 2, 0.25, 1),
        {0: 8, 1: 8, 2: 4, 3: 2, 5: 0.5},
    ),
    "staircase": (
        schedules.exponential_decay(8.0, 2, 0.25, staircase=True, end_value=0.25),
        {0: 8, 1: 8, 2: 2, 3: 2, 4: 0.5, 6: 0.25, 7: 0.25},
    ),
    # cos(pi / 3) = 1/2, cos(2 pi / 3) = -1/2: factors 3/4 and 1/4; 4 * (0.5 * factor + 0.5)
    "cosine": (
        schedules.cosine_decay_schedule(4.0, 3, alpha=0.5),
        {0: 4, 1: 3.5, 2: 2.5, 3: 2, 4: 2},
    ),
    "join": (
        schedules.join_schedules(
            [schedules.linear_schedule(0.0, 4.0, 2), schedules.linear_schedule(9.0, 0.0, 3)], [3]
        ),
        {0: 0, 1: 2, 2: 4, 3: 9, 4: 6, 5: 3, 6: 0, 7: 0},
    ),
    "warmup_constant": (
        schedules.warmup_constant_schedule(1.0, 5.0, 2),
        {0: 1, 1: 3, 2: 5, 3: 5},
    ),
    # after the warm-up 1 + (4 - 1) * {1, 3/4, 1/4, 0}
    "warmup_cosine": (
        schedules.warmup_cosine_decay_schedule(0.0, 4.0, 2, 5, end_value=1.0),
        {0: 0, 1: 2, 2: 4, 3: 3.25, 4: 1.75, 5: 1, 6: 1},
    ),
    "warmup_exponential": (
        schedules.warmup_exponential_decay_schedule(0.0, 4.0, 2, 1, 0.5, 1),
        {0: 0, 1: 2, 2: 4, 3: 4, 4: 2, 5: 1},
    ),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_values_worked_by_hand(name):
    schedule, expected = BY_HAND[name]
    counts = jnp.array(list(expected))
    values = _values(schedule, counts)
    np.testing.assert_allclose(values, list(expected.values()), rtol=1e-6, atol=1e-7)
    vector = jax.jit(lambda schedule: schedule(counts))(schedule)  # without vmap
    np.testing.assert_allclose(vector, values, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("constant_schedule", (0.3,)),
        ("polynomial_schedule", (0.1, 2.0, 0.5, 8, 2)),
        ("polynomial_schedule", (0.1, 2.0, 3.0, 9)),
        ("polynomial_schedule", (0.1, 2.0, 0.0, 9)),
        ("polynomial_schedule", (0.1, 2.0, 3.0, 0, 2)),
        ("linear_schedule", (0.1, 2.0, 9)),
        ("linear_schedule", (2.0, 0.1, 1, 5)),
        ("linear_schedule", (2.0, 0.1, 0)),
        ("piecewise_constant_schedule", (0.1,)),
        ("piecewise_constant_schedule", (0.1, {})),
        ("piecewise_constant_schedule", (0.1, {9: 0.0, 0: 2.0, 3: 0.7})),
        ("exponential_decay", (0.1, 3, 0.7)),
        ("exponential_decay", (0.1, 3, 0.7, 2, True)),
        ("exponential_decay", (0.1, 3, 0.7, 0, False, 0.05)),
        ("exponential_decay", (0.1, 3, 1.7, 1, True, 0.5)),
        ("exponential_decay", (0.1, 3, 1.0, 1, False, 0.05)),
        ("exponential_decay", (0.1, 0, 0.7)),
        ("cosine_decay_schedule", (0.1, 9)),
        ("cosine_decay_schedule", (0.1, 9, 0.3, 2.5)),
        ("cosine_decay_schedule", (0.1, 1, 0.3, 0.5)),
        ("cosine_decay_schedule", (0.1, 9, 0.3, 0.0)),
        ("warmup_constant_schedule", (0.1, 2.0, 5)),
        ("warmup_cosine_decay_schedule", (0.1, 2.0, 5, 11)),
        ("warmup_cosine_decay_schedule", (0.1, 2.0, 0, 11, 0.2, 1.5)),
        ("warmup_cosine_decay_schedule", (0.1, 0.0, 3, 11, 0.2)),
        ("warmup_exponential_decay_schedule", (0.1, 2.0, 5, 4, 0.5)),
        ("warmup_exponential_decay_schedule", (0.1, 2.0, 0, 4, 0.5, 2, True, 0.3)),
        ("warmup_exponential_decay_schedule", (0.1, 2.0, 5, 4, 1.5, 2, False, 9.0)),
    ],
)
def test_equals_optax(name, arguments):
    ours = _values(getattr(schedules, name)(*arguments), COUNTS)
    theirs = jax.jit(jax.vmap(getattr(optax, name)(*arguments)))(COUNTS)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-7)
    assert ours.dtype == jnp.float32
    assert not ours.weak_type


def test_ends_are_exact_where_the_compiler_divides_by_multiplying():
    # Compiled, t / steps is t times a rounded 1 / steps, which need not be 1 at the end. Optax's
    # root is NaN there at 9 and 0.25014 at 41, and its staircase is a step late at 41.
    for steps in (9, 41):
        end = jax.jit(schedules.polynomial_schedule(1.0, 0.25, 0.5, steps))(jnp.int32(steps))
        assert end == 0.25
        stairs = schedules.exponential_decay(1.0, steps, 0.5, staircase=True)
        falls = jax.jit(stairs)(jnp.array([steps - 1, steps, 2 * steps]))
        np.testing.assert_allclose(falls, [1, 0.5, 0.25], rtol=1e-6)


def test_join_takes_optax_closures_and_holds_the_rest_as_leaves():
    ours = [schedules.linear_schedule(0.0, 1.0, 3), optax.cosine_decay_schedule(1.0, 4), _seven]
    theirs = [optax.linear_schedule(0.0, 1.0, 3), ours[1], _seven]
    joined = schedules.join_schedules(ours, [3, 9])
    assert len(jax.tree.leaves(joined)) == 4 + 2  # linear's constants and the boundaries
    np.testing.assert_allclose(
        _values(joined, COUNTS),
        jax.jit(jax.vmap(optax.join_schedules(theirs, [3, 9])))(COUNTS),
        rtol=1e-6,
    )
    assert joined(20).dtype == jnp.float32
    assert not joined(20).weak_type


def test_join_of_joins_and_of_one():
    linear = schedules.linear_schedule(0.0, 4.0, 4)
    assert schedules.join_schedules([linear], []) is linear
    inner = schedules.join_schedules([linear, linear], [2])  # 0 1 | 0 1 2 3 4
    outer = schedules.join_schedules([inner, inner], [3])  # 0 1 0 | 0 1 0 1 2
    np.testing.assert_array_equal(outer(jnp.arange(8)), [0, 1, 0, 0, 1, 0, 1, 2])


def test_join_shows_each_schedule_only_its_own_steps():
    def strict(count):  # finite only in its own three steps
        return 1 / (3.0 - count)

    joined = schedules.join_schedules([_seven, strict, schedules.constant_schedule(0.5)], [2, 4])
    np.testing.assert_allclose(joined(jnp.arange(5)), [7, 7, 1 / 3, 1 / 2, 0.5], rtol=1e-6)

    def value(rate, count):  # overflows unless it is held at the join
        growth = schedules.exponential_decay(1.0, 1, rate)
        return schedules.join_schedules([growth, schedules.constant_schedule(2.0)], [3])(count)

    assert jax.grad(value)(2.0, 2) == 4  # d rate**2 / d rate
    assert jax.grad(value)(2.0, 10_000) == 0


def test_no_warmup_is_the_peak_at_once_also_traced():
    for make in (
        lambda steps: schedules.warmup_constant_schedule(0.0, 1.0, steps),
        lambda steps: schedules.warmup_cosine_decay_schedule(0.0, 1.0, steps, 8),
        lambda steps: schedules.warmup_exponential_decay_schedule(0.0, 1.0, steps, 4, 0.5),
    ):
        assert make(0)(0) == 1
        sweep = jax.vmap(make)(jnp.array([0, 2]))
        values = jax.jit(jax.vmap(lambda s: s(jnp.arange(10))))(sweep)  # [trial, step]
        loop = [_values(make(steps), jnp.arange(10)) for steps in (0, 2)]
        np.testing.assert_allclose(values, loop, rtol=1e-6, atol=1e-7)


EVERY_FLOAT = [
    (schedules.polynomial_schedule, (1.0, 0.1, 0.5, 8.0, 2.0)),
    (schedules.polynomial_schedule, (1.0, 0.1, 2.0, 0.0, 2.0)),
    (schedules.exponential_decay, (1.0, 8.0, 0.5, 2.0)),
    (lambda *a: schedules.exponential_decay(*a[:-1], end_value=a[-1]), (1.0, 8.0, 5.0, 2.0, 9.0)),
    (schedules.cosine_decay_schedule, (1.0, 8.0, 0.1, 0.5)),
    (schedules.warmup_cosine_decay_schedule, (0.0, 1.0, 2.0, 8.0, 0.1, 0.5)),
    (schedules.warmup_cosine_decay_schedule, (0.0, 0.0, 8.0, 8.0, 0.1, 0.5)),
    (schedules.warmup_exponential_decay_schedule, (0.0, 1.0, 0.0, 8.0, 0.5, 2.0)),
]


@pytest.mark.parametrize(("make", "constants"), EVERY_FLOAT)
def test_values_and_derivatives_are_finite_at_every_step(make, constants):
    # The step counts too, as a caller may pass them as floats; 10**6 overflows a growing one.
    def value(constants, count):
        return make(*constants)(count)

    counts = jnp.append(jnp.arange(13), 10**6)
    traced = jax.tree.map(jnp.asarray, constants)
    values, slopes = jax.jit(jax.vmap(jax.value_and_grad(value), (None, 0)))(traced, counts)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves((values, slopes)))


def test_derivatives_worked_by_hand():
    polynomial = jax.grad(
        lambda power, count: schedules.polynomial_schedule(3.0, 1.0, power, 4)(count)
    )
    assert math.isclose(polynomial(2.0, 2), 2 * 0.25 * math.log(0.5), rel_tol=1e-6)
    assert polynomial(2.0, 4) == 0

    def scaled(scales):
        steps = dict(zip((2, 4, 6), scales, strict=True))
        return schedules.piecewise_constant_schedule(5.0, steps)(4)

    np.testing.assert_allclose(jax.grad(scaled)(jnp.array([0.0, 3.0, 7.0])), [15, 0, 0])


def test_float64_under_x64():
    with runs.enable_x64(True):
        for schedule in (
            schedules.constant_schedule(1),
            schedules.warmup_cosine_decay_schedule(0.0, 1.0, 2, 7),
            schedules.piecewise_constant_schedule(1.0, {3: 0.1}),
            schedules.join_schedules([_seven, _seven], [2]),
        ):
            assert schedule(jnp.int32(3)).dtype == jnp.float64


@jax.jit
def _values(schedule, counts):
    return jax.vmap(schedule)(counts)


def _seven(count):
    del count
    return 7
