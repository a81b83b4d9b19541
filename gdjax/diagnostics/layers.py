"""What the program of a loss tells of the network in it: its units.

Nothing is asked of the model. Its program is executed equation by equation, and those are noticed
that make a unit's output (ReLU, tanh, logistic). What stands in loops or in functions with
derivatives of their own is not seen.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
from jax.extend.core import JaxprEqn, Literal

CALLS = frozenset({"jit", "pjit", "closed_call", "checkpoint", "remat2"})
"""Equations that are programs."""
GATED = frozenset({"silu", "swish", "mish", "glu"})
"""Functions of ``jax.nn`` that hold a tanh or a logistic but do not saturate as it does."""

STATISTIC = "statistic"
"""Of a value: it is no layer, but what is left of one."""
Visit = Callable[[Any, list, Sequence[Any]], tuple[list, list]]


class Units(NamedTuple):
    """Outputs of one layer's units."""

    kind: str  # "relu", "tanh" or "logistic"
    outputs: jax.Array  # [example, ..., unit]


def units(loss_fn: Callable[[Any], Any], params: Any) -> list[Units]:
    """The layers of units in a loss, in the order of their execution.

    A layer is what a ReLU, a tanh or a logistic returns, with two axes at least: examples first,
    units last. Those inside of ``jax.nn.gelu`` and its like are left out, and those of means and
    other reductions alone, such as the variance of a normalization, kept from being negative.

    >>> import jax.numpy as jnp
    >>> def loss(w):
    ...     return jnp.sum(jax.nn.relu(jnp.tanh(jnp.eye(2) @ w) - 0.5))
    >>> [layer.kind for layer in units(loss, jnp.eye(2))]
    ['tanh', 'relu']
    """
    found: dict[int, Units] = {}
    numbers = itertools.count()

    def visit(equation: Any, inputs: list, notes: Sequence[Any]) -> tuple[list, list]:
        outputs = execute(equation, inputs)
        if _is_statistic(equation, notes):
            return outputs, [STATISTIC] * len(outputs)
        number, kind = next(numbers), _nonlinearity(equation)
        if kind and outputs[0].ndim >= 2:
            found[number] = Units(kind, outputs[0])
        elif _adds_one(equation):  # to a tanh, as GELU has it
            for note in notes:
                found.pop(-1 if note is None else note, None)
        return outputs, [number if kind == "tanh" else None] * len(outputs)

    run(loss_fn, params, visit, [None] * len(jax.tree.leaves(params)))
    return list(found.values())


def run(loss_fn: Callable[[Any], Any], params: Any, visit: Visit, notes: Sequence[Any]) -> tuple:
    """The loss, with ``visit`` in the place of each of its equations, and the note of it.

    Args:
      loss_fn: ``loss_fn(params) -> loss``.
      params: a tree.
      visit: ``visit(equation, inputs, notes of them) -> (outputs, notes of them)``.
      notes: what is known of each array of the parameters.
    """
    leaves = jax.tree.leaves(params)
    outputs, known = _follow(jax.make_jaxpr(loss_fn)(params), leaves, notes, visit)
    return outputs[0], known[0]


def _follow(
    program: Any, inputs: Sequence[Any], notes: Sequence[Any], visit: Visit
) -> tuple[list, list]:
    """What a program returns, and the notes of that."""
    inside = getattr(program, "jaxpr", program)
    values = dict(zip(inside.constvars, getattr(program, "consts", ()), strict=True))
    values |= zip(inside.invars, inputs, strict=True)
    known = dict(zip(inside.invars, notes, strict=True))

    def read(x: Any) -> tuple[Any, Any]:
        return (x.val, None) if isinstance(x, Literal) else (values[x], known.get(x))

    for equation in inside.eqns:
        given, of = [read(x)[0] for x in equation.invars], [read(x)[1] for x in equation.invars]
        name = equation.primitive.name
        called = equation.params.get("jaxpr", equation.params.get("call_jaxpr"))
        if name in CALLS and called is not None and equation.params.get("name") not in GATED:
            outputs, found = _follow(called, given, of, visit)
        else:
            outputs, found = visit(equation, given, of)
        values |= zip(equation.outvars, outputs, strict=True)
        known |= zip(equation.outvars, found, strict=True)
    return [read(x)[0] for x in inside.outvars], [read(x)[1] for x in inside.outvars]


def execute(equation: JaxprEqn, inputs: list) -> list:
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


def _is_statistic(equation: Any, notes: Sequence[Any]) -> bool:
    """Whether it reduces an axis, or computes on from what did, and from nothing else."""
    given = [y for x, y in zip(equation.invars, notes, strict=True) if not isinstance(x, Literal)]
    reduces = equation.primitive.name.startswith("reduce_")
    return reduces or (bool(given) and all(note == STATISTIC for note in given))


def _adds_one(equation: Any) -> bool:
    ones = (isinstance(x, Literal) and x.val == 1 for x in equation.invars)
    return equation.primitive.name == "add" and any(ones)


def _is_relu(equation: Any) -> bool:
    """Whether it is ``max(x, 0)``, or a function of that alone."""
    if equation.primitive.name == "max":
        return any(isinstance(x, Literal) and x.val == 0 for x in equation.invars)
    called = equation.params.get("call_jaxpr", equation.params.get("jaxpr"))
    inside = getattr(called, "jaxpr", called)
    equations = getattr(inside, "eqns", ())
    return len(equations) == 1 and _is_relu(equations[0])
