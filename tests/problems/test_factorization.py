"""Matrix factorization against NumPy's singular values, and with entries missing."""

import dataclasses
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.datasets import load_digits

import gdjax
from gdjax import Bound, InvalidValue, problems


@pytest.fixture(scope="module")
def task():
    return problems.digits_factorization()


def entries(task):
    """All entries, those for training first: row, column, value."""
    parts = [f.leaves["data"] for f in (task.batch, task.evaluate)]
    return [np.concatenate([part[name] for part in parts]) for name in ("row", "column", "value")]


def test_each_pixel_is_in_one_part(task):
    row, column, value = entries(task)
    matrix = np.full((1797, 64), np.nan)
    matrix[row, column] = value
    pixels = load_digits().data / 16
    train = slice(0, len(row) - 11500)
    np.testing.assert_allclose(value[train].mean(), 0, atol=1e-6)
    mean = pixels[row[train], column[train]].mean()
    np.testing.assert_allclose(matrix, pixels - mean, atol=1e-6)


def test_all_entries_are_met_by_the_truncated_svd(task):
    """Of 40 images: the least loss is half the sum of squares of the other singular values."""
    row, column, value = (x[entries(task)[0] < 40] for x in entries(task))
    matrix = np.zeros((40, 64))
    matrix[row, column] = value
    singular = np.linalg.svd(matrix, compute_uv=False)
    least = np.sum(singular[3:] ** 2) / 2 / matrix.size
    data = {"row": jnp.asarray(row), "column": jnp.asarray(column), "value": jnp.asarray(value)}
    whole = dataclasses.replace(
        task,
        init=Bound(task.init.function, structure={"sizes": (40, 64), "rank": 3}),
        batch=Bound(task.batch.function, {"data": data}, {"batch_size": None}),
    )
    optimizer = gdjax.adam(gdjax.cosine_decay_schedule(0.03, 1000))
    result = jax.jit(lambda optimizer: gdjax.train(whole, optimizer, 1000, 0))(optimizer)
    np.testing.assert_allclose(result.traces["loss"][-1], least, rtol=1e-4)
    u, s, v = np.linalg.svd(matrix, full_matrices=False)
    product = result.params["rows"] @ result.params["columns"].T
    np.testing.assert_allclose(product, u[:, :3] * s[:3] @ v[:3], atol=0.01)


def test_the_loss_by_hand(task):
    params = {"rows": jnp.array([[1.0, 2.0], [3.0, 4.0]]), "columns": jnp.array([[1.0, -1.0]])}
    batch = {"row": np.array([1]), "column": np.array([0]), "value": np.array([2.0])}
    np.testing.assert_allclose(task.loss(params, batch, None), (-1 - 2) ** 2 / 2)
    penalized = gdjax.replace(task, l2=0.1).loss(params, batch, None)
    np.testing.assert_allclose(penalized, 4.5 + 0.05 * (9 + 16 + 1 + 1), rtol=1e-6)


def test_it_finds_missing_pixels_in_a_sweep(task):
    assert task.check() == {"loss", "heldout_loss"}
    zero = np.mean(np.asarray(task.evaluate.leaves["data"]["value"]) ** 2) / 2
    np.testing.assert_allclose(zero, 0.070, atol=5e-4)
    space = {"learning_rate": [0.0, 0.03], "l2": [0.0, 0.3]}
    result = gdjax.sweep(task, gdjax.adam, space, steps=500)
    untrained, _, learnt, penalized = result.final("heldout_loss")[:, 0]
    assert learnt < zero / 2.5 < zero < untrained
    assert learnt < penalized


@pytest.mark.parametrize("size", ["rank", "batch_size"])
def test_sizes_below_one_are_told(size):
    with pytest.raises(InvalidValue, match=rf"digits_factorization: sizes .*got .*{size}=0"):
        problems.digits_factorization(**{size: 0})


def test_a_missing_scikit_learn_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(gdjax.MissingExtra, match=r"digits_factorization needs .*gdjax\[data\]"):
        problems.digits_factorization()
