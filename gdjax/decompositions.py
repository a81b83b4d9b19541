"""Decompositions of matrices, in at least float32, with finite derivatives.

Eigenvectors of equal eigenvalues are not unique, so the derivative of an eigendecomposition is
infinite there. What is computed from it need not be: a power of the matrix has the derivative
that Daleckii and Krein gave, and a basis is used by rules that do not see how it lies in a space
in which nothing has happened.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from gdjax import trees
from gdjax.matrices import dagger, matmul, norm


def _one_at_a_time(decompose: Callable[[jax.Array], Any]) -> Callable[[jax.Array], Any]:
    """A decomposition of stacks of matrices that on a CPU calls LAPACK for one matrix at a time.

    In jaxlib 0.10 a call for several of them waits for threads that other such calls may hold: of
    as many stacks as threads, or of stacks that ``jax.vmap`` made, the program never ends. Second
    derivatives are JAX's own.
    """

    @jax.custom_batching.custom_vmap
    def one_at_a_time(matrix: jax.Array) -> Any:
        stack = matrix.reshape(math.prod(matrix.shape[:-2]), *matrix.shape[-2:])
        if len(stack) <= 1:
            return decompose(matrix)
        results = jax.lax.platform_dependent(
            stack, cpu=functools.partial(jax.lax.map, decompose), default=decompose
        )
        return jax.tree.map(lambda x: x.reshape(*matrix.shape[:-2], *x.shape[1:]), results)

    @one_at_a_time.def_vmap
    def _(axis_size: int, in_batched: list[bool], matrix: jax.Array) -> tuple:
        del axis_size, in_batched  # there is one argument, or this would not be called
        results = one_at_a_time(matrix)
        return results, jax.tree.map(lambda _: True, results)

    decomposition = jax.custom_jvp(one_at_a_time)

    @decomposition.defjvp
    def _(primals: tuple, tangents: tuple) -> tuple:
        return jax.jvp(decompose, primals, tangents)  # JAX has it wrong where both stand in vmap

    return decomposition


eigh = _one_at_a_time(lambda x: tuple(jnp.linalg.eigh(x)))
"""Eigenvalues of Hermitian matrices, in ascending order, and eigenvectors as columns."""
_qr = _one_at_a_time(lambda x: tuple(jnp.linalg.qr(x)))
_singular_values = _one_at_a_time(functools.partial(jnp.linalg.svd, compute_uv=False))


@jax.custom_jvp
def ridged_power(matrix: jax.Array, exponent: Any, ridge: Any) -> jax.Array:
    """A negative power of symmetric positive semidefinite matrices: ``(A + r I)**exponent``.

    The ridge is relative to the mean eigenvalue, ``r = ridge * trace(A) / n``, so that scaling
    ``A`` scales the power. An eigenvalue that rounding made negative counts as 0. Directions
    whose eigenvalue stays 0 are left out (as in a pseudoinverse): the power of 0 is 0.

    Args:
      matrix: ``[..., n, n]``, Hermitian where complex.
      exponent: a negative number, or one for each matrix, ``[..., 1, 1]``.
      ridge: at least 0.

    >>> ridged_power(jnp.diag(jnp.array([16.0, 0.0])), -0.25, 0.0)
    Array([[0.5, 0. ],
           [0. , 0. ]], dtype=float32)
    """
    return _ridged_power(matrix, exponent, ridge)[0]


def _ridged_power(matrix: jax.Array, exponent: Any, ridge: Any) -> tuple:
    """The power, the eigenvalues with the ridge, and the eigenvectors."""
    values, vectors = eigh(matrix)
    values = jnp.maximum(values, 0) + ridge * _mean_eigenvalue(matrix)[..., 0]
    powers = _power(values, _per_value(exponent))
    return matmul(vectors * powers[..., None, :], dagger(vectors)), values, vectors


def _mean_eigenvalue(matrix: jax.Array) -> jax.Array:  # [..., 1, 1]
    trace = jnp.trace(matrix, axis1=-2, axis2=-1).real
    return trace[..., None, None] / matrix.shape[-1]


def _identity_like(matrix: jax.Array) -> jax.Array:
    return jnp.broadcast_to(jnp.eye(matrix.shape[-1], dtype=matrix.dtype), matrix.shape)


def _per_value(exponent: Any) -> jax.Array:
    exponent = jnp.asarray(exponent)
    return exponent[..., 0] if exponent.ndim else exponent


def _power(values: jax.Array, exponent: Any) -> jax.Array:
    positive = values > 0
    return jnp.where(positive, jnp.where(positive, values, 1) ** exponent, 0)


def ridged_power_of_diagonal(values: jax.Array, exponent: float, ridge: Any) -> jax.Array:
    """:func:`ridged_power` of a diagonal matrix, ``[n]``, which is diagonal too."""
    mean = jnp.sum(values) / max(values.size, 1)
    return _power(values + ridge * mean, exponent)


@ridged_power.defjvp
def _ridged_power_jvp(primals: tuple, tangents: tuple) -> tuple[jax.Array, jax.Array]:
    matrix, exponent, ridge = primals
    power, values, vectors = _ridged_power(*primals)
    d_matrix, d_exponent, d_ridge = tangents
    d_ridge = d_ridge * _mean_eigenvalue(matrix) + ridge * _mean_eigenvalue(d_matrix)
    identity = _identity_like(matrix)
    inside = matmul(dagger(vectors), matmul(d_matrix + d_ridge * identity, vectors))
    slopes = _divided_differences(values, exponent)
    logarithms = jnp.log(jnp.where(values > 0, values, 1)) * _power(values, _per_value(exponent))
    inside = inside * slopes + d_exponent * logarithms[..., None, :] * identity
    return power, matmul(vectors, matmul(inside, dagger(vectors)))


def _divided_differences(values: jax.Array, exponent: Any) -> jax.Array:
    """``(x**a - y**a) / (x - y)`` of all pairs, without cancellation; its limit where equal.

    With ``r = log(low / high)`` it is ``high**(a - 1) * expm1(a r) / expm1(r)``.
    """
    exponent = jnp.asarray(exponent)
    x, y = values[..., :, None], values[..., None, :]
    low, high = jnp.minimum(x, y), jnp.maximum(x, y)
    good = low > 0
    low, high = jnp.where(good, low, 1), jnp.where(good, high, 1)
    r = jnp.log(low / high)
    apart = r < 0
    ratio = jnp.expm1(exponent * r) / jnp.where(apart, jnp.expm1(r), 1)
    return jnp.where(good, high ** (exponent - 1) * jnp.where(apart, ratio, exponent), 0)


@jax.custom_jvp
def eigenbasis(matrix: jax.Array) -> jax.Array:
    """Eigenvectors of Hermitian matrices as columns, those of the largest eigenvalues first.

    Inside the space of one eigenvalue a basis is arbitrary; the derivative there is taken as 0.

    >>> abs(eigenbasis(jnp.diag(jnp.array([1.0, 4.0])))).tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    return eigh(matrix)[1][..., ::-1]


