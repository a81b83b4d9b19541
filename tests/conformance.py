"""The laws of gdjax that transformations, optimizers and schedules share.

Each law is checked on every public one of them. Nothing is listed here: ``tests/discovery.py``
finds the rules and makes their arguments, so a new rule is held to every law by being exported.
A tolerance stands beside its reason. ``test_conformance_of_pairs.py`` holds transformations to
the laws of dtypes, debiasing and state (4 to 6), ``test_conformance_to_optax.py`` all to those of
evidence and traffic (8, 9).
"""

import functools
import inspect
import io
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

behave = jax.jit(runs.behave)
on_two_leaves = jax.jit(functools.partial(runs.behave, params=runs.TWO_LEAVES))
behave_together = jax.jit(jax.vmap(runs.behave))


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
    products = (gdjax.GradientTransformation, binding.Bound)
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

    @jax.jit
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
    """A Python, NumPy or JAX number, whole or not, is the same leaf."""
    expected = runs.types(case.make())
    for name, value in case.values().items():
        if not isinstance(value, (int, float)):
            continue
        interval = case.interval(name)
        whole = value if interval.integer else next(n for n in (0, 1) if interval.contains(n))
        forms = (int, float, np.int64, np.float32, np.float64, np.asarray, jnp.int32, jnp.asarray)
        for form in forms if interval.integer else (*forms, jnp.float32, _weak):
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
        runs.assert_close(together, stack, rtol=2e-6, atol=2e-7)
        # Some arguments are for matrices, some for all other arrays.
        assert _differ(alone) or _differ(
            [on_two_leaves(_make_with(case, name, x)) for x in values]
        ), f"{name} changes nothing"


def _differ(outcomes: list) -> bool:
    return len({str(jax.tree.leaves(one)) for one in outcomes}) > 1


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


def _derivatives(objective: Any) -> Any:
    """Reverse and forward derivatives, as two vectors."""

    @jax.jit
    def both(x: jax.Array, direction: jax.Array) -> tuple:
        return jax.grad(objective)(x), jax.jvp(objective, (x,), (direction,))[1]

    def derivatives(x: jax.Array) -> tuple[jax.Array, list]:
        reverse, forward = zip(*(both(x, axis) for axis in jnp.eye(x.size)), strict=True)
        return reverse[0], list(forward)

    return derivatives


@each(*KINDS, where=lambda case: case.numbers)
def test_derivatives_are_finite(case: Case):
    """At generic values and at the defaults, with a coordinate whose gradient is always 0."""
    objective, generic = _objective(case, case.values())
    _, defaults = _objective(case, case.defaults())
    derivatives = _derivatives(objective)
    for x in (generic, defaults):
        assert np.isfinite(derivatives(x)).all(), case.numbers


# Storing a moment in a narrower dtype makes the run a step function of its hyperparameters: its
# difference quotients are not what is meant by its derivative.
@each(*KINDS, where=lambda case: case.numbers and not case.rounds)
def test_derivatives_agree_with_central_differences(case: Case):
    """Where a rule takes signs, both are exactly 0: a step function of its hyperparameters."""
    with runs.enable_x64(True):
        objective, x = _objective(case, case.values())
        value = jax.jit(objective)

        def central(i: int, h: float) -> float:
            step = h * x[i] * jnp.eye(x.size)[i]
            return float((value(x + step) - value(x - step)) / (2 * h * x[i]))

        # Richardson's extrapolation: the error is of order h^4, rounding about 1e-12.
        expected = [(4 * central(i, 5e-4) - central(i, 1e-3)) / 3 for i in range(x.size)]
        for derivative in _derivatives(objective)(x):
            np.testing.assert_allclose(derivative, expected, rtol=1e-5)


# 4. dtype, of schedules; of transformations in test_conformance_of_pairs.py -----------------


@each("schedule")
@pytest.mark.parametrize("x64", [False, True])
def test_schedule_is_a_strong_float(case: Case, x64):
    """Of the widest float, whatever counts; also of the weak numbers inside a jit."""
    with runs.enable_x64(x64):
        dtype = jnp.zeros(()).dtype
        for count in (3, np.int64(3), jnp.int32(3), jnp.uint32(3)):
            value = case.make()(count)
            assert (value.dtype, value.weak_type, value.shape) == (dtype, False, ())
        traced = jax.eval_shape(lambda values: case.make(values)(3), case.values())
        assert (traced.dtype, traced.weak_type, traced.shape) == (dtype, False, ())


# 7. Round trip ------------------------------------------------------------------------------


def _through_a_file(tree: Any, template: Any) -> Any:
    """Flatten, write as bytes without pickle, read, and unflatten like ``template``."""
    file = io.BytesIO()
    arrays = [np.asarray(x) for x in jax.tree.leaves(tree)]
    np.savez(file, *[np.frombuffer(x.tobytes(), np.uint8) for x in arrays])
    file.seek(0)
    leaves, treedef = jax.tree.flatten(template)
    with np.load(file, allow_pickle=False) as stored:
        return treedef.unflatten(
            np.frombuffer(stored[f"arr_{i}"].tobytes(), x.dtype).reshape(x.shape)
            for i, x in enumerate(leaves)
        )


@each(*KINDS)
def test_round_trip(case: Case):
    """Into what was made with other values, and in the middle of a run."""
    thing = case.make()
    restored = _through_a_file(thing, case.make(case.values(1)))
    runs.assert_equal(restored, thing)
    runs.assert_equal(behave(restored), behave(thing))
    if isinstance(thing, tuple):
        params = runs.cast(runs.PARAMS, float)
        updates, state = runs.update(thing, runs.gradients(params, 1.0), thing.init(params), params)
        template = jax.eval_shape(thing.init, params)
        again = _through_a_file(state, template)
        expected = runs.update(thing, updates, state, params)
        runs.assert_equal(runs.update(restored, updates, again, params), expected)


@each(*KINDS)
def test_key_paths_name_every_hyperparameter(case: Case):
    """Each number that was passed is found again under one name, and no other number."""
    thing = case.make()
    pair = isinstance(thing, tuple)
    flat = jax.tree_util.tree_flatten_with_path(thing.update if pair else thing)[0]
    named = {jax.tree_util.keystr(path): value for path, value in flat}
    assert len(named) == len(flat)
    if pair:
        named = gdjax.hyperparameters(thing)
        assert len(named) == len(flat)
    plain = {k: v for k, v in case.values().items() if isinstance(v, (int, float))}
    for name, value in plain.items():
        keys = [
            key
            for key, number in named.items()
            if np.array_equal(number, np.asarray(value, number.dtype))
        ]
        assert len(keys) == 1
        if case.kind == "transformation":
            assert keys == [f"{case.name}.{name}"]
        if case.kind == "schedule":
            assert keys[0].endswith(name)
