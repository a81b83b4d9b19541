"""The language model: its text, its attention by NumPy, what it may see, and that it learns."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax
from gdjax import InvalidValue, problems
from gdjax.problems import text, transformer


@pytest.fixture(scope="module")
def task():
    return problems.language_model(length=16, width=16, layers=1, heads=2, batch_size=8)


def readable(characters):
    return "".join("\n" if n == 0 else chr(n + 31) for n in np.asarray(characters))


def test_the_held_out_blocks_are_not_trained_on(task):
    numbers = readable(text.as_characters(text.documentation()))
    train, heldout = task.batch.leaves["data"], task.evaluate.leaves["data"]
    assert readable(train[0]) == numbers[:4096]
    assert readable(train[15]) == numbers[16 * 4096 : 17 * 4096]  # after the first held-out block
    assert readable(heldout[0]) == numbers[15 * 4096 :][:17]
    assert readable(heldout[1]) == numbers[15 * 4096 + 16 :][:17]
    assert heldout.shape == (255 * (len(numbers) // 4096 // 16), 17)  # 255 in each block
    assert task.batch(jax.random.key(0), 0).shape == (8, 17)


def test_a_prediction_depends_on_nothing_that_follows(task):
    """Nor on other windows of the batch, but on all that stands before it."""
    params = jax.jit(task.init)(jax.random.key(0))
    characters = jnp.arange(16)[None] * 5
    logits = jax.jit(lambda characters: transformer._logits(params, characters, 2, False))
    before, after = logits(characters)[0], logits(characters.at[0, 9].set(1))[0]
    changed = np.abs(before - after).max(axis=1) > 1e-6
    np.testing.assert_array_equal(changed, np.arange(16) >= 9)


def test_attention_agrees_with_numpy():
    random = np.random.default_rng(0)
    x = random.normal(size=(1, 5, 4))
    layer = {"attend": random.normal(size=(4, 12)), "attended": random.normal(size=(4, 4))}
    query, key, value = np.split(x[0] @ layer["attend"], 3, axis=1)
    seen = []
    for head in (slice(0, 2), slice(2, 4)):
        fit = np.exp(query[:, head] @ key[:, head].T / np.sqrt(2)) * np.tri(5)
        seen.append(fit / fit.sum(axis=1, keepdims=True) @ value[:, head])
    expected = np.concatenate(seen, axis=1) @ layer["attended"]
    as_arrays = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), (layer, x))
    np.testing.assert_allclose(transformer._attention(*as_arrays, 2)[0], expected, rtol=1e-4)


@pytest.mark.parametrize("post_norm", [False, True])
def test_what_is_normalized_agrees_with_numpy(post_norm):
    """Of a layer that attends to nothing."""
    task = problems.language_model(16, width=16, layers=1, heads=2, post_norm=post_norm)
    params = task.init(jax.random.key(0))
    layer = params["layers"][0]
    layer["attended"] = jnp.zeros((16, 16))

    def normalized(x):
        return (x - x.mean(axis=1, keepdims=True)) / np.sqrt(x.var(axis=1, keepdims=True) + 1e-5)

    x = np.asarray(params["embedding"][:16] + params["position"])
    y = normalized(x)
    made = np.maximum(y @ layer["widen"], 0) @ layer["narrow"]
    x = normalized(y + made) if post_norm else x + made
    expected = normalized(x) @ params["embedding"].T
    logits = transformer._logits(params, np.arange(16)[None], 2, post_norm)[0]
    np.testing.assert_allclose(logits, expected, rtol=1e-3, atol=1e-4)


def test_it_starts_knowing_nothing_and_learns_in_a_sweep(task):
    assert task.check() == {"loss", "heldout_loss", "heldout_accuracy"}
    result = gdjax.sweep(task, gdjax.adam, {"learning_rate": [0.0, 0.01]}, steps=200)
    untrained, learnt = result.final("heldout_loss")[:, 0]
    np.testing.assert_allclose(untrained, np.log(96), atol=0.02)
    counts = np.bincount(np.ravel(task.batch.leaves["data"])) / task.batch.leaves["data"].size
    frequencies = -np.sum(counts * np.log(np.maximum(counts, 1e-9)))
    assert learnt < frequencies - 0.3  # nats: more than which characters are frequent
    assert result.final("heldout_accuracy")[1, 0] > 0.25


@pytest.mark.parametrize("wrong", [{"heads": 3}, {"length": 4096}])
def test_sizes_that_do_not_fit_are_told(wrong):
    with pytest.raises(InvalidValue, match="heads must divide width and length be below 4096, got"):
        problems.language_model(**wrong)


def test_sizes_below_one_are_told():
    with pytest.raises(InvalidValue, match=r"language_model: sizes must .* layers=0"):
        problems.language_model(layers=0)
