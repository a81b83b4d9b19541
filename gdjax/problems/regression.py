"""Linear and logistic regression: convex, with a known optimum."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from gdjax.binding import Bound, bind
from gdjax.problems.data import check_sizes, draw, needing_data, split
from gdjax.ranges import NonNegative
from gdjax.task import Task


def four_points() -> Task:
    """A line through four points, in full batches: small enough to follow by hand.

    ``y = w x + b`` at ``x = 1, 2, 3, 4`` for ``y = 2, 3.8, 5.9, 7.8``; half the mean squared
    error. Least squares gives ``w = 1.95`` and ``b = 0``. LeCun's initialization of the weight, 0
    for the bias. Nothing is held out.

    Returns:
      A task whose parameters are ``w``, ``[1, 1]``, and ``b``, ``[1]``.

    >>> four_points().check()
    {'loss'}
    """
    x, y = jnp.arange(1.0, 5.0)[:, None], jnp.array([2.0, 3.8, 5.9, 7.8])
    return _task({"x": x, "y": y}, None, optax.l2_loss, None, 0.0, None)


def diabetes(batch_size: int | None = None, l2: float = 0.0) -> Task:
    """How far diabetes has gone after a year, by linear regression.

    The 442 patients with 10 measurements each that come with scikit-learn (BSD-3-Clause): 354 for
    training and 88 held out, drawn once. Measurements and targets are scaled to mean 0 and standard
    deviation 1 over those for training. Half the mean squared error, so that predicting the mean
    loses 0.5. LeCun's initialization of the weights, 0 for the bias.

    Args:
      batch_size: patients in a mini-batch, drawn with replacement; all, if None.
      l2: coefficient of half the sum of squares of the weights, at least 0.

    Returns:
      A task that evaluates ``heldout_loss`` (half the mean squared error), its objective. Its
      parameters are ``w``, ``[10, 1]``, and ``b``, ``[1]``.

    Raises:
      MissingExtra: scikit-learn is not installed.
      InvalidValue: the batch size is below 1, or ``l2`` below 0.

    Reference:
      Efron et al., Least angle regression, 2004 (https://arxiv.org/abs/math/0406456).
    """
    check_sizes("diabetes", batch_size=batch_size)
    with needing_data("diabetes"):
        from sklearn.datasets import load_diabetes
    x, y = map(np.asarray, load_diabetes(return_X_y=True))
    train, heldout = _standardized(*split(x, y, heldout=88), names=("x", "y"))
    return _task(train, heldout, optax.l2_loss, batch_size, l2, _evaluate)


def breast_cancer(batch_size: int | None = None, l2: float = 0.0) -> Task:
    """Whether a tumour of the breast is benign, by logistic regression.

    scikit-learn's 569 tumours with 30 measurements each (Breast Cancer Wisconsin, CC BY 4.0): 455
    for training and 114 held out, split once by class. Measurements are scaled to mean 0 and
    standard deviation 1 over those for training. Binary cross-entropy. LeCun's initialization of
    the weights, 0 for the bias. A plane separates nearly all, so without ``l2`` the optimum is far
    away and long steps overfit.

    Args:
      batch_size: tumours in a mini-batch, drawn with replacement; all, if None.
      l2: coefficient of half the sum of squares of the weights, at least 0. scikit-learn's
        ``LogisticRegression(C=1)`` has ``1 / 455``.

    Returns:
      A task that evaluates ``heldout_loss`` (mean cross-entropy in nats, its objective) and
      ``heldout_accuracy`` (a fraction). Its parameters are ``w``, ``[30, 1]``, and ``b``, ``[1]``.

    Raises:
      MissingExtra: scikit-learn is not installed.
      InvalidValue: the batch size is below 1, or ``l2`` below 0.

    Reference:
      Wolberg et al., Breast Cancer Wisconsin (Diagnostic), UCI, 1993
      (https://doi.org/10.24432/C5DW2B).
    """
    check_sizes("breast_cancer", batch_size=batch_size)
    with needing_data("breast_cancer"):
        from sklearn.datasets import load_breast_cancer
    x, y = map(np.asarray, load_breast_cancer(return_X_y=True))
    train, heldout = _standardized(*split(x, y, heldout=114, by_class=True), names=("x",))
    cross_entropy = optax.sigmoid_binary_cross_entropy
    return _task(train, heldout, cross_entropy, batch_size, l2, _evaluate_classes)


def _task(
    train: Any,
    heldout: Any,
    losses: Callable[..., jax.Array],
    batch_size: int | None,
    l2: float,
    evaluate: Callable[..., dict[str, jax.Array]] | None,
) -> Task:
    return Task(
        init=Bound(_init, structure={"features": train["x"].shape[1]}),
        loss=bind(_loss, losses=losses, l2=l2),
        batch=Bound(draw, {"data": train}, {"batch_size": batch_size}),
        evaluate=evaluate and Bound(evaluate, {"data": heldout}, {"losses": losses}),
        objective="heldout_loss" if evaluate else "loss",
    )


def _standardized(train: Any, heldout: Any, names: tuple[str, ...]) -> tuple[Any, Any]:
    """Columns less their mean in ``train``, in units of their standard deviation there."""

    def scaled(data: Any, name: str) -> jax.Array:
        mean, std = (moment(train[name], axis=0, keepdims=True) for moment in (jnp.mean, jnp.std))
        return (data[name] - mean) / std

    parts = (data | {name: scaled(data, name) for name in names} for data in (train, heldout))
    return tuple(parts)


def _init(key: jax.Array, features: int) -> dict[str, jax.Array]:
    return {"w": jax.nn.initializers.lecun_normal()(key, (features, 1)), "b": jnp.zeros(1)}


def _outputs(params: dict[str, jax.Array], x: jax.Array) -> jax.Array:
    return (x @ params["w"] + params["b"][None])[:, 0]  # [example]


def _loss(
    params: Any, batch: Any, key: Any, losses: Callable[..., jax.Array], l2: NonNegative
) -> jax.Array:
    fit = losses(_outputs(params, batch["x"]), batch["y"]).mean()
    return fit + l2 / 2 * jnp.sum(params["w"] ** 2)


def _evaluate(params: Any, data: Any, losses: Callable[..., jax.Array]) -> dict[str, jax.Array]:
    return {"heldout_loss": losses(_outputs(params, data["x"]), data["y"]).mean()}


def _evaluate_classes(
    params: Any, data: Any, losses: Callable[..., jax.Array]
) -> dict[str, jax.Array]:
    hits = (_outputs(params, data["x"]) > 0) == data["y"]
    return _evaluate(params, data, losses) | {"heldout_accuracy": hits.mean()}
