"""All of Optax's public factories go through ``gdjax.lift``; none is listed here.

``benchmarks/factories.py`` finds them and makes their arguments. Which arguments must be static is
read from the errors of ``lift`` itself.
"""

import functools

import jax
import jax.numpy as jnp
import optax
import pytest

from benchmarks import factories
from benchmarks.factories import Factory
from tests import runs

FACTORIES = factories.factories()
IS_CURRENT = tuple(map(int, optax.__version__.split(".")[:3])) >= (0, 2, 8)


def test_what_optax_has_is_found():
    names = set(map(str, FACTORIES))
    assert {"optax.adam", "optax.lbfgs", "optax.contrib.prodigy", "optax.contrib.sam"} <= names
    assert len(FACTORIES) > 90
    # What does not run in a scan in Optax itself: the state of a monitor grows in its first step.
    lame = {factory.name for factory in FACTORIES if not factory.trained()}
    assert lame <= {"monitor"} or not IS_CURRENT


each = pytest.mark.parametrize("factory", FACTORIES, ids=str)


@each
def test_one_program_for_all_values_and_its_steps_are_those_of_optax(factory: Factory):
    if not factory.trained():
        return
    traced = []

    def run(pair):
        traced.append(pair)
        return factories.run(pair, factory)

    with runs.enable_x64(True):
        jitted, static = jax.jit(run), {k: factory.arguments()[k] for k in factory.static()}
        for i in range(3):
            arguments = {**factory.arguments(i), **static}
            actual = jitted(factory.lifted()(**arguments))
            if i == 1:
                expected = jax.jit(functools.partial(run, factory.function(**arguments)))()
                # Some of Optax's code computes in float32 whatever the parameters are.
                runs.assert_close(actual, expected, rtol=1e-7, atol=1e-8)
    numeric = set(factory.numbers()) - set(static)
    assert len(traced) == 2 or not numeric


def _varied(factory: Factory):
    """The pair, and for each float argument the pair with another value of it."""
    arguments, others = factory.arguments(), factory.arguments(1)
    names = [
        name
        for name in set(factory.numbers()) - set(factory.static())
        if all(isinstance(x, float) for x in jax.tree.leaves(arguments[name]))
    ]
    lifted = factory.lifted()
    return [lifted(**arguments), *(lifted(**{**arguments, k: others[k]}) for k in sorted(names))]


@each
def test_vmap_is_a_loop(factory: Factory):
    run = functools.partial(factories.run, factory=factory)
    with runs.enable_x64(True):
        pairs = _varied(factory) if factory.trained() else []
        if len(pairs) < 2:
            return
        together = jax.jit(jax.vmap(run))(jax.tree.map(lambda *x: jnp.stack(x), *pairs))
        alone = jax.tree.map(lambda *x: jnp.stack(x), *map(jax.jit(run), pairs))
        runs.assert_close(together, alone, rtol=1e-7, atol=1e-8)


@each
def test_bfloat16_survives_a_scan(factory: Factory):
    """With strong float32 hyperparameters; the scan itself refuses a state that changes."""
    if not factory.trained():
        return
    pair = factory.lifted()(**factory.arguments())
    pair = jax.tree.map(jnp.asarray, pair)
    updates, params = jax.eval_shape(lambda: factories.run(pair, factory, jnp.bfloat16))
    assert {x.dtype for x in jax.tree.leaves(params)} == {jnp.dtype(jnp.bfloat16)}
    if jax.tree.structure(updates) == jax.tree.structure(params):
        assert {x.dtype for x in jax.tree.leaves(updates)} == {jnp.dtype(jnp.bfloat16)}
