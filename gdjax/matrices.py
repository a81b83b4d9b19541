"""Matrices in trees: all of one shape at once, axes of arrays as their rows; products, norms."""

import functools
import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from gdjax import trees

# On accelerators the default rounds factors to fewer bits than float32 has.
matmul = functools.partial(jnp.matmul, precision="highest")


def map_matrices(
    function: Callable[..., Any], *tables: Any, outputs: int = 1, decomposes: bool = False
) -> Any:
    """Apply ``function`` once to all matrices of one shape, stacked, wherever they stand.

    The program holds ``function`` once for each shape of matrix, not for each leaf, so that
    its compilation does not grow with the depth of a model; but see ``decomposes``.

    Args:
      function: takes a stack ``[matrix, rows, columns]`` of each tree, returns one, or a tuple.
      *tables: trees of one structure whose leaves are matrices, with any axes before the last
        two, the same in all trees.
      outputs: how many stacks ``function`` returns.
      decomposes: whether it decomposes matrices. On a CPU LAPACK does, and compiling a call of it
        takes less time than taking a stack apart: there each leaf is a stack of its own.

    Returns:
      A tree, or a tuple of as many as ``outputs``, with the axes before as they were.

    >>> map_matrices(lambda x: 2 * x, {"a": jnp.ones((1, 2)), "b": jnp.ones((3, 1, 2))})["b"].shape
    (3, 1, 2)
    """
    leaves, treedef = jax.tree.flatten(tables[0])
    rows = list(zip(leaves, *(treedef.flatten_up_to(tree) for tree in tables[1:]), strict=True))
    shapes = [tuple((x.shape[-2:], x.dtype) for x in row) for row in rows]
    together = functools.partial(_map_stacks, function, outputs, shapes)
    if decomposes:
        alone = functools.partial(_map_stacks, function, outputs, range(len(rows)))
        results = jax.lax.platform_dependent(rows, cpu=alone, default=together)
    else:
        results = together(rows)
    trees = tuple(treedef.unflatten(row[i] for row in results) for i in range(outputs))
    return trees if outputs > 1 else trees[0]


def _map_stacks(
    function: Callable[..., Any], outputs: int, keys: Iterable[Hashable], rows: list
) -> list[tuple]:
    """``function`` of the stacks of all rows that have the same key; its outputs for each row."""
    groups = defaultdict(list)
    for i, key in enumerate(keys):
        groups[key].append(i)
    results = [()] * len(rows)
    for members in groups.values():
        columns = zip(*(rows[i] for i in members), strict=True)
        stacks = function(*map(_stack, columns))
        lead = [rows[i][0].shape[:-2] for i in members]
        parts = [_unstack(stack, lead) for stack in (stacks if outputs > 1 else (stacks,))]
        for i, row in zip(members, zip(*parts, strict=True), strict=True):
            results[i] = row
    return results


def _stack(matrices: Sequence[jax.Array]) -> jax.Array:
    flat = [x.reshape(-1, *x.shape[-2:]) for x in matrices]
    return flat[0] if len(flat) == 1 else jnp.concatenate(flat)


def _unstack(stack: jax.Array, lead: Sequence[tuple[int, ...]]) -> list[jax.Array]:
    parts, start = [], 0
    for shape in lead:
        end = start + math.prod(shape)
        part = stack if len(lead) == 1 else stack[start:end]
        parts.append(part.reshape(*shape, *stack.shape[1:]))
        start = end
    return parts


def dagger(x: jax.Array) -> jax.Array:
    """The conjugate transpose of the last two axes."""
    return jnp.conj(jnp.swapaxes(x, -1, -2))


def second_moment(x: jax.Array, axis: int) -> jax.Array:
    """``x x^H`` with ``axis`` as rows and all others as columns: a square matrix of that axis."""
    rows = jnp.moveaxis(x, axis, 0).reshape(x.shape[axis], -1)
    return matmul(rows, dagger(rows))


def multiply_axis(matrix: jax.Array, x: jax.Array, axis: int) -> jax.Array:
    """``matrix x`` with ``axis`` of ``x`` as rows and all others as columns."""
    product = jnp.tensordot(matrix, x, axes=(1, axis), precision="highest")
    return jnp.moveaxis(product, 0, axis)


def norm(x: jax.Array) -> jax.Array:
    """The Frobenius norm of the last two axes, which stay, of length 1; derivative 0 at 0."""
    return trees.sqrt(jnp.sum(trees.abs_sq(x), axis=(-2, -1), keepdims=True))
