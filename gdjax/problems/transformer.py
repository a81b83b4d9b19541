"""A small transformer that predicts text, character by character."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from gdjax.binding import Bound
from gdjax.errors import InvalidValue
from gdjax.problems.classification import measure
from gdjax.problems.data import check_sizes
from gdjax.problems.text import CHARACTERS, as_characters, blocks, documentation, windows
from gdjax.task import Task

BLOCK = 4096  # characters


def language_model(
    length: int = 64,
    width: int = 64,
    layers: int = 2,
    heads: int = 4,
    batch_size: int = 32,
    post_norm: bool = False,
) -> Task:
    """The next character of Python's documentation, by a small transformer.

    The text is that of ``pydoc_data.topics`` in the standard library (license PSF-2.0), some
    465,000 characters; it differs a little between versions of Python. 96 characters are told
    apart: a line's end and ASCII from space to ~, with ? for all other. The text is cut into blocks
    of 4096, of which each 16th is held out.

    A decoder with normalization before each part, learnt positions, causal attention and
    perceptrons of four times the width with ReLU, without biases; the output shares the embedding.
    Matrices have LeCun's initialization, those that end a part divided by ``sqrt(2 * layers)``;
    embeddings and positions are normal with standard deviation 0.02.

    Args:
      length: characters of a window, each of which is told from those before it in there.
      width: of the vectors between the layers, divisible by ``heads``.
      layers: of attention and perceptron.
      heads: of the attention.
      batch_size: windows in a mini-batch, from anywhere in any block.
      post_norm: normalize the sum behind each part, as the first transformer does, instead of what
        goes into it.

    Returns:
      A task that evaluates ``heldout_loss`` (nats a character, its objective) and
      ``heldout_accuracy`` (the fraction of characters that are guessed).

    Raises:
      InvalidValue: a size below 1, a width that the heads do not divide, or windows that no block
        holds.

    Reference:
      Vaswani et al., Attention is all you need (https://arxiv.org/abs/1706.03762); normalization
      and initialization as in Radford et al., Language models are unsupervised multitask learners,
      2019, section 2.3.
    """
    sizes = {"length": length, "width": width, "layers": layers, "heads": heads}
    check_sizes("language_model", **sizes, batch_size=batch_size)
    if width % heads or length >= BLOCK:
        raise InvalidValue(
            f"language_model: heads must divide width and length be below {BLOCK}, got {width=}, "
            f"{heads=}, {length=}"
        )
    train, heldout = blocks(as_characters(documentation()), BLOCK)
    count = (BLOCK - 1) // length  # of windows in a block, each followed by one more character
    places = jnp.arange(count)[:, None] * length + jnp.arange(length + 1)[None]
    structure = {"heads": heads, "post_norm": post_norm}
    return Task(
        init=Bound(_init, structure={"length": length, "width": width, "layers": layers}),
        loss=Bound(_loss, structure=structure),
        batch=Bound(_draw, {"data": train}, {"batch_size": batch_size, "length": length + 1}),
        evaluate=Bound(_evaluate, {"data": heldout[:, places].reshape(-1, length + 1)}, structure),
        objective="heldout_loss",
    )


def _draw(
    key: jax.Array, step: jax.Array, data: jax.Array, batch_size: int, length: int
) -> jax.Array:
    return windows(key, data, batch_size, length)


def _init(key: jax.Array, length: int, width: int, layers: int) -> dict[str, Any]:
    small, lecun = jax.nn.initializers.normal(0.02), jax.nn.initializers.lecun_normal()
    last = jax.nn.initializers.variance_scaling(1 / (2 * layers), "fan_in", "truncated_normal")
    shapes = {
        "attend": (lecun, (width, 3 * width)),
        "attended": (last, (width, width)),
        "widen": (lecun, (width, 4 * width)),
        "narrow": (last, (4 * width, width)),
    }

    def layer(key: jax.Array) -> dict[str, jax.Array]:
        keys = jax.random.split(key, len(shapes))
        matrices = {
            name: initializer(k, shape)
            for k, (name, (initializer, shape)) in zip(keys, shapes.items(), strict=True)
        }
        return matrices | {"norm_1": jnp.ones(width), "norm_2": jnp.ones(width)}

    embedding, position, *rest = jax.random.split(key, 2 + layers)
    return {
        "embedding": small(embedding, (CHARACTERS, width)),
        "position": small(position, (length, width)),
        "layers": [layer(k) for k in rest],
        "norm": jnp.ones(width),
    }


def _normalized(x: jax.Array, scale: jax.Array) -> jax.Array:
    return jax.nn.standardize(x, axis=-1, epsilon=1e-5) * scale[None, None]


def _attention(layer: Any, x: jax.Array, heads: int) -> jax.Array:
    query, key, value = (
        part.reshape(*x.shape[:2], heads, -1) for part in jnp.split(x @ layer["attend"], 3, axis=-1)
    )
    seen = jax.nn.dot_product_attention(query, key, value, is_causal=True)
    return seen.reshape(x.shape) @ layer["attended"]


def _perceptron(layer: Any, x: jax.Array) -> jax.Array:
    return jax.nn.relu(x @ layer["widen"]) @ layer["narrow"]


def _logits(params: Any, characters: jax.Array, heads: int, post_norm: bool) -> jax.Array:
    position = params["position"][: characters.shape[1]]
    x = params["embedding"][characters] + position[None]  # [window, character, width]
    for layer in params["layers"]:
        if post_norm:
            x = _normalized(x + _attention(layer, x, heads), layer["norm_1"])
            x = _normalized(x + _perceptron(layer, x), layer["norm_2"])
        else:
            x += _attention(layer, _normalized(x, layer["norm_1"]), heads)
            x += _perceptron(layer, _normalized(x, layer["norm_2"]))
    return _normalized(x, params["norm"]) @ params["embedding"].T


def _loss(params: Any, batch: jax.Array, key: Any, heads: int, post_norm: bool) -> jax.Array:
    logits = _logits(params, batch[:, :-1], heads, post_norm)
    return optax.softmax_cross_entropy_with_integer_labels(logits, batch[:, 1:]).mean()


def _evaluate(params: Any, data: jax.Array, heads: int, post_norm: bool) -> dict[str, jax.Array]:
    return measure(_logits(params, data[:, :-1], heads, post_norm), data[:, 1:])
