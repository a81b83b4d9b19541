import jax
import numpy as np
import optax
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


def test_without_a_batch_size_a_batch_is_all_there_is(digits):
    whole = problems.digits(batch_size=None).batch(jax.random.key(0), 0)
    for name, column in digits.batch.leaves["data"].items():
        np.testing.assert_array_equal(whole[name], column)


NUMBERS = {"dropout": [0.0, 0.5], "l2": [0.0, 0.1], "label_smoothing": [0.0, 0.2]}


def test_numbers_of_the_loss_are_swept(digits):
    assert gdjax.hyperparameters(digits) == {}  # what is not asked for is not computed
    space = {"learning_rate": 0.01} | NUMBERS
    result = gdjax.sweep(digits, gdjax.adam, space, steps=3)
    key = jax.random.fold_in(jax.random.key(0), 0)
    train = jax.jit(lambda task: gdjax.train(task, gdjax.adam(0.01), 3, key))
    for trial in range(8):
        numbers = {name: float(result.settings[name][trial]) for name in NUMBERS}
        alone = train(problems.digits(hidden=(32,), **numbers))
        np.testing.assert_allclose(result.traces["loss"][trial, 0], alone.traces["loss"], rtol=1e-5)
    assert len(np.unique(result.traces["loss"][:, 0, -1])) == 8


def test_numbers_of_the_loss_agree_with_optax(digits):
    params, batch = digits.init(jax.random.key(0)), digits.batch(jax.random.key(1), 0)
    hidden, last = params
    logits = np.maximum(batch["x"] @ hidden["w"], 0) @ last["w"]
    labels = optax.smooth_labels(jax.nn.one_hot(batch["y"], 10), 0.2)
    squares = sum(float((layer["w"] ** 2).sum()) for layer in params)
    expected = optax.softmax_cross_entropy(logits, labels).mean() + 0.05 * squares
    task = problems.digits(hidden=(32,), l2=0.1, label_smoothing=0.2)
    np.testing.assert_allclose(task.loss(params, batch, None), expected, rtol=1e-5)


def test_dropout_leaves_units_out_and_keeps_the_mean():
    """One hidden unit per output: each logit is 0 or twice what it was."""
    task = problems.digits(hidden=(10,), dropout=0.5)
    params = [
        {"w": np.zeros((64, 10), np.float32), "b": np.ones(10, np.float32)},
        {"w": np.eye(10, dtype=np.float32), "b": np.zeros(10, np.float32)},
    ]
    batch = {"x": np.zeros((1, 64), np.float32), "y": np.zeros(1, int)}
    losses = {float(task.loss(params, batch, jax.random.key(i))) for i in range(40)}
    kept = range(11)  # units
    own, other = ([float(np.log(n * np.exp(2) + 10 - n) - up) for n in kept] for up in (2, 0))
    assert all(np.isclose(loss, own + other, rtol=1e-5).any() for loss in losses)
    assert len(losses) > 5


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_out_of_range_are_told(name):
    with pytest.raises(InvalidValue, match=rf"{name} must be a number in \[0, .*got -1"):
        problems.digits(**{name: -1.0})


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
