import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdjax.sweep.store import Store, to_host

SCALAR = jax.ShapeDtypeStruct((), jnp.float32)


def put(store, trials, value=0.0):
    """Each run holds ``value + trial + seed / 10``."""
    seeds = store.leaves[0].shape[1]
    trial, seed = (i.ravel() for i in np.meshgrid(trials, np.arange(seeds), indexing="ij"))
    store.put(trial, seed, {"x": (value + trial + seed / 10).astype(np.float32)})


def taken(store, trials, seed=0):
    trials = np.asarray(trials)
    return store.take(trials, np.full(trials.shape, seed))["x"].tolist()


def test_what_was_put_is_taken_by_trial_and_seed():
    store = Store({"x": SCALAR}, trials=10, seeds=2)
    put(store, [7, 2, 5])
    assert store.trials.tolist() == [2, 5, 7]
    assert taken(store, [5, 7, 2]) == [5, 7, 2]
    assert taken(store, [5, 7, 2], seed=1) == np.float32([5.1, 7.1, 2.1]).tolist()
    shaped = store.take(np.array([[2, 7], [5, 5]]), np.array([[0], [1]]))
    np.testing.assert_array_equal(shaped["x"], np.float32([[2, 7], [5.1, 5.1]]))


def test_putting_again_replaces():
    store = Store({"x": SCALAR}, trials=4, seeds=1)
    put(store, [0, 1])
    put(store, [1, 2], value=10)
    assert taken(store, [0, 1, 2]) == [0, 11, 12]
    assert len(store.leaves[0]) <= 4


def test_it_grows_and_keeps_what_it_has():
    store = Store({"x": SCALAR}, trials=100, seeds=1)
    for trial in range(100):
        put(store, [trial])
    assert taken(store, range(100)) == list(range(100))
    assert len(store.leaves[0]) <= 200


def test_rows_given_up_are_taken_again():
    store = Store({"x": SCALAR}, trials=100, seeds=1)
    put(store, range(8))
    rows = len(store.leaves[0])
    for first in range(8, 92, 7):
        wanted = np.zeros(100, bool)
        wanted[first - 1] = True
        store.keep(wanted)
        assert store.trials.tolist() == [first - 1]
        put(store, range(first, first + 7))
        assert taken(store, range(first - 1, first + 7)) == list(range(first - 1, first + 7))
    assert len(store.leaves[0]) == rows


def test_keep_of_what_is_not_there_does_nothing():
    store = Store({"x": SCALAR}, trials=3, seeds=1)
    put(store, [1])
    store.keep(np.ones(3, bool))
    assert store.trials.tolist() == [1]


def test_trials_without_a_row_take_anything_of_the_right_kind():
    store = Store({"x": SCALAR}, trials=3, seeds=2)
    found = store.take(np.array([[0, 1], [2, 2]]), np.array([[0], [1]]))["x"]
    assert (found.shape, found.dtype) == ((2, 2), np.float32)
    put(store, [0, 1, 2])
    assert taken(store, [0, 1, 2]) == [0, 1, 2]


def test_only_what_is_wanted_is_taken():
    store = Store({"x": SCALAR}, trials=4, seeds=1)
    put(store, [2, 3])
    found = store.take(
        np.array([[2, 3], [3, 2], [1, 3]]),
        np.zeros((3, 1), int),
        np.array([[True], [False], [True]]),
    )
    assert found["x"].tolist() == [[2, 3], [0, 0], [0, 3]]


LEAVES = {
    "bfloat16": jnp.arange(6, dtype=jnp.bfloat16).reshape(2, 3) / 3,
    "complex64": jnp.array([1 + 2j, 3 - 1j], jnp.complex64),
    "int32": jnp.array([7, -7], jnp.int32),
    "bool": jnp.array([True, False]),
    "empty": jnp.zeros((2, 0)),
    "threefry": jax.random.split(jax.random.key(1), 2),
    "rbg": jax.random.split(jax.random.key(1, impl="rbg"), (2, 3)),
}


@pytest.mark.parametrize("name", LEAVES)
def test_any_leaf_comes_back_as_it_was(name):
    leaf = LEAVES[name]
    store = Store({"x": jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype)}, trials=2, seeds=1)
    store.put(np.array([1, 0]), np.zeros(2, int), {"x": leaf})
    found = store.take(np.array([1, 0]), np.zeros(2, int))["x"]
    assert found.dtype == leaf.dtype
    assert found.shape == leaf.shape
    np.testing.assert_array_equal(to_host(found), to_host(leaf))


def test_a_tree_without_leaves():
    store = Store({"x": ()}, trials=3, seeds=2)
    for _ in range(3):
        assert store.take(np.array([[0, 1]]), np.array([[0]])) == {"x": ()}
        store.put(np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1]), {"x": ()})
        assert store.trials.tolist() == [0, 1]
        store.keep(np.zeros(3, bool))
        assert store.trials.tolist() == []
    assert store.rows() == []
    store.restore(np.array([2]), [])
    assert store.trials.tolist() == [2]


def test_rows_and_restore():
    store = Store({"x": SCALAR}, trials=5, seeds=2)
    put(store, [4, 0, 2])
    store.keep(np.array([True, True, True, True, False]))
    (rows,) = store.rows()
    np.testing.assert_array_equal(rows, np.float32([[0, 0.1], [2, 2.1]]))
    other = Store({"x": SCALAR}, trials=5, seeds=2)
    other.restore(store.trials, [rows])
    assert other.trials.tolist() == [0, 2]
    put(other, [3, 4])
    other.keep(np.array([False, True, True, True, True]))
    put(other, [1])
    assert taken(other, [2, 3, 4, 1]) == [2, 3, 4, 1]
    assert taken(store, [0, 2]) == [0, 2]
