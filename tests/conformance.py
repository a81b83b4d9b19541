"""The laws of gdjax, each checked on every public transformation, optimizer and schedule.

Nothing is listed here: ``tests/discovery.py`` finds the rules and makes their arguments, so a new
rule is held to every law by being exported. The laws are those of the contributor's guide; a
tolerance stands beside its reason.
"""

import functools
import inspect
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax
from gdjax import binding
from tests import discovery, runs
from tests.discovery import Case

KINDS = ("transformation", "optimizer", "schedule")


def each(*kinds: str) -> pytest.MarkDecorator:
    # Of module scope, so that all laws of one case follow each other and share its programs.
    return pytest.mark.parametrize("case", discovery.cases(*kinds), ids=str, scope="module")


behave = jax.jit(runs.behave)
behave_together = jax.jit(jax.vmap(runs.behave))
constant_updates = jax.jit(runs.constant_updates)


@jax.jit
def update(pair: Any, *args: Any) -> tuple:
    return pair.update(*args)


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
    makes = {
        name
        for name in gdjax.__all__
        if inspect.isfunction(function := getattr(gdjax, name))
        and inspect.signature(function).return_annotation
        in (gdjax.GradientTransformation, binding.Bound)
    }
    # What takes or changes a transformation is not a rule; all else that makes one is.
    assert makes - found <= {"chain", "named_chain", "replace", "bind"}


def test_a_new_rule_is_picked_up(monkeypatch):
    def scale_by_two(updates, state, params, by: binding.Decay = 0.5, exact: bool = False):
        return updates, state

    scale_by_two.__module__ = "gdjax.transforms.scaling"
    factory = gdjax.transformation()(scale_by_two)
    monkeypatch.setattr("gdjax.transforms.scaling.scale_by_two", factory, raising=False)
    assert discovery.factories("transformation")["scale_by_two"] is factory
    plain, exact = discovery.variants("transformation", factory)
    assert plain.values() == {"by": 0.6}
    assert exact.structure == {"exact": True}


# 1. One program -----------------------------------------------------------------------------


@each(*KINDS)
def test_one_program_for_all_values(case: Case):
    traces = []

    @jax.jit
    def step(thing, *args):
        traces.append(None)
        return thing.update(*args) if isinstance(thing, tuple) else thing(*args)

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
    """A Python, NumPy or JAX number, whole or not, is the same leaf."""
    expected = runs.types(case.make())
    for name, value in case.values().items():
        if not isinstance(value, (int, float)):
            continue
        interval = case.interval(name)
        whole = value if interval.integer else next(n for n in (0, 1) if interval.contains(n))
        forms = (int, float, np.int64, np.float32, np.float64, np.asarray, jnp.int32, jnp.asarray)
        for form in forms if interval.integer else (*forms, jnp.float32):
            assert runs.types(case.make(**{name: form(whole)})) == expected, (name, form)


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
        runs.assert_close(together, stack, rtol=2e-6, atol=2e-7)
        assert len({str(jax.tree.leaves(one)) for one in alone}) == 3, f"{name} changes nothing"


def _make_with(case: Case, name: str, value: Any) -> Any:
    return case.make(**{name: value})


# 3. Finite and right derivatives ------------------------------------------------------------


def _objective(case: Case, values: dict) -> tuple:
    """A scalar function of all real hyperparameters, as a vector, and where they stand."""
    leaves, treedef = jax.tree.flatten(values)
    real = [jnp.issubdtype(jnp.result_type(x), jnp.floating) for x in leaves]

    def objective(x: jax.Array) -> jax.Array:
        numbers = iter(x)
        new = [next(numbers) if r else leaf for r, leaf in zip(real, leaves, strict=True)]
        outcome = runs.behave(case.make(treedef.unflatten(new)))
        flat = jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(outcome)])
        return jnp.cos(jnp.arange(flat.size)) @ flat

    return objective, jnp.array([x for r, x in zip(real, leaves, strict=True) if r])


@each(*KINDS)
def test_derivatives_are_finite(case: Case):
    objective, generic = _objective(case, case.values())
    _, defaults = _objective(case, case.defaults())
    if not generic.size:
        assert not any(jnp.issubdtype(x.dtype, jnp.floating) for x in jax.tree.leaves(case.make()))
        return
    derivatives = jax.jit(lambda x: (jax.grad(objective)(x), jax.jacfwd(objective)(x)))
    for x in (generic, defaults):
        for derivative in derivatives(x):
            assert np.isfinite(derivative).all(), dict(zip(case.numbers, derivative, strict=False))


@each(*KINDS)
def test_derivatives_agree_with_central_differences(case: Case):
    with runs.enable_x64(True):
        objective, x = _objective(case, case.values())
        if not x.size:
            return
        reverse, forward = jax.jit(lambda x: (jax.grad(objective)(x), jax.jacfwd(objective)(x)))(x)
        value = jax.jit(objective)

        def central(i: int, h: float) -> float:
            step = h * x[i] * jnp.eye(x.size)[i]
            return float((value(x + step) - value(x - step)) / (2 * h * x[i]))

        for i in range(x.size):
            # Richardson's extrapolation: the error is of order h^4, rounding about 1e-12.
            expected = (4 * central(i, 5e-4) - central(i, 1e-3)) / 3
            assert expected != 0
            np.testing.assert_allclose(reverse[i], expected, rtol=1e-5)
            np.testing.assert_allclose(forward[i], expected, rtol=1e-5)
