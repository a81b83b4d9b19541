"""Gradients of single examples, as far as the program of a loss shows them.

What a loss does with its parameters is followed from where they meet the examples to the sum over
examples. Where that is not a layer, or examples mix, as in a batch normalization, nothing is
claimed. The axis of examples is the one that is longer in the program for a larger batch.
"""

import collections
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gdjax.diagnostics.layers import execute, run
from gdjax.task import examples_in

EACH, SUM, MIXED = "each", "sum", "mixed"
"""Of a value: it has an axis of examples, it is linear in all of them, neither is known."""
LINEAR = frozenset(
    {"add", "add_any", "broadcast_in_dim", "convert_element_type", "copy", "neg", "reduce_sum"}
    | {"reshape", "squeeze", "sub", "transpose"}
)
ALONG = frozenset({"cumlogsumexp", "cummax", "cummin", "cumprod", "cumsum", "rev", "sort"})
"""Equations that mix along an axis and leave its length."""


def example_gradient_norms(
    loss_fn: Callable[[Any, Any], Any], params: Any, batch: Any
) -> jax.Array | None:
    """Squared norm of each example's gradient, at less than the cost of another gradient.

    Of a layer ``y = x @ w``, the gradient with respect to ``w`` of one example's loss is
    ``sum_s x_s dy_s^T`` over the positions ``s`` that the example has there (one, in a
    perceptron), so its squared norm is ``sum_st (x_s . x_t) (dy_s . dy_t)``, and no such gradient
    is made. Of ``y = x * w`` and ``y = x + w`` with a vector ``w`` it is as simple.

    Args:
      loss_fn: ``loss_fn(params, batch) -> loss``, for batches of any size. Where it is
        ``sum_i l_i``, the gradients are those of ``n l_i`` with ``n`` examples.
      params: a tree.
      batch: leaves ``[example, ...]``.

    Returns:
      ``float32[example]``; None where the program shows no such sum, or some parameter is not
      real, is used otherwise, not on all examples, or not just once.

    Reference:
      Goodfellow, Efficient per-example gradient computations
      (https://arxiv.org/abs/1510.01799); for sequences Li et al., Large language models can be
      strong differentially private learners (https://arxiv.org/abs/2110.05679), section 4.

    >>> x = jnp.array([[1.0, 2.0], [3.0, 4.0]])
    >>> loss = lambda w, x: jnp.mean((x @ w)[:, 0])
    >>> example_gradient_norms(loss, jnp.zeros((2, 1)), x)  # 1 + 4 and 9 + 16
    Array([ 5., 25.], dtype=float32)
    """
    leaves, n = jax.tree.leaves(params), examples_in(batch)
    origins = [_Origin(i, 0 if jnp.ndim(x) == 1 else None) for i, x in enumerate(leaves)]

    def follow(uses: _Uses, batch: Any) -> tuple[Any, Any]:
        return run(lambda params: loss_fn(params, batch), params, uses, origins)

    def see(uses: _Uses, batch: Any) -> Any:
        def trace(batch: Any) -> list[jax.Array]:
            _, uses.loss = follow(uses, batch)
            return uses.outputs

        return jax.eval_shape(trace, batch)

    def changed(changes: list[jax.Array]) -> tuple[Any, list]:
        uses = _Uses(n, changes=changes)
        return follow(uses, batch)[0], uses.inputs

    double = jax.eval_shape(lambda x: jax.tree.map(lambda x: jnp.concatenate([x, x]), x), batch)
    see(twice := _Uses(2 * n), double)
    shapes = see(once := _Uses(n, twice.shapes), batch)
    used = collections.Counter(use.leaf for use in once.uses)
    real = all(jnp.issubdtype(jnp.result_type(x), jnp.floating) for x in leaves)
    alike = list(map(len, once.shapes)) == list(map(len, twice.shapes))
    if once.loss != SUM or used != collections.Counter(range(len(leaves))) or not (real and alike):
        return None
    still = [jnp.zeros(x.shape, x.dtype) for x in shapes]
    loss, back, inputs = jax.vjp(changed, still, has_aux=True)
    (slopes,) = back(jnp.ones_like(loss))
    each = [
        _squared_norms(use, x, n * slope)
        for use, x, slope in zip(once.uses, inputs, slopes, strict=True)
    ]
    return sum(each, start=jnp.zeros(n, jnp.float32))


class _Origin(NamedTuple):
    """That a value holds the numbers of one parameter, each once."""

    leaf: int
    axis: int | None  # of the value, that is a vector's own: it may be repeated along others


