import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdjax import InvalidValue, MissingExtra
from gdjax.problems import data


def test_a_split_keeps_pairs_and_shares():
    labels = np.repeat([0, 1], [30, 10])
    train, heldout = data.split(np.arange(40)[:, None], labels, heldout=8, by_class=True)
    assert np.bincount(heldout["y"]).tolist() == [6, 2]
    assert (train["x"].dtype, train["y"].dtype) == (jnp.float32, jnp.int32)
    x, y = (np.concatenate([train[name], heldout[name]]) for name in ("x", "y"))
    assert sorted(x[:, 0].tolist()) == list(range(40))
    np.testing.assert_array_equal(y, x[:, 0] >= 30)
    again = data.split(np.arange(40)[:, None], labels, heldout=8, by_class=True)[1]
    np.testing.assert_array_equal(heldout["x"], again["x"])
    assert data.split(labels, labels / 2, heldout=8)[1]["y"].dtype == jnp.float32


def test_batches():
    rows = {"x": jnp.arange(6.0)[:, None], "y": jnp.arange(6)}
    assert data.draw(jax.random.key(0), 0, rows, None) is rows
    drawn = data.draw(jax.random.key(0), 0, rows, 1000)
    assert drawn["x"].shape == (1000, 1)
    np.testing.assert_array_equal(drawn["x"][:, 0], drawn["y"])
    assert np.bincount(drawn["y"]).min() > 1000 / 6 * 0.75


def test_sizes():
    data.check_sizes("task", one=1, none=None)
    data.check_sizes("task", none=None)
    data.check_sizes("task", several=(1, np.int64(2)), none_of_them=())
    told = "task: sizes must be whole numbers of at least 1, got one=1, no="
    for no in (0, -1, 1.5, 2.0, True, "3", (1, 0), jnp.nan):
        with pytest.raises(InvalidValue, match=f"^{re.escape(told + repr(no))}$"):
            data.check_sizes("task", one=1, none=None, no=no)


def test_what_is_missing():
    told = pytest.raises(MissingExtra, match=r"gdjax.problems.task needs .*gdjax\[data\]")
    with told, data.needing_data("task"):
        raise ImportError
