"""Many gradients into one: each array of the updates has a leading axis, of workers or examples.

``jax.vmap(jax.grad(loss), (None, 0))`` makes such updates. They stand first in a chain; what
comes after sees one gradient, in the parameters' shapes. The medians and the trimmed mean believe
no worker: one that sends infinities or NaN counts as one that is far away.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from gdjax import draws, trees
from gdjax.errors import InvalidValue
from gdjax.ranges import HalfFraction, NonNegative, Positive, Size
from gdjax.transformation import transformation


@transformation()
def mean_of_workers(updates: Any, state: optax.EmptyState, params: Any) -> tuple:
    """Average the gradients of all workers: what the others are to be compared with.

    ``u = mean(g)`` over the leading axis. One bad worker spoils it.

    >>> init, update = mean_of_workers()
    >>> update(jnp.array([[1.0], [2.0], [6.0]]), init(None))[0]
    Array([3.], dtype=float32)
    """
    _count("mean_of_workers", updates, params)
    return trees.map_leaves(lambda g: jnp.mean(g, axis=0), updates), state


@transformation()
def median_of_workers(updates: Any, state: optax.EmptyState, params: Any) -> tuple:
    """Take the median over workers of each coordinate.

    ``u = median(g)`` over the leading axis; the mean of the middle two where their number is
    even. Bounded by honest workers as long as these are the majority. NaN counts as ``inf``.

    Reference:
      Yin et al., Byzantine-robust distributed learning (https://arxiv.org/abs/1803.01498),
      definition 1.

    >>> init, update = median_of_workers()
    >>> update(jnp.array([[1.0], [2.0], [jnp.nan]]), init(None))[0]
    Array([2.], dtype=float32)
    """
    trees.refuse_complex("median_of_workers", updates)
    _count("median_of_workers", updates, params)
    return trees.map_leaves(_median, updates), state


def _median(g: jax.Array) -> jax.Array:
    ordered, n = jnp.sort(g, axis=0), g.shape[0]
    return ordered[n // 2] if n % 2 else ordered[n // 2 - 1] / 2 + ordered[n // 2] / 2


@transformation()
def trimmed_mean_of_workers(
    updates: Any, state: optax.EmptyState, params: Any, trim: HalfFraction = 0.2
) -> tuple:
    """Average over workers without the largest and the smallest, in each coordinate.

    ``u = mean(sort(g)[k : n - k])`` over the leading axis of ``n`` workers, with
    ``k = min(ceil(trim * n), (n - 1) // 2)``: no trimming is the mean, the most is the median.
    Bounded by honest workers as long as at most ``k`` are not. NaN counts as ``inf``.

    A step function of ``trim``, whose derivative is 0.

    Args:
      trim: fraction of the workers to leave out on each side, in [0, 0.5).

    Reference:
      Yin et al., Byzantine-robust distributed learning (https://arxiv.org/abs/1803.01498),
      definition 2, where ``trim`` is beta.

    >>> init, update = trimmed_mean_of_workers(0.25)
    >>> update(jnp.array([[1.0], [3.0], [1e30], [-jnp.inf]]), init(None))[0]
    Array([2.], dtype=float32)
    """
    trees.refuse_complex("trimmed_mean_of_workers", updates)
    n = _count("trimmed_mean_of_workers", updates, params)
    # A thousandth of a worker is rounding: 0.2 * 15 is 3, also where it is 3.0000002.
    k = jnp.minimum(jnp.ceil(trim * n - 1e-3), (n - 1) // 2)
    kept = (jnp.arange(n) >= k) & (jnp.arange(n) < n - k)
    weight = 1 / (n - 2 * k)

    def leaf(g: Any) -> Any:
        chosen = jnp.expand_dims(kept, tuple(range(1, g.ndim)))
        return jnp.sum(jnp.where(chosen, jnp.sort(g, axis=0), 0), axis=0) * weight

    return trees.map_leaves(leaf, updates), state


@transformation()
def geometric_median_of_workers(
    updates: Any,
    state: optax.EmptyState,
    params: Any,
    eps: Positive = 1e-6,
    iterations: Size = 8,
) -> tuple:
    """Find the point with the least sum of distances to the workers' gradients.

    From the median of each coordinate on, ``iterations`` times
    ``u = sum(w * g) / sum(w)`` with ``w = 1 / max(||g - u||, eps)``, the norm of all arrays of a
    worker together. Bounded by honest workers as long as these are the majority, and, unlike the
    median of each coordinate, independent of the axes in which the gradients are written. A
    worker whose norm is not finite is left out.

    Args:
      eps: smallest distance, in units of the updates.
      iterations: how many times the weights are computed; structural.

    Reference:
      Pillutla, Kakade and Harchaoui, Robust aggregation for federated learning
      (https://arxiv.org/abs/1912.13445), algorithm 2, with weights all equal; from the median
      instead of the mean, which one worker can move anywhere.

    >>> init, update = geometric_median_of_workers()
    >>> round(update(jnp.array([1.0, 2.0, 4.0, jnp.nan, -1e6]), init(None))[0].item(), 3)
    2.0
    """
    trees.refuse_complex("geometric_median_of_workers", updates)
    _count("geometric_median_of_workers", updates, params)
    if not jax.tree.leaves(updates):
        return updates, state
    wide = jax.tree.map(lambda g: jnp.asarray(g, trees.compute_dtype(g)), updates)
    finite = jnp.isfinite(jax.vmap(trees.global_norm)(wide))

    def closer(_: int, center: Any) -> Any:
        away = jax.tree.map(lambda g, c: g - c[None], wide, center)
        distance = jnp.where(finite, jax.vmap(trees.global_norm)(away), 1)
        weights = jnp.where(finite, 1 / jnp.maximum(distance, eps), 0)
        weights = weights / jnp.maximum(jnp.sum(weights), jnp.finfo(weights.dtype).tiny)
        return jax.tree.map(lambda g: _weighted_sum(weights, g).astype(g.dtype), wide)

    center = jax.lax.fori_loop(0, iterations, closer, jax.tree.map(_median, wide))
    return jax.tree.map(lambda c, g: c.astype(g.dtype), center, updates), state


def _first_key(params: Any, key: Any) -> optax.contrib.DifferentiallyPrivateAggregateState:
    del params
    return optax.contrib.DifferentiallyPrivateAggregateState(draws.random_key(key))


@transformation(init=_first_key)
def differentially_private_aggregate(
    updates: Any,
    state: optax.contrib.DifferentiallyPrivateAggregateState,
    params: Any,
    l2_norm_clip: Positive,
    noise_multiplier: NonNegative,
    key: Any,
    layerwise: bool = False,
) -> tuple[Any, optax.contrib.DifferentiallyPrivateAggregateState]:
    """Average over examples with bounded norms, and add noise that hides each of them: DP-SGD.

    ``u = (sum(g * l2_norm_clip / max(||g||, l2_norm_clip)) + noise) / n`` over the leading axis of
    ``n`` examples, with normal noise of standard deviation ``l2_norm_clip * noise_multiplier`` in
    each coordinate. An example with NaN or infinities shows: ``u`` is NaN there. Behind
    :func:`zero_nans` and :func:`clip` all numbers are finite.

    Args:
      l2_norm_clip: largest norm of the gradient of an example, in units of the updates.
      noise_multiplier: the noise's standard deviation in units of that norm.
      key: PRNG key, or a seed.
      layerwise: bound the norm of each of the ``m`` arrays that are not empty by
        ``l2_norm_clip / sqrt(m)`` instead.

    State:
      rng_key: key of the next step's noise.

    Reference:
      Abadi et al., Deep learning with differential privacy (https://arxiv.org/abs/1607.00133),
      algorithm 1; layerwise: McMahan et al., Learning differentially private recurrent language
      models (https://arxiv.org/abs/1710.06963).

    >>> init, update = differentially_private_aggregate(1.0, noise_multiplier=0.0, key=0)
    >>> update(jnp.array([[4.0, 0.0], [0.0, 0.5]]), init(None))[0]
    Array([0.5 , 0.25], dtype=float32)
    """
    n = _count("differentially_private_aggregate", updates, params)
    leaves, treedef = jax.tree.flatten(updates)
    rng_key, *keys = jax.random.split(state.rng_key, len(leaves) + 1)
    noise = treedef.unflatten(draws.normal(k, g[0]) for k, g in zip(keys, leaves, strict=True))
    scale = l2_norm_clip * noise_multiplier
    if layerwise:
        limit = l2_norm_clip / max(sum(g.size > 0 for g in leaves), 1) ** 0.5
        weights = jax.tree.map(lambda g: _clip_factors(g, limit), updates)
    else:
        shared = _clip_factors(updates, l2_norm_clip) if leaves else None
        weights = jax.tree.map(lambda g: shared, updates)

    def leaf(g: Any, weights: Any, noise: Any) -> Any:
        clipped = jnp.tensordot(weights, g.astype(noise.dtype), axes=1)
        return ((clipped + scale * noise) * (1 / n)).astype(g.dtype)

    updates = jax.tree.map(leaf, updates, weights, noise)
    return updates, optax.contrib.DifferentiallyPrivateAggregateState(rng_key)


def _clip_factors(examples: Any, limit: Any) -> jax.Array:
    """For each example a factor that bounds its norm; 0 where its square overflows."""
    return limit / jnp.maximum(jax.vmap(trees.global_norm)(examples), limit)


def _weighted_sum(weights: jax.Array, g: jax.Array) -> jax.Array:
    """Over the leading axis, without the workers of weight 0, whose numbers may be none."""
    weights = jnp.expand_dims(weights, tuple(range(1, g.ndim)))
    return jnp.sum(jnp.where(weights > 0, weights * g, 0), axis=0)


def _count(what: str, updates: Any, params: Any) -> int:
    """How many workers there are, the same in each array; 1 where there is no array."""
    shapes = [jnp.shape(g) for g in jax.tree.leaves(updates)]
    alike = jax.tree.structure(updates) == jax.tree.structure(params)
    of_params = [jnp.shape(p) for p in jax.tree.leaves(params)]
    fit = not alike or of_params == [shape[1:] for shape in shapes]
    if not fit or any(s[:1] != shapes[0][:1] or s[:1] in ((), (0,)) for s in shapes):
        raise InvalidValue(
            f"{what} takes updates with a leading axis of one length, of workers or examples, "
            f"before the axes of the parameters, got shapes {shapes}; make them by "
            "jax.vmap(jax.grad(loss), (None, 0))(params, examples)"
        )
    return shapes[0][0] if shapes else 1
