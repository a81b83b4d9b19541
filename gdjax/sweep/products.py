"""Products of matrices in the form in which XLA multiplies small ones fastest on a CPU.

The derivative of ``x @ w`` with respect to ``w`` sums over the leading axis of both factors. Of
many such products side by side, as trials have them, each takes XLA:CPU up to three times as long
as the same one with its left factor transposed. Where all trials share a factor, XLA transposes the
other factor, or the result, of each trial; so a small shared factor is copied for each instead.
"""

import collections
import functools
import itertools
import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
from jax import lax
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, Var, jaxpr_as_fun
from jax.extend.core.primitives import dot_general_p, transpose_p

LARGEST = 1 << 16
"""Numbers in a matrix that is copied into another form: in float32 a part of a core's cache."""

Readers = dict[Var, list[JaxprEqn | None]]
"""By variable the equations that read it; None stands for what a program returns."""


def arranged(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, with products of matrices in the form that suits a CPU.

    >>> import jax.numpy as jnp
    >>> x, slopes = jnp.ones((3, 5, 4)), jnp.ones((3, 5, 2))  # of three trials
    >>> product = lambda x, slopes: jnp.einsum("tbi,tbo->tio", x, slopes)
    >>> for function in product, arranged(product):
    ...     print("transpose" in str(jax.make_jaxpr(function)(x, slopes)))
    False
    True
    """

    @functools.wraps(function)
    def call(*args: Any) -> Any:
        traced, shapes = jax.make_jaxpr(function, return_shape=True)(*args)
        returned = jaxpr_as_fun(_Editor().edit(traced))(*jax.tree.leaves(args))
        return jax.tree.unflatten(jax.tree.structure(shapes), returned)

    return call


class _Editor:
    """Edits a program and those in it; what holds nothing to change stays the object that it is."""

    def __init__(self):
        self._edited: dict[Jaxpr, Jaxpr] = {}

    def edit(self, value: Any) -> Any:
        """A program, or whatever else an equation has as a parameter."""
        if isinstance(value, Jaxpr):
            if value not in self._edited:
                self._edited[value] = self._program(value)
            return self._edited[value]
        if isinstance(value, ClosedJaxpr):  # since JAX 0.12 a Jaxpr too
            inside = self.edit(value.jaxpr)
            return value if inside is value.jaxpr else value.replace(jaxpr=inside)
        if type(value) is tuple:
            new = tuple(map(self.edit, value))
            return new if _differ(new, value) else value
        return value

    def _program(self, program: Jaxpr) -> Jaxpr:
        readers = _readers(program)
        new = [self._equation(equation, readers) for equation in program.eqns]
        return program.replace(eqns=new) if _differ(new, program.eqns) else program

    def _equation(self, equation: JaxprEqn, readers: Readers) -> JaxprEqn:
        if equation.primitive is dot_general_p:
            return _multiplied(equation, readers[equation.outvars[0]])
        params = {name: self.edit(value) for name, value in equation.params.items()}
        changed = _differ(params.values(), equation.params.values())
        return equation.replace(params=params) if changed else equation


def _differ(new: Iterable[Any], old: Iterable[Any]) -> bool:
    return any(x is not y for x, y in zip(new, old, strict=True))


def _readers(program: Jaxpr) -> Readers:
    readers = collections.defaultdict(list)
    read = [(equation, equation.invars) for equation in program.eqns]
    for reader, variables in [*read, (None, program.outvars)]:
        for variable in variables:
            if not isinstance(variable, Literal):
                readers[variable].append(reader)
    return readers


class _Product(NamedTuple):
    """A product as in ``jnp.einsum``: axes have numbers, the same in all arrays that have them."""

    left: list[int]  # axes of the left factor
    right: list[int]
    batch: list[int]  # that all have
    summed: list[int]  # that both factors have

    def free(self, factor: list[int]) -> list[int]:
        """A factor's own axes."""
        return [axis for axis in factor if axis not in (*self.batch, *self.summed)]

    @property
    def out(self) -> list[int]:
        """Axes of the result."""
        return [*self.batch, *self.free(self.left), *self.free(self.right)]

    @property
    def exchanged(self) -> "_Product":
        """The same with its factors the other way round."""
        return self._replace(left=self.right, right=self.left)

    @property
    def numbers(self) -> Any:
        """What ``jax.lax.dot_general`` takes."""
        summed, batch = (
            tuple([factor.index(axis) for axis in axes] for factor in (self.left, self.right))
            for axes in (self.summed, self.batch)
        )
        return summed, batch


def _multiplied(equation: JaxprEqn, readers: list[JaxprEqn | None]) -> JaxprEqn:
    """A product's equation, or a call of the same one in a better form where there is one."""
    factors: Any = [x.aval for x in equation.invars]
    given = _product([x.ndim for x in factors], equation.params["dimension_numbers"])
    lengths = [*factors[0].shape, *factors[1].shape]
    sizes = dict(zip(given.left + given.right, lengths, strict=True))
    better = _better(given, sizes, _order(given.out, readers))
    arrays: Any = [*factors, equation.outvars[0].aval]
    of_here = all(jax.dtypes.canonicalize_dtype(x.dtype) == x.dtype for x in arrays)
    if better in (given, given.exchanged) or not of_here:  # float64 in a context of its own
        return equation
    multiply = functools.partial(_multiply, dict(equation.params), given, better, sizes)
    shaped = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in factors]
    call, *more = jax.make_jaxpr(jax.jit(multiply))(*shaped).eqns
    if more or call.outvars[0].aval != equation.outvars[0].aval:
        return equation  # it is of weak type, say, which a call is not
    return call.replace(invars=equation.invars, outvars=equation.outvars)


