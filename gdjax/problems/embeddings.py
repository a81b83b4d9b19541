"""Vectors of words, learnt from what stands around them."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gdjax.binding import Bound
from gdjax.errors import InvalidValue
from gdjax.problems.data import check_sizes
from gdjax.problems.text import as_words, blocks, documentation, windows
from gdjax.task import Task

BLOCK = 512  # words
PAIRS = 4096  # that are held out


def skip_gram(
    dimension: int = 32,
    vocabulary: int = 1000,
    window: int = 5,
    negatives: int = 5,
    batch_size: int = 256,
) -> Task:
    """Skip-gram with negative sampling, on Python's documentation.

    ``loss = -log sigmoid(center . context) - sum over noise words log sigmoid(-center . noise)``

    The text is that of ``pydoc_data.topics`` in the standard library (license PSF-2.0); it differs
    a little between versions of Python. Of its some 64,000 words the most frequent are kept, in
    small letters. It is cut into blocks of 512 words, of which each 16th is held out: 4096 pairs
    with their noise, drawn once. A context is any of the words around a center alike, and frequent
    words are not thinned out. Normal initialization with variance ``1 / dimension``.

    Args:
      dimension: length of the vectors.
      vocabulary: how many words are kept.
      window: words to each side of a center that are its contexts.
      negatives: noise words of each pair, drawn with the 0.75th power of their frequency.
      batch_size: pairs in a mini-batch.

    Returns:
      A task that evaluates ``heldout_loss`` (the mean in nats, its objective; ``(1 + negatives) *
      log(2)`` where all vectors are 0) and ``heldout_accuracy``: the fraction of pairs whose
      context fits its center better than each noise word does. Its parameters are ``centers`` and
      ``contexts``, ``[word, dimension]``, the most frequent word first, in the order of
      ``as_words`` in ``gdjax.problems.text``.

    Raises:
      InvalidValue: a size below 1, a window that no block holds, or too few words.

    Reference:
      Mikolov et al., Distributed representations of words and phrases
      (https://arxiv.org/abs/1310.4546), equation 4.
    """
    sizes = {"dimension": dimension, "vocabulary": vocabulary, "window": window}
    check_sizes("skip_gram", **sizes, negatives=negatives, batch_size=batch_size)
    if 2 * window >= BLOCK:
        raise InvalidValue(f"skip_gram: window must be below {BLOCK // 2}, got {window}")
    _, words = as_words(documentation(), vocabulary)
    train, heldout = blocks(words, BLOCK)
    if not len(heldout):
        raise InvalidValue(f"skip_gram: too little text is left by {vocabulary=}; take more words")
    frequency = np.bincount(np.ravel(train), minlength=words.max() + 1)
    noise = jnp.asarray(frequency**0.75 / (frequency**0.75).sum(), jnp.float32)
    structure = {"window": window, "negatives": negatives}
    pairs = _draw(jax.random.key(0), 0, heldout, noise, PAIRS, **structure)
    return Task(
        init=Bound(_init, structure={"shape": (len(noise), dimension)}),
        loss=_loss,
        batch=Bound(_draw, {"data": train, "noise": noise}, structure | {"batch_size": batch_size}),
        evaluate=Bound(_evaluate, {"data": pairs}),
        objective="heldout_loss",
    )


def _draw(
    key: jax.Array,
    step: Any,
    data: jax.Array,
    noise: jax.Array,
    batch_size: int,
    window: int,
    negatives: int,
) -> dict[str, jax.Array]:
    window_key, place_key, noise_key = jax.random.split(key, 3)
    words = windows(window_key, data, batch_size, 2 * window + 1)
    place = jax.random.randint(place_key, (batch_size, 1), 0, 2 * window)
    place += place >= window  # the center is no context of its own
    context = jnp.take_along_axis(words, place, axis=1)[:, 0]
    drawn = jax.random.choice(noise_key, len(noise), (batch_size, negatives), p=noise)
    return {"center": words[:, window], "context": context, "noise": drawn}


def _init(key: jax.Array, shape: tuple[int, int]) -> dict[str, jax.Array]:
    initializer = jax.nn.initializers.normal(shape[1] ** -0.5)
    keys = zip(("centers", "contexts"), jax.random.split(key), strict=True)
    return {name: initializer(k, shape) for name, k in keys}


def _fits(params: dict[str, jax.Array], batch: Any) -> tuple[jax.Array, jax.Array]:
    """Products of each center with its context, ``[pair]``, and its noise, ``[pair, noise]``."""
    center = params["centers"][batch["center"]]  # [pair, dimension]
    context, noise = (params["contexts"][batch[name]] for name in ("context", "noise"))
    return jnp.sum(center * context, axis=1), jnp.einsum("pd,pnd->pn", center, noise)


def _losses(fit: jax.Array, unfit: jax.Array) -> jax.Array:
    return -jax.nn.log_sigmoid(fit) - jnp.sum(jax.nn.log_sigmoid(-unfit), axis=1)


def _loss(params: Any, batch: Any, key: Any) -> jax.Array:
    return _losses(*_fits(params, batch)).mean()


def _evaluate(params: Any, data: Any) -> dict[str, jax.Array]:
    fit, unfit = _fits(params, data)
    hits = fit > unfit.max(axis=1)
    return {"heldout_loss": _losses(fit, unfit).mean(), "heldout_accuracy": hits.mean()}
