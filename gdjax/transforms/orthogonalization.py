"""Muon: matrices move by orthogonal updates, all else by Adam's."""

import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from gdjax import decompositions, matrices, trees
from gdjax.arrangement import Arrangement, map_numbers, matrix_axes
from gdjax.errors import InvalidValue
from gdjax.ranges import Decay, NonNegative, Size, Structure
from gdjax.transformation import transformation

Start = Literal["frobenius", "spectral", "aol", "schatten"]


class MuonState(NamedTuple):
    """State of :func:`scale_by_muon`."""

    count: Any  # int32[]: updates made so far
    mu: Any  # like params, in mu_dtype: average
    nu: Any  # like params, real: average of squares; () for matrices
    mu_weight: jax.Array  # float[]: sum of the weights in mu, of matrices
    adam_mu_weight: jax.Array  # float[]: the same, of all others
    adam_nu_weight: jax.Array  # float[]: sum of the weights in nu


def _zero_moments(params: Any, mu_dtype: Any, weight_dimension_numbers: Any) -> MuonState:
    def square(p: Any, numbers: Any) -> Any:
        return trees.full_like_real(p, 0) if numbers is None else ()

    return MuonState(
        count=jnp.zeros((), jnp.int32),
        mu=trees.zeros_like(params, mu_dtype),
        nu=map_numbers(square, params, weight_dimension_numbers),
        mu_weight=trees.no_weight(params),
        adam_mu_weight=trees.no_weight(params),
        adam_nu_weight=trees.no_weight(params),
    )


@transformation(init=_zero_moments)
def scale_by_muon(
    updates: Any,
    state: MuonState,
    params: Any,
    ns_coeffs: Any = (3.4445, -4.7750, 2.0315),
    ns_steps: Size = 5,
    beta: Decay = 0.95,
    eps: NonNegative = 1e-8,
    mu_dtype: Any = None,
    nesterov: bool = True,
    adaptive: bool = False,
    preconditioning: Start = "frobenius",
    weight_dimension_numbers: Structure = None,
    adam_b1: Decay = 0.9,
    adam_b2: Decay = 0.999,
    adam_eps_root: NonNegative = 0.0,
) -> tuple[Any, MuonState]:
    """Replace an average of each matrix by a nearly orthogonal one, and do Adam on all else: Muon.

    ``mu = beta * mu + (1 - beta) * g``, debiased to ``mu_hat`` by the sum of its weights, then
    ``u = U V^T`` of ``mu_hat = U S V^T``, roughly: ``ns_steps`` of Newton and Schulz's iteration
    ``x = a x + (b A + c A A) x``, ``A = x x^T``, move the singular values to about 1, from
    ``x = mu_hat / (norm(mu_hat) + eps)``. Arrays that are no matrices get
    :func:`gdjax.scale_by_adam` with ``adam_b1``, ``adam_b2``, ``eps`` and ``adam_eps_root``.
    Matrices of one shape are computed together, wherever they stand.

    Args:
      ns_coeffs: ``(a, b, c)``, or one such triple a step.
      ns_steps: steps of the iteration; not read where ``ns_coeffs`` has one triple a step.
      beta: weight of the past in the average of matrices, in [0, 1).
      eps: added to the norm, which ``"schatten"`` and ``"aol"`` do not need, and to Adam's root.
      mu_dtype: dtype of the average; that of the parameters where None.
      nesterov: look one step ahead, in Adam's average too.
      adaptive: multiply the update by its inner product with ``mu_hat``, a dual norm.
      preconditioning: how the iteration starts: ``"frobenius"`` as above, ``"spectral"`` with
        that norm, ``"schatten"`` with the Schatten-4 norm, ``"aol"`` with a bound for each row.
      weight_dimension_numbers: for each array its :class:`gdjax.MuonDimensionNumbers`, or None
        where Adam moves it: a tree of the parameters' structure, a prefix of it, or a function
        from the parameters to one. Where None, arrays of two axes are matrices.
      adam_b1: weight of the past in Adam's average, in [0, 1).
      adam_b2: weight of the past in Adam's average of squares, in [0, 1).
      adam_eps_root: added under Adam's root.

    State:
      count: updates made so far, an int32 scalar.
      mu: the average, of the parameters' shapes.
      nu: the average of squares, real, ``()`` for matrices.
      mu_weight: the sum of the weights in ``mu`` of matrices, a scalar.
      adam_mu_weight: the sum of the weights in ``mu`` of others, a scalar.
      adam_nu_weight: the sum of the weights in ``nu``, a scalar.

    Reference:
      Jordan et al., Muon (https://kellerjordan.github.io/posts/muon); Bernstein and Newhouse
      (https://arxiv.org/abs/2409.20325) for ``adaptive``; Boissin et al.
      (https://arxiv.org/abs/2512.04632) for ``"aol"``; Grishina et al.
      (https://arxiv.org/abs/2506.10935) for ``"schatten"``. Optax's has no Adam: it refuses what
      is no matrix.

    >>> init, update = scale_by_muon(ns_coeffs=(1.5, -0.5, 0.0), ns_steps=20)
    >>> g = jnp.array([[0.0, 9.0], [4.0, 0.0]])
    >>> update(g, init(g))[0].round(3)
    Array([[0., 1.],
           [1., 0.]], dtype=float32)
    """
    coefficients = _one_a_step(ns_coeffs, ns_steps)
    mu_weight = trees.average(1, state.mu_weight, beta)
    adam_mu_weight = trees.average(1, state.adam_mu_weight, adam_b1)
    nu_weight = trees.average(1, state.adam_nu_weight, adam_b2)
    debias_nu = 1 / nu_weight
    momenta = {
        True: _momentum(beta, mu_weight, nesterov),
        False: _momentum(adam_b1, adam_mu_weight, nesterov),
    }

    def leaf(g: Any, m: Any, v: Any) -> tuple:
        is_matrix = isinstance(v, tuple)
        m_hat, m = momenta[is_matrix](g, m)
        if is_matrix:
            return m_hat, m, v
        v = trees.average(trees.abs_sq(g), v, adam_b2)
        return m_hat / (trees.sqrt(v * debias_nu + adam_eps_root) + eps), m, v

    # Widened, so that the average enters the iteration as it was computed.
    wide, mu, nu = trees.map_leaves(leaf, trees.widen(updates), state.mu, state.nu)
    orthogonal = _orthogonalize(
        wide,
        weight_dimension_numbers,
        lambda x: decompositions.orthogonalize(x, coefficients, preconditioning, eps),
    )
    if adaptive:
        orthogonal = map_numbers(_by_dual_norm, wide, weight_dimension_numbers, orthogonal)
    updates = trees.map_leaves(lambda g, u: u, updates, given=(orthogonal,))
    count = optax.safe_increment(state.count)
    return updates, MuonState(count, mu, nu, mu_weight, adam_mu_weight, nu_weight)


