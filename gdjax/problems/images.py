"""Classification of images that come inside packages."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import optax

from gdjax.binding import Bound
from gdjax.errors import InvalidValue
from gdjax.problems.classification import draw, load_digits, measure
from gdjax.task import Task


def digits(hidden: tuple[int, ...] = (64, 64), batch_size: int = 64) -> Task:
    """scikit-learn's handwritten digits with a multi-layer perceptron.

    1797 images of 8 x 8 pixels, scaled to [0, 1]; 1437 for training and 360 held out, split once
    by class. Layers with ReLU, He's initialization, softmax cross-entropy.

    Args:
      hidden: widths of the hidden layers.
      batch_size: images in a mini-batch, drawn with replacement.

    Returns:
      A task that evaluates ``heldout_loss`` (mean cross-entropy in nats, its objective) and
      ``heldout_accuracy`` (a fraction).

    Raises:
      MissingExtra: scikit-learn is not installed.
      InvalidValue: a width or the batch size is below 1.

    Reference:
      Alpaydin and Kaynak, Optical recognition of handwritten digits, UCI, 1998.
    """
    if min((*hidden, batch_size)) < 1:
        raise InvalidValue(
            f"digits: widths and batch size must be at least 1, got {hidden=}, {batch_size=}"
        )
    train, heldout = load_digits("gdjax.problems.digits")
    return Task(
        init=Bound(_init_perceptron, structure={"sizes": (64, *hidden, 10)}),
        loss=_cross_entropy,
        batch=Bound(draw, {"data": train}, {"batch_size": batch_size}),
        evaluate=Bound(_evaluate, {"data": heldout}),
        objective="heldout_loss",
    )


def _init_perceptron(key: jax.Array, sizes: tuple[int, ...]) -> list[dict[str, jax.Array]]:
    initializer = jax.nn.initializers.he_normal()
    shapes = list(itertools.pairwise(sizes))
    return [
        {"w": initializer(k, shape), "b": jnp.zeros(shape[1])}
        for k, shape in zip(jax.random.split(key, len(shapes)), shapes, strict=True)
    ]


def _logits(params: list[dict[str, jax.Array]], x: jax.Array) -> jax.Array:
    *hidden, last = params
    for layer in hidden:
        x = jax.nn.relu(x @ layer["w"] + layer["b"][None])
    return x @ last["w"] + last["b"][None]  # [image, class]


def _cross_entropy(params: Any, batch: Any, key: jax.Array) -> jax.Array:
    logits = _logits(params, batch["x"])
    return optax.softmax_cross_entropy_with_integer_labels(logits, batch["y"]).mean()


def _evaluate(params: Any, data: Any) -> dict[str, jax.Array]:
    return measure(_logits(params, data["x"]), data["y"])
