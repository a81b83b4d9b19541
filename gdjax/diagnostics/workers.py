"""Whether the gradients that several workers send agree."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from gdjax import curvature, trees
from gdjax.transforms import median_of_workers


def disagreement(gradients: Any) -> jax.Array:
    """How far each worker's gradient points away from the median of all.

    ``1 - cos(g, median(g))`` for each worker's ``g``, with the median of each coordinate, which
    honest workers decide as long as they are the majority: 0 where it has the median's direction,
    1 where it is orthogonal to it, 2 where it points the other way. How long it is makes no
    difference: :func:`tail_index` of the norms tells of that. Gradients of small batches disagree
    too, so a worker is to be compared with the others.

    Args:
      gradients: a tree with leaves ``[worker, ...]``.

    Returns:
      ``[worker]``, in at least float32; 1 where a gradient is zero, 2 where its norm is not finite.

    Raises:
      InvalidValue: the leaves have no leading axis of one length.

    Reference:
      Cao et al., FLTrust (https://arxiv.org/abs/2012.13995), equation 2, where the server's own
      gradient is what workers are compared with; the median is that of Yin et al.
      (https://arxiv.org/abs/1803.01498).

    >>> gradients = jnp.array([[1.0, 0.0], [2.0, 0.0], [3.0, 0.0], [0.0, 1.0], [-9.0, 0.0]])
    >>> disagreement(gradients).tolist()
    [0.0, 0.0, 0.0, 1.0, 2.0]
    """
    wide = trees.widen(gradients)
    median, _ = median_of_workers().update(wide, optax.EmptyState())
    size = trees.global_norm(median)

    def one(gradient: Any) -> jax.Array:
        lengths = trees.global_norm(gradient) * size
        cosine = curvature.dot(gradient, median) / jnp.where(lengths == 0, 1, lengths)
        return jnp.where(jnp.isfinite(lengths), 1 - cosine, 2)

    return jax.vmap(one)(wide)