def _one_a_step(ns_coeffs: Any, ns_steps: int) -> jax.Array:  # [step, 3]
    coefficients = jnp.asarray(ns_coeffs)
    if coefficients.ndim not in (1, 2) or coefficients.shape[-1] != 3:
        raise InvalidValue(
            "scale_by_muon: ns_coeffs must be three numbers, or three a step, got an array of "
            f"shape {coefficients.shape}"
        )
    return coefficients if coefficients.ndim == 2 else jnp.tile(coefficients, (ns_steps, 1))


def _momentum(decay: Any, weight: Any, nesterov: bool) -> Callable[..., tuple]:
    """One step of a debiased average: what is used of it, and the average."""
    debias, debias_next = 1 / weight, 1 / trees.average(1, weight, decay)

    def step(g: Any, m: Any) -> tuple:
        m = trees.average(g, m, decay)
        ahead = trees.average(g * debias, m * debias_next, decay) if nesterov else m * debias
        return ahead, m

    return step


def _orthogonalize(updates: Any, dimension_numbers: Any, function: Callable[..., Any]) -> Any:
    """``function`` of all matrices in ``updates``, those of one shape together."""
    arrangements = map_numbers(Arrangement.of, updates, dimension_numbers)
    leaves, treedef = jax.tree.flatten(updates)
    of_each = treedef.flatten_up_to(arrangements)
    stacks = {i: a.stack(x) for i, (x, a) in enumerate(zip(leaves, of_each, strict=True)) if a}
    stacks = matrices.map_matrices(function, stacks)
    return treedef.unflatten(
        a.unstack(stacks[i]) if a else x
        for i, (x, a) in enumerate(zip(leaves, of_each, strict=True))
    )


def _by_dual_norm(mu: jax.Array, numbers: Any, u: jax.Array) -> jax.Array:
    return u if numbers is None else jnp.sum(jnp.conj(mu) * u).real * u


@transformation()
def scale_matrices_by_shape(
    updates: Any,
    state: optax.EmptyState,
    params: Any,
    consistent_rms: NonNegative | None = None,
    weight_dimension_numbers: Structure = None,
) -> tuple:
    """Scale orthogonal matrices so that one learning rate serves all shapes.

    ``u = g * sqrt(max(1, columns / rows))``, or, with ``consistent_rms``,
    ``u = g * consistent_rms * sqrt(max(rows, columns))``; ``u = g`` where it is no matrix.

    Args:
      consistent_rms: root mean square that an orthogonal matrix gets; 0.2 is about AdamW's.
      weight_dimension_numbers: see :func:`gdjax.scale_by_muon`.

    Reference:
      Liu et al., Muon is scalable for LLM training (https://arxiv.org/abs/2502.16982), equation
      4, for ``consistent_rms``. Optax's ``scale_by_shape``.

    >>> init, update = scale_matrices_by_shape()
    >>> update(jnp.ones((1, 4)), init(None))[0]
    Array([[2., 2., 2., 2.]], dtype=float32)
    """

    def factor(x: jax.Array, numbers: Any) -> Any:
        if numbers is None or not x.size:
            return 1.0
        rows, columns = (math.prod(x.shape[i] for i in axes) for axes in matrix_axes(x, numbers))
        if consistent_rms is None:
            return math.sqrt(max(1, columns / rows))
        return consistent_rms * math.sqrt(max(rows, columns))

    factors = map_numbers(factor, updates, weight_dimension_numbers)
    return jax.tree.map(lambda g, f: trees.map_leaves(lambda x: f * x, g), updates, factors), state
