"""What is refused, and a schedule in its place: as a hyperparameter."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdjax import inspection, schedules, trees
from gdjax.errors import InvalidType, InvalidValue
from gdjax.ranges import Real
from gdjax.transformation import transformation

_linear = schedules.linear_schedule(0.0, 1.0, 3)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: schedules.linear_schedule(1.0, 0.0, -1), InvalidValue, r"transition_steps .*-1"),
        (lambda: schedules.linear_schedule(1.0, 0.0, 2.5), InvalidValue, r"whole number .*2\.5"),
        (lambda: schedules.linear_schedule(1.0), InvalidType, "'end_value'"),
        (lambda: schedules.linear_schedule(1.0, "0", 3), InvalidType, "end_value .*'0'"),
        (
            lambda: schedules.polynomial_schedule(1.0, 0.0, -1.0, 3),
            InvalidValue,
            r"power must be a number in \[0, inf\), got -1",
        ),
        (
            lambda: schedules.linear_schedule(1.0, 0.0, 3, -1),
            InvalidValue,
            r"transition_begin must be a whole number in \[0, inf\), got -1",
        ),
        (
            lambda: schedules.exponential_decay(1.0, 3, 0.0),
            InvalidValue,
            r"decay_rate must be a number in \(0, inf\), got 0",
        ),
        (
            lambda: schedules.exponential_decay(1.0, 3, 0.5, staircase=jnp.array(True)),
            InvalidType,
            "staircase is structural",
        ),
        (lambda: schedules.cosine_decay_schedule(1.0, 0), InvalidValue, "decay_steps .* got 0"),
        (lambda: schedules.cosine_decay_schedule(math.nan, 9), InvalidValue, "init_value .*nan"),
        (
            lambda: schedules.piecewise_constant_schedule(1.0, {3: -0.1}),
            InvalidValue,
            r"scales must be a number in \[0, inf\)",
        ),
        (
            lambda: schedules.piecewise_constant_schedule(1.0, {2.5: 0.1}),
            InvalidValue,
            "boundaries must be a whole number",
        ),
        (
            lambda: schedules.warmup_cosine_decay_schedule(0.0, 1.0, 9, 9),
            InvalidValue,
            "must exceed warmup_steps, got decay_steps=9 and warmup_steps=9",
        ),
        (
            lambda: schedules.join_schedules([_linear], [3]),
            InvalidValue,
            "1 schedules need one boundary less, got 1",
        ),
        (
            lambda: schedules.join_schedules([_linear, 0.5], [3]),
            InvalidType,
            r"schedules\[1\] must be a function of the step, got 0\.5",
        ),
        (
            lambda: schedules.join_schedules([_linear] * 3, [5, 3]),
            InvalidValue,
            r"must not decrease, got \[5, 3\]",
        ),
        (
            lambda: schedules.join_schedules([_linear] * 2, [-3]),
            InvalidValue,
            "boundaries must be a whole number .* got -3",
        ),
    ],
)
def test_errors_name_the_argument_and_the_value(make, error, message):
    with pytest.raises(error, match=message):
        make()


@transformation()
def scale_by_factor(updates, state, params, factor: Real = 1.0):
    del params
    return trees.map_leaves(lambda g: factor * g, updates), state


def test_scheduled_transformation_counts_and_shows_its_value():
    optimizer = scale_by_factor(schedules.linear_schedule(0.0, 1.0, 4))
    state = optimizer.init(jnp.ones(2))
    for step, factor in enumerate([0, 0.25, 0.5, 0.75, 1, 1]):
        assert state.count == step
        assert inspection.hyperparameters(optimizer, state) == {"scale_by_factor.factor": factor}
        updates, state = optimizer.update(jnp.ones(2), state)
        np.testing.assert_array_equal(updates, [factor, factor])


def test_replace_reaches_the_constants_of_a_schedule():
    optimizer = scale_by_factor(schedules.warmup_cosine_decay_schedule(0.0, 1.0, 2, 6))
    other = inspection.replace(optimizer, peak_value=3.0, warmup_steps=1)
    assert jax.tree.structure(optimizer) == jax.tree.structure(other)
    assert jax.tree.leaves(other.update) == [0, 3, 1, 6, 0, 1]
    state = other.init(1.0)._replace(count=jnp.int32(1))
    assert other.update(jnp.ones(()), state)[0] == 3
    with pytest.raises(InvalidValue, match="decay_steps must be a whole number"):
        inspection.replace(optimizer, decay_steps=0)


def test_another_constant_is_another_argument_not_another_program():
    traces = []

    @jax.jit
    def step(optimizer):
        traces.append(1)
        return optimizer.update(jnp.ones(()), optimizer.init(jnp.ones(())))[0]

    for init_value, scale in [(1.0, 0.5), (2.0, 0.5), (2.0, 0.25)]:
        schedule = schedules.piecewise_constant_schedule(init_value, {0: scale, int(4 / scale): 0})
        assert step(scale_by_factor(schedule)) == init_value * scale
    assert len(traces) == 1


def test_vmap_over_a_constant_equals_the_loop():
    def run(init_value):
        optimizer = scale_by_factor(
            schedules.piecewise_constant_schedule(init_value, {1: 0.5, 2: init_value})
        )
        state = optimizer.init(jnp.ones(()))
        return jax.lax.scan(lambda s, g: optimizer.update(g, s)[::-1], state, jnp.ones(4))[1]

    init_values = jnp.array([0.1, 1.0, 10.0])
    looped = [run(value) for value in init_values]
    np.testing.assert_allclose(jax.vmap(run)(init_values), looped, rtol=1e-6)
    # 10, 10 / 2, then times init_value 10
    np.testing.assert_allclose(looped[2], [10, 5, 50, 50], rtol=1e-6)
