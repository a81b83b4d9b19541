"""The laws of gdjax that transformations, optimizers and schedules share.

Each law is checked on every public one of them. Nothing is listed here: ``tests/discovery.py``
finds the rules and makes their arguments, so a new rule is held to every law by being exported.
A tolerance stands beside its reason. Further laws: ``test_conformance_of_pairs.py`` holds
transformations to those of dtypes and debiasing (4, 5), ``test_conformance_of_state.py`` to that
of their state (6); ``test_conformance_of_data.py`` holds all to the round trip (7);
``test_conformance_in_bfloat16.py`` holds transformations to 1, 2, 3 and 7 in that dtype,
``test_conformance_to_optax.py`` to those of evidence and traffic (8, 9).
"""

import functools
import inspect
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax
from gdjax import binding, ranges
from tests import discovery, runs
from tests.discovery import Case

KINDS = discovery.KINDS
each = discovery.each

behave = runs.jit(runs.behave)
storm = runs.jit(runs.storm)
on_two_leaves = runs.jit(functools.partial(runs.behave, params=runs.TWO_LEAVES))
behave_together = runs.jit(jax.vmap(runs.behave))
far = runs.jit(functools.partial(runs.behave, factors=(1.0,) * 24))


# Discovery ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_discovered_is_exported(kind):
    found = discovery.factories(kind)
    known = {
        "transformation": {"identity", "clip", "scale_by_adam", "add_decayed_weights", "trace"},
        "optimizer": {"sgd", "adam", "adamw", "rmsprop"},
        "schedule": {"cosine_decay_schedule", "join_schedules", "piecewise_constant_schedule"},
    }[kind]
    assert found.keys() >= known
    assert set(gdjax.__all__) >= found.keys()


def test_every_exported_factory_is_discovered():
    found = {name for kind in KINDS for name in discovery.factories(kind)}
    assert {name for name in gdjax.__all__ if _makes_a_rule(getattr(gdjax, name))} <= found


def _makes_a_rule(function: Any) -> bool:
    """Whether it makes a transformation or a schedule, and not of others: ``chain``, ``bind``."""
    if not inspect.isfunction(function):
        return False
    signature = inspect.signature(function)
    products = (gdjax.GradientTransformation, binding.Schedule)
    return signature.return_annotation in products and not any(
        p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) or p.annotation in products
        for p in signature.parameters.values()
    )


def test_a_new_rule_is_picked_up(monkeypatch):
    def scale_by_two(
        updates,
        state,
        params,
        by: ranges.Decay = 0.5,
        exact: bool = False,
        block: ranges.Size = 8,
    ):
        return updates, state

    scale_by_two.__module__ = "gdjax.transforms.scaling"
    factory = gdjax.transformation()(scale_by_two)
    monkeypatch.setattr("gdjax.transforms.scaling.scale_by_two", factory, raising=False)
    assert discovery.factories("transformation")["scale_by_two"] is factory
    plain, exact, blocks = discovery.variants("transformation", factory)
    assert plain.values() == {"by": 0.6}
    assert exact.structure == {"exact": True}
    assert blocks.structure == {"block": 2}


# 1. One program -----------------------------------------------------------------------------


@each(*KINDS)
def test_one_program_for_all_values(case: Case):
    traces = []

    @runs.jit
    def step(thing, *args):
        traces.append(None)
        return runs.apply(thing, *args) if isinstance(thing, tuple) else thing(*args)

    things = [case.make()] + [
        case.make(**{name: case.values(i)[name]}) for name in case.numbers for i in (1, 2)
    ]
    for thing in things:
        if isinstance(thing, tuple):
            params = runs.cast(runs.PARAMS, float)
            _, state = step(thing, params, thing.init(params), params)
            step(thing, params, state, params)
        else:
            step(thing, 0)
            step(thing, 7)
    assert len(traces) == 1


@each(*KINDS)
def test_one_program_for_all_kinds_of_numbers(case: Case):
    """A Python, NumPy or JAX number, whole or not, is the same leaf; of a seed a whole one is."""
    expected = runs.types(case.make())
    for name, value in case.values().items():
        if not isinstance(value, (int, float)):
            continue
        interval = case.interval(name)
        whole, forms = value, (int, np.int64, np.asarray, jnp.int32, jnp.asarray)
        if interval:
            forms = (*forms, float, np.float32, np.float64)
        if interval and not interval.integer:
            whole = next(filter(interval.contains, range(100)), None)
            if whole is None:  # between 0 and 1
                continue
            forms = (*forms, jnp.float32, _weak)
        for form in forms:
            assert runs.types(case.make(**{name: form(whole)})) == expected, (name, form)


def _weak(value: float) -> jax.Array:
    return jnp.asarray(float(value))


# 2. vmap = loop -----------------------------------------------------------------------------


@each(*KINDS)
def test_vmap_is_a_loop(case: Case):
    for name in case.numbers:
        values = [case.values(i)[name] for i in range(3)]
        stacked = jax.tree.map(lambda *x: jnp.asarray(np.stack(x)), *values)
        things = jax.vmap(functools.partial(_make_with, case, name))(stacked)
        together = behave_together(things)
        alone = [behave(case.make(**{name: value})) for value in values]
        # Two programs, so XLA may fuse and contract differently: some units in the last place
        # (1.2e-7) of each operation, relative to the largest number where terms cancel.
        stack = jax.tree.map(lambda *x: jnp.stack(x), *alone)
        runs.assert_close(together, stack, rtol=2e-6, atol=2e-7 * max(1.0, runs.largest(stack)))
        assert any(map(_differ, _outcomes(case, name, alone))), f"{name} changes nothing"