class _Use(NamedTuple):
    """Where a parameter meets the examples."""

    leaf: int | None  # None: a use from which nothing follows
    rule: str = ""  # "dot_general", "mul", "add"
    example: int = 0  # axis of the output
    own: int | None = None  # axis of the output that is the parameter's


class _Uses:
    """Follows what depends on parameters, and notices their uses.

    Args:
      examples: how many there are.
      wider: the ``shapes`` that were found where there were twice as many.
      changes: what is added to the outputs of uses.
    """

    def __init__(
        self, examples: int, wider: Sequence[tuple] = (), changes: list[jax.Array] | None = None
    ):
        self.examples, self.wider, self.changes = examples, wider, changes
        self.uses: list[_Use] = []
        self.inputs: list[jax.Array | None] = []
        self.outputs: list[jax.Array] = []
        self.shapes: list[tuple[int, ...]] = []  # of all that depends on parameters
        self.loss: Any = None  # what the loss is: EACH, SUM or MIXED

    def __call__(self, equation: Any, inputs: list, notes: Sequence[Any]) -> tuple[list, list]:
        outputs = execute(equation, inputs)
        if not any(notes):
            return outputs, [None] * len(outputs)
        origins = [note if isinstance(note, _Origin) else None for note in notes]
        if origin := _same_numbers(equation, origins):
            return outputs, [origin]
        axes = [self._example_axes(x.shape) for x in outputs]
        found = [
            _note(equation, notes, at) if jnp.issubdtype(x.dtype, jnp.inexact) else None
            for x, at in zip(outputs, axes, strict=True)
        ]
        if any(origins):
            use, other = _use(equation, inputs, origins, outputs[0])
            if axes[0] != [use.example] or outputs[0].shape[use.example] != self.examples:
                found = [MIXED] * len(outputs)
            if self.changes is not None:
                outputs = [outputs[0] + self.changes[len(self.uses)]]
            self.uses.append(use)
            self.inputs.append(other)
            self.outputs.append(outputs[0])
        return outputs, found

    def _example_axes(self, shape: tuple[int, ...]) -> list[int]:
        """Those that are longer where there are more examples."""
        number = len(self.shapes)
        self.shapes.append(shape)
        wide = self.wider[number] if number < len(self.wider) else shape
        return [i for i, (a, b) in enumerate(zip(shape, wide, strict=False)) if a != b]


def _note(equation: Any, notes: Sequence[Any], axes: Sequence[int]) -> str:
    """What an output is, with these axes of examples, where some input depends on parameters."""
    name, alone = equation.primitive.name, sum(note is not None for note in notes) == 1
    if MIXED in notes or len(axes) > 1:
        return MIXED
    if axes:
        along = [equation.params.get(x, ()) for x in ("axis", "dimension", "dimensions")]
        mixes = name in ALONG and axes[0] in np.hstack(along)
        return MIXED if mixes or SUM in notes else EACH
    scaled = alone and (name in ("mul", "dot_general") or (name == "div" and notes[0] is not None))
    return SUM if name in LINEAR or scaled else MIXED


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
        if weight.shape[-1] != output.shape[-1]:
            return _Use(None), None
        met = jnp.broadcast_to(other, output.shape) if name == "mul" else None
        return _Use(origin.leaf, name, 0, origin.axis), met
    repeated = origin.axis is not None and weight.size > weight.shape[origin.axis]
    if name != "dot_general" or weight.ndim > 2 or repeated:
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


def _same_numbers(equation: Any, origins: Sequence[_Origin | None]) -> _Origin | None:
    """The parameter that an equation only reshapes, transposes, casts or repeats."""
    (origin,) = origins if len(origins) == 1 else (None,)
    name, shape = equation.primitive.name, equation.outvars[0].aval.shape
    if origin is None or name in ("convert_element_type", "copy"):
        return origin
    if origin.axis is None:  # the norm of a gradient is that of its transpose
        return origin if name in ("reshape", "squeeze", "transpose") else None
    before = equation.invars[0].aval.shape
    if name == "broadcast_in_dim":
        axis = equation.params["broadcast_dimensions"][origin.axis]
        return origin._replace(axis=axis) if shape[axis] == before[origin.axis] else None
    old, new = ([i for i, n in enumerate(x) if n != 1] for x in (before, shape))
    only_ones = [before[i] for i in old] == [shape[i] for i in new] and origin.axis in old
    if name in ("reshape", "squeeze") and only_ones:
        return origin._replace(axis=new[old.index(origin.axis)])
    return None
