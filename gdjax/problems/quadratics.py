"""DeepOBS's noisy quadratic, whose curvatures are like those of a deep network."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gdjax.binding import Bound
from gdjax.problems.data import check_sizes, draw
from gdjax.task import Task

DIMENSION, STEEP, POINTS = 100, 10, 1000
NOISE = 0.6  # standard deviation of each coordinate of a point


def deep_quadratic(batch_size: int | None = 128) -> Task:
    """DeepOBS's noisy quadratic in 100 dimensions.

    ``loss = mean over points of (params - point)' hessian (params - point) / 2``

    90 eigenvalues of the Hessian are drawn from (0, 1) and 10 from (30, 60), its basis from all
    rotations alike. The 1000 points, and as many that are held out, are normal around 0 with
    standard deviation 0.6. All are drawn once, from seeds of gdjax: the numbers are not those of
    DeepOBS. The parameters start at 1.

    Args:
      batch_size: points in a mini-batch, drawn with replacement; all points, if None.

    Returns:
      A task that evaluates ``heldout_loss``, its objective. No parameters reach 0 there: with the
      points' mean it is about 0.18 times the trace of the Hessian.

    Raises:
      InvalidValue: the batch size is below 1.

    Reference:
      Schneider et al., DeepOBS (https://arxiv.org/abs/1903.05499), ``quadratic_deep``; eigenvalues
      after Chaudhari et al. (https://arxiv.org/abs/1611.01838).
    """
    check_sizes("deep_quadratic", batch_size=batch_size)
    random = np.random.default_rng(0)
    flat = random.uniform(0, 1, DIMENSION - STEEP)
    eigenvalues = np.concatenate([flat, random.uniform(30, 60, STEEP)])
    basis = np.asarray(jax.random.orthogonal(jax.random.key(0), DIMENSION), float)
    hessian = jnp.asarray(basis * eigenvalues @ basis.T, jnp.float32)
    train, heldout = jnp.asarray(
        NOISE * random.standard_normal((2, POINTS, DIMENSION)), jnp.float32
    )
    return Task(
        init=_ones,
        loss=Bound(_loss, {"hessian": hessian}),
        batch=Bound(draw, {"data": train}, {"batch_size": batch_size}),
        evaluate=Bound(_evaluate, {"data": heldout, "hessian": hessian}),
        objective="heldout_loss",
    )


def _ones(key: jax.Array) -> jax.Array:
    return jnp.ones(DIMENSION)


def _loss(params: jax.Array, batch: jax.Array, key: Any, hessian: jax.Array) -> jax.Array:
    away = params[None] - batch  # [point, dimension]
    return jnp.mean(jnp.sum(away @ hessian * away, axis=1)) / 2


def _evaluate(params: jax.Array, data: jax.Array, hessian: jax.Array) -> dict[str, jax.Array]:
    return {"heldout_loss": _loss(params, data, None, hessian)}
