"""The law of stable state (6), which only transformations and optimizers have."""

import functools
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gdjax
from tests import discovery, runs
from tests.discovery import Case

each = functools.partial(discovery.each, "transformation", "optimizer")
behave = runs.jit(runs.behave)

TREES = {
    "nested": {"w": np.ones((2, 3)), "rest": (np.ones(3), [np.ones(())])},
    "empty": {},
    "scalar": np.ones(()),
    "none_leaf": {"a": None, "b": np.ones(2)},
    "zero_size": {"a": np.ones((0, 3)), "b": np.ones(2)},
}


def _scheduled(case: Case) -> Any:
    """The case with each number as a schedule, which is constant."""
    return case.make(
        {
            name: gdjax.constant_schedule(value)
            if case.interval(name) and isinstance(value, (int, float))
            else value
            for name, value in case.values().items()
        }
    )


def _is_stable(pair: Any, updates: Any, params: Any) -> bool:
    """Whether the types of the updates and of the state stay, in a scan."""

    def step(state: Any, _: None) -> tuple:
        new_updates, state = runs.apply(pair, updates, state, params)
        return state, new_updates

    def run() -> tuple:
        state = pair.init(params)
        return state, *jax.lax.scan(step, state, length=1)  # raises where the state's change

    state, after, new_updates = jax.eval_shape(run)
    return (
        runs.types(new_updates) == runs.types(jax.tree.map(lambda x: x[None], updates))
        and runs.types(state) == runs.types(after)
        and not any(x.weak_type for x in jax.tree.leaves((state, after, new_updates)))
    )


@each()
def test_no_two_arrays_of_the_state_are_one(case: Case):
    """Nor one of the parameters': so that a step may be given all of their memory."""
    params = runs.cast(TREES["nested"], float)
    arrays = [x for x in jax.tree.leaves((case.make().init(params), params)) if x.size]
    assert len({x.unsafe_buffer_pointer() for x in arrays}) == len(arrays)


@each()
@pytest.mark.parametrize("make", [Case.make, _scheduled], ids=["numbers", "schedules"])
def test_types_of_the_state_are_stable(case: Case, make):
    pair = make(case)
    for name, dtype in itertools.product(TREES, (jnp.float32, jnp.bfloat16)):
        params = runs.cast(TREES[name], dtype)
        assert _is_stable(pair, params, params), f"{name} of {dtype.__name__}"


@each()
def test_types_of_the_state_are_stable_where_updates_are_missing(case: Case):
    params = {"frozen": jnp.ones(2), "trained": jnp.ones(3)}
    assert _is_stable(case.make(), {"frozen": None, "trained": jnp.ones(3)}, params)


@each()
def test_odd_leaves_change_nothing_for_the_others(case: Case):
    """The updates of a leaf are the same beside a ``None``, an empty and an untrained one.

    These come after it: random numbers are drawn for one leaf after another, as Optax does.
    """
    pair = case.make()
    params = runs.cast(runs.PARAMS, float)
    odd = {**params, "x_none": None, "y_empty": jnp.ones((0, 3)), "z_untrained": jnp.ones(2)}
    state, odd_state = pair.init(params), pair.init(odd)
    for factor in runs.FACTORS:
        gradients = runs.gradients(params, factor)
        updates, state = runs.update(pair, gradients, state, params)
        empty = {"x_none": None, "y_empty": jnp.ones((0, 3)), "z_untrained": None}
        odd_updates, odd_state = runs.update(pair, {**gradients, **empty}, odd_state, odd)
        assert odd_updates["z_untrained"] is None
        runs.assert_close({"w": odd_updates["w"]}, updates, rtol=2e-6)


@each()
def test_what_does_not_fit_is_an_error_that_says_so(case: Case):
    """Where names or shapes are not those that the state was made for, or not the parameters'.

    Or it does not matter: what holds no array of their shape takes what comes.
    """
    pair, params = case.make(), runs.cast(runs.TWO_LEAVES, float)
    w, b = params["w"], params["b"]
    row = {"w": w[:1], "b": b}
    misfits = [
        (params, {"w": w, "c": b}),
        (params, {"w": w.T, "b": b}),
        (params, row),
        (row, params),
        (params, w),
        (None, params),
    ]
    for started, updates in misfits:
        state = None if started is None else jax.eval_shape(pair.init, started)
        for beside in (updates, params):

            def update(updates: Any, state: Any, beside: Any) -> Any:
                extra = {"value": jnp.ones(()), "grad_fn": lambda _: updates}
                everything = optax.with_extra_args_support(pair)
                return everything.update(updates, state, beside, **extra)[0]

            try:
                result = jax.eval_shape(update, updates, state, beside)
            except (gdjax.InvalidType, gdjax.InvalidValue):
                continue
            assert runs.types(result) == runs.types(updates)


@each(where=lambda case: case.numbers)
def test_a_constant_schedule_is_a_number(case: Case):
    # Two programs: some units in the last place, as in test_vmap_is_a_loop.
    runs.assert_close(behave(_scheduled(case)), behave(case.make()), rtol=2e-6, atol=2e-7)
