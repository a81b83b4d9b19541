"""Factorization of a matrix of which some entries are missing."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from gdjax.binding import Bound, bind
from gdjax.problems.data import check_sizes, draw, needing_data
from gdjax.ranges import NonNegative
from gdjax.task import Task


def digits_factorization(rank: int = 8, batch_size: int | None = 1024, l2: float = 0.0) -> Task:
    """Missing pixels of scikit-learn's handwritten digits, by a matrix of low rank.

    ``x[row, column] = rows[row] . columns[column]``

    A matrix of 1797 images by 64 pixels, scaled to [0, 1], less the mean of what is known; a
    stand-in for ratings, which the packages of the extra ``data`` do not have. A tenth of the
    entries, drawn once, is held out. Half the mean squared error; normal initialization with
    variance ``1 / rank``. A row's gradient is its share of a mean over all entries: plain SGD needs
    learning rates in the hundreds.

    Args:
      rank: length of the vectors of rows and columns.
      batch_size: entries in a mini-batch, drawn with replacement; all, if None.
      l2: coefficient of half the squared length of an entry's two vectors, at least 0.

    Returns:
      A task that evaluates ``heldout_loss`` (half the mean squared error), its objective: 0.070
      where all predictions are 0.

    Raises:
      MissingExtra: scikit-learn is not installed.
      InvalidValue: the rank or the batch size is below 1, or ``l2`` below 0.

    Reference:
      Koren, Bell and Volinsky, Matrix factorization techniques for recommender systems, 2009,
      equation 2.
    """
    check_sizes("digits_factorization", rank=rank, batch_size=batch_size)
    with needing_data("digits_factorization"):
        from sklearn.datasets import load_digits
    pixels = np.asarray(load_digits(return_X_y=True)[0]) / 16
    train, heldout = _entries(pixels)
    return Task(
        init=Bound(_init, structure={"sizes": pixels.shape, "rank": rank}),
        loss=bind(_loss, l2=l2),
        batch=Bound(draw, {"data": train}, {"batch_size": batch_size}),
        evaluate=Bound(_evaluate, {"data": heldout}),
        objective="heldout_loss",
    )


def _entries(matrix: np.ndarray) -> tuple[dict[str, jax.Array], dict[str, jax.Array]]:
    """Row, column and value of each entry for training, and of each that is held out."""
    order = np.random.default_rng(0).permutation(matrix.size)
    heldout, train = np.split(order, [matrix.size // 10])
    mean = matrix.flat[train].mean()

    def entries(places: np.ndarray) -> dict[str, jax.Array]:
        row, column = np.unravel_index(places, matrix.shape)
        value = jnp.asarray(matrix[row, column] - mean, jnp.float32)
        return {"row": jnp.asarray(row), "column": jnp.asarray(column), "value": value}

    return entries(train), entries(heldout)


def _init(key: jax.Array, sizes: tuple[int, int], rank: int) -> dict[str, jax.Array]:
    initializer = jax.nn.initializers.normal(rank**-0.5)
    names = ("rows", "columns")
    return {
        name: initializer(k, (size, rank))
        for name, k, size in zip(names, jax.random.split(key), sizes, strict=True)
    }


def _vectors(params: dict[str, jax.Array], entries: Any) -> tuple[jax.Array, jax.Array]:
    return params["rows"][entries["row"]], params["columns"][entries["column"]]  # [entry, rank]


def _loss(params: Any, batch: Any, key: Any, l2: NonNegative) -> jax.Array:
    row, column = _vectors(params, batch)
    squares = jnp.sum(row**2 + column**2, axis=1)
    return jnp.mean(optax.l2_loss(jnp.sum(row * column, axis=1), batch["value"]) + l2 / 2 * squares)


def _evaluate(params: Any, data: Any) -> dict[str, jax.Array]:
    row, column = _vectors(params, data)
    return {"heldout_loss": optax.l2_loss(jnp.sum(row * column, axis=1), data["value"]).mean()}
