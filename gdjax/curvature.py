"""Curvature of a loss, from products of its Hessian with vectors alone.

With ``n`` parameters the Hessian has ``n**2`` numbers, but its product with a vector costs little
more than two gradients, and ``v . H v`` less. :func:`hessian_product` and :func:`quadratic_form`
are all that the measurements need: any symmetric linear function of trees serves, such as a
Gauss-Newton product ``G``, and ``lambda v: dot(v, G(v))``.

All is at least float32 and has static shapes, and all vmaps: thousands of starts or trials are
measured in one program. Eigenvalues have derivatives in forward mode alone.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gdjax import draws, trees
from gdjax.decompositions import eigh
from gdjax.errors import InvalidType, InvalidValue, shown

Product = Callable[[Any], Any]
"""``v -> H v`` on trees like the parameters, for a symmetric ``H``."""
Form = Callable[[Any], jax.Array]
"""``v -> v . H v``."""


class Eigenpair(NamedTuple):
    """An eigenvalue, its unit eigenvector, and how far they are from being one."""

    value: jax.Array  # float32[] at least
    residual: jax.Array  # norm of H v - value * v; an eigenvalue is at most so far away
    vector: Any  # like the parameters


class Extremes(NamedTuple):
    """Both ends of a spectrum."""

    smallest: Eigenpair
    largest: Eigenpair


class Estimate(NamedTuple):
    """A mean over random draws, and its standard error."""

    value: jax.Array  # float32[] at least
    error: jax.Array  # the same; NaN for one draw


def hessian_product(loss: Callable[[Any], Any], params: Any) -> Product:
    """``v -> H v`` with the Hessian of ``loss`` at ``params``: the derivative of the gradient.

    The gradient is linearized once; each product costs about as much as another gradient.
    Parameters in bfloat16 or float16 are widened to float32 before.

    Args:
      loss: ``loss(params) -> real scalar``, twice differentiable.
      params: real arrays.

    Raises:
      InvalidType: complex parameters.

    Reference:
      Pearlmutter, "Fast exact multiplication by the Hessian", 1994, in the forward-over-reverse
      form of automatic differentiation.

    >>> product = hessian_product(lambda p: p["x"] ** 2 * p["y"], {"x": 1.0, "y": 3.0})
    >>> jax.tree.map(float, product({"x": 1.0, "y": 0.0}))  # d2/dx2 = 2 y, d2/dxdy = 2 x
    {'x': 6.0, 'y': 2.0}
    """
    trees.refuse_complex("a Hessian", params)
    wide = trees.widen(jax.tree.map(jnp.asarray, params))
    _, product = jax.linearize(jax.grad(loss), wide)
    return lambda vector: product(trees.widen(jax.tree.map(jnp.asarray, vector)))


def quadratic_form(loss: Callable[[Any], Any], params: Any) -> Form:
    """``v -> v . H v`` with the Hessian of ``loss`` at ``params``: its second derivative along it.

    By forward mode twice, which costs less than a product and holds no gradient; by a product
    where a part of the loss has a derivative in reverse mode alone (``jax.custom_vjp``). Parameters
    in bfloat16 or float16 are widened to float32 before.

    Args:
      loss: ``loss(params) -> real scalar``, twice differentiable.
      params: real arrays.

    Raises:
      InvalidType: complex parameters.

    >>> form = quadratic_form(lambda p: p["x"] ** 2 * p["y"], {"x": 1.0, "y": 3.0})
    >>> float(form({"x": 1.0, "y": 1.0}))  # 2 y + 2 * 2 x
    10.0
    """
    trees.refuse_complex("a Hessian", params)
    wide = trees.widen(jax.tree.map(jnp.asarray, params))

    def slope(params: Any, vector: Any) -> jax.Array:
        return jax.jvp(loss, (params,), (vector,))[1]

    def form(vector: Any) -> jax.Array:
        vector = trees.widen(jax.tree.map(jnp.asarray, vector))
        # By a power of two near its norm, or a loss in float16 loses the small and overflows.
        _, power = jnp.frexp(jax.lax.stop_gradient(trees.global_norm(vector)))
        power = jnp.clip(power, -126, 126)  # whose inverse is a number
        unit = jax.tree.map(lambda x: x * jnp.ldexp(jnp.ones((), x.dtype), -power), vector)
        try:  # with tangents of the vector, or some custom_vjp is refused by the compiler alone
            jax.eval_shape(lambda v: jax.jvp(slope, (wide, v), (v, v)), unit)
        except (NotImplementedError, TypeError):  # if they tell of more, the product does too
            return dot(vector, hessian_product(loss, wide)(vector))
        found = jax.jvp(lambda params: slope(params, unit), (wide,), (unit,))[1]
        return jnp.ldexp(found.astype(trees.compute_dtype(wide)), 2 * power)

    return form


def along(form: Form, direction: Any) -> jax.Array:
    """Curvature along a direction: ``v . H v / v . v``; 0 for a direction of no length.

    Along the gradient ``g``, a step of gradient descent with learning rate ``a`` changes a
    quadratic loss by ``-a |g|**2 (1 - a c / 2)`` with this ``c``: it rises where ``a c > 2``.

    >>> form = quadratic_form(lambda p: jnp.sum(jnp.array([1.0, 9.0]) * p**2) / 2, jnp.ones(2))
    >>> float(along(form, jnp.ones(2)))
    5.0
    """
    return _value(form, direction) * _inverse(dot(direction, direction))


def extreme_eigenvalues(
    product: Product, params: Any, key: jax.Array, iterations: int = 32, start: Any = None
) -> Extremes:
    """The smallest and the largest eigenvalue, by Lanczos.

    ``m`` iterations span a Krylov space, in which the matrix is tridiagonal, ``T``; its extreme
    eigenvalues ``t`` with eigenvectors ``s`` are the best that this space has. With ``b`` what
    the last iteration leaves, ``|H v - t v| = b |s[m-1]|``, and an eigenvalue of ``H`` lies within
    that of ``t``. Each new vector is made orthogonal to all before it, twice; where an invariant
    space is exhausted, a random vector goes on, so that eigenvalues of multiplicity are no
    obstacle. With as many iterations as parameters the values are exact, to rounding.

    Args:
      product: ``v -> H v``.
      params: a tree like those that ``product`` takes; only shapes matter.
      key: of random directions.
      iterations: products to make, and vectors like ``params`` to hold; at least 1, and no more
        than there are parameters are made. Gaps between eigenvalues at the ends, relative to the
        width of the spectrum, decide how many are needed: the residual tells.
      start: a direction to begin from, such as one that had much of both ends before; random
        where None, and where it is zero or not finite.

    Raises:
      InvalidValue: less than one iteration, or no parameters.

    Reference:
      Golub and Van Loan, "Matrix Computations", 4th edition, section 10.1 (the recursion), 10.3.5
      (orthogonalization) and theorem 8.1.15 (the residual as a bound).

    >>> product = hessian_product(lambda p: p[0] * p[1], jnp.zeros(2))  # a saddle
    >>> found = extreme_eigenvalues(product, jnp.zeros(2), jax.random.key(0))
    >>> print(f"{found.smallest.value:.4f} {found.largest.value:.4f}")
    -1.0000 1.0000
    """
    size = sum(jnp.size(x) for x in jax.tree.leaves(params))
    if iterations < 1 or size == 0:
        raise InvalidValue(
            f"extreme_eigenvalues needs at least one iteration and one parameter, got {iterations} "
            f"iterations and {size} parameters"
        )
    start = trees.zeros_like(params) if start is None else start
    diagonal, beside, basis = _lanczos(product, params, key, min(iterations, size), start)
    inner = jnp.diag(diagonal) + jnp.diag(beside[:-1], 1) + jnp.diag(beside[:-1], -1)
    values, vectors = eigh(inner)

    def pair(i: int) -> Eigenpair:
        vector = _combine(vectors[:, i], basis)
        return Eigenpair(values[i], jnp.abs(beside[-1] * vectors[-1, i]), vector)

    return Extremes(pair(0), pair(-1))


def trace(form: Form, params: Any, key: jax.Array, samples: int = 16) -> Estimate:
    """The trace, as the mean of ``v . H v`` over random signs ``v``.

    Args:
      form: ``v -> v . H v``.
      params: a tree like those that ``form`` takes; only shapes matter.
      key: of the signs.
      samples: values of ``form`` to make, one after another.

    Raises:
      InvalidValue: less than one sample.
      InvalidType: ``form`` returns no number.

    Reference:
      Hutchinson, "A stochastic estimator of the trace of the influence matrix", 1990.

    >>> form = quadratic_form(lambda p: jnp.sum(jnp.array([1.0, 9.0]) * p**2) / 2, jnp.ones(2))
    >>> float(trace(form, jnp.ones(2), jax.random.key(0)).value)  # exact: it is diagonal
    10.0
    """
    if samples < 1:
        raise InvalidValue(f"trace needs at least one sample, got {samples}")

    def one(key: jax.Array) -> jax.Array:
        return _value(form, draws.tree_of(draws.signs, params, key))

    drawn = jax.lax.map(one, jax.random.split(key, samples))
    return Estimate(drawn.mean(), drawn.std(ddof=1) / samples**0.5)


def dot(a: Any, b: Any) -> jax.Array:
    """Scalar product of two trees, in at least float32.

    >>> float(dot({"x": jnp.ones(2), "y": 2.0}, {"x": jnp.ones(2), "y": 3.0}))
    8.0
    """
    products = jax.tree.map(lambda x, y: jnp.sum(x * y), trees.widen(a), trees.widen(b))
    return sum(jax.tree.leaves(products), start=jnp.zeros((), trees.compute_dtype(a, b)))


def _lanczos(
    product: Product, like: Any, key: jax.Array, iterations: int, start: Any
) -> tuple[jax.Array, jax.Array, Any]:
    """The tridiagonal matrix and its basis.

    Returns:
      Its diagonal and what stands beside it, ``[iteration]``, the last of which would stand
      outside; the basis, leaves ``[iteration, ...]``.
    """

    def row(basis: Any, i: Any) -> Any:
        return jax.tree.map(lambda x: jax.lax.dynamic_index_in_dim(x, i, keepdims=False), basis)

    def orthogonal(vector: Any, basis: Any, count: jax.Array) -> Any:
        """What of a vector is orthogonal to the first of the basis."""

        def remove(i: jax.Array, vector: Any) -> Any:
            return _add(vector, -dot(row(basis, i), vector), row(basis, i))

        return jax.lax.fori_loop(0, count, remove, vector)

    def one(carry: tuple[Any, ...], i: jax.Array) -> tuple[tuple, tuple]:
        basis, vector, length, scale = carry
        basis = jax.tree.map(
            lambda all_, x: jax.lax.dynamic_update_index_in_dim(all_, x, i, 0), basis, vector
        )
        image = product(vector)
        diagonal = dot(vector, image)
        scale = jnp.maximum(scale, trees.global_norm(image))
        last = row(basis, i - 1)  # at the first it is any, and its length is 0
        rest = _add(_add(image, -diagonal, vector), -length, last)  # all, but for rounding
        rest = orthogonal(rest, basis, i + 1)
        length = trees.global_norm(rest)
        exhausted = length <= 8 * jnp.finfo(length.dtype).eps * scale  # rounding alone is left
        fresh = draws.direction_if(exhausted, rest, jax.random.fold_in(key, i))
        for _ in range(2):  # once leaves what rounding left
            fresh = orthogonal(fresh, basis, jnp.where(exhausted, i + 1, 0))
        length = jnp.where(exhausted, 0, length)
        return (basis, _unit(fresh), length, scale), (diagonal, length)

    blank = jax.tree.map(
        lambda x: jnp.zeros((iterations, *jnp.shape(x)), trees.wide_dtype(x)), like
    )
    length = trees.global_norm(start)
    useless = ~((length > 0) & jnp.isfinite(length))
    first = draws.direction_if(useless, trees.widen(start), key)
    zero = jnp.zeros((), trees.compute_dtype(like))
    carry = (blank, _unit(first), zero, zero)
    (basis, *_), (diagonal, beside) = jax.lax.scan(one, carry, jnp.arange(iterations))
    return diagonal, beside, basis


def _value(form: Form, vector: Any) -> jax.Array:
    value = form(vector)
    if not isinstance(value, jax.Array) or value.shape:
        raise InvalidType(
            "along and trace take v -> v . H v, such as quadratic_form(loss, params) of a loss "
            f"that is one number; what was given returns {shown(value)}"
        )
    return value


def _unit(tree: Any) -> Any:
    inverse = _inverse(trees.global_norm(tree))
    return jax.tree.map(lambda x: x * inverse.astype(x.dtype), tree)


def _inverse(x: jax.Array) -> jax.Array:
    """``1 / x``; 0 for 0, with derivative 0."""
    return jnp.where(x == 0, 0, 1 / jnp.where(x == 0, 1, x))


def _add(tree: Any, factor: jax.Array, other: Any) -> Any:
    return jax.tree.map(lambda x, y: x + factor.astype(x.dtype) * y, tree, other)


def _combine(coefficients: jax.Array, basis: Any) -> Any:
    return jax.tree.map(lambda b: jnp.tensordot(coefficients.astype(b.dtype), b, 1), basis)
