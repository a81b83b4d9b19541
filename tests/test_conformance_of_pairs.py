"""The laws of dtypes and debiasing (4 and 5), which only transformations and optimizers have."""

import functools
import inspect
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax
from tests import discovery, runs
from tests.discovery import Case

each = functools.partial(discovery.each, "transformation", "optimizer")
behave = runs.jit(runs.behave)
constant_updates = runs.jit(runs.constant_updates)
resume = runs.jit(runs.resume, static_argnames="steps")

NARROW = [jnp.float16, jnp.bfloat16]
FLOATS = [(x64, dtype) for x64 in (False, True) for dtype in (*NARROW, jnp.float32)]
FLOATS.append((True, jnp.float64))


def _name(value: Any) -> str:
    return {False: "x32", True: "x64"}[value] if isinstance(value, bool) else value.__name__


# 4. dtype -----------------------------------------------------------------------------------


@each()
@pytest.mark.parametrize(("x64", "dtype"), FLOATS, ids=_name)
def test_updates_keep_their_dtype(case: Case, x64, dtype):
    """Whatever the hyperparameters': here strong arrays, as after ``vmap``."""
    with runs.enable_x64(x64):
        pair, params = runs.strong(case.make()), runs.cast(runs.PARAMS, dtype)
        state = jax.eval_shape(pair.init, params)
        updates, new_state = jax.eval_shape(runs.update, pair, params, state, params)
        assert runs.types(updates) == runs.types(params)
        assert runs.types(new_state) == runs.types(state)
        widest = jnp.promote_types(dtype, jnp.float32)
        for leaf in jax.tree.leaves(state):
            assert jnp.promote_types(leaf.dtype, widest) == widest


@jax.jit  # as users do: Newton and Schulz magnify rounding
def _narrow_and_rounded_once(pair: Any, *arguments: Any) -> tuple:
    """A step, and what it is in float32, rounded: in one program, two might round differently."""
    narrow = runs.apply(pair, *arguments)
    return narrow, runs.like(runs.apply(pair, *runs.widen(arguments)), narrow)


@each()
@pytest.mark.parametrize("dtype", NARROW, ids=_name)
def test_narrow_arithmetic_is_float32_rounded_once(case: Case, dtype):
    """At the defaults, with decay rates of 0.999, which bfloat16 would round to 1.

    Each link of a chain rounds what it hands on, and so does what is inside of a combinator: what
    is composed may differ by that much a link.
    """
    decays = dict.fromkeys(case.decays, 0.999)
    pair = runs.strong(case.make({**case.defaults(), **decays}))
    params = runs.cast(runs.PARAMS, dtype)
    state = runs.jit(pair.init)(params)
    for factor in runs.FACTORS:
        arguments = (runs.gradients(params, factor), state, params)
        narrow, expected = _narrow_and_rounded_once(pair, *arguments)
        assert all(np.isfinite(x).all() for x in jax.tree.leaves(runs.widen(narrow)))
        if not case.composed:
            runs.assert_equal(narrow, expected)
        else:
            dtypes = (dtype, jnp.bfloat16) if case.rounds else (dtype,)  # of a part of the state
            rtol = 3 * max(float(jnp.finfo(d).eps) for d in dtypes)
            expected = runs.widen(expected)
            # Where terms cancel, the old state's too; and where float16 has no smaller number.
            atol = rtol / 6 * runs.largest((expected, runs.widen(arguments[1])))
            atol += 3 * float(jnp.finfo(dtype).smallest_subnormal)
            runs.assert_close(runs.widen(narrow), expected, rtol=rtol, atol=atol)
        updates, state = narrow
        # By an eighth, which is exact: what grows with its parameters would leave float16.
        params = gdjax.apply_updates(params, jax.tree.map(lambda u: u / 8, updates))


@each()
@pytest.mark.parametrize("dtype", NARROW, ids=_name)
def test_nothing_comes_of_nothing(case: Case, dtype):
    """Zero gradients and parameters give zero updates, not 0/0; where noise is drawn, numbers."""
    pair, zeros = (
        case.make(case.defaults()),
        runs.cast(jax.tree.map(np.zeros_like, runs.PARAMS), dtype),
    )
    state = runs.jit(pair.init)(zeros)
    for _ in range(2):
        updates, state = runs.update(pair, zeros, state, zeros)
        good = jnp.isfinite if case.draws else jnp.logical_not
        assert all(good(x).all() for x in jax.tree.leaves(updates))


