"""Second moments in less memory than the parameters: Adafactor's factors and SM3's covers."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from gdjax import subtrees, trees
from gdjax.ranges import Decay, DecayOrSum, NonNegative, Size, WholeNumber
from gdjax.transformation import transformation


class _Moment(NamedTuple):
    """What the state holds for one array."""

    row: Any
    col: Any
    full: Any


def _factored_axes(shape: tuple[int, ...], smallest: int) -> tuple[int, int] | None:
    """The longest axis and the next one, where that has ``smallest`` elements at least."""
    if len(shape) < 2:
        return None
    *_, second, longest = np.argsort(shape, kind="stable").tolist()
    return (longest, second) if shape[second] >= smallest else None


def _zero_factors(params: Any, factored: bool, min_dim_size_to_factor: int) -> optax.FactoredState:
    def zeros(p: Any) -> _Moment:
        shape, dtype = jnp.shape(p), jnp.real(p).dtype
        row, col, full = (jnp.zeros(1, dtype) for _ in range(3))  # where they are not used
        axes = _factored_axes(shape, min_dim_size_to_factor) if factored else None
        if axes is None:
            return _Moment(row, col, jnp.zeros(shape, dtype))
        row, col = (jnp.zeros(shape[:axis] + shape[axis + 1 :], dtype) for axis in axes)
        return _Moment(row, col, full)

    return optax.FactoredState(
        jnp.zeros((), jnp.int32), *subtrees.unpack(_Moment, jax.tree.map(zeros, params))
    )


def _power_decay(step: Any, decay_rate: Any) -> Any:
    """0 at step 0, so that no average needs debiasing; then ever closer to 1."""
    return 1 - (step + 1.0) ** -decay_rate


@transformation(init=_zero_factors)
def scale_by_factored_rms(
    updates: Any,
    state: optax.FactoredState,
    params: Any,
    factored: bool = True,
    decay_rate: NonNegative = 0.8,
    step_offset: WholeNumber = 0,
    min_dim_size_to_factor: Size = 128,
    epsilon: NonNegative = 1e-30,
    decay_rate_fn: Callable[[Any, Any], Any] = _power_decay,
) -> tuple[Any, optax.FactoredState]:
    """Divide by the root of a moving average of squares that is kept as two factors: Adafactor.

    With ``d = decay_rate_fn(count - step_offset, decay_rate)``, which is ``1 - t**-decay_rate``
    at the ``t``-th step, and means over the longest axis (``rows``) and the next one (``cols``),
    ``v_row = d * v_row + (1 - d) * rows(g**2 + epsilon)``, ``v_col`` likewise, then
    ``u = g / sqrt(v_row * v_col / mean(v_row))``. Smaller arrays keep the average itself:
    ``v = d * v + (1 - d) * (g**2 + epsilon)``, ``u = g / sqrt(v)``.

    Args:
      factored: keep factors; all averages are kept as they are where False.
      decay_rate: exponent of the step in the weight of the present, at least 0.
      step_offset: the step at which this run starts, where ``count`` goes on from another one.
        Until ``count`` is there each step is the first; Optax computes NaN.
      min_dim_size_to_factor: an array is factored if its two longest axes have this size. It is
        structure: shapes depend on it.
      epsilon: added to the squares.
      decay_rate_fn: function of the step, from 0, and of ``decay_rate``; the weight of the past.

    State:
      count: updates made so far, an int32 scalar.
      v_row: the average of the squares' means over the longest axis, real; [1] where not factored.
      v_col: the average of the squares' means over the next axis, real; [1] where not factored.
      v: the average of squares, of the parameters' shapes, real; [1] where factored.

    Reference:
      Shazeer and Stern, Adafactor (https://arxiv.org/abs/1804.04235), algorithm 4, with means
      instead of sums, which cancel, and section 7.2 for the decay rate.

    >>> init, update = scale_by_factored_rms(min_dim_size_to_factor=2)
    >>> state = init(jnp.zeros((2, 3)))
    >>> state.v_row.shape, state.v_col.shape
    ((2,), (3,))
    >>> update(jnp.array([[1.0, -1.0, 1.0], [2.0, 2.0, 2.0]]), state)[0]
    Array([[ 1., -1.,  1.],
           [ 1.,  1.,  1.]], dtype=float32)
    """
    decay = decay_rate_fn(jnp.maximum(state.count - step_offset, 0), decay_rate)

    def leaf(g: Any, moment: _Moment) -> tuple:
        squares = trees.abs_sq(g) + epsilon
        axes = _factored_axes(g.shape, min_dim_size_to_factor) if factored else None
        if axes is None:
            full = trees.average(squares, moment.full, decay)
            return trees.divide(g, _positive_root(full)), moment._replace(full=full)
        longest, second = axes
        row = trees.average(squares.mean(longest), moment.row, decay)
        col = trees.average(squares.mean(second), moment.col, decay)
        mean = row.mean(second - (second > longest), keepdims=True)
        # Roots before quotients, one quotient after the other: of squares of 1e-30 everything
        # else leaves float32, if not in the update then in its derivatives.
        row_root = trees.divide(_positive_root(row), _positive_root(mean))
        u = trees.divide(g, jnp.expand_dims(row_root, longest))
        u = trees.divide(u, jnp.expand_dims(_positive_root(col), second))
        return u, moment._replace(row=row, col=col)

    moments = subtrees.pack(_Moment, state.v_row, state.v_col, state.v)
    updates, moments = trees.map_leaves(leaf, updates, moments)
    count = optax.safe_increment(state.count)
    return updates, optax.FactoredState(count, *subtrees.unpack(_Moment, moments))


def _positive_root(x: Any) -> Any:
    """1 where ``x`` is 0: there all that it would divide is 0."""
    return trees.sqrt(jnp.where(x > 0, x, 1))


def _zero_covers(params: Any) -> optax.ScaleBySM3State:
    def covers(p: Any) -> list:
        dtype = jnp.real(p).dtype
        return [jnp.zeros(size, dtype) for size in jnp.shape(p)] or [jnp.zeros((), dtype)]

    return optax.ScaleBySM3State(jax.tree.map(covers, params), trees.zeros_like(params))


@transformation(init=_zero_covers)
def scale_by_sm3(
    updates: Any,
    state: optax.ScaleBySM3State,
    params: Any,
    b1: Decay = 0.9,
    b2: DecayOrSum = 1.0,
    eps: NonNegative = 1e-8,
) -> tuple[Any, optax.ScaleBySM3State]:
    """Divide by the root of a sum of squares that is kept as one vector for each axis: SM3.

    ``s = g**2 + min_i(mu_i)``, where ``mu_i`` stands along axis ``i``; ``mu_i`` becomes the largest
    ``s`` of each slice, ``v = g / sqrt(s + eps)``, and 0 where ``s`` is 0, then
    ``nu = b1 * nu + (1 - b1) * v`` and ``u = nu``. With ``b2 < 1`` the sum is a moving average,
    ``s = b2 * min_i(mu_i) + (1 - b2) * g**2``.

    Args:
      b1: weight of the past in the average of the updates, in [0, 1).
      b2: weight of the past in the average of squares, in [0, 1]; at 1 it is a sum.
      eps: added under the root.

    State:
      mu: for each array a list of one vector for each axis, real; a scalar's is one scalar.
      nu: the average of the updates, of the parameters' shapes.

    Reference:
      Anil et al., Memory-efficient adaptive optimization (https://arxiv.org/abs/1901.11150),
      algorithm SM3-II with the covers of section 4; ``b2`` and ``eps`` are Optax's. A scalar is
      its own cover, as it is in the paper; Optax fails on one.

    >>> init, update = scale_by_sm3(b1=0.0, eps=0.0)
    >>> _, state = update(jnp.array([[3.0, 0.0], [0.0, 0.0]]), init(jnp.zeros((2, 2))))
    >>> update(jnp.array([[4.0, 2.0], [0.0, 0.0]]), state)[0]
    Array([[0.8, 1. ],
           [0. , 0. ]], dtype=float32)
    """
    fresh = jnp.where(b2 < 1, 1 - b2, 1)

    def leaf(g: Any, covers: list, average: Any) -> tuple:
        covers = jax.tree.leaves(covers)
        others = [tuple(i for i in range(g.ndim) if i != axis) for axis in range(len(covers))]
        views = map(jnp.expand_dims, covers, others)
        least = functools.reduce(jnp.minimum, views)
        s = fresh * trees.abs_sq(g) + b2 * least
        v = g / trees.sqrt(jnp.where(s > 0, s + eps, 1))
        average = trees.average(v, average, b1)
        initial = None if s.size else 0  # where it is not needed it costs a pass over the covers
        largest = [jnp.max(s, axes, initial=initial) for axes in others]
        return average, largest, average

    updates, mu, nu = trees.map_leaves(leaf, updates, state.mu, state.nu)
    return updates, optax.ScaleBySM3State(mu, nu)
