"""Leaf-wise mathematics in at least float32, with finite derivatives.

A rule is written for one leaf, like the paper; :func:`map_leaves` lifts it over trees and
keeps the dtype law: whatever comes in as bfloat16 or float16 is computed in float32, and each
result is cast once, to the dtype of the leaf whose place it takes.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from gdjax.errors import InvalidType, InvalidValue


def compute_dtype(*trees: Any) -> np.dtype:
    """The real dtype in which the leaves of ``trees`` are computed: at least float32.

    >>> compute_dtype({"w": jnp.zeros(3, jnp.bfloat16)}, jnp.zeros(2, jnp.complex64))
    dtype('float32')
    """
    dtypes = {jnp.result_type(leaf) for leaf in jax.tree.leaves(trees)}
    return np.dtype(jnp.finfo(jnp.result_type(jnp.float32, *dtypes)).dtype)


def wide_dtype(x: Any) -> np.dtype:
    """The dtype of an array, or float32 where that is narrower."""
    return jnp.promote_types(jnp.result_type(x), jnp.float32)


def map_leaves(leaf: Callable[..., Any], *trees: Any, given: tuple[Any, ...] = ()) -> Any:
    """Apply ``leaf`` to corresponding leaves; every tree passed by position comes back.

    Args:
      leaf: pure function of one leaf of each tree, then one of each tree in ``given``. It
        returns one array for each tree in ``trees`` (a tuple, or the array where there is one).
      *trees: trees of one structure, the updates first. Where the updates hold ``None``,
        nothing is computed and every tree keeps what it has. Where another tree holds a tree
        instead of an array of the update's shape (the factors of a matrix, say), ``leaf`` gets
        and returns that.
      given: trees that are only read.

    Returns:
      The new trees, as a tuple, whose leaves keep shape and dtype; the new tree itself where
      there is one, whose leaves keep their dtype.

    Raises:
      InvalidValue: structures or shapes differ; the message shows both.

    >>> map_leaves(lambda g, m: (2 * g, m + g), {"w": jnp.ones(2)}, {"w": jnp.zeros(2)})[1]
    {'w': Array([1., 1.], dtype=float32)}
    """
    leaves, treedef = jax.tree.flatten(trees[0], is_leaf=_is_none)
    others = [_flatten_like(trees[0], treedef, tree) for tree in (*trees[1:], *given)]
    compute = functools.partial(_compute, leaf, len(trees))
    if any(isinstance(x, Tracer) for x in leaves):
        compute = jax.jit(compute, inline=True)  # leaves of one shape are traced once
    rows = [
        row[: len(trees)] if row[0] is None else compute(*row)
        for row in zip(leaves, *others, strict=True)
    ]
    columns = zip(*rows, strict=True) if rows else [()] * len(trees)
    results = tuple(treedef.unflatten(column) for column in columns)
    return results if len(trees) > 1 else results[0]


def select(which: Any, new: Any, old: Any) -> Any:
    """``new`` where the scalar ``which`` is true, else ``old``, in the dtypes of ``old``.

    >>> select(jnp.array(False), {"w": jnp.ones(1)}, {"w": jnp.zeros(1)})
    {'w': Array([0.], dtype=float32)}
    """
    return jax.tree.map(lambda x, y: jnp.where(which, x, y).astype(jnp.result_type(y)), new, old)


def all_finite(tree: Any) -> jax.Array:
    """Whether no element of any leaf is NaN or infinite."""
    finite = [jnp.all(jnp.isfinite(x)) for x in jax.tree.leaves(tree)]
    return functools.reduce(jnp.logical_and, finite, jnp.array(True))


def widen(tree: Any) -> Any:
    """The arrays in at least float32."""
    return jax.tree.map(_widen, tree)


def zeros_like(tree: Any, dtype: Any = None) -> Any:
    """Zeros of the shapes in ``tree``, of ``dtype`` or of the leaves' own, never weakly typed."""
    return full_like(tree, 0, dtype)


