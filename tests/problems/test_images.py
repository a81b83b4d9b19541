import jax
import numpy as np
import pytest

import gdjax
from gdjax import InvalidValue, problems


@pytest.fixture(scope="module")
def digits():
    return problems.digits(hidden=(32,))


def test_the_held_out_images_are_not_trained_on(digits):
    train, heldout = digits.batch.leaves["data"], digits.evaluate.leaves["data"]
    assert train["x"].shape == (1437, 64)
    assert heldout["x"].shape == (360, 64)
    seen = {row.tobytes() for row in np.asarray(train["x"])}
    assert not any(row.tobytes() in seen for row in np.asarray(heldout["x"]))
    assert np.bincount(heldout["y"]).tolist() == [36, 36, 35, 37, 36, 37, 36, 36, 35, 36]
    assert (train["x"].min(), train["x"].max()) == (0, 1)


def test_it_is_a_task_that_learns(digits):
    digits.check()
    train = jax.jit(lambda optimizer: gdjax.train(digits, optimizer, 200, 0))
    result = train(gdjax.adam(1e-2))
    assert result.evaluation["heldout_accuracy"] > 0.9
    untrained = train(gdjax.adam(0.0))
    assert untrained.evaluation["heldout_accuracy"] < 0.3
    np.testing.assert_allclose(
        untrained.evaluation["heldout_loss"], untrained.traces["loss"].mean(), rtol=0.1
    )


def test_batches_differ_by_key_and_pair_images_with_their_labels(digits):
    data = digits.batch.leaves["data"]
    label = {row.tobytes(): y for row, y in zip(np.asarray(data["x"]), data["y"], strict=True)}
    one, other = (digits.batch(jax.random.key(i), 0) for i in range(2))
    assert one["x"].shape == (64, 64)
    assert not np.array_equal(one["x"], other["x"])
    for x, y in zip(np.asarray(one["x"]), one["y"], strict=True):
        assert label[x.tobytes()] == y


def test_sizes_below_one_are_told():
    with pytest.raises(InvalidValue, match="at least 1, got hidden="):
        problems.digits(hidden=(0,))
    with pytest.raises(InvalidValue, match="batch_size=0"):
        problems.digits(batch_size=0)


def test_a_missing_scikit_learn_is_told(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "sklearn.datasets", None)
    with pytest.raises(gdjax.MissingExtra, match=r"gdjax\[data\]"):
        problems.digits()


def test_a_sweep_finds_96_percent_and_reruns_bit_equal():
    space = {"learning_rate": gdjax.LogUniform(1e-3, 1e-1, points=5)}
    result = gdjax.sweep(problems.digits(), gdjax.adam, space, seeds=2, steps=500)
    assert result.final("heldout_accuracy")[result.best().trial].mean() >= 0.96
    for trial in (0, 4):
        again = result.rerun(trial)
        np.testing.assert_array_equal(again.traces["loss"], result.traces["loss"][trial])
