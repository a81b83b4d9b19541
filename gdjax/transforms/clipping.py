"""Bounding updates: by element, by norm, and against what is not a number."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from gdjax import subtrees, trees
from gdjax.ranges import Fraction, Positive, Size
from gdjax.transformation import transformation


@transformation()
def clip(updates: Any, state: optax.EmptyState, params: Any, max_delta: Positive) -> tuple:
    """Clip each element of the updates to ``[-max_delta, max_delta]``.

    ``u = min(max(g, -max_delta), max_delta)``

    Args:
      max_delta: largest magnitude of an element, in units of the updates.

    Reference:
      Pascanu et al., On the difficulty of training recurrent neural networks
      (https://arxiv.org/abs/1211.5063), section 3.2, by element instead of by norm.

    >>> init, update = clip(1.0)
    >>> update(jnp.array([-3.0, 0.5]), init(None))[0]
    Array([-1. ,  0.5], dtype=float32)
    """
    return trees.map_leaves(lambda g: jnp.clip(g, -max_delta, max_delta), updates), state


@transformation()
def clip_by_global_norm(
    updates: Any, state: optax.EmptyState, params: Any, max_norm: Positive
) -> tuple:
    """Scale the updates down so that their global norm is at most ``max_norm``.

    ``u = g * max_norm / max(||g||, max_norm)``

    The one scalar factor is folded into whatever reads the result next: no clipped gradient is
    written to memory.

    Args:
      max_norm: largest Euclidean norm of all updates together, in units of the updates.

    Reference:
      Pascanu et al., On the difficulty of training recurrent neural networks
      (https://arxiv.org/abs/1211.5063), algorithm 1.

    >>> init, update = clip_by_global_norm(1.0)
    >>> update(jnp.array([3.0, 4.0]), init(None))[0]
    Array([0.6, 0.8], dtype=float32)
    """
    factor = max_norm / jnp.maximum(trees.global_norm(updates), max_norm)
    return trees.map_leaves(lambda g: factor * g, updates), state


@transformation()
def clip_by_block_rms(
    updates: Any, state: optax.EmptyState, params: Any, threshold: Positive
) -> tuple:
    """Scale each array down so that its root mean square is at most ``threshold``.

    ``u = g * threshold / max(rms(g), threshold)``

    Args:
      threshold: largest root mean square of an array, in units of the updates.

    Reference:
      Shazeer and Stern, Adafactor (https://arxiv.org/abs/1804.04235), section 6.

    >>> init, update = clip_by_block_rms(1.0)
    >>> update({"large": jnp.array([2.0, -2.0]), "small": jnp.array([0.5])}, init(None))[0]
    {'large': Array([ 1., -1.], dtype=float32), 'small': Array([0.5], dtype=float32)}
    """

    def leaf(g: Any) -> Any:
        rms = trees.sqrt(jnp.mean(trees.abs_sq(g)))
        return g * (threshold / jnp.maximum(rms, threshold))

    return trees.map_leaves(leaf, updates), state


@transformation()
def clip_by_unit_norm(
    updates: Any, state: optax.EmptyState, params: Any, max_norm: Positive
) -> tuple:
    """Scale the updates of each unit down so that their norm is at most ``max_norm``.

    ``u = g * max_norm / max(||g||, max_norm)``, where ``||g||`` is the norm of a unit: a vector,
    or a column of a matrix; see :func:`gdjax.trees.unit_norm`.

    Args:
      max_norm: largest Euclidean norm of the updates of a unit, in units of the updates.

    Reference:
      Brock et al., High-performance large-scale image recognition without normalization
      (https://arxiv.org/abs/2102.06171), section 4, with a limit that does not adapt.

    >>> init, update = clip_by_unit_norm(1.0)
    >>> update(jnp.array([[3.0, 0.5], [4.0, 0.0]]), init(None))[0]
    Array([[0.6, 0.5],
           [0.8, 0. ]], dtype=float32)
    """

    def leaf(g: Any) -> Any:
        return g * (max_norm / jnp.maximum(trees.unit_norm(g), max_norm))

    return trees.map_leaves(leaf, updates), state


@transformation()
def adaptive_grad_clip(
    updates: Any,
    state: optax.EmptyState,
    params: Any,
    clipping: Positive,
    eps: Positive = 1e-3,
) -> tuple:
    """Bound the ratio of the updates' norm to the parameters' in each unit: AGC.

    ``u = g * limit / max(||g||, limit)`` with ``limit = clipping * max(||params||, eps)``, norms
    taken of each unit; see :func:`gdjax.trees.unit_norm`.

    ``update`` needs ``params``.

    Args:
      clipping: largest ratio of the norms.
      eps: smallest norm of the parameters that counts, so that those that begin at 0 can move.

    Reference:
      Brock et al., High-performance large-scale image recognition without normalization
      (https://arxiv.org/abs/2102.06171), equation 3.

    >>> init, update = adaptive_grad_clip(0.5)
    >>> update(jnp.array([3.0, 4.0]), init(None), jnp.array([0.0, 2.0]))[0]
    Array([0.6, 0.8], dtype=float32)
    """

    def leaf(g: Any, p: Any) -> Any:
        limit = clipping * jnp.maximum(trees.unit_norm(p), eps)
        return g * (limit / jnp.maximum(trees.unit_norm(g), limit))

    return trees.map_leaves(leaf, updates, given=(params,)), state


class ClipByQuantileState(NamedTuple):
    """State of :func:`clip_by_quantile`."""

    count: Any  # int32[]: norms recorded so far
    norms: jax.Array  # float[window]: the last norms, 0 where there is none yet


def _no_norms(params: Any, window: int) -> ClipByQuantileState:
    return ClipByQuantileState(
        jnp.zeros((), jnp.int32), jnp.zeros(window, trees.compute_dtype(params))
    )


@transformation(init=_no_norms)
def clip_by_quantile(
    updates: Any,
    state: ClipByQuantileState,
    params: Any,
    quantile: Fraction = 0.1,
    window: Size = 1000,
) -> tuple[Any, ClipByQuantileState]:
    """Clip the global norm to a quantile of its own recent past: AutoClip, which tunes itself.

    ``limit = quantile of the last norms, this one included``, ``u = g * min(1, limit / ||g||)``.
    The quantile is interpolated linearly. The first step is never clipped. Where ``||g||`` is not
    finite ``u`` is 0 and the norm is not recorded.

    Args:
      quantile: fraction of the steps that stay unclipped, in [0, 1).
      window: how many norms are remembered; structural.

    State:
      count: norms recorded so far, an int32 scalar.
      norms: the last ``window`` norms, a ring. Exact, where a streaming estimate would need a
        gain in units of the gradient; smaller than any layer.

    Reference:
      Seetharaman et al., AutoClip (https://arxiv.org/abs/2007.14469), algorithm 1,
      which remembers all norms and does not say what becomes of those not finite.

    >>> init, update = clip_by_quantile(0.5)
    >>> u, state = update(jnp.array([2.0]), init(jnp.zeros(1)))
    >>> update(jnp.array([-4.0]), state)[0]
    Array([-3.], dtype=float32)
    """
    norm = trees.global_norm(updates)
    finite = jnp.isfinite(norm)
    norm = jnp.where(finite, norm, 0)
    place = state.count % window
    norms = state.norms.at[place].set(jnp.where(finite, norm, state.norms[place]))
    count = jnp.where(finite, optax.safe_increment(state.count), state.count)
    limit = _quantile(norms, jnp.clip(count, 1, window), quantile)
    clipped = norm > limit
    factor = jnp.where(clipped, limit / jnp.where(clipped, norm, 1), 1)
    updates = trees.map_leaves(lambda g: factor * jnp.where(finite, g, 0), updates)
    return updates, ClipByQuantileState(count, norms)


def _quantile(values: jax.Array, count: Any, quantile: Any) -> jax.Array:
    """Of the first ``count`` values, as NumPy's."""
    largest = jnp.finfo(values.dtype).max
    ordered = jnp.sort(jnp.where(jnp.arange(values.size) < count, values, largest))
    position = quantile * (count - 1)
    low = jnp.floor(position).astype(int)
    return trees.average(
        ordered[jnp.minimum(low + 1, count - 1)], ordered[low], 1 - (position - low)
    )


def _none_found(params: Any) -> optax.ZeroNansState:
    return optax.ZeroNansState(jax.tree.map(lambda _: jnp.zeros((), bool), params))


@transformation(init=_none_found)
def zero_nans(
    updates: Any, state: optax.ZeroNansState, params: Any
) -> tuple[Any, optax.ZeroNansState]:
    """Replace each NaN in the updates by 0.

    ``u = 0`` where ``g`` is NaN, else ``u = g``. An infinite element stays; :func:`clip` bounds it.

    State:
      found_nan: for each array whether its last updates had a NaN, a bool scalar.

    >>> init, update = zero_nans()
    >>> update(jnp.array([jnp.nan, 2.0]), init(jnp.zeros(2)))
    (Array([0., 2.], dtype=float32), ZeroNansState(found_nan=Array(True, dtype=bool)))
    """

    def leaf(g: Any, seen: optax.ZeroNansState) -> tuple:
        is_nan = jnp.isnan(g)
        return jnp.where(is_nan, 0, g), seen._replace(found_nan=jnp.any(is_nan))

    seen = subtrees.pack(optax.ZeroNansState, state.found_nan)
    updates, seen = trees.map_leaves(leaf, updates, seen)
    return updates, optax.ZeroNansState(*subtrees.unpack(optax.ZeroNansState, seen))