def _outcomes(case: Case, name: str, usual: list) -> Iterator[list]:
    """Of different values: in the usual run, and where else they may show."""
    yield usual
    # A floor of the parameters shows where they begin at 0.
    at_zero = jax.tree.map(np.zeros_like, runs.PARAMS)
    yield [behave(case.make(**{name: case.values(i)[name]}), at_zero) for i in range(3)]
    # What is only compared, or of which only the sign is used, may decide nothing between
    # neighbours: then it does between its default, the first of them, and no past at all.
    defaults = case.defaults()
    apart = [defaults[name], case.values()[name], *([0.0] if name in case.decays else [])]
    yield [behave(case.make({**defaults, name: value})) for value in apart]
    # Some arguments are for matrices, some for all other arrays.
    yield [on_two_leaves(case.make(**{name: case.values(i)[name]})) for i in range(3)]
    # What reads on, or waits for what is not finite.
    yield [storm(case.make(**{name: case.values(i)[name]})) for i in range(3)]
    # What estimates how far it is to go must have gone some way.
    yield [far(case.make(**{name: case.values(i)[name]})) for i in range(3)]
    # What is read with another structure only.
    for other in discovery.variants(case.kind, case.factory):
        if name in other.numbers and other.structure != case.structure:
            yield [behave(other.make(**{name: other.values(i)[name]})) for i in range(3)]


def _differ(outcomes: list) -> bool:
    return len({str(jax.tree.leaves(outcome)) for outcome in outcomes}) > 1


def _make_with(case: Case, name: str, value: Any) -> Any:
    return case.make(**{name: value})


# 3. Finite and right derivatives ------------------------------------------------------------


def objective_of(case: Case, values: dict, behave: Any = runs.behave) -> tuple:
    """A scalar function of all real hyperparameters, as a vector, and where they stand."""
    leaves, treedef = jax.tree.flatten(values)
    real = [jnp.issubdtype(jnp.result_type(x), jnp.floating) for x in leaves]

    def objective(x: jax.Array) -> jax.Array:
        numbers = iter(x)
        new = [next(numbers) if r else leaf for r, leaf in zip(real, leaves, strict=True)]
        outcome = behave(case.make(treedef.unflatten(new)))
        flat = jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(outcome)])
        return jnp.cos(jnp.arange(flat.size)) @ flat

    return objective, jnp.array([x for r, x in zip(real, leaves, strict=True) if r])


def _derivatives(objective: Any) -> Any:
    """Reverse and forward derivatives, as two vectors."""

    @runs.jit
    def both(x: jax.Array, direction: jax.Array) -> tuple:
        return jax.grad(objective)(x), jax.jvp(objective, (x,), (direction,))[1]

    def derivatives(x: jax.Array) -> tuple[jax.Array, list]:
        reverse, forward = zip(*(both(x, axis) for axis in jnp.eye(x.size)), strict=True)
        return reverse[0], list(forward)

    return derivatives


@each(*KINDS, where=lambda case: case.reals)
def test_derivatives_are_finite(case: Case):
    """At generic values and at the defaults, with a coordinate whose gradient is always 0."""
    objective, generic = objective_of(case, case.values())
    _, defaults = objective_of(case, case.defaults())
    derivatives = _derivatives(objective)
    for x in (generic, defaults):
        assert np.isfinite(derivatives(x)).all(), case.numbers


# Storing a moment in a narrower dtype makes the run a step function of its hyperparameters: its
# difference quotients are not what is meant by its derivative.
@each(*KINDS, where=lambda case: case.reals and not case.rounds)
def test_derivatives_agree_with_central_differences(case: Case):
    """Where a rule takes signs, both are exactly 0: a step function of its hyperparameters."""
    with runs.enable_x64(True):
        objective, x = objective_of(case.at_full_precision, case.values())
        value = runs.jit(objective)

        def central(i: int, h: float) -> float:
            step = h * x[i] * jnp.eye(x.size)[i]
            return float((value(x + step) - value(x - step)) / (2 * h * x[i]))

        # Richardson's extrapolation: the error is of order h^4, rounding about 1e-12. Where terms
        # cancel that do depend on x, all that is left is the rounding of the two values.
        expected = [(4 * central(i, 5e-4) - central(i, 1e-3)) / 3 for i in range(x.size)]
        rounding = float(jnp.finfo(x.dtype).eps * abs(value(x)) / (5e-4 * jnp.min(jnp.abs(x))))
        for derivative in _derivatives(objective)(x):
            np.testing.assert_allclose(derivative, expected, rtol=1e-5, atol=8 * rounding)


# 4. dtype, of schedules; of transformations in test_conformance_of_pairs.py -----------------


@each("schedule")
@pytest.mark.parametrize("x64", [False, True])
def test_schedule_is_a_strong_float(case: Case, x64):
    """Of the widest float, whatever counts; also of the weak numbers inside a jit.

    A size is a whole number: int32.
    """
    with runs.enable_x64(x64):
        dtype = jnp.int32 if case.name.endswith("_size_schedule") else jnp.zeros(()).dtype
        for count in (3, np.int64(3), jnp.int32(3), jnp.uint32(3)):
            value = case.make()(count)
            assert (value.dtype, value.weak_type, value.shape) == (dtype, False, ())
        traced = jax.eval_shape(lambda values: case.make(values)(3), case.values())
        assert (traced.dtype, traced.weak_type, traced.shape) == (dtype, False, ())
