"""Optax as the oracle of what gdjax has too, under the same name."""

import inspect
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
import pytest

from tests import discovery, runs
from tests.discovery import Case

IS_CURRENT = tuple(map(int, optax.__version__.split(".")[:3])) >= (0, 2, 8)


def twin(case: Case) -> Any:
    """Optax's factory of the same name, if it has these arguments."""
    # Of the modules' own names: those that Optax deprecates it makes when asked.
    factory = (vars(optax.contrib) | vars(optax)).get(case.name)
    names = inspect.signature(factory).parameters.keys() if factory else set()
    unknown = sorted((case.structure.keys() | set(case.numbers)) - names)
    if factory and not unknown and case.kind != "schedule" and not _is_stable(case, factory):
        unknown = sorted(case.structure)
    if factory and not unknown:
        return factory
    if factory and not IS_CURRENT:
        pytest.skip(f"this Optax's {case.name} has no {', '.join(unknown)}")
    for evidence in [f"{case.name}_{name}" for name in unknown] if factory else [case.name]:
        message = f"Optax has nothing to compare: write test_{evidence}_by_hand"
        assert discovery.is_tested(f"{evidence}_by_hand"), message
    return None


def _is_stable(case: Case, factory: Any) -> bool:
    """Whether Optax's rule keeps the dtypes of updates and state (laws 4 and 6)."""
    params = runs.cast(runs.PARAMS, float)
    pair = theirs(case, factory, case.values(1))

    def run() -> tuple:
        state = pair.init(params)
        return (params, state), runs.apply(pair, params, state, params)

    with jax.numpy_rank_promotion("allow"):
        before, after = jax.eval_shape(run)
    return [x.dtype for x in jax.tree.leaves(before)] == [x.dtype for x in jax.tree.leaves(after)]


def trusted(case: Case) -> Any:
    """Optax's factory, unless it errs: our evidence is then our own.

    It errs where it makes something of nothing (law 4), and where a test named
    ``test_<name>_of_the_paper`` (or, of one argument, ``test_<name>_<argument>_of_the_paper``)
    compares with code written from the paper and shows what is wrong with Optax's. Names and
    traffic are still held to Optax's.
    """
    if (factory := twin(case)) is None or case.kind == "schedule" or case.draws:
        return factory
    arguments = (f"_{name}" for name in (*case.structure, *case.numbers))
    if any(discovery.is_tested(f"{case.name}{a}_of_the_paper") for a in ("", *arguments)):
        return None
    zeros = jax.tree.map(jnp.zeros_like, runs.cast(runs.PARAMS, float))
    pair = theirs(case, factory, case.values(1))
    updates, _ = runs.apply(pair, zeros, pair.init(zeros), zeros)
    if any(jnp.any(jnp.isfinite(x) & (x != 0)) for x in jax.tree.leaves(updates)):
        assert discovery.is_tested(f"{case.name}_by_hand"), f"write test_{case.name}_by_hand"
        return None
    return factory


def theirs(case: Case, factory: Any, given: dict) -> Any:
    """What Optax makes of the same arguments.

    Where an optimizer can do without a learning rate it is 1; Optax's adadelta would ascend. In
    float64 numbers are not Python's, with which Optax's adafactor computes in float32.
    """
    defaults = {k: p.default for k, p in inspect.signature(factory).parameters.items()}
    if defaults.get("learning_rate", given) is None:
        given = {"learning_rate": 1.0, **given}
    if jnp.zeros(()).dtype == jnp.float64:
        given = {k: v for k, v in defaults.items() if isinstance(v, float)} | given
        given = {k: np.float64(v) if isinstance(v, float) else v for k, v in given.items()}
    return case.fed(factory(**case.structure, **given))