def _product(ranks: list[int], numbers: Any) -> _Product:
    """What ``jax.lax.dot_general`` was told."""
    (summed, right_summed), (batch, right_batch) = numbers
    left, right = list(range(ranks[0])), list(range(ranks[0], sum(ranks)))
    for axis, place in zip((*summed, *batch), (*right_summed, *right_batch), strict=True):
        right[place] = axis
    return _Product(left, right, list(batch), list(summed))


def _order(out: list[int], readers: list[JaxprEqn | None]) -> list[int]:
    """How those that read a result want its axes, if all of them transpose it alike."""
    wanted = {
        reader.params["permutation"] if reader and reader.primitive is transpose_p else None
        for reader in readers
    }
    order = wanted.pop() if len(wanted) == 1 else None
    return out if order is None else [out[axis] for axis in order]


def _better(given: _Product, sizes: dict[int, int], read: list[int]) -> _Product:
    """The form in which a product is fastest, whose result's axes are read in some order."""
    product = _spread(_spread(given, sizes).exchanged, sizes).exchanged
    if read == product.exchanged.out:
        product = product.exchanged  # then the result comes as it is read
    left, right = product.free(product.left), product.free(product.right)
    matrices = left and right and product.summed
    small = _numbers(left + product.summed, sizes) <= LARGEST
    if matrices and small and product.left[-1] in left:
        product = product._replace(left=[*product.batch, *left, *product.summed])
    return product


def _spread(product: _Product, sizes: dict[int, int]) -> _Product:
    """With a small right factor copied for all that the left one has before the summed axes.

    The copies together are no larger than what is read and written beside them.
    """
    own = product.free(product.left)
    leading = list(itertools.takewhile(own.__contains__, product.left))
    if product.batch or leading in ([], own) or not product.free(product.right):
        return product
    numbers = functools.partial(_numbers, sizes=sizes)
    copies, beside = numbers(leading + product.right), numbers(product.left) + numbers(product.out)
    if numbers(product.right) > LARGEST or copies > beside:
        return product
    return product._replace(right=leading + product.right, batch=leading)


def _numbers(axes: list[int], sizes: dict[int, int]) -> int:
    """How many an array has."""
    return math.prod(sizes[axis] for axis in axes)


def _multiply(
    options: dict[str, Any],
    given: _Product,
    better: _Product,
    sizes: dict[int, int],
    lhs: jax.Array,
    rhs: jax.Array,
) -> jax.Array:
    """The product, brought into another form and its result into that of the one given."""
    factors = [(lhs, given.left), (rhs, given.right)]
    if better.free(better.left)[0] in given.right:
        factors.reverse()
        if type(options["precision"]) is tuple:  # one for each factor
            options = options | {"precision": options["precision"][::-1]}
    left, right = (
        _brought(factor, have, want, sizes)
        for (factor, have), want in zip(factors, (better.left, better.right), strict=True)
    )
    result = lax.dot_general(left, right, **(options | {"dimension_numbers": better.numbers}))
    return lax.transpose(result, [better.out.index(axis) for axis in given.out])


def _brought(x: jax.Array, have: list[int], want: list[int], sizes: dict[int, int]) -> jax.Array:
    """An array copied along the axes that it lacks, and with all in the order that is wanted."""
    new = [axis for axis in want if axis not in have]
    have, x = new + have, lax.broadcast(x, [sizes[axis] for axis in new])
    if have == want:
        return x
    # Without the barrier XLA takes the transposition back.
    return lax.optimization_barrier(lax.transpose(x, [have.index(axis) for axis in want]))