@eigenbasis.defjvp
def _eigenbasis_jvp(primals: tuple, tangents: tuple) -> tuple[jax.Array, jax.Array]:
    values, vectors = eigh(primals[0])
    values, vectors = values[..., ::-1], vectors[..., ::-1]
    inside = matmul(dagger(vectors), matmul(tangents[0], vectors))
    gaps = values[..., None, :] - values[..., :, None]
    rounding = _rounding(jnp.abs(values))[..., None, None]
    apart = jnp.abs(gaps) > rounding
    rotation = jnp.where(apart, inside / jnp.where(apart, gaps, 1), 0)
    return vectors, matmul(vectors, rotation)


def _rounding(sizes: jax.Array) -> jax.Array:
    """What is 0 but for rounding, of numbers of these sizes along the last axis."""
    return sizes.shape[-1] * jnp.finfo(sizes.dtype).eps * jnp.max(sizes, axis=-1, initial=0)


@jax.custom_jvp
def orthonormalize(matrix: jax.Array) -> jax.Array:
    """The orthonormal factor ``Q`` of ``QR``, of square matrices.

    Where columns depend on those before them, the rest of the basis is arbitrary; the
    derivative among them is taken as 0.
    """
    return _qr(matrix)[0]


@orthonormalize.defjvp
def _orthonormalize_jvp(primals: tuple, tangents: tuple) -> tuple[jax.Array, jax.Array]:
    q, r = _qr(primals[0])
    diagonal = jnp.diagonal(r, axis1=-2, axis2=-1)
    independent = jnp.abs(diagonal) > _rounding(jnp.abs(diagonal))[..., None]
    r = r + jnp.where(independent, 0, 1 - diagonal)[..., None, :] * _identity_like(r)
    inside = matmul(dagger(q), tangents[0])
    # X R = inside, from the columns on the left to those on the right.
    inside = jax.lax.linalg.triangular_solve(r, inside, left_side=False, lower=False)
    lower = jnp.tril(inside * independent[..., None, :], -1)
    return q, matmul(q, lower - dagger(lower))


