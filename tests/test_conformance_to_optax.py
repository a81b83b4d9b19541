"""Evidence that gdjax did not write: Optax's numbers, signatures and traffic (laws 8 and 9)."""

import functools
import inspect
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
import pytest

import gdjax
from tests import discovery, oracle, runs, swapped
from tests.discovery import Case


@functools.cache
def _behave(jit: Any) -> Any:
    return jit(runs.behave, static_argnames="factors")


@pytest.mark.parametrize("name", sorted(discovery.factories("transformation")))
def test_steps_are_worked_out_by_hand(name):
    assert discovery.is_tested(f"{name}_by_hand"), (
        f"write test_{name}_by_hand: two steps whose numbers come from paper"
    )


def _fails_on_scalars(pair: Any) -> bool:
    try:
        jax.eval_shape(functools.partial(runs.behave, pair, params=runs.TWO_LEAVES))
    except (IndexError, TypeError):
        return True
    return False


def test_optax_fails_on_scalars_where_it_is_known():
    """These agree on a matrix alone; what they do on a scalar is worked out by hand."""
    with jax.numpy_rank_promotion("allow"):
        failing = {
            case.name
            for case in discovery.cases("transformation", "optimizer")
            if case.variant == "plain"
            and (twin := oracle.twin(case))
            and _fails_on_scalars(oracle.theirs(case, twin, case.values()))
        }
    assert failing <= {"scale_by_distance_over_gradients", "scale_by_sm3", "sm3"}


def _assert_same_run(case: Case, twin: Any, given: dict, rtol: float, jit: Any = runs.jit) -> None:
    """Of Optax's factory and ours with the same arguments, on a matrix and a scalar.

    Where Optax divides 0 by 0 ours gives numbers, and both are the same without zero gradients.
    """
    # As users compile: with other options Optax's schedules end in other roundings.
    jit = jax.jit if case.kind == "schedule" else jit
    with jax.numpy_rank_promotion("allow"):
        pair, factors = oracle.theirs(case, twin, given), runs.FACTORS
        params = runs.PARAMS if _fails_on_scalars(pair) else runs.TWO_LEAVES
        expected = jit(functools.partial(runs.behave, pair, params))()
        if not runs.is_finite(expected):
            assert runs.is_finite(_behave(jit)(case.make(given), params))
            factors = tuple(factor for factor in factors if factor)
            expected = jit(functools.partial(runs.behave, pair, params, factors))()
            assert runs.is_finite(expected)
    atol = rtol * 1e-2 * max(1.0, runs.largest(expected))  # where terms cancel
    if case.rounds:
        # Optax multiplies the narrow moment in its own dtype, which has 8 bits. Where terms
        # cancel the error stays that of the largest of them.
        rtol, atol = 2**-7, 2**-9 * runs.largest(expected)
    actual = _behave(jit)(case.make(given), params, factors=factors)
    runs.assert_close(actual, expected, rtol=rtol, atol=atol)


@discovery.each(*discovery.KINDS)
def test_agrees_with_optax(case: Case):
    if twin := oracle.trusted(case):
        _assert_same_run(case, twin, case.values(1), rtol=1e-5)


@discovery.each(*discovery.KINDS)
def test_agrees_with_optax_in_float64(case: Case):
    if twin := oracle.trusted(case):
        with runs.enable_x64(True):
            _assert_same_run(case, twin, case.values(1), rtol=1e-12)


# In float64 only: the debiasing of Optax, 1 - 0.999**count, loses 4 digits of float32. Its RAdam
# subtracts what it has so from 1999, of which 6 remain: of 16 digits it has 11.
@discovery.each(*discovery.KINDS, where=lambda case: case.variant == "plain")
def test_defaults_are_those_of_optax(case: Case):
    """Compiled as users do: a trust ratio takes a scalar to 0, or to the rounding beside it."""
    if twin := oracle.trusted(case):
        with runs.enable_x64(True):
            _assert_same_run(case, twin, case.required(), rtol=1e-11, jit=jax.jit)


@discovery.each("optimizer", where=lambda case: "learning_rate" in case.numbers)
def test_scheduled_learning_rate_agrees_with_optax(case: Case):
    """Where Optax takes a schedule; its sm3 does not."""
    if twin := oracle.trusted(case):
        with runs.enable_x64(True):
            given = {**case.values(), "learning_rate": gdjax.linear_schedule(0.3, 0.1, 3)}
            try:
                twin(**case.structure, **given)
            except TypeError:
                return
            _assert_same_run(case, twin, given, rtol=1e-12)


@discovery.each(*discovery.KINDS, where=lambda case: case.variant == "plain" and oracle.IS_CURRENT)
def test_signature_is_that_of_optax(case: Case):
    """Changing the import is all that a user does: names, their order, defaults."""
    if (twin := oracle.twin(case)) is not None:
        ours, theirs = (inspect.signature(f).parameters for f in (case.factory, twin))
        shared = [name for name in theirs if name in ours]
        assert list(ours)[: len(shared)] == shared
        for name in shared:
            default = ours[name].default
            # What a function does is compared by test_defaults_are_those_of_optax.
            if default is not inspect.Parameter.empty and not callable(default):
                assert default == theirs[name].default


