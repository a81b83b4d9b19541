"""SOAP: Adam in the eigenbasis of Shampoo's preconditioner."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from gdjax import decompositions, matrices, trees
from gdjax.errors import InvalidType
from gdjax.ranges import Decay, NonNegative, Positive, PositiveSteps, Size
from gdjax.transformation import transformation


class ScaleBySoapState(NamedTuple):
    """State of :func:`scale_by_soap`."""

    count: Any  # int32[]: updates made so far, the first, which is 0, included
    mu: Any  # like params, in mu_dtype: average
    nu: Any  # like params, real: average of squares in the basis
    statistics: Any  # for each array a dict of [n, n] by axis: averages of second moments
    bases: Any  # like statistics: eigenvectors as columns
    mu_weight: jax.Array  # float[]: sum of the weights in mu
    nu_weight: jax.Array  # float[]: sum of the weights in nu


def _no_basis_yet(
    params: Any, mu_dtype: Any, max_precond_dim: int, precondition_1d: bool
) -> ScaleBySoapState:
    def leaf(p: Any) -> dict[int, jax.Array]:
        dtype, shape = jnp.promote_types(jnp.result_type(p), jnp.float32), jnp.shape(p)
        if jnp.issubdtype(dtype, jnp.complexfloating):
            raise InvalidType(
                f"scale_by_soap: its bases are real, got complex parameters of {dtype}; optimize "
                "their real and imaginary parts"
            )
        rotated = len(shape) > 1 or precondition_1d
        lengths = {i: n for i, n in enumerate(shape) if rotated and 1 < n <= max_precond_dim}
        return {i: jnp.eye(n, dtype=dtype) for i, n in lengths.items()}

    bases = jax.tree.map(leaf, params)
    return ScaleBySoapState(
        count=jnp.zeros((), jnp.int32),
        mu=trees.zeros_like(params, mu_dtype),
        nu=trees.full_like_real(params, 0),
        statistics=trees.zeros_like(bases),
        bases=bases,
        mu_weight=trees.no_weight(params),
        nu_weight=trees.no_weight(params),
    )


@transformation(init=_no_basis_yet)
def scale_by_soap(
    updates: Any,
    state: ScaleBySoapState,
    params: Any,
    b1: Decay = 0.95,
    b2: Decay = 0.95,
    shampoo_beta: Decay | None = None,
    eps: NonNegative = 1e-8,
    precondition_frequency: PositiveSteps = 10,
    max_precond_dim: Size = 10000,
    precondition_1d: bool = False,
    mu_dtype: Any = None,
    kl_ridge: Positive | None = None,
) -> tuple[Any, ScaleBySoapState]:
    """Adam in the eigenbasis of Shampoo's statistics, which turns slowly: SOAP.

    For a matrix with ``bases`` ``Q_L`` and ``Q_R``: ``g' = Q_L^T g Q_R``,
    ``mu = b1 * mu + (1 - b1) * g``, ``nu = b2 * nu + (1 - b2) * g'**2``, both debiased by the
    sum of their weights, then ``u = Q_L (Q_L^T mu_hat Q_R / (sqrt(nu_hat) + eps)) Q_R^T``. After
    that the statistics: ``L = shampoo_beta * L + (1 - shampoo_beta) * g g^T`` and ``R`` of
    ``g^T g``. An array of any number of axes has one basis for each.

    The first update is 0: its gradient makes the bases, the eigenvectors of its statistics, and
    is not seen in them, where it would be diagonal, its other elements rounding errors that Adam
    divides by their own size. After every ``precondition_frequency``-th step the bases take one
    step of orthogonal iteration, columns and ``nu`` sorted by eigenvalue before: of all arrays
    together, on accelerators one QR for each size of axis. Under ``jax.vmap`` over this
    transformation both decompositions are computed at each step, and used when due.

    With ``kl_ridge`` it is KL-SOAP: the statistics are those whose Kronecker product is nearest
    to the second moments of ``g`` in Kullback and Leibler's divergence, so that of each axis is
    of updates that the others whiten. For a matrix of ``n`` columns ``g R'**-1 g^T / n`` stands
    for ``g g^T``, with ``R' = Q_R diag(r / mean(r) + kl_ridge) Q_R^T`` and ``r`` the diagonal of
    ``Q_R^T R Q_R``; the identity while ``R`` is 0. Only the product of the statistics has a scale,
    which is left to each of them: ``R'`` has the mean 1, so that no two can run away.

    Where two eigenvalues of the first statistics are equal, the basis between them is arbitrary,
    and its derivative is taken as 0.

    Args:
      b1: weight of the past in the average, in [0, 1).
      b2: weight of the past in the average of squares, in [0, 1).
      shampoo_beta: weight of the past in the statistics, in [0, 1); ``b2`` where None.
      eps: added to the root, in units of the updates.
      precondition_frequency: steps from one refinement of the bases to the next.
      max_precond_dim: an axis longer than this keeps its own basis.
      precondition_1d: also for arrays of one axis; without it Adam does those.
      mu_dtype: dtype of the average; that of the parameters where None.
      kl_ridge: relative to the mean eigenvalue, for KL-SOAP; None for SOAP.

    State:
      count: updates made so far, the first included, an int32 scalar.
      mu: the average, of the parameters' shapes, not rotated.
      nu: the average of squares in the bases, of the parameters' shapes, real.
      statistics: for each array a dict from axis to ``[n, n]``, in at least float32.
      bases: eigenvectors as columns, of the statistics' shapes.
      mu_weight: the sum of the weights in ``mu``, a scalar.
      nu_weight: the sum of the weights in ``nu``, a scalar.

    Raises:
      InvalidType: complex parameters.

    Reference:
      Vyas et al., SOAP (https://arxiv.org/abs/2409.11321), algorithms 3 and 4. The first step
      and the sorting are those of the authors' implementation, names and defaults too. Lin et
      al., Understanding and improving Shampoo and SOAP via Kullback-Leibler minimization
      (https://arxiv.org/abs/2509.03378), for KL-SOAP; its authors let the statistics divide by
      each other's scale, and bound their eigenvalues below by absolute numbers.

    >>> init, update = scale_by_soap()
    >>> g = jnp.array([[0.0, 9.0], [4.0, 0.0]])
    >>> first, state = update(g, init(g))
    >>> second, state = update(g, state)
    >>> bool((first == 0).all()), second.round(3).tolist()
    (True, [[0.0, 1.0], [1.0, 0.0]])
    """
    first = state.count == 0
    # A decay rate of 1 keeps what is there: the first gradient enters the statistics alone.
    keep1, keep2 = jnp.where(first, 1, b1), jnp.where(first, 1, b2)
    beta = b2 if shampoo_beta is None else shampoo_beta
    mu_weight = trees.average(1, state.mu_weight, keep1)
    nu_weight = trees.average(1, state.nu_weight, keep2)
    debias_mu, debias_nu = 1 / jnp.where(first, 1, mu_weight), 1 / jnp.where(first, 1, nu_weight)

    def leaf(g: Any, m: Any, v: Any, statistics: dict, bases: dict) -> tuple:
        m = trees.average(g, m, keep1)
        v = trees.average(trees.abs_sq(_rotate(g, bases)), v, keep2)
        denominator = trees.sqrt(v * debias_nu) + eps
        denominator = jnp.where(denominator > 0, denominator, 1)
        u = _rotate(_rotate(m * debias_mu, bases) / denominator, bases, back=True)
        others = {} if kl_ridge is None else _whitenings(statistics, bases, kl_ridge)
        statistics = {
            i: trees.average(_second_moment(g, i, others), s, beta) for i, s in statistics.items()
        }
        return u, m, v, statistics

    updates, mu, nu, statistics = trees.map_leaves(
        leaf, updates, state.mu, state.nu, state.statistics, given=(state.bases,)
    )
    due = state.count % jnp.asarray(precondition_frequency, jnp.int32) == 0
    bases, nu = jax.lax.switch(
        jnp.where(first, 0, jnp.where(due, 1, 2)),
        (
            lambda: (
                matrices.map_matrices(decompositions.eigenbasis, statistics, decomposes=True),
                nu,
            ),
            lambda: _refine(statistics, state.bases, nu),
            lambda: (state.bases, nu),
        ),
    )
    count = optax.safe_increment(state.count)
    return updates, ScaleBySoapState(count, mu, nu, statistics, bases, mu_weight, nu_weight)


def _rotate(x: jax.Array, bases: dict[int, jax.Array], back: bool = False) -> jax.Array:
    """Into the bases along each of their axes: ``Q^H x``; or ``back``: ``Q x``."""
    for axis, basis in bases.items():
        x = matrices.multiply_axis(basis if back else matrices.dagger(basis), x, axis)
    return x


def _whitenings(statistics: dict, bases: dict, ridge: Any) -> dict[int, jax.Array]:
    """For each axis ``W`` with ``W^T W`` the inverse of ``R'``, over its length."""

    def whitening(s: jax.Array, basis: jax.Array) -> jax.Array:
        values = jnp.maximum(jnp.sum(basis * matrices.matmul(s, basis), axis=0), 0)
        mean = jnp.mean(values)
        some = mean > 0
        roots = jnp.where(some, (values / jnp.where(some, mean, 1) + ridge) ** -0.5, 1)
        return roots[:, None] * matrices.dagger(basis) / basis.shape[0] ** 0.5

    return {i: whitening(s, bases[i]) for i, s in statistics.items()}


def _second_moment(g: jax.Array, axis: int, whitenings: dict[int, jax.Array]) -> jax.Array:
    """Of ``g``, whitened along all other axes."""
    for i, whitening in whitenings.items():
        if i != axis:
            g = matrices.multiply_axis(whitening, g, i)
    return matrices.second_moment(g, axis)


def _refine(statistics: Any, bases: Any, nu: Any) -> tuple:
    """The bases after one step of orthogonal iteration, and ``nu`` with their columns sorted."""
    bases, orders = matrices.map_matrices(
        decompositions.refine_basis, statistics, bases, outputs=2, decomposes=True
    )

    def leaf(v: jax.Array, orders: dict[int, jax.Array]) -> jax.Array:
        for axis, order in orders.items():
            v = jnp.take(v, order, axis)
        return v

    return bases, jax.tree.map(leaf, nu, orders)
