"""Classification of images that come inside packages."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import optax

from gdjax.binding import Bound, bind
from gdjax.problems.classification import load_digits, measure
from gdjax.problems.data import check_sizes, draw
from gdjax.ranges import Fraction, NonNegative
from gdjax.task import Task


def digits(
    hidden: tuple[int, ...] = (64, 64),
    batch_size: int | None = 64,
    dropout: float | None = None,
    l2: float | None = None,
    label_smoothing: float | None = None,
) -> Task:
    """scikit-learn's handwritten digits with a multi-layer perceptron.

    1797 images of 8 x 8 pixels, scaled to [0, 1]; 1437 for training and 360 held out, split once
    by class. Layers with ReLU, He's initialization, softmax cross-entropy.

    Args:
      hidden: widths of the hidden layers.
      batch_size: images in a mini-batch, drawn with replacement; all, if None.
      dropout: probability that a hidden unit is left out of a step, in [0, 1). What is None here
        and below is not computed; a sweep may vary each, given or not.
      l2: coefficient of half the sum of squares of the weights, at least 0. SGD with it is SGD
        with as much weight decay.
      label_smoothing: share of each label that goes to all classes alike, in [0, 1).

    Returns:
      A task that evaluates ``heldout_loss`` (mean cross-entropy in nats, its objective) and
      ``heldout_accuracy`` (a fraction).

    Raises:
      MissingExtra: scikit-learn is not installed.
      InvalidValue: a width or the batch size is below 1, or a number is outside its range.

    Reference:
      Alpaydin and Kaynak, Optical recognition of handwritten digits, UCI, 1998. Label smoothing
      of Szegedy et al. (https://arxiv.org/abs/1512.00567), section 7.
    """
    check_sizes("digits", hidden=hidden, batch_size=batch_size)
    numbers = {"dropout": dropout, "l2": l2, "label_smoothing": label_smoothing}
    loss = bind(_loss, **{name: number for name, number in numbers.items() if number is not None})
    train, heldout = load_digits("digits")
    return Task(
        init=Bound(_init_perceptron, structure={"sizes": (64, *hidden, 10)}),
        loss=loss,
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


def perceptron(
    params: list[dict[str, jax.Array]], x: jax.Array, dropout: Any = None, key: Any = None
) -> jax.Array:
    """The logits of what :func:`digits` trains, ``[image, class]``.

    Args:
      params: of each layer the weights ``w``, ``[input, output]``, and the biases ``b``.
      x: images, ``[image, pixel]``.
      dropout: probability that a hidden unit is left out; None where all are wanted.
      key: of what is left out.
    """
    *hidden, last = params
    for i, layer in enumerate(hidden):
        x = jax.nn.relu(x @ layer["w"] + layer["b"][None])
        if dropout is not None:
            kept = jax.random.bernoulli(jax.random.fold_in(key, i), 1 - dropout, x.shape)
            x = jnp.where(kept, x / (1 - dropout), 0)
    return x @ last["w"] + last["b"][None]  # [image, class]


def _loss(
    params: Any,
    batch: Any,
    key: jax.Array,
    dropout: Fraction | None = None,
    l2: NonNegative | None = None,
    label_smoothing: Fraction | None = None,
) -> jax.Array:
    logits = perceptron(params, batch["x"], dropout, key)
    loss = optax.softmax_cross_entropy_with_integer_labels(logits, batch["y"]).mean()
    if label_smoothing is not None:
        of_all = -jax.nn.log_softmax(logits).mean()
        loss = (1 - label_smoothing) * loss + label_smoothing * of_all
    if l2 is not None:
        loss += l2 / 2 * sum(jnp.sum(layer["w"] ** 2) for layer in params)
    return loss


def _evaluate(params: Any, data: Any) -> dict[str, jax.Array]:
    return measure(perceptron(params, data["x"]), data["y"])
