"""The laws 1, 2, 3 and 7 where parameters and gradients are bfloat16.

Law 4 says what the numbers must be; here it is that they are computed as all others are: by one
program, side by side, with derivatives, and after a restart.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests import discovery, runs
from tests.conformance import objective_of
from tests.discovery import Case
from tests.test_conformance_of_data import through_a_file

each = functools.partial(discovery.each, "transformation", "optimizer")

PARAMS = runs.cast(runs.PARAMS, jnp.bfloat16)
FACTORS = jnp.asarray(runs.FACTORS, jnp.bfloat16)


def behave(pair: Any) -> Any:
    """Updates and parameters of a short run."""
    return runs.train(pair, PARAMS, FACTORS)


together = runs.jit(jax.vmap(behave))


@each(where=lambda case: case.numbers)
def test_one_program_does_what_vmap_does(case: Case):
    traces = []

    @runs.jit
    def alone(pair: Any) -> Any:
        traces.append(None)
        return behave(pair)

    pairs = [runs.strong(case.make(case.values(i))) for i in range(3)]
    expected = jax.tree.map(lambda *x: jnp.stack(x), *map(alone, pairs))
    assert len(traces) == 1
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *pairs)
    expected, found = runs.widen((expected, together(stacked)))
    # Two programs in float32, whose last bits may decide how a number is rounded, at each step.
    rtol = 2 * float(jnp.finfo(jnp.bfloat16).eps)
    runs.assert_close(found, expected, rtol=rtol, atol=rtol / 6 * runs.largest(expected))


@each(where=lambda case: case.reals)
def test_derivatives_are_finite(case: Case):
    objective, generic = objective_of(case, case.values(), behave)
    _, defaults = objective_of(case, case.defaults(), behave)
    derivative = runs.jit(jax.grad(lambda x: objective(x).astype(jnp.float32)))
    for x in (generic, defaults):
        assert np.isfinite(derivative(x)).all(), case.numbers


@each()
def test_a_run_goes_on_from_a_file(case: Case):
    pair = case.make()
    gradients = runs.gradients(PARAMS, 1.0)
    _, state = runs.update(pair, gradients, runs.jit(pair.init)(PARAMS), PARAMS)
    again = through_a_file(state, jax.eval_shape(pair.init, PARAMS))
    runs.assert_equal(again, state)
    after = [runs.update(pair, gradients, s, PARAMS) for s in (state, again)]
    runs.assert_equal(*after)
