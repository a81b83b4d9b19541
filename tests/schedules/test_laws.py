"""What every schedule obeys, beside the conformance suite: Optax's names, finite everywhere."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gdjax
from tests import discovery
from tests.discovery import Case

# Of each part of a schedule, and long after its end.
COUNTS = np.append(np.arange(30), 10**6).astype(np.int32)
OPTAX = [
    name
    for name, function in sorted(vars(optax.schedules).items())
    if inspect.isfunction(function)
    and inspect.signature(function).return_annotation == optax.Schedule
]


def test_the_schedules_of_optax_are_found():
    assert {"sgdr_schedule", "join_schedules", "exponential_decay"} <= set(OPTAX)
    assert "inject_hyperparams" not in OPTAX  # it makes no schedule: here every number is a leaf


@pytest.mark.parametrize("name", OPTAX)
def test_every_schedule_of_optax_has_a_counterpart(name):
    ours = inspect.signature(getattr(gdjax, name)).parameters
    theirs = inspect.signature(getattr(optax, name)).parameters
    assert list(ours) == list(theirs)
    assert [p.default for p in ours.values()] == [p.default for p in theirs.values()]


def _assert_finite(case: Case, numbers: dict) -> None:
    """Values, and derivatives with respect to every number that is not an int."""
    leaves, treedef = jax.tree.flatten(numbers)
    real = [jnp.issubdtype(jnp.result_type(x), jnp.floating) for x in leaves]

    def values(numbers: list) -> jax.Array:
        given = iter(numbers)
        mixed = [next(given) if r else leaf for r, leaf in zip(real, leaves, strict=True)]
        return jax.vmap(case.make(treedef.unflatten(mixed)))(COUNTS).astype(float)

    numbers = [jnp.asarray(x, float) for x, r in zip(leaves, real, strict=True) if r]
    both = jax.jit(lambda numbers: (values(numbers), jax.jacrev(values)(numbers)))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(both(numbers)))


@discovery.each("schedule")
def test_values_and_derivatives_are_finite_at_every_step(case: Case):
    """At step 0 and past all ends; lengths may be given as numbers that are not whole."""
    lengths = {name: value + 0.5 for name, value in case.values().items() if isinstance(value, int)}
    _assert_finite(case, case.values())
    _assert_finite(case, case.values() | lengths)


@discovery.each("schedule")
def test_a_length_of_0_leaves_nothing_that_is_not_finite(case: Case):
    for name, value in case.values().items():
        if isinstance(value, int) and case.interval(name).low == 0:
            _assert_finite(case, case.values() | {name: 0.0})


@discovery.each("schedule")
def test_before_the_first_step_a_schedule_is_as_at_it(case: Case):
    """Also where it is shifted: nothing climbs, falls or oscillates before it begins."""
    curve = case.make()
    values = np.asarray([curve(count) for count in (-1000, -5, -1)])
    np.testing.assert_allclose(values, np.full(3, curve(0)), rtol=1e-6)


@discovery.each("schedule")
def test_steps_may_be_floats(case: Case):
    """As an axis of a plot is."""
    curve = case.make()
    np.testing.assert_allclose(curve(jnp.asarray(7.0)), curve(7), rtol=1e-6)
