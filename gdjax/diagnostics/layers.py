"""What the program of a loss tells of the network in it: its units, and what its layers get.

Nothing is asked of the model. Its program is executed equation by equation, and those are noticed
that make a unit's output (ReLU, tanh, logistic), or that use a parameter on all examples. What
stands in loops, in native convolutions or in functions with derivatives of their own is not seen.
"""

import collections
import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import JaxprEqn, Literal

CALLS = frozenset({"jit", "pjit", "closed_call", "checkpoint", "remat2"})
"""Equations that are programs."""
GATED = frozenset({"silu", "swish", "mish", "glu"})
"""Functions of ``jax.nn`` that hold a tanh or a logistic but do not saturate as it does."""


class Units(NamedTuple):
    """Outputs of one layer's units."""

    kind: str  # "relu", "tanh" or "logistic"
    outputs: jax.Array  # [example, ..., unit]


def units(loss_fn: Callable[[Any], Any], params: Any) -> list[Units]:
    """The layers of units in a loss, in the order of their execution.

    A layer is what a ReLU, a tanh or a logistic returns, with two axes at least: examples first,
    units last. Those inside of ``jax.nn.gelu`` and its like are left out.

    >>> def loss(w):
    ...     return jnp.sum(jax.nn.relu(jnp.tanh(jnp.eye(2) @ w) - 0.5))
    >>> [layer.kind for layer in units(loss, jnp.eye(2))]
    ['tanh', 'relu']
    """
    found: list[Units] = []

    def visit(equation: Any, inputs: list, origins: Any) -> list:
        outputs = _execute(equation, inputs)
        kind = _nonlinearity(equation)
        if kind and outputs[0].ndim >= 2:
            found.append(Units(kind, outputs[0]))
        return outputs

    _run(loss_fn, params, visit)
    return found


def example_gradient_norms(
    loss_fn: Callable[[Any], Any], params: Any, examples: int
) -> jax.Array | None:
    """Squared norm of each example's gradient, at less than the cost of another gradient.

    Of a layer ``y = x @ w``, the gradient with respect to ``w`` of one example's loss is
    ``sum_s x_s dy_s^T`` over the positions ``s`` that the example has there (one, in a
    perceptron), so its squared norm is ``sum_st (x_s . x_t) (dy_s . dy_t)``, and no such gradient
    is made. Of ``y = x * w`` and ``y = x + w`` with a vector ``w`` it is as simple.

    Args:
      loss_fn: the mean over examples of losses none of which depends on another example.
      params: real arrays.
      examples: how many there are, along the leading axis of what each layer gets.

    Returns:
      ``float32[example]``; None where some parameter is used otherwise, not on all examples, or
      not just once.

    Reference:
      Goodfellow, Efficient per-example gradient computations
      (https://arxiv.org/abs/1510.01799); for sequences Li et al., Large language models can be
      strong differentially private learners (https://arxiv.org/abs/2110.05679), section 4.

    >>> x = jnp.array([[1.0, 2.0], [3.0, 4.0]])
    >>> loss = lambda w: jnp.mean((x @ w)[:, 0])
    >>> example_gradient_norms(loss, jnp.zeros((2, 1)), examples=2)  # 1 + 4 and 9 + 16
    Array([ 5., 25.], dtype=float32)
    """
    first = _Uses(examples)
    shapes = jax.eval_shape(lambda: (_run(loss_fn, params, first), first.outputs)[1])
    leaves = [use.leaf for use in first.uses]
    if collections.Counter(leaves) != collections.Counter(range(len(jax.tree.leaves(params)))):
        return None

    def changed(changes: list[jax.Array]) -> tuple[Any, list]:
        uses = _Uses(examples, changes)
        return _run(loss_fn, params, uses), uses.inputs

    still = [jnp.zeros(x.shape, x.dtype) for x in shapes]
    loss, back, inputs = jax.vjp(changed, still, has_aux=True)
    (slopes,) = back(jnp.ones_like(loss))
    each = [
        _squared_norms(use, x, examples * slope)
        for use, x, slope in zip(first.uses, inputs, slopes, strict=True)
    ]
    return sum(each, start=jnp.zeros(examples))


