import jax
import numpy as np

from gdjax.problems import text


def test_the_documentation_is_that_of_python():
    words = text.documentation()
    assert 'The "while" statement' in words
    assert len(words) > 400_000
    assert text.documentation() == words


def test_characters():
    numbers = text.as_characters(text.documentation())
    assert numbers.min() == 0
    assert numbers.max() <= 95
    readable = "".join("\n" if n == 0 else chr(n + 31) for n in numbers)
    assert 'The "while" statement is used for repeated execution' in readable


def test_words():
    frequent, numbers = text.as_words(text.documentation(), 100)
    assert len(frequent) == 100
    assert frequent[0] == "the"
    counts = np.bincount(numbers)
    assert len(counts) == 100
    assert (np.diff(counts) <= 0).all()


def test_each_16th_block_is_held_out():
    train, heldout = text.blocks(np.arange(333), 10)
    assert train.shape == (31, 10)
    assert heldout[:, 0].tolist() == [150, 310]
    assert sorted([*train.ravel().tolist(), *heldout.ravel().tolist()]) == list(range(330))


def test_windows_stay_in_their_blocks_and_begin_anywhere():
    data = np.arange(12).reshape(2, 6)
    drawn = np.asarray(text.windows(jax.random.key(0), jax.numpy.asarray(data), 1000, 4))
    assert (np.diff(drawn, axis=1) == 1).all()
    begins, counts = np.unique(drawn[:, 0], return_counts=True)
    assert begins.tolist() == [0, 1, 2, 6, 7, 8]
    assert counts.min() > 1000 / 6 * 0.75
