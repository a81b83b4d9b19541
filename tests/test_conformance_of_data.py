"""A rule is data (law 7): it goes through a file and back, and names every number it holds."""

import io
from typing import Any

import jax
import numpy as np

import gdjax
from gdjax import binding
from tests import discovery, runs
from tests.discovery import Case

each = discovery.each
KINDS = discovery.KINDS
behave = runs.jit(runs.behave)


def through_a_file(tree: Any, template: Any) -> Any:
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
    restored = through_a_file(thing, case.make(case.values(1)))
    runs.assert_equal(restored, thing)
    runs.assert_equal(behave(restored), behave(thing))
    if isinstance(thing, tuple):
        params = runs.cast(runs.PARAMS, float)
        updates, state = runs.update(thing, runs.gradients(params, 1.0), thing.init(params), params)
        template = jax.eval_shape(thing.init, params)
        again = through_a_file(state, template)
        expected = runs.update(thing, updates, state, params)
        runs.assert_equal(runs.update(restored, updates, again, params), expected)


@each(*KINDS)
def test_key_paths_name_every_hyperparameter(case: Case):
    """Each number that was passed is found again under one name, and no other number.

    An optimizer may hand a number on to several links, whose names for it are the same.
    """
    thing = case.make()
    pair = isinstance(thing, tuple)
    whole = binding.is_schedule if pair else None  # where it is a hyperparameter
    flat = jax.tree_util.tree_flatten_with_path(thing.update if pair else thing, whole)[0]
    named = {jax.tree_util.keystr(path): value for path, value in flat}
    assert len(named) == len(flat)
    if pair:
        named = gdjax.hyperparameters(thing)
        assert len(named) == len(flat)
    plain = {k: v for k, v in case.values().items() if isinstance(v, (int, float))}
    for name, value in plain.items():
        keys = [key for key, number in named.items() if _is(number, value)]
        assert len({key.rpartition(".")[2] for key in keys}) == 1
        if case.kind == "transformation":
            assert keys == [f"{case.name}.{name}"]
        if case.kind == "schedule":
            assert keys[0].endswith(name)


def _is(number: Any, value: float) -> bool:
    """Whether it is ``value`` in its dtype, which does not make a whole number of it."""
    rounded = np.asarray(value, number.dtype)
    return np.array_equal(number, rounded) and bool(np.isclose(rounded, value))
