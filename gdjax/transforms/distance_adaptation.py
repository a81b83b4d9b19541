"""Adam with the distance to the solution as its step: D-Adaptation and Prodigy.

The distance is estimated from below and never shrinks. The averages hold updates times the
estimate, which may be a millionth: they are kept in at least float32, and debiased by the sums of
the weights really used, see :func:`gdjax.scale_by_adam`.

They hold the learning rate and descend: how far their own steps went is what they learn from.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from gdjax import trees
from gdjax.ranges import Decay, NonNegative, Positive
from gdjax.transformation import transformation


class ScaleByDAdaptAdamState(NamedTuple):
    """State of :func:`scale_by_dadapt_adam`."""

    exp_avg: Any  # like params, at least float32: average of steps
    exp_avg_sq: Any  # like params, real, at least float32: average of squares
    grad_sum: Any  # like params, at least float32: slower average of steps
    estim_lr: jax.Array  # float[]: estimate of the distance
    numerator_weighted: jax.Array  # float[]: average of the estimate's numerator
    count: Any  # int32[]: updates made so far
    mu_weight: jax.Array  # float[]: sum of the weights in an average with b1
    nu_weight: jax.Array  # float[]: sum of the weights in exp_avg_sq


def _zero_averages(params: Any, estim_lr0: Any) -> ScaleByDAdaptAdamState:
    wide = trees.widen(params)
    return ScaleByDAdaptAdamState(
        exp_avg=trees.zeros_like(wide),
        exp_avg_sq=trees.full_like_real(wide, 0),
        grad_sum=trees.zeros_like(wide),
        estim_lr=jnp.asarray(estim_lr0, trees.compute_dtype(params)),
        numerator_weighted=trees.no_weight(params),
        count=jnp.zeros((), jnp.int32),
        mu_weight=trees.no_weight(params),
        nu_weight=trees.no_weight(params),
    )


@transformation(init=_zero_averages)
def scale_by_dadapt_adam(
    updates: Any,
    state: ScaleByDAdaptAdamState,
    params: Any,
    learning_rate: NonNegative = 1.0,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: Positive = 1e-8,
    estim_lr0: Positive = 1e-6,
    weight_decay: NonNegative = 0.0,
) -> tuple[Any, ScaleByDAdaptAdamState]:
    """Adam, its step the learning rate times an estimate ``d`` of the distance: D-Adaptation.

    With ``dlr = d * learning_rate * sqrt(nu_weight) / mu_weight`` and ``b = sqrt(b2)``:
    ``r = b * r + (1 - b) * dlr * sum(g * s / (sqrt(nu) + eps))``, where ``s`` and ``nu`` are
    those of the last step, ``s = b * s + (1 - b) * dlr * g``, ``mu = b1 * mu + (1 - b1) * dlr * g``
    and ``nu = b2 * nu + (1 - b2) * g**2``; then ``d = max(d, r / ((1 - b) * sum(abs(s))))`` for the
    next step, and ``u = -mu / (sqrt(nu) + eps) - weight_decay * dlr * params``. The sums are over
    all arrays; a sum of 0 estimates nothing.

    ``update`` needs ``params``.

    Args:
      learning_rate: factor of the estimate: 1, or a schedule that starts there.
      b1: weight of the past in ``mu``, in [0, 1).
      b2: weight of the past in ``nu``, in [0, 1); its root is that in ``r`` and ``s``.
      eps: added to the root, in units of the updates.
      estim_lr0: the first estimate, less than the distance, in units of the parameters.
      weight_decay: factor of the parameters, which are multiplied by ``dlr`` too.

    State:
      exp_avg: ``mu``, of the parameters' shapes.
      exp_avg_sq: ``nu``, of the parameters' shapes, real.
      grad_sum: ``s``, of the parameters' shapes.
      estim_lr: ``d``, a scalar.
      numerator_weighted: ``r``, a scalar.
      count: updates made so far, an int32 scalar.
      mu_weight: the sum of the weights in an average with ``b1``, a scalar.
      nu_weight: the sum of the weights in ``nu``, a scalar.

    Reference:
      Defazio and Mishchenko, Learning-rate-free learning by D-Adaptation
      (https://arxiv.org/abs/2301.07733), the Adam variant, with the debiasing, the weight decay
      and the last step's ``nu`` in ``r`` of the authors' code, as in Optax.

    >>> init, update = scale_by_dadapt_adam(b1=0.5, b2=0.75, estim_lr0=0.5)
    >>> params = jnp.zeros(2)
    >>> update(jnp.array([-2.0, 0.0]), init(params), params)[0]
    Array([ 0.5, -0. ], dtype=float32)
    """
    mu_weight = trees.average(1, state.mu_weight, b1)
    nu_weight = trees.average(1, state.nu_weight, b2)
    b, d = trees.sqrt(b2), state.estim_lr
    dlr = d * learning_rate * trees.sqrt(nu_weight) / mu_weight

    def along(g: Any, s: Any, v: Any) -> Any:
        return _dot(g, s / (trees.sqrt(v) + eps))

    gains = trees.map_leaves(along, trees.widen(updates), given=(state.grad_sum, state.exp_avg_sq))
    numerator = trees.average(dlr * _total(gains), state.numerator_weighted, b)

    def leaf(g: Any, m: Any, v: Any, s: Any, p: Any) -> tuple:
        m = trees.average(dlr * g, m, b1)
        v = trees.average(trees.abs_sq(g), v, b2)
        s = trees.average(dlr * g, s, b)
        return -m / (trees.sqrt(v) + eps) - weight_decay * dlr * p, m, v, s

    updates, exp_avg, exp_avg_sq, grad_sum = trees.map_leaves(
        leaf, updates, state.exp_avg, state.exp_avg_sq, state.grad_sum, given=(params,)
    )
    estimate = _ratio(numerator, (1 - b) * _absolute_sum(grad_sum))
    return updates, ScaleByDAdaptAdamState(
        exp_avg=exp_avg,
        exp_avg_sq=exp_avg_sq,
        grad_sum=grad_sum,
        estim_lr=jnp.maximum(d, estimate).astype(d.dtype),
        numerator_weighted=numerator.astype(d.dtype),
        count=optax.safe_increment(state.count),
        mu_weight=mu_weight,
        nu_weight=nu_weight,
    )


class ScaleByProdigyState(NamedTuple):
    """State of :func:`scale_by_prodigy`."""

    exp_avg: Any  # like params, at least float32: average
    exp_avg_sq: Any  # like params, real, at least float32: average of squares
    grad_sum: Any  # like params, at least float32: decayed sum
    params0: Any  # like params: where the run started
    estim_lr: jax.Array  # float[]: estimate of the distance
    numerator_weighted: jax.Array  # float[]: decayed sum, the estimate's numerator
    count: Any  # int32[]: updates made so far
    mu_weight: jax.Array  # float[]: sum of the weights in exp_avg
    nu_weight: jax.Array  # float[]: sum of the weights in exp_avg_sq


def _zero_averages_and_start(params: Any, estim_lr0: Any) -> ScaleByProdigyState:
    averages = _zero_averages(params, estim_lr0)._asdict()
    return ScaleByProdigyState(params0=trees.copy(params), **averages)


@transformation(init=_zero_averages_and_start)
def scale_by_prodigy(
    updates: Any,
    state: ScaleByProdigyState,
    params: Any,
    learning_rate: NonNegative = 1.0,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    b3: Decay | None = None,
    eps: NonNegative = 1e-8,
    estim_lr0: Positive = 1e-6,
    estim_lr_coef: NonNegative = 1.0,
    weight_decay: NonNegative = 0.0,
    safeguard_warmup: bool = False,
) -> tuple[Any, ScaleByProdigyState]:
    """Adam, its step the learning rate times an estimate ``d`` of the distance: Prodigy.

    With ``dlr = d * learning_rate * sqrt(nu_weight) / mu_weight``:
    ``mu = b1 * mu + (1 - b1) * d * g``, ``nu = b2 * nu + (1 - b2) * (d * g)**2``,
    ``r = b3 * r + d / estim_lr0 * dlr * sum(g * (params0 - params))`` and
    ``s = b3 * s + d / estim_lr0 * dlr * g``; then
    ``d = max(d, estim_lr_coef * r / sum(abs(s)))``, and
    ``u = -dlr * (mu / (sqrt(nu) + d * eps) + weight_decay * params)`` with the ``dlr`` from before.
    The sums are over all arrays; a sum of 0 estimates nothing.

    ``update`` needs ``params``, and ``init`` those from which the run starts.

    Args:
      learning_rate: factor of the estimate: 1, or a schedule that starts there.
      b1: weight of the past in ``mu``, in [0, 1).
      b2: weight of the past in ``nu``, in [0, 1).
      b3: weight of the past in ``r`` and ``s``, in [0, 1); ``sqrt(b2)`` where None.
      eps: added to the root, in units of the updates.
      estim_lr0: the first estimate, less than the distance, in units of the parameters.
      estim_lr_coef: factor of new estimates.
      weight_decay: factor of the parameters.
      safeguard_warmup: ``s = b3 * s + d / estim_lr0 * d * g`` instead, so that a learning rate
        that starts near 0 does not make ``s`` small.

    State:
      exp_avg: ``mu``, of the parameters' shapes.
      exp_avg_sq: ``nu``, of the parameters' shapes, real.
      grad_sum: ``s``, of the parameters' shapes.
      params0: the parameters at the start.
      estim_lr: ``d``, a scalar.
      numerator_weighted: ``r``, a scalar.
      count: updates made so far, an int32 scalar.
      mu_weight: the sum of the weights in ``mu``, a scalar.
      nu_weight: the sum of the weights in ``nu``, a scalar.

    Reference:
      Mishchenko and Defazio, Prodigy (https://arxiv.org/abs/2306.06101), the Adam variant, with
      the debiasing and the weight decay of the authors' code, as in Optax.

    >>> init, update = scale_by_prodigy(b1=0.5, b2=0.75, estim_lr0=0.5)
    >>> params = jnp.zeros(2)
    >>> update(jnp.array([-2.0, 0.0]), init(params), params)[0]
    Array([ 0.5, -0. ], dtype=float32)
    """
    mu_weight = trees.average(1, state.mu_weight, b1)
    nu_weight = trees.average(1, state.nu_weight, b2)
    keep, d = trees.sqrt(b2) if b3 is None else b3, state.estim_lr
    dlr = d * learning_rate * trees.sqrt(nu_weight) / mu_weight
    growth = d / estim_lr0
    pull = growth * (d if safeguard_warmup else dlr)

    def along(g: Any, start: Any, p: Any) -> Any:
        return _dot(g, start - p)

    gains = trees.map_leaves(along, trees.widen(updates), given=(state.params0, params))
    numerator = keep * state.numerator_weighted + growth * dlr * _total(gains)
    _, grad_sum = trees.map_leaves(lambda g, s: (g, keep * s + pull * g), updates, state.grad_sum)
    estimate = estim_lr_coef * _ratio(numerator, _absolute_sum(grad_sum))
    new_d = jnp.maximum(d, estimate).astype(d.dtype)

    def leaf(g: Any, m: Any, v: Any, p: Any) -> tuple:
        m = trees.average(d * g, m, b1)
        v = trees.average(trees.abs_sq(d * g), v, b2)
        # The denominator may be so small that the derivative of a quotient is not finite.
        step = trees.divide(m, trees.sqrt(v) + new_d * eps)
        return -dlr * (step + weight_decay * p), m, v

    updates, exp_avg, exp_avg_sq = trees.map_leaves(
        leaf, updates, state.exp_avg, state.exp_avg_sq, given=(params,)
    )
    return updates, ScaleByProdigyState(
        exp_avg=exp_avg,
        exp_avg_sq=exp_avg_sq,
        grad_sum=grad_sum,
        params0=state.params0,
        estim_lr=new_d,
        numerator_weighted=numerator.astype(d.dtype),
        count=optax.safe_increment(state.count),
        mu_weight=mu_weight,
        nu_weight=nu_weight,
    )


def _dot(x: Any, y: Any) -> jax.Array:
    # A product of vectors reads less than a sum; a GPU would compute it in less than float32.
    return jnp.real(jnp.vdot(x, y, precision=jax.lax.Precision.HIGHEST))


def _total(scalars: Any) -> jax.Array:
    return sum((jnp.real(x) for x in jax.tree.leaves(scalars)), jnp.zeros(()))


def _absolute_sum(tree: Any) -> jax.Array:
    return _total(jax.tree.map(lambda x: jnp.sum(jnp.abs(x)), tree))


def _ratio(x: jax.Array, y: jax.Array) -> jax.Array:
    """``x / y``, and 0 where ``y`` is not positive."""
    return jnp.where(y > 0, trees.divide(x, jnp.where(y > 0, y, 1)), 0)
