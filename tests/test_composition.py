"""Transformations that take transformations."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
import pytest

import gdjax
from gdjax.errors import InvalidType
from gdjax.ranges import Real
from gdjax.transformation import Inner, transformation


class RepeatState(NamedTuple):
    inner_state: Any


def _init_repeat(params, inner):
    return RepeatState(inner(params))


@transformation(init=_init_repeat)
def times(updates, state, params, inner: Inner, factor: Real = 1.0, **extra):
    updates, inner_state = inner(updates, state.inner_state, params, **extra)
    return jax.tree.map(lambda u: factor * u, updates), RepeatState(inner_state)


def test_a_combinator_gets_both_halves_of_its_transformation():
    combined = times(gdjax.trace(0.5), 2.0)
    assert repr(combined) == "times(inner=trace(decay=0.5), factor=2.0)"
    gradient, state = jnp.ones(1), combined.init(jnp.zeros(1))
    first, state = combined.update(gradient, state)
    second, state = combined.update(gradient, state)
    assert (first.item(), second.item()) == (2.0, 3.0)
    assert state.inner_state.trace.item() == 1.5
    assert gdjax.hyperparameters(combined) == {"trace.decay": 0.5, "times.factor": 2.0}
    assert repr(gdjax.replace(combined, decay=0.25)) == repr(times(gdjax.trace(0.25), 2.0))


@transformation()
def needs_value(updates, state, params, *, value):
    return updates, value


def test_a_combinator_takes_optaxs_transformations_and_hands_on_extras():
    updates, _ = times(optax.scale(3.0)).update(jnp.ones(1), RepeatState(optax.ScaleState()))
    assert updates.item() == 3.0
    with pytest.raises(InvalidType, match="needs the extra argument 'value'"):
        times(needs_value()).update(jnp.ones(1), RepeatState(optax.EmptyState()))
    _, state = times(needs_value()).update(jnp.ones(1), RepeatState(optax.EmptyState()), value=4.0)
    assert state.inner_state == 4.0


@pytest.mark.parametrize("inner", [0.1, None, gdjax.adam, (1, 2)])
def test_a_combinator_refuses_what_is_no_transformation(inner):
    with pytest.raises(InvalidType, match="times: inner must be a gradient transformation"):
        times(inner)


def test_schedules_inside_and_outside_of_combinators_keep_their_own_counts():
    down = gdjax.linear_schedule(4.0, 0.0, 4)
    twice = times(times(gdjax.sgd(down), down), 1.0)
    combined = gdjax.chain(times(gdjax.sgd(down), 1.0), twice)
    first, twice_state = combined.init(jnp.zeros(1))
    stepped = twice_state.inner_state._replace(count=jnp.int32(1))
    names = gdjax.hyperparameters(combined, (first, RepeatState(stepped)))
    assert {name: float(value) for name, value in names.items()} == {
        "0.inner.1.scale_by_learning_rate.learning_rate": 4.0,
        "0.times.factor": 1.0,
        "1.inner.inner.1.scale_by_learning_rate.learning_rate": 4.0,
        "1.inner.times.factor": 3.0,
        "1.times.factor": 1.0,
    }