def copy(tree: Any, dtype: Any = None) -> Any:
    """The arrays again, of ``dtype`` or of their own: buffers that may be donated beside them."""
    return jax.tree.map(
        lambda x: _cast(jnp.array(x, copy=True), x if dtype is None else jnp.zeros((), dtype)), tree
    )


def full_like(tree: Any, value: Any, dtype: Any = None) -> Any:
    """``value`` in the shapes of ``tree``, of ``dtype`` or of the leaves' own dtypes."""
    return jax.tree.map(
        lambda x: jnp.full_like(x, value, dtype=jnp.result_type(x) if dtype is None else dtype),
        tree,
    )


def full_like_real(tree: Any, value: Any) -> Any:
    """Like :func:`full_like`, in the real dtype of each leaf: what squares and norms need."""
    return jax.tree.map(lambda x: jnp.full_like(x, value, dtype=jnp.real(x).dtype), tree)


def abs_sq(x: jax.Array) -> jax.Array:
    """``|x|^2``, real also where ``x`` is complex."""
    return jnp.real(x * jnp.conj(x)) if jnp.iscomplexobj(x) else x * x


def average(new: Any, old: Any, decay: Any) -> Any:
    """One step of an exponential moving average: ``decay * old + (1 - decay) * new``."""
    return decay * old + (1 - decay) * new


def no_weight(params: Any) -> jax.Array:
    """The sum of the weights that an average has used before its first step: a scalar 0.

    It is itself averaged, ``weight = average(1, weight, decay)``; dividing by it debiases.
    """
    return jnp.zeros((), compute_dtype(params))


@jax.custom_jvp
def sqrt(x: Any) -> jax.Array:
    """Square root whose derivative at 0 is 0 instead of infinite.

    Where an optimizer takes the root of an average of squares, a coordinate whose gradient was
    always zero has root 0 for every value of every hyperparameter: its derivative *is* 0.

    >>> float(jax.grad(sqrt)(0.0)), float(jax.grad(sqrt)(4.0))
    (0.0, 0.25)
    """
    return jnp.sqrt(x)


@sqrt.defjvp
def _sqrt_jvp(primals: tuple, tangents: tuple) -> tuple[jax.Array, jax.Array]:
    (x,), (x_dot,) = primals, tangents
    root = sqrt(x)
    positive = root > 0
    return root, jnp.where(positive, 0.5 / jnp.where(positive, root, 1), 0) * x_dot


@jax.custom_jvp
def divide(x: Any, y: Any) -> jax.Array:
    """``x / y`` whose derivative needs no ``1 / y**2``, which may leave float32 where ``x`` is 0.

    It multiplies by ``1 / y``: XLA would divide every element, and not fuse it, where ``y`` is
    the smaller array.

    >>> float(jax.grad(divide, argnums=1)(0.0, 1e-30))
    -0.0
    """
    return x * (1 / y)


@divide.defjvp
def _divide_jvp(primals: tuple, tangents: tuple) -> tuple[jax.Array, jax.Array]:
    (x, y), (x_dot, y_dot) = primals, tangents
    quotient = divide(x, y)
    return quotient, (x_dot - quotient * y_dot) * (1 / y)


def maximum(x: Any, y: Any) -> jax.Array:
    """The larger of two, whose derivative is that of the larger.

    That of ``jnp.maximum`` compares its result with both. Where a compiler computes that anew and
    rounds differently, it is equal to neither, and the derivative is lost.
    """
    return jnp.where(x > y, x, y)


def global_norm(tree: Any) -> jax.Array:
    """Euclidean norm of all leaves together, in at least float32, derivative 0 at 0.

    >>> float(global_norm({"a": jnp.array([3.0]), "b": jnp.array([[4.0]])}))
    5.0
    """
    dtype = compute_dtype(tree)
    squares = [jnp.sum(abs_sq(_widen(x)), dtype=dtype) for x in jax.tree.leaves(tree)]
    return sqrt(sum(squares, start=jnp.zeros((), dtype)))