@each()
def test_complex_numbers_turn_with_their_plane_or_are_refused(case: Case):
    """A rule makes sense on complex numbers if no direction of the plane is special to it.

    Then turned gradients and parameters give turned updates, and real ones what they give as
    real numbers. What orders numbers, or stores them as real ones, cannot do so and must say so.
    """
    pair = case.make()
    real = runs.cast(runs.PARAMS, jnp.float32)
    params = runs.cast(real, jnp.complex64)
    try:
        state = runs.jit(pair.init)(params)
        jax.eval_shape(runs.apply, pair, params, state, params)
    except (TypeError, ValueError) as error:
        return _assert_says_why(error)
    turn = np.exp(0.7j).astype(np.complex64)

    def turned(tree: Any) -> Any:
        return jax.tree.map(lambda x: turn * x, tree)

    real_state, turned_state = runs.jit(pair.init)(real), runs.jit(pair.init)(turned(params))
    for factor in runs.FACTORS:
        gradients = runs.gradients(params, factor)
        updates, state = runs.update(pair, gradients, state, params)
        other, turned_state = runs.update(pair, turned(gradients), turned_state, turned(params))
        assert runs.types(updates) == runs.types(params)
        # Units in the last place, of sums and roots; absolute where the two parts cancel.
        runs.assert_close(other, turned(updates), rtol=2e-6, atol=2e-7)
        on_real = runs.gradients(real, factor)
        expected, real_state = runs.update(pair, on_real, real_state, real)
        runs.assert_close(updates, runs.cast(expected, jnp.complex64), rtol=2e-6, atol=2e-7)


def _assert_says_why(error: Exception) -> None:
    assert "complex" in str(error)


# 5. Debiasing by the weights really used ----------------------------------------------------


def _averages(case: Case) -> bool:
    """It keeps the sum of its weights, and no flag is off that would use it."""
    parameters = inspect.signature(case.factory).parameters
    flags = [name for name in parameters if name.startswith(("bias_correction", "debias"))]
    state = jax.eval_shape(case.make().init, jnp.zeros(()))
    return any(field.endswith("weight") for field in getattr(state, "_fields", ())) and all(
        case.structure.get(name, parameters[name].default) for name in flags
    )


def _looks_ahead(case: Case) -> bool:
    """Whether its average is Nesterov's."""
    parameter = inspect.signature(case.factory).parameters.get("nesterov")
    return bool(parameter) and case.structure.get("nesterov", parameter.default)


def test_some_rules_debias():
    debiased = {case.name for case in discovery.cases("transformation") if _averages(case)}
    assert {"scale_by_adam", "scale_by_amsgrad", "scale_by_rms", "scale_by_stddev"} <= debiased


@discovery.each("transformation", where=lambda case: case.decays)
def test_debiasing_survives_changing_decay_rates(case: Case):
    """On a constant gradient a debiased rule does the same whatever its decay rates are.

    A debiased average of a constant is that constant; so the updates are those of decay rates 0,
    which keep no past at all. Which rules are debiased is seen with decay rates that stay, and
    those that say so must be among them, or else have a test of their own: where a rule debiases
    a part of what it keeps, steps between which a decay rate changes are worked out by hand.
    """
    rates = (0.9, 0.5, 0.99)
    decays = case.decays
    # An average that starts elsewhere than at 0 is not debiased from there.
    starts = {name: 0.0 for name, default in case.defaults().items() if default == 0}
    # Nor does a rule do the same on both sides of a threshold that depends on what it keeps.
    starts |= {name: 1e6 for name in case.numbers if name == "threshold"}
    # The step ahead weighs the last gradient twice: debiased only when that is forgotten.
    ahead = _looks_ahead(case) and _averages(case)
    with runs.enable_x64(True):

        def make(rate: Any) -> Any:
            return case.make(**starts, **dict.fromkeys(decays, rate))

        def same(updates: jax.Array, steps: slice = slice(None)) -> bool:
            # A standard deviation of a constant is a root of rounding errors: 1e-8.
            rtol = 2**-7 if case.rounds else 2e-3 if ahead else 1e-6
            last = slice(-1, None) if ahead else slice(None)
            return np.allclose(updates[last], expected[steps][last], rtol=rtol)

        expected = constant_updates(make(0.0))
        parts = [gdjax.constant_schedule(rate) for rate in rates]
        scheduled = constant_updates(make(gdjax.join_schedules(parts, [3, 6])))
        if not same(constant_updates(make(0.6))):
            evidence = f"{case.name}_with_changing_decay"
            assert not _averages(case) or discovery.is_tested(f"{evidence}_by_hand"), evidence
            return
        assert same(scheduled)
        if not ahead:
            pair, state = make(0.6), None
            for i, rate in enumerate(rates):
                pair = gdjax.replace(pair, **dict.fromkeys(decays, rate))
                updates, state = resume(pair, state, steps=3)
                assert same(updates, slice(3 * i, 3 * i + 3))
