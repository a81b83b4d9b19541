"""Classification of images by convolutions, which are fast in a sweep on any device."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from gdjax.binding import Bound
from gdjax.convolution import conv_general_dilated
from gdjax.errors import InvalidValue
from gdjax.problems.classification import load_digits, measure
from gdjax.problems.data import draw
from gdjax.task import Task

CLASSES = 10


def digits_cnn(channels: tuple[int, int] = (16, 32), batch_size: int = 64) -> Task:
    """scikit-learn's handwritten digits with a small convolutional network.

    1797 images of 8 x 8 pixels, scaled to [0, 1]; 1437 for training and 360 held out, split once
    by class. Two convolutions of 3 x 3 with ReLU, the second one of stride 2, and a linear layer;
    He's initialization, softmax cross-entropy.

    Args:
      channels: of the two convolutions.
      batch_size: images in a mini-batch, drawn with replacement.

    Returns:
      A task that evaluates ``heldout_loss`` (mean cross-entropy in nats, its objective) and
      ``heldout_accuracy`` (a fraction).

    Raises:
      MissingExtra: scikit-learn is not installed.
      InvalidValue: other than two numbers of channels, or a number below 1.

    Reference:
      Alpaydin and Kaynak, Optical recognition of handwritten digits, UCI, 1998. A stride in place
      of pooling as in Springenberg et al. (https://arxiv.org/abs/1412.6806).
    """
    if len(channels) != 2 or min((*channels, batch_size)) < 1:
        raise InvalidValue(
            "digits_cnn: two numbers of channels and a batch size of at least 1 each, got "
            f"{channels=}, {batch_size=}"
        )
    train, heldout = (
        data | {"x": data["x"].reshape(-1, 8, 8, 1)} for data in load_digits("digits_cnn")
    )
    return Task(
        init=Bound(_init, structure={"channels": tuple(channels)}),
        loss=_cross_entropy,
        batch=Bound(draw, {"data": train}, {"batch_size": batch_size}),
        evaluate=Bound(_evaluate, {"data": heldout}),
        objective="heldout_loss",
    )


def _init(key: jax.Array, channels: tuple[int, int]) -> list[dict[str, jax.Array]]:
    initializer = jax.nn.initializers.he_normal()
    first, second = channels
    shapes = [(3, 3, 1, first), (3, 3, first, second), (4 * 4 * second, CLASSES)]
    return [
        {"w": initializer(k, shape), "b": jnp.zeros(shape[-1])}
        for k, shape in zip(jax.random.split(key, len(shapes)), shapes, strict=True)
    ]


def _logits(params: list[dict[str, jax.Array]], x: jax.Array) -> jax.Array:
    *convolutions, last = params
    for layer, stride in zip(convolutions, (1, 2), strict=True):
        x = conv_general_dilated(
            x, layer["w"], (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        x = jax.nn.relu(x + layer["b"][None, None, None])
    return x.reshape(len(x), -1) @ last["w"] + last["b"][None]  # [image, class]


def _cross_entropy(params: Any, batch: Any, key: jax.Array) -> jax.Array:
    logits = _logits(params, batch["x"])
    return optax.softmax_cross_entropy_with_integer_labels(logits, batch["y"]).mean()


def _evaluate(params: Any, data: Any) -> dict[str, jax.Array]:
    return measure(_logits(params, data["x"]), data["y"])
