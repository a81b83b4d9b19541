"""Which arrays are matrices, or stacks of them, and of which axes."""

import dataclasses
import math
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gdjax.binding import Frozen, as_structure
from gdjax.errors import InvalidValue


@dataclasses.dataclass(frozen=True)
class MuonDimensionNumbers:
    """Which axes of an array are the rows and the columns of a matrix; others count matrices."""

    reduction_axis: int | Sequence[int] = 0
    output_axis: int | Sequence[int] = 1


def map_numbers(function: Callable[..., Any], tree: Any, dimension_numbers: Any, *rest: Any) -> Any:
    """``function`` of each array of ``tree``, its dimension numbers or None, and more arrays."""
    if dimension_numbers is None:
        return jax.tree.map(
            lambda x, *more: function(
                x, MuonDimensionNumbers() if jnp.ndim(x) == 2 else None, *more
            ),
            tree,
            *rest,
        )
    numbers = dimension_numbers(tree) if callable(dimension_numbers) else dimension_numbers

    def below(numbers: Any, *trees: Any) -> Any:
        return jax.tree.map(lambda x, *more: function(x, numbers, *more), *trees)

    return jax.tree.map(below, numbers, tree, *rest, is_leaf=_is_numbers)


def _is_numbers(x: Any) -> bool:
    return x is None or hasattr(x, "reduction_axis")


@dataclasses.dataclass(frozen=True)
class MatrixMask:
    """A mask of the arrays that dimension numbers make matrices of, or of all others.

    A function of the parameters that is equal to another of the same numbers, as structure must be.
    """

    dimension_numbers: Hashable  # a Frozen tree of them, a function to one, or None
    inverted: bool

    @classmethod
    def of(cls, dimension_numbers: Any, inverted: bool = False) -> "MatrixMask":
        """From dimension numbers as users give them."""
        return cls(as_structure("mask", "dimension_numbers", dimension_numbers), inverted)

    def __call__(self, params: Any) -> Any:
        """A tree of bools."""
        numbers = self.dimension_numbers
        numbers = numbers.thaw() if isinstance(numbers, Frozen) else numbers
        return map_numbers(lambda _, n: (n is None) == self.inverted, params, numbers)


class Arrangement(NamedTuple):
    """How an array is a stack of matrices that have no more rows than columns."""

    shape: tuple[int, ...]  # of the array, its axes permuted
    order: tuple[int, ...]
    sides: tuple[int, ...]

    @classmethod
    def of(cls, x: jax.Array, numbers: Any) -> "Arrangement | None":
        """That of an array; None where it is no matrix or empty."""
        if numbers is None or not x.size:
            return None
        rows, columns = matrix_axes(x, numbers)
        sides = math.prod(x.shape[i] for i in rows), math.prod(x.shape[i] for i in columns)
        if sides[0] > sides[1]:
            rows, columns, sides = columns, rows, sides[::-1]
        order = (*(i for i in range(x.ndim) if i not in rows + columns), *rows, *columns)
        return cls(tuple(x.shape[i] for i in order), order, sides)

    def stack(self, x: jax.Array) -> jax.Array:  # [matrix, rows, columns]
        """The matrices of the array."""
        return x.transpose(self.order).reshape(-1, *self.sides)

    def unstack(self, x: jax.Array) -> jax.Array:
        """The array of the matrices."""
        return x.reshape(self.shape).transpose(
            [self.order.index(i) for i in range(len(self.order))]
        )


def matrix_axes(x: jax.Array, numbers: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Those of rows and of columns, counted from the first."""

    def normal(axes: Any) -> tuple[int, ...]:
        return tuple(i % x.ndim for i in ((axes,) if isinstance(axes, int) else axes))

    if x.ndim < 2:
        raise InvalidValue(f"muon: a matrix has at least 2 axes, got an array of shape {x.shape}")
    rows, columns = normal(numbers.reduction_axis), normal(numbers.output_axis)
    if set(rows) & set(columns):
        raise InvalidValue(
            f"muon: an axis may be of rows or of columns, got {numbers} for shape {x.shape}"
        )
    return rows, columns
