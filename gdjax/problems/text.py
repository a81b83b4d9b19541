"""The text of tasks on language: Python's own documentation, which is part of Python."""

import re
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np

HELD_OUT = 16  # one block of so many
CHARACTERS = 96


def documentation() -> str:
    """The topics that ``help()`` of this Python tells of, in the order of their names.

    From ``pydoc_data.topics`` of the standard library, under the license of Python (PSF-2.0).
    """
    from pydoc_data.topics import topics  # of half a megabyte

    return "\n\n".join(topics[name] for name in sorted(topics))


def as_characters(text: str) -> np.ndarray:
    r"""Numbers from 0 to 95: 0 for a line's end, then ASCII from space to ~; ? for all other.

    >>> as_characters("\n !~é").tolist()
    [0, 1, 2, 95, 32]
    """
    codes = np.frombuffer(text.encode("ascii", "replace"), np.uint8).astype(np.int32)
    return np.clip(codes - 31, 0, CHARACTERS - 1)


def as_words(text: str, vocabulary: int) -> tuple[list[str], np.ndarray]:
    """The most frequent words, and the text as their ranks; what is rarer is left out.

    >>> as_words("One word, one other word: one.", vocabulary=2)
    (['one', 'word'], array([0, 1, 0, 1, 0], dtype=int32))
    """
    words = re.findall("[a-z]+", text.lower())
    frequent = [word for word, _ in Counter(words).most_common(vocabulary)]
    rank = {word: i for i, word in enumerate(frequent)}
    return frequent, np.array([rank[word] for word in words if word in rank], np.int32)


def blocks(tokens: np.ndarray, size: int) -> tuple[jax.Array, jax.Array]:
    """A text cut into blocks, ``[block, token]``: those for training, and each 16th, held out."""
    whole = tokens[: len(tokens) // size * size].reshape(-1, size)
    heldout = np.arange(len(whole)) % HELD_OUT == HELD_OUT - 1
    return jnp.asarray(whole[~heldout]), jnp.asarray(whole[heldout])


def windows(key: jax.Array, data: jax.Array, count: int, length: int) -> jax.Array:
    """Windows of blocks, ``[window, token]``, each from anywhere in any block."""
    block_key, begin_key = jax.random.split(key)
    block = jax.random.randint(block_key, (count, 1), 0, data.shape[0])
    begin = jax.random.randint(begin_key, (count, 1), 0, data.shape[1] - length + 1)
    return data[block, begin + jnp.arange(length)[None]]
