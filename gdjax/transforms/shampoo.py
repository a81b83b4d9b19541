"""Shampoo: a preconditioner for each axis of an array."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from gdjax import decompositions, matrices, trees
from gdjax.ranges import Decay, NonNegative, PositiveSteps, Size
from gdjax.transformation import transformation


class ScaleByShampooState(NamedTuple):
    """State of :func:`scale_by_shampoo`."""

    count: Any  # int32[]: updates made so far
    mu: Any  # like params, in mu_dtype: average
    statistics: Any  # for each array one [n, n] or [n] an axis: averages of second moments
    roots: Any  # like statistics: their inverse roots
    mu_weight: jax.Array  # float[]: sum of the weights in mu
    statistics_weight: jax.Array  # float[]: sum of the weights in statistics


def _zero_statistics(params: Any, mu_dtype: Any, max_precond_dim: int) -> ScaleByShampooState:
    def leaf(p: Any) -> tuple:
        dtype = jnp.promote_types(jnp.result_type(p), jnp.float32)
        real = jnp.finfo(dtype).dtype
        return tuple(
            jnp.zeros((n, n), dtype) if _is_full(n, max_precond_dim) else jnp.zeros(n, real)
            for n in jnp.shape(p) or (1,)
        )

    statistics = jax.tree.map(leaf, params)
    return ScaleByShampooState(
        count=jnp.zeros((), jnp.int32),
        mu=trees.zeros_like(params, mu_dtype),
        statistics=statistics,
        roots=trees.zeros_like(statistics),
        mu_weight=trees.no_weight(params),
        statistics_weight=trees.no_weight(params),
    )


def _is_full(length: int, max_precond_dim: int) -> bool:
    """Whether an axis has a full matrix; one of length 1 is its own diagonal."""
    return 1 < length <= max_precond_dim


@transformation(init=_zero_statistics)
def scale_by_shampoo(
    updates: Any,
    state: ScaleByShampooState,
    params: Any,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-6,
    precondition_frequency: PositiveSteps = 10,
    max_precond_dim: Size = 1024,
    mu_dtype: Any = None,
) -> tuple[Any, ScaleByShampooState]:
    """Multiply an average of the updates, along each axis, by an inverse root: Shampoo.

    For an array of ``k`` axes, with ``g_i`` the update ``g`` as a matrix whose rows are axis
    ``i``: ``statistics_i = b2 * statistics_i + (1 - b2) * g_i g_i^T``,
    ``mu = b1 * mu + (1 - b1) * g``, both debiased by the sum of their weights, then
    ``roots_i = (statistics_i + eps * trace(statistics_i) / n * I)**(-1 / (2 * k))`` and ``u``
    is ``mu`` multiplied along each axis by ``roots_i``. For a matrix:
    ``u = L**(-1/4) mu R**(-1/4)``.

    The roots are computed at the first step, at every ``precondition_frequency``-th after it, and
    when an array gets its first gradient that is not 0: of all arrays together, on accelerators
    one eigendecomposition for each size of axis. Under ``jax.vmap`` over this transformation they
    are computed at each step, and used when due.

    Args:
      b1: weight of the past in the average, in [0, 1).
      b2: weight of the past in the statistics, in [0, 1).
      eps: ridge, relative to the mean eigenvalue of each statistic.
      precondition_frequency: steps from one computation of the roots to the next.
      max_precond_dim: an axis longer than this is preconditioned by the diagonal of its
        statistics alone, which is all that is kept of them.
      mu_dtype: dtype of the average; that of the parameters where None.

    State:
      count: updates made so far, an int32 scalar.
      mu: the average, of the parameters' shapes.
      statistics: for each array a tuple of ``[n, n]``, or ``[n]`` where diagonal, one an axis;
        in at least float32. A scalar counts as an array of one axis.
      roots: the inverse roots in use, of the statistics' shapes.
      mu_weight: the sum of the weights in ``mu``, a scalar.
      statistics_weight: the sum of the weights in ``statistics``, a scalar.

    Reference:
      Gupta, Koren and Singer, Shampoo (https://arxiv.org/abs/1802.09568), algorithms 1 and 2,
      the diagonal form for long axes included. As in Shi et al. (https://arxiv.org/abs/2309.06497)
      the statistics are debiased averages, not sums, the roots are not computed at each step,
      and the update is an average. The ridge is relative, as in Anil et al.
      (https://arxiv.org/abs/2002.09018), but to the mean eigenvalue, which is smooth, not to
      the largest. For grafting see :func:`gdjax.graft`.

    >>> init, update = scale_by_shampoo()
    >>> g = jnp.array([[0.0, 9.0], [4.0, 0.0]])
    >>> update(g, init(g))[0].round(3)
    Array([[0., 1.],
           [1., 0.]], dtype=float32)
    """
    mu_weight = trees.average(1, state.mu_weight, b1)
    weight = trees.average(1, state.statistics_weight, b2)
    debias_mu, debias = 1 / mu_weight, 1 / weight

    def gather(g: Any, statistics: tuple) -> tuple:
        return g, tuple(
            trees.average(_second_moment(g, i, s.ndim == 2), s, b2)
            for i, s in enumerate(jax.tree.leaves(statistics))
        )

    def precondition(g: Any, m: Any, roots: tuple) -> tuple:
        m = trees.average(g, m, b1)
        u = (m * debias_mu).reshape(m.shape or (1,))
        for i, root in enumerate(jax.tree.leaves(roots)):
            if root.ndim == 2:
                u = matrices.multiply_axis(root, u, i)
            else:
                u = u * jnp.expand_dims(root, [j for j in range(u.ndim) if j != i])
        return u.reshape(m.shape), m

    updates, statistics = trees.map_leaves(gather, updates, state.statistics)
    roots = jax.lax.cond(
        (state.count % jnp.asarray(precondition_frequency, jnp.int32) == 0)
        | _any_begins(statistics, state.roots),
        lambda: _inverse_roots(jax.tree.map(lambda s: s * debias, statistics), eps, state.mu),
        lambda: state.roots,
    )
    updates, mu = trees.map_leaves(precondition, updates, state.mu, given=(roots,))
    count = optax.safe_increment(state.count)
    return updates, ScaleByShampooState(count, mu, statistics, roots, mu_weight, weight)


def _second_moment(g: jax.Array, axis: int, full: bool) -> jax.Array:
    if full:
        return matrices.second_moment(g, axis)
    g = g.reshape(g.shape or (1,))
    return jnp.sum(trees.abs_sq(g), axis=[i for i in range(g.ndim) if i != axis])


def _any_begins(statistics: Any, roots: Any) -> jax.Array:
    """Whether an array has statistics, but no roots of them yet, with which it would not move."""

    def trace(x: jax.Array) -> jax.Array:
        return (jnp.trace(x) if x.ndim == 2 else jnp.sum(x)).real

    begins = jax.tree.map(lambda s, r: (trace(s) > 0) & (trace(r) == 0), statistics, roots)
    return functools.reduce(jnp.logical_or, jax.tree.leaves(begins), jnp.zeros((), bool))


def _inverse_roots(statistics: Any, eps: Any, arrays: Any) -> Any:
    """The inverse root of each statistic of ``arrays``, full ones of one size together."""
    exponents = jax.tree.map(
        lambda x, stats: jax.tree.map(lambda s: -0.5 / max(x.ndim, 1), stats), arrays, statistics
    )
    flat, treedef = jax.tree.flatten(statistics)
    powers = list(zip(flat, jax.tree.leaves(exponents), strict=True))
    full = {i: (s, jnp.full((1, 1), e)) for i, (s, e) in enumerate(powers) if s.ndim == 2}
    roots = matrices.map_matrices(
        lambda s, e: decompositions.ridged_power(s, e.astype(jnp.finfo(s.dtype).dtype), eps),
        {i: s for i, (s, _) in full.items()},
        {i: e for i, (_, e) in full.items()},
        decomposes=True,
    )
    return treedef.unflatten(
        roots[i] if i in roots else decompositions.ridged_power_of_diagonal(s, e, eps)
        for i, (s, e) in enumerate(powers)
    )
