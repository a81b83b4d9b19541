"""A loss along a few directions, and between two points.

A direction is a tree like the parameters. All is at least float32, vmaps and differentiates as the
loss does, and holds ``batch_size`` copies of the parameters at a time.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from gdjax import trees
from gdjax.errors import InvalidValue
from gdjax.ranges import whole

Loss = Callable[[Any], Any]
"""``loss(params) -> real scalar``."""


class Slice(NamedTuple):
    """A loss on a grid."""

    offsets: tuple[jax.Array, ...]  # along each direction, [offset]
    losses: jax.Array  # [offset along the first direction, along the second, ...]


class Line(NamedTuple):
    """A loss on the straight line between two points."""

    fractions: jax.Array  # [point], of the way, from 0 to 1
    losses: jax.Array  # [point]
    barrier: jax.Array  # how far it rises above the line between the losses at both ends


def filter_normalized_direction(params: Any, key: jax.Array) -> Any:
    """A random direction in which each filter is as long as that of the parameters.

    ``d[..., j] = g[..., j] |params[..., j]| / |g[..., j]|`` with a normal ``g``. A filter is what
    feeds one output: all axes but the last, in the convention of ``jax.nn.initializers``.
    Networks with ReLU stay the same functions where one layer is multiplied and the next divided
    by a number; so does a slice along such a direction, and slices of several networks compare.

    Args:
      params: real arrays. Those with fewer than two axes, which are biases and scales of
        normalizations, get a direction of 0, as in the authors' program.
      key: of the random numbers.

    Raises:
      InvalidType: complex parameters.
      InvalidValue: no array has two axes: the direction would be 0.

    Reference:
      Li et al., "Visualizing the loss landscape of neural nets", section 4
      (https://arxiv.org/abs/1712.09913).

    >>> params = {"w": jnp.array([[3.0, 0.0], [4.0, 2.0]]), "b": jnp.ones(2)}
    >>> direction = filter_normalized_direction(params, jax.random.key(0))
    >>> jnp.linalg.norm(direction["w"], axis=0).round(4).tolist(), direction["b"].tolist()
    ([5.0, 2.0], [0.0, 0.0])
    """
    if not any(jnp.ndim(x) > 1 and jnp.size(x) for x in jax.tree.leaves(params)):
        raise InvalidValue(
            "filter_normalized_direction needs an array of at least two axes, whose columns are "
            f"filters; got {jax.tree.map(jnp.shape, params)}. Pass other directions to loss_slice"
        )

    trees.refuse_complex("a random direction", params)
    wide = trees.widen(params)
    flat, as_tree = ravel_pytree(wide)
    drawn = as_tree(jax.random.normal(key, flat.shape, flat.dtype))  # at once: it compiles once

    def leaf(d: jax.Array, x: jax.Array) -> jax.Array:
        if x.ndim < 2:
            return jnp.zeros_like(x)
        return d * trees.divide(_filter_norms(x), _filter_norms(d))

    return jax.tree.map(leaf, drawn, wide)


def loss_slice(
    loss: Loss,
    params: Any,
    directions: Sequence[Any],
    offsets: Sequence[Any],
    batch_size: int = 32,
) -> Slice:
    """The loss on a grid around the parameters.

    ``losses[i, j] = loss(params + offsets[0][i] directions[0] + offsets[1][j] directions[1])``

    Args:
      loss: ``loss(params) -> real scalar``.
      params: where all offsets are 0.
      directions: trees like the parameters; one for a curve, two for a surface.
      offsets: along each direction, ``[offset]``.
      batch_size: points that are computed side by side.

    Raises:
      InvalidValue: no parameters, a direction unlike them, other than one array of offsets a
        direction, a batch size below 1, a loss that is not a scalar.

    >>> found = loss_slice(lambda p: p["x"] * p["y"], {"x": 1.0, "y": 2.0},
    ...                    [{"x": 1.0, "y": 0.0}, {"x": 0.0, "y": 1.0}], [[0, 1], [0, 1, 2]])
    >>> found.losses.tolist()
    [[2.0, 3.0, 4.0], [4.0, 6.0, 8.0]]
    """  # fmt: skip
    axes = tuple(trees.widen(jnp.asarray(x)) for x in offsets)
    if not axes or len(axes) != len(directions) or any(x.ndim != 1 for x in axes):
        raise InvalidValue(
            "loss_slice needs a list of directions and for each an array of offsets with one axis, "
            f"got {len(directions)} directions and offsets of shapes {[x.shape for x in axes]}"
        )
    for direction in directions:
        check_alike(params, direction, "a direction")
    params, *directions = (trees.widen(tree) for tree in (params, *directions))
    grid = jnp.stack(jnp.meshgrid(*axes, indexing="ij"), axis=-1)  # [..., direction]

    def at(point: jax.Array) -> Any:
        return jax.tree.map(
            lambda x, *ds: x + sum(a * d for a, d in zip(point, ds, strict=True)),
            params,
            *directions,
        )

    losses = _losses(loss, at, grid.reshape(-1, len(axes)), batch_size)
    return Slice(axes, losses.reshape(grid.shape[:-1]))


def loss_line(loss: Loss, start: Any, end: Any, points: int = 51, batch_size: int = 32) -> Line:
    """The loss on the straight line between two points, minima say, and its barrier.

    ``barrier = max over f of loss((1 - f) start + f end) - ((1 - f) loss(start) + f loss(end))``,
    over the points that are computed. It is at least 0, as the ends are among them.

    Args:
      loss: ``loss(params) -> real scalar``.
      start: parameters.
      end: parameters like those.
      points: on the line, both ends included; at least 2.
      batch_size: points that are computed side by side.

    Raises:
      InvalidValue: fewer than 2 points, a batch size below 1, no parameters, or such as are not
        alike.

    Reference:
      Entezari et al., "The role of permutation invariance in linear mode connectivity", section 2
      (https://arxiv.org/abs/2110.06296). Frankle et al. (https://arxiv.org/abs/1912.05671) take
      the mean of both ends off instead, which is the same where both are equally low.

    >>> float(loss_line(lambda x: (x**2 - 1) ** 2, -1.0, 1.0).barrier)  # two minima of 0
    1.0
    """
    points = whole("loss_line: points", points, low=2)
    check_alike(start, end, "the end")
    start, end = trees.widen((start, end))
    fractions = jnp.linspace(0, 1, points, dtype=trees.compute_dtype(start))

    def at(fraction: jax.Array) -> Any:  # exact at both ends
        return jax.tree.map(lambda x, y: (1 - fraction) * x + fraction * y, start, end)

    losses = _losses(loss, at, fractions, batch_size)
    straight = (1 - fractions) * losses[0] + fractions * losses[-1]
    return Line(fractions, losses, jnp.max(losses - straight))


def check_alike(params: Any, other: Any, what: str) -> None:
    """Raise InvalidValue where there are no parameters, or where another tree is unlike them."""
    if not jax.tree.leaves(params):
        raise InvalidValue(f"a loss landscape needs parameters, got a tree without any: {params}")
    if jax.tree.map(jnp.shape, params) != jax.tree.map(jnp.shape, other):
        raise InvalidValue(
            f"{what} must be like the parameters, got other containers or shapes"
            f"\n  parameters: {jax.tree.map(jnp.shape, params)}"
            f"\n  {what}: {jax.tree.map(jnp.shape, other)}"
        )


def _filter_norms(x: jax.Array) -> jax.Array:
    squares = jnp.sum(trees.abs_sq(x), axis=tuple(range(x.ndim - 1)), keepdims=True)
    return trees.sqrt(squares)


def _losses(loss: Loss, at: Callable, points: jax.Array, batch_size: int) -> jax.Array:
    batch_size = whole("batch_size", batch_size)
    losses = jax.lax.map(lambda point: loss(at(point)), points, batch_size=batch_size)
    shape = getattr(losses, "shape", None)
    if shape != points.shape[:1]:
        got = type(losses).__name__ if shape is None else f"shape {shape[1:]}"
        raise InvalidValue(f"the loss must return a scalar, got {got}; take a mean or sum")
    return trees.widen(losses)