class _Origin(NamedTuple):
    """That a value holds the numbers of one parameter."""

    leaf: int
    axis: int | None  # of the value, that is a vector's own, along which it differs


class _Use(NamedTuple):
    """Where a parameter meets the examples."""

    leaf: int | None  # None: a use from which nothing follows
    rule: str = ""  # "dot_general", "mul", "add"
    example: int = 0  # axis of the output
    own: int | None = None  # axis of the output that is the parameter's


Visit = Callable[[Any, list, Sequence[_Origin | None]], list]
"""``(equation, inputs, what parameters they are) -> outputs``."""


class _Uses:
    """Notices all uses of parameters; adds ``changes`` to their outputs, where there are any."""

    def __init__(self, examples: int, changes: list[jax.Array] | None = None):
        self.examples, self.changes = examples, changes
        self.uses: list[_Use] = []
        self.inputs: list[jax.Array | None] = []
        self.outputs: list[jax.Array] = []

    def __call__(self, equation: Any, inputs: list, origins: Sequence[_Origin | None]) -> list:
        outputs = _execute(equation, inputs)
        if not any(origins):
            return outputs
        use, other = _use(equation, inputs, origins, outputs[0])
        if use.leaf is not None and outputs[0].shape[use.example] != self.examples:
            use = _Use(None)
        if self.changes is not None:
            outputs = [outputs[0] + self.changes[len(self.uses)]]
        self.uses.append(use)
        self.inputs.append(other)
        self.outputs.append(outputs[0])
        return outputs


def _use(
    equation: Any, inputs: list, origins: Sequence[_Origin | None], output: jax.Array
) -> tuple[_Use, Any]:
    """How an equation uses a parameter, and what it meets there, ``[example, ..., input]``."""
    name = equation.primitive.name
    known = [i for i, origin in enumerate(origins) if origin is not None]
    if len(known) > 1 or len(inputs) != 2 or not output.ndim:
        return _Use(None), None
    (mine,) = known
    origin: Any = origins[mine]
    weight, other = inputs[mine], inputs[1 - mine]
    if name in ("mul", "add") and origin.axis == output.ndim - 1 > 0:
        return _Use(origin.leaf, name, 0, origin.axis), other if name == "mul" else None
    if name != "dot_general" or weight.ndim > 2:
        return _Use(None), None
    summed, batch = equation.params["dimension_numbers"]
    if any(map(len, batch)) or len(summed[0]) != 1:
        return _Use(None), None
    own = None if weight.ndim < 2 else (0 if mine == 0 else output.ndim - 1)
    example = 1 if own == 0 else 0
    if example >= output.ndim:
        return _Use(None), None
    return _Use(origin.leaf, name, example, own), jnp.moveaxis(other, summed[1 - mine][0], -1)


def _squared_norms(use: _Use, inputs: Any, slopes: jax.Array) -> jax.Array:  # [example]
    """Of the gradients with respect to one parameter; ``slopes`` are those of its outputs."""
    slopes = slopes[..., None] if use.own is None else jnp.moveaxis(slopes, use.own, -1)
    slopes = jnp.moveaxis(slopes, use.example - (use.own == 0), 0)
    count = slopes.shape[0]
    slopes = slopes.astype(jnp.float32).reshape(count, -1, slopes.shape[-1])
    if use.rule == "add":
        return jnp.sum(slopes.sum(1) ** 2, 1)
    inputs = inputs.astype(jnp.float32).reshape(count, slopes.shape[1], -1)
    if use.rule == "mul":
        return jnp.sum((slopes * inputs).sum(1) ** 2, 1)
    positions, wide = slopes.shape[1], inputs.shape[2] * slopes.shape[2]
    if positions == 1:
        return jnp.sum(inputs**2, (1, 2)) * jnp.sum(slopes**2, (1, 2))
    if positions * (inputs.shape[2] + slopes.shape[2]) > wide:
        return jnp.sum(jnp.einsum("bsi,bso->bio", inputs, slopes) ** 2, (1, 2))
    pairs = [jnp.einsum("bsi,bti->bst", x, x) for x in (inputs, slopes)]
    return jnp.sum(pairs[0] * pairs[1], (1, 2))


