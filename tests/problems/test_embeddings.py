"""Skip-gram against what Levy and Goldberg say that it factorizes."""

import jax
import numpy as np
import pytest

import gdjax
from gdjax import InvalidValue, problems


def shares(task, window):
    """How often each word is a center with each other one as context, by counting all."""
    data = np.asarray(task.batch.leaves["data"])
    size = len(task.batch.leaves["noise"])
    counts = np.zeros((size, size))
    for block in data:
        for begin in range(len(block) - 2 * window):
            words = block[begin : begin + 2 * window + 1]
            np.add.at(counts[words[window]], np.delete(words, window), 1)
    return counts / counts.sum()


def test_products_of_vectors_become_shifted_mutual_information():
    """``center . context = log(p(center, context) / (p(center) noise(context))) - log(negatives)``.

    Levy and Goldberg, Neural word embedding as implicit matrix factorization, 2014.
    """
    task = problems.skip_gram(dimension=6, vocabulary=6, window=1, negatives=3, batch_size=2048)
    pairs = shares(task, 1)
    noise = np.asarray(task.batch.leaves["noise"], float)
    expected = np.log(pairs / (pairs.sum(axis=1, keepdims=True) * noise)) - np.log(3)
    optimizer = gdjax.adam(gdjax.cosine_decay_schedule(0.03, 800))
    params = jax.jit(lambda optimizer: gdjax.train(task, optimizer, 800, 0).params)(optimizer)
    products = params["centers"] @ params["contexts"].T
    np.testing.assert_allclose(products, expected, atol=0.05)
    assert np.ptp(expected) > 1


def test_batches_are_drawn_as_told():
    task = problems.skip_gram(vocabulary=6, window=2, negatives=3, batch_size=50_000)
    batch = task.batch(jax.random.key(0), 0)
    counted = np.zeros((6, 6))
    np.add.at(counted, (batch["center"], batch["context"]), 1 / 50_000)
    np.testing.assert_allclose(counted, shares(task, 2), atol=0.006)
    words = np.bincount(np.ravel(task.batch.leaves["data"])) ** 0.75
    drawn = np.bincount(np.ravel(batch["noise"])) / 150_000
    np.testing.assert_allclose(drawn, words / words.sum(), atol=0.006)


def test_the_loss_by_hand():
    task = problems.skip_gram(dimension=2, vocabulary=10)
    params = {"centers": np.array([[1.0, 2.0]]), "contexts": np.array([[3.0, -1.0], [0.0, 1.0]])}
    batch = {"center": np.array([0]), "context": np.array([0]), "noise": np.array([[1, 1]])}
    expected = np.log(1 + np.exp(-1)) + 2 * np.log(1 + np.exp(2))
    np.testing.assert_allclose(task.loss(params, batch, None), expected, rtol=1e-6)


def test_it_learns_in_a_sweep():
    task = problems.skip_gram()
    assert task.check() == {"loss", "heldout_loss", "heldout_accuracy"}
    result = gdjax.sweep(task, gdjax.adam, {"learning_rate": [0.0, 0.01]}, steps=250)
    untrained, learnt = result.final("heldout_loss")[:, 0]
    np.testing.assert_allclose(untrained, 6 * np.log(2), atol=0.1)
    assert learnt < 2.75
    chance, hits = result.final("heldout_accuracy")[:, 0]
    np.testing.assert_allclose(chance, 1 / 6, atol=0.03)
    assert hits > 0.24


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"dimension": 0}, "skip_gram: sizes must be whole numbers of at least 1, got dimension=0"),
        ({"vocabulary": 1}, "skip_gram: too little text is left by vocabulary=1; take more words"),
        ({"window": 256}, "skip_gram: window must be below 256, got 256"),
    ],
)
def test_bad_sizes_are_told(wrong, message):
    with pytest.raises(InvalidValue, match=message):
        problems.skip_gram(**wrong)
