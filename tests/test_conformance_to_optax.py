"""Evidence that gdjax did not write: Optax's numbers, signatures and traffic (laws 8 and 9)."""

import functools
import inspect
import re
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
import pytest

import gdjax
from tests import discovery, runs
from tests.discovery import Case

on_two_leaves = functools.partial(runs.behave, params=runs.TWO_LEAVES)
behave = jax.jit(on_two_leaves)

TESTS = "\n".join(path.read_text() for path in Path(__file__).parent.rglob("test_*.py"))
IS_CURRENT = tuple(map(int, optax.__version__.split(".")[:3])) >= (0, 2, 8)


def _by_hand(name: str) -> bool:
    return re.search(rf"^def test_{name}_by_hand\(", TESTS, re.MULTILINE) is not None


@pytest.mark.parametrize("name", sorted(discovery.factories("transformation")))
def test_steps_are_worked_out_by_hand(name):
    assert _by_hand(name), f"write test_{name}_by_hand: two steps whose numbers come from paper"


def _twin(case: Case) -> Any:
    """Optax's factory of the same name, if it has these arguments."""
    twin = getattr(optax, case.name, getattr(optax.contrib, case.name, None))
    names = inspect.signature(twin).parameters.keys() if twin else set()
    unknown = sorted((case.structure.keys() | set(case.numbers)) - names)
    if twin and not unknown:
        return twin
    if twin and not IS_CURRENT:
        pytest.skip(f"this Optax's {case.name} has no {', '.join(unknown)}")
    for evidence in [f"{case.name}_{name}" for name in unknown] if twin else [case.name]:
        assert _by_hand(evidence), f"Optax has nothing to compare: write test_{evidence}_by_hand"
    return None


def _assert_same_run(case: Case, twin: Any, given: dict, rtol: float) -> None:
    """Of Optax's factory and ours with the same arguments."""
    pair = case.fed(twin(**case.structure, **given))
    expected = jax.jit(functools.partial(on_two_leaves, pair))()
    atol = rtol * 1e-2 * (runs.largest(expected) if case.holds_params else 1)
    if case.rounds:
        # Optax multiplies the narrow moment in its own dtype, which has 8 bits. Where terms
        # cancel the error stays that of the largest of them.
        rtol, atol = 2**-7, 2**-9 * runs.largest(expected)
    runs.assert_close(behave(case.make(given)), expected, rtol=rtol, atol=atol)


@discovery.each(*discovery.KINDS)
def test_agrees_with_optax(case: Case):
    if twin := _twin(case):
        _assert_same_run(case, twin, case.values(1), rtol=1e-5)


@discovery.each(*discovery.KINDS)
def test_agrees_with_optax_in_float64(case: Case):
    if twin := _twin(case):
        with runs.enable_x64(True):
            _assert_same_run(case, twin, case.values(1), rtol=1e-12)


# In float64 only: the debiasing of Optax, 1 - 0.999**count, loses 4 digits of float32.
@discovery.each(*discovery.KINDS, where=lambda case: case.variant == "plain")
def test_defaults_are_those_of_optax(case: Case):
    if twin := _twin(case):
        with runs.enable_x64(True):
            _assert_same_run(case, twin, case.required(), rtol=1e-12)


@discovery.each("optimizer", where=lambda case: "learning_rate" in case.numbers)
def test_scheduled_learning_rate_agrees_with_optax(case: Case):
    if twin := _twin(case):
        with runs.enable_x64(True):
            decay = gdjax.linear_schedule(0.3, 0.1, 3)
            _assert_same_run(case, twin, {**case.values(), "learning_rate": decay}, rtol=1e-12)


@discovery.each(*discovery.KINDS, where=lambda case: case.variant == "plain" and IS_CURRENT)
def test_signature_is_that_of_optax(case: Case):
    """Changing the import is all that a user does: names, their order, defaults."""
    if (twin := _twin(case)) is not None:
        ours, theirs = (inspect.signature(f).parameters for f in (case.factory, twin))
        shared = [name for name in theirs if name in ours]
        assert list(ours)[: len(shared)] == shared
        for name in shared:
            if ours[name].default is not inspect.Parameter.empty:
                assert ours[name].default == theirs[name].default


# 9. Traffic ---------------------------------------------------------------------------------


def _cost(step: Any, *args: Any) -> tuple:
    """Bytes accessed and temporary bytes of the compiled step; state and parameters donated."""
    compiled = jax.jit(step, donate_argnums=(1, 2)).lower(*args).compile()
    accessed = compiled.cost_analysis().get("bytes accessed", 0.0)  # absent where there are none
    return accessed, compiled.memory_analysis().temp_size_in_bytes


def _traffic(pair: Any, size: int, as_argument: bool) -> np.ndarray:
    """Bytes accessed and temporary, per byte of a square float32 parameter."""
    params = {"w": jnp.ones((size, size))}

    def step(gradients: Any, params: Any, state: Any, pair: Any = pair) -> tuple:
        updates, state = runs.apply(pair, gradients, state, params)
        return gdjax.apply_updates(params, updates), state

    state = pair.init(params)
    leaves = (pair,) if as_argument else ()
    return np.array(_cost(step, params, params, state, *leaves)) / (4 * size * size)


@discovery.each("transformation", "optimizer")
def test_traffic_is_at_most_that_of_optax(case: Case):
    if (twin := _twin(case)) is None:
        return
    ours = _traffic(case.make(), 256, as_argument=True)
    theirs = _traffic(case.fed(twin(**case.structure, **case.values())), 256, as_argument=False)
    # Hyperparameters and weights are scalars that are read, 4 bytes each: below 1e-3 of it.
    assert (ours <= theirs + 1e-3).all(), f"bytes accessed, temporary: {ours}, Optax {theirs}"


def test_traffic_of_clipped_adamw():
    """The clipped gradient is never written: its one factor is read by what follows."""
    pair = gdjax.chain(gdjax.clip_by_global_norm(1.0), gdjax.adamw(1e-3))
    twin = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(1e-3))
    ours = _traffic(pair, 1024, as_argument=True)
    theirs = _traffic(twin, 1024, as_argument=False)
    assert ours[0] <= theirs[0] - 3.9
    assert ours[1] <= theirs[1] + 1e-3
    if jax.__version_info__ >= (0, 10):  # XLA of 0.7.2 does not fuse so far: 14 and 1, Optax 18
        # Optax 0.2.8: 15 and 1. The scalars that are read are 1e-4 of it.
        assert ours[0] < 11.001
        assert ours[1] < 1e-3
