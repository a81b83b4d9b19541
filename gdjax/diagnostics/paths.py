"""The directions in which a run moved most, and points in a plane.

All is at least float32 and vmaps.
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gdjax import trees
from gdjax.decompositions import eigh, ridged_power
from gdjax.diagnostics.landscapes import check_alike
from gdjax.errors import InvalidValue

_tensordot = functools.partial(jnp.tensordot, precision="highest")


class Path(NamedTuple):
    """The directions in which a run moved most, and the run in them."""

    directions: list[Any]  # unit length, orthogonal to each other
    coordinates: jax.Array  # [checkpoint, direction]; 0 at the last checkpoint
    explained: jax.Array  # [direction], share of the squared distances from the last checkpoint

    def offsets(self, points: int = 41, margin: float = 0.25) -> list[jax.Array]:
        """Offsets of a slice in which the path lies.

        Args:
          points: along each direction.
          margin: room beyond the path on each side, as a fraction of its longest extent.
        """
        low, high = self.coordinates.min(axis=0), self.coordinates.max(axis=0)
        room = margin * (high - low).max()
        return list(jnp.linspace(low - room, high + room, points, axis=1))


def principal_directions(trajectory: Any, count: int = 2) -> Path:
    """The orthogonal directions in which a run moved most, seen from where it ended.

    With the rows ``m[t] = params[t] - params[last]`` they are the first right singular vectors of
    ``m``, found from the small matrix ``m m^T``, ``[checkpoint, checkpoint]``. Signs are such
    that the first checkpoint has no negative coordinate. A direction that has less of the squared
    distances than rounding (some 1e-7 for each checkpoint) is 0.

    A random walk, too, moves mostly in few directions: in many dimensions the first two have 0.61
    and 0.15 of its variance. Large shares alone do not show that a path is simple.

    Args:
      trajectory: parameters at the checkpoints of one run, leaves ``[checkpoint, ...]``; those of
        several runs may follow each other.
      count: of directions; fewer than checkpoints.

    Raises:
      InvalidType: complex parameters.
      InvalidValue: no parameters, leaves of different lengths, too few checkpoints.

    Reference:
      Li et al., section 7.2 (https://arxiv.org/abs/1712.09913); their program also takes off the
      mean. Antognini and Sohl-Dickstein on random walks (https://arxiv.org/abs/1806.08805).

    >>> path = principal_directions(jnp.array([[6.0, 8.0], [3.0, 4.0], [0.0, 0.0]]), count=1)
    >>> path.coordinates[:, 0].round(4).tolist(), path.explained.round(4).tolist()
    ([10.0, 5.0, 0.0], [1.0])
    """
    trees.refuse_complex("a principal direction", trajectory)
    checkpoints = leading(trajectory, "principal_directions: the trajectory")
    if not 1 <= count < checkpoints:
        raise InvalidValue(
            f"principal_directions finds at least one direction and fewer than checkpoints, got "
            f"{count=} and {checkpoints} checkpoints"
        )
    last = jax.tree.map(lambda x: x[-1], trees.widen(trajectory))
    moves = _moves(trajectory, last)
    gram = _products(moves, moves)
    values, vectors = (x[..., ::-1][..., :count] for x in eigh(gram))
    vectors = vectors * jnp.where(vectors[:1] < 0, -1, 1)
    seen = values > checkpoints * jnp.finfo(values.dtype).eps * values[0]

    def direction(i: int) -> Any:
        found = jax.tree.map(lambda m: _tensordot(vectors[:, i], m, 1), moves)
        length = jnp.where(seen[i], trees.global_norm(found), 1)
        return jax.tree.map(lambda x: jnp.where(seen[i], x / length, 0), found)

    directions = [direction(i) for i in range(count)]
    places = coordinates(trajectory, last, directions)
    total = jnp.trace(gram)
    shares = jnp.sum(places**2, axis=0) / jnp.where(total > 0, total, 1)
    return Path(directions, places, shares)


def coordinates(trajectory: Any, origin: Any, directions: Sequence[Any]) -> jax.Array:
    """Coordinates of points along directions, ``[point, direction]``.

    They give the nearest point of ``origin + sum of coordinate * direction``. The directions
    need be neither of unit length nor orthogonal; one that is 0 has coordinate 0.

    Args:
      trajectory: points, leaves ``[point, ...]``.
      origin: the parameters with coordinates 0.
      directions: trees like the origin.

    Raises:
      InvalidValue: no parameters or directions, or such as are not alike.

    >>> coordinates(jnp.array([[3.0, 4.0]]), jnp.zeros(2), [jnp.array([2.0, 0.0])]).tolist()
    [[1.5]]
    """
    leading(trajectory, "coordinates: the trajectory")
    if not directions:
        raise InvalidValue("coordinates needs at least one direction, got none")
    for tree in (jax.tree.map(lambda x: x[0], trajectory), *directions):
        check_alike(origin, tree, "a point or direction")
    stacked = jax.tree.map(lambda *ds: jnp.stack(ds), *trees.widen(list(directions)))
    along = _products(_moves(trajectory, origin), stacked)
    inverse = ridged_power(_products(stacked, stacked), -1.0, 0.0)
    return jnp.matmul(along, inverse, precision="highest")


def leading(tree: Any, what: str) -> int:
    """The length of the axis that all leaves begin with.

    Raises:
      InvalidValue: no leaves, or lengths that differ; the message begins with ``what``.
    """
    lengths = {jnp.shape(x)[:1] for x in jax.tree.leaves(tree)}
    if len(lengths) != 1 or () in lengths or not any(map(jnp.size, jax.tree.leaves(tree))):
        raise InvalidValue(
            f"{what} must hold arrays, all with a first axis of one length that is not 0, got "
            f"shapes {jax.tree.map(jnp.shape, tree)}"
        )
    return lengths.pop()[0]


def _moves(trajectory: Any, origin: Any) -> Any:
    return jax.tree.map(lambda x, y: x - y[None], *trees.widen((trajectory, origin)))


def _products(a: Any, b: Any) -> jax.Array:
    """Scalar products of all trees in one stack with all in another, ``[a, b]``."""
    flat = [
        _tensordot(x.reshape(len(x), -1), y.reshape(len(y), -1), (1, 1))
        for x, y in zip(*map(jax.tree.leaves, (a, b)), strict=True)
    ]
    return jnp.stack(flat).sum(0)