@discovery.each("transformation", where=lambda case: case.variant == "plain")
def test_a_state_with_the_fields_of_optax_is_of_its_kind(case: Case):
    """So that Optax's goes on here as it is, and ours there, in a scan too."""
    if twin := oracle.twin(case):
        params = runs.cast(runs.PARAMS, float)
        ours, theirs = (
            jax.eval_shape(pair.init, params)
            for pair in (case.make(), oracle.theirs(case, twin, case.values()))
        )
        kind = type(theirs)
        public = kind in (vars(optax) | vars(optax.contrib)).values()
        if public and getattr(ours, "_fields", None) == getattr(theirs, "_fields", None):
            assert type(ours) is kind


@pytest.mark.skipif(not oracle.IS_CURRENT, reason="this Optax has fewer arguments")
@pytest.mark.parametrize("name", swapped.shared())
def test_arguments_of_optax_are_here_or_explained(name):
    """In the row of the page on what differs."""
    ours, theirs = (
        inspect.signature(f).parameters for f in (getattr(gdjax, name), swapped.theirs(name))
    )
    missing = [k for k, p in theirs.items() if k not in ours and not str(p).startswith("*")]
    table = [row for row in swapped.PAGE.read_text().splitlines() if row.startswith("| ")]
    rows = [row for row in table if f"`{name}`" in row.split(" | ")[0]]
    assert all(any(f"`{argument}`" in row for row in rows) for argument in missing), missing


# 9. Traffic ---------------------------------------------------------------------------------


def _cost(step: Any, *args: Any) -> tuple:
    """Bytes accessed and temporary bytes of the compiled step; state and parameters donated."""
    compiled = jax.jit(step, donate_argnums=(1, 2)).lower(*args).compile()
    accessed = compiled.cost_analysis().get("bytes accessed", 0.0)  # absent where there are none
    return accessed, compiled.memory_analysis().temp_size_in_bytes


def _traffic(make: Any, size: int, values: Any = None) -> np.ndarray:
    """Bytes accessed and temporary, per byte of a square float32 parameter.

    Args:
      make: the pair from ``values``.
      size: of a side of the parameter.
      values: numbers that the step takes as arguments; what ``make`` closes over is constant.
    """
    params = {"w": jnp.ones((size, size))}

    def step(gradients: Any, params: Any, state: Any, values: Any) -> tuple:
        updates, state = runs.apply(make(values), gradients, state, params)
        return gdjax.apply_updates(params, updates), state

    state = make(values).init(params)
    return np.array(_cost(step, params, params, state, values)) / (4 * size * size)


@discovery.each("transformation", "optimizer")
def test_traffic_is_at_most_that_of_optax(case: Case):
    """Of a step that takes our numbers as arguments and has Optax's as constants.

    Where a constant lets XLA do with less, like is compared with like: both have constants, and
    both take arguments.
    """
    if (twin := oracle.twin(case)) is None:
        return

    def theirs(values: Any) -> Any:
        return oracle.theirs(case, twin, case.values() if values is None else values)

    def ours(pair: Any) -> Any:
        return case.make() if pair is None else pair

    with jax.numpy_rank_promotion("allow"):
        limit, with_arguments = _traffic(theirs, 256), _traffic(ours, 256, case.make())
        if not _at_most(with_arguments, limit):
            _assert_at_most(with_arguments, _traffic(theirs, 256, case.values()))
            _assert_at_most(_traffic(ours, 256), limit)


def _at_most(ours: np.ndarray, theirs: np.ndarray) -> bool:
    # Hyperparameters and weights are scalars that are read, 4 bytes each: below 1e-3 of it.
    return bool((ours <= theirs + 1e-3).all())


def _assert_at_most(ours: np.ndarray, theirs: np.ndarray) -> None:
    assert _at_most(ours, theirs), f"bytes accessed, temporary: {ours}, Optax {theirs}"


def test_traffic_of_clipped_adamw():
    """The clipped gradient is never written: its one factor is read by what follows."""
    pair = gdjax.chain(gdjax.clip_by_global_norm(1.0), gdjax.adamw(1e-3))
    twin = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(1e-3))
    ours = _traffic(lambda pair: pair, 1024, pair)
    theirs = _traffic(lambda _: twin, 1024)
    assert ours[0] <= theirs[0] - 3.9
    assert ours[1] <= theirs[1] + 1e-3
    if jax.__version_info__ >= (0, 10):  # XLA of 0.7.2 does not fuse so far: 14 and 1, Optax 18
        # Optax 0.2.8: 15 and 1. The scalars that are read are 1e-4 of it.
        assert ours[0] < 11.001
        assert ours[1] < 1e-3