def refine_basis(matrix: jax.Array, basis: jax.Array) -> tuple[jax.Array, jax.Array]:
    """One step of orthogonal iteration towards the eigenvectors: ``Q of QR(A basis)``.

    The columns are first sorted by ``diag(basis^H A basis)``, the largest first, because the
    factorization keeps the first ones best.

    Returns:
      The new basis, and the places that its columns had before, ``[..., n]``.
    """
    images = matmul(matrix, basis)
    estimates = jnp.sum(jnp.conj(basis) * images, axis=-2).real
    order = jnp.argsort(-estimates, axis=-1, stable=True)
    return orthonormalize(jnp.take_along_axis(images, order[..., None, :], axis=-1)), order


def orthogonalize(x: jax.Array, coefficients: jax.Array, start: str, eps: Any) -> jax.Array:
    """Move the singular values of matrices towards 1 by polynomials: Newton and Schulz.

    ``x = a x + (b A + c A A) x`` with ``A = x x^H``, for each row ``a, b, c``.

    Args:
      x: ``[..., rows, columns]``, best no more rows than columns.
      coefficients: ``[step, 3]``.
      start: how ``x`` is first scaled to a spectral norm of at most 1: ``"frobenius"`` and
        ``"spectral"`` divide by that norm, ``"schatten"`` by the root of the Frobenius norm of
        ``A``, ``"aol"`` each row by the root of the sum of its row of ``|A|``.
      eps: added to the first two norms.
    """
    if start == "frobenius":
        x = x / (norm(x) + eps)
    if start == "spectral":
        x = x / (_spectral_norm(x) + eps)
    for step, (a, b, c) in enumerate(coefficients):
        gram = x @ dagger(x)
        if step == 0 and start == "schatten":
            scale = _inverse_root(norm(gram))
            x, gram = x * scale, gram * scale**2
        if step == 0 and start == "aol":
            sums = jnp.sum(trees.sqrt(trees.abs_sq(gram)), axis=-1, keepdims=True)
            scale = _inverse_root(sums)
            x, gram = x * scale, gram * scale * jnp.swapaxes(scale, -1, -2)
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x


def _inverse_root(x: jax.Array) -> jax.Array:
    """``x**-0.5`` of numbers that are not negative; 1 where ``x`` is 0."""
    return jax.lax.rsqrt(jnp.where(x > 0, x, 1))


@jax.custom_jvp
def _spectral_norm(x: jax.Array) -> jax.Array:
    """The largest singular value, ``[..., 1, 1]``."""
    return _singular_values(x)[..., :1, None]


@_spectral_norm.defjvp
def _spectral_norm_jvp(primals: tuple, tangents: tuple) -> tuple[jax.Array, jax.Array]:
    """It is stationary in its singular vector, whose derivative is therefore not needed."""
    (x,), (x_dot,) = primals, tangents
    first = jax.lax.stop_gradient(eigenbasis(x @ dagger(x)))[..., :1]
    return _spectral_norm(x), jax.jvp(lambda y: norm(matmul(dagger(first), y)), (x,), (x_dot,))[1]