def _run(loss_fn: Callable[[Any], Any], params: Any, visit: Visit) -> Any:
    """The loss, with ``visit`` in the place of each of its equations."""
    leaves = jax.tree.leaves(params)
    program = jax.make_jaxpr(loss_fn)(params)
    origins = [_Origin(i, 0 if jnp.ndim(leaf) == 1 else None) for i, leaf in enumerate(leaves)]
    return _follow(program, leaves, origins, visit)[0][0]


def _follow(
    program: Any, inputs: Sequence[Any], origins: Sequence[_Origin | None], visit: Visit
) -> tuple[list, list]:
    """What a program returns, and of which of it a parameter's numbers are."""
    inside = getattr(program, "jaxpr", program)
    values = dict(zip(inside.constvars, getattr(program, "consts", ()), strict=True))
    values |= zip(inside.invars, inputs, strict=True)
    known = dict(zip(inside.invars, origins, strict=True))

    def read(x: Any) -> tuple[Any, _Origin | None]:
        return (x.val, None) if isinstance(x, Literal) else (values[x], known.get(x))

    shifted = {
        x
        for equation in inside.eqns
        if equation.primitive.name == "add"
        for x, y in itertools.permutations(equation.invars)
        if isinstance(y, Literal) and y.val == 1 and not isinstance(x, Literal)
    }
    for equation in inside.eqns:
        given, of = [read(x)[0] for x in equation.invars], [read(x)[1] for x in equation.invars]
        name = equation.primitive.name
        called = equation.params.get("jaxpr", equation.params.get("call_jaxpr"))
        if name in CALLS and called is not None and equation.params.get("name") not in GATED:
            outputs, came = _follow(called, given, of, visit)
        elif any(of) and (origin := _same_numbers(equation, of)):
            outputs, came = _execute(equation, given), [origin]
        elif name == "tanh" and equation.outvars[0] in shifted:  # as GELU has it
            outputs, came = _execute(equation, given), [None]
        else:
            outputs, came = visit(equation, given, of), [None] * len(equation.outvars)
        values |= zip(equation.outvars, outputs, strict=True)
        known |= zip(equation.outvars, came, strict=True)
    return [read(x)[0] for x in inside.outvars], [read(x)[1] for x in inside.outvars]


def _same_numbers(equation: Any, origins: Sequence[_Origin | None]) -> _Origin | None:
    """The parameter that an equation only reshapes, transposes, casts or repeats."""
    (origin,) = origins if len(origins) == 1 else (None,)
    name, shape = equation.primitive.name, equation.outvars[0].aval.shape
    if origin is None or name in ("convert_element_type", "copy"):
        return origin
    if origin.axis is None:  # the norm of a gradient is that of its transpose
        return origin if name in ("reshape", "squeeze", "transpose") else None
    if name == "broadcast_in_dim":
        return origin._replace(axis=equation.params["broadcast_dimensions"][origin.axis])
    before = equation.invars[0].aval.shape
    old, new = ([i for i, n in enumerate(x) if n != 1] for x in (before, shape))
    only_ones = [before[i] for i in old] == [shape[i] for i in new] and origin.axis in old
    if name in ("reshape", "squeeze") and only_ones:
        return origin._replace(axis=new[old.index(origin.axis)])
    return None


def _execute(equation: JaxprEqn, inputs: list) -> list:
    """What one equation returns."""
    bound = equation.primitive.get_bind_params(equation.params)
    functions, params = bound if isinstance(bound, tuple) else ((), bound)  # until JAX 0.12
    outputs = equation.primitive.bind(*functions, *inputs, **params)
    return list(outputs) if equation.primitive.multiple_results else [outputs]


def _nonlinearity(equation: Any) -> Any:
    """The kind of units whose output an equation is."""
    name = equation.primitive.name
    if name in ("tanh", "logistic"):
        return name
    return "relu" if _is_relu(equation) else None


def _is_relu(equation: Any) -> bool:
    """Whether it is ``max(x, 0)``, or a function of that alone."""
    if equation.primitive.name == "max":
        return any(isinstance(x, Literal) and x.val == 0 for x in equation.invars)
    called = equation.params.get("call_jaxpr", equation.params.get("jaxpr"))
    inside = getattr(called, "jaxpr", called)
    equations = getattr(inside, "eqns", ())
    return len(equations) == 1 and _is_relu(equations[0])