def unit_norm(x: jax.Array) -> jax.Array:
    """Euclidean norm of each unit of an array, as an array that broadcasts with it.

    A unit is what feeds one output: a whole vector or scalar; a column of a matrix, or of each of
    a stack of matrices along axis 1; all axes but the last of a kernel with more axes.

    >>> unit_norm(jnp.array([[3.0, 0.0], [4.0, 2.0]]))
    Array([[5., 2.]], dtype=float32)
    """
    if sum(n != 1 for n in x.shape) <= 1:
        axes = tuple(range(x.ndim))
    else:
        axes = (0,) if x.ndim <= 3 else tuple(range(x.ndim - 1))
    return sqrt(jnp.sum(abs_sq(x), axis=axes, keepdims=True))


def refuse_complex(what: str, tree: Any) -> None:
    """Raise InvalidType where a leaf is complex: ``what`` then makes no sense."""
    if any(jnp.iscomplexobj(x) for x in jax.tree.leaves(tree)):
        raise InvalidType(
            f"{what} is not defined for complex numbers; split parameters into real and imaginary "
            "parts, as optax.contrib.split_real_and_imaginary does"
        )


def _compute(leaf: Callable[..., Any], outputs: int, *row: Any) -> tuple:
    try:
        results = leaf(*(jax.tree.map(_widen, x) for x in row))
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        ours = (InvalidType, InvalidValue, jax.errors.JAXTypeError)  # of tracers, and told well
        if isinstance(error, ours) or jax.tree_util.all_leaves(row):
            raise
        raise _misfit(row, f"{type(error).__name__}: {error}") from error
    if outputs == 1:
        return (_cast_like(results, row[0]),)
    for new, old in zip(results, row, strict=False):
        if _shapes(new) != _shapes(old):
            raise _misfit(row, "One would change its shape.")
    return tuple(map(_cast_like, results, row[:outputs]))


def _shapes(tree: Any) -> list[tuple[int, ...]]:
    return [jnp.shape(x) for x in jax.tree.leaves(tree)]


def _misfit(row: tuple, why: str) -> InvalidValue:
    return InvalidValue(
        "the rule does not compute on updates, state and parameters of these shapes: "
        f"{jax.tree.map(jnp.shape, row)}; pass those of one model. {why}"
    )


def _cast_like(new: Any, old: Any) -> Any:
    """The arrays of ``new`` in the containers and dtypes of ``old``.

    A container of arrays may come back as one of another kind, from Flax for example.
    """
    leaves, treedef = jax.tree.flatten(old)
    return treedef.unflatten(map(_cast, jax.tree.leaves(new), leaves))


def _cast(new: Any, old: Any) -> jax.Array:
    dtype = jnp.result_type(old)
    if jnp.iscomplexobj(new) and not jnp.issubdtype(dtype, jnp.complexfloating):
        raise InvalidType(
            f"complex updates do not fit a state of {dtype}; choose a complex dtype for it"
        )
    return new.astype(dtype)


def _widen(x: Any) -> jax.Array:
    return jnp.asarray(x, wide_dtype(x))


def _flatten_like(reference: Any, treedef: Any, tree: Any) -> list:
    if tree is None and treedef.num_leaves and jax.tree.leaves(reference):
        raise InvalidValue(
            "the rule reads the parameters, but params is None: call update(updates, state, params)"
        )
    try:
        leaves = treedef.flatten_up_to(tree)
    except ValueError:
        raise InvalidValue(
            "updates and a tree that must match them have different structures; pass updates, "
            "state and params of one model"
            f"\n  updates: {jax.tree.structure(reference)}\n  other:   {jax.tree.structure(tree)}"
        ) from None
    for update, other in zip(treedef.flatten_up_to(reference), leaves, strict=True):
        is_leaf = jax.tree_util.all_leaves([other])
        if update is not None and is_leaf and jnp.shape(update) != jnp.shape(other):
            raise InvalidValue(
                f"updates and a tree that must match them have different shapes: "
                f"{jax.tree.map(jnp.shape, reference)} and {jax.tree.map(jnp.shape, tree)}; pass "
                "updates, state and params of one model"
            )
    return leaves


def _is_none(x: Any) -> bool:
    return x is None
