"""How noisy gradients are, and which batch size that calls for."""

from typing import Any

import jax
import jax.numpy as jnp

from gdjax import curvature, trees
from gdjax.binding import Bound
from gdjax.curvature import Estimate
from gdjax.diagnostics.examples import example_gradient_norms
from gdjax.errors import InvalidValue, telling
from gdjax.monitoring import Monitor, Step
from gdjax.task import examples_in


def noise(microbatches: int = 4) -> Monitor:
    """A monitor of the gradient's noise, from gradients of batches of two sizes.

    With ``G`` the gradient of a batch of ``B`` examples and ``g_i`` those of its parts of ``b``
    examples, both are without bias:

    - ``gradient_variance = (mean |g_i|^2 - |G|^2) / (1/b - 1/B)``: the trace of the covariance of
      one example's gradient;
    - ``gradient_signal = (B |G|^2 - b mean |g_i|^2) / (B - b)``: the squared norm of the gradient
      of infinitely many examples; noise may make it negative.

    Their ratio is the noise scale, which :func:`noise_scale` estimates from many measurements.
    Where the program of the loss shows its layers (:func:`examples.example_gradient_norms`) the
    parts are single examples, at less than the cost of another step, and ``example_norm_mean``,
    ``example_norm_median`` and ``example_norm_max`` are measured too; elsewhere they are
    microbatches, at the cost of one step and a variance that is larger. Examples lie along the
    leading axis of all arrays in a batch; where there is none, or only one example, nothing is
    measured.

    The loss must be a mean over examples, take batches of any size, and be differentiated: of
    losses with batch normalization, or with an estimator such as :func:`gdjax.spsa`, these
    numbers mean nothing.

    Args:
      microbatches: how many parts, where they are not examples; at least 2. The next smaller
        number that divides the batch is taken.

    Reference:
      McCandlish et al., An empirical model of large-batch training
      (https://arxiv.org/abs/1812.06162), appendix A.1.
    """
    if microbatches < 2:
        raise InvalidValue(f"noise needs at least 2 microbatches, got {microbatches}")
    return Monitor(Bound(_measure, structure={"microbatches": int(microbatches)}))


def noise_scale(variance: Any, signal: Any) -> Estimate:
    """The noise scale, ``sum(variance) / sum(signal)`` over measurements, and its standard error.

    Batches much smaller than it waste updates, batches much larger waste examples: it predicts
    the critical batch size. The error is the jackknife's, for measurements that do not depend
    on each other.

    Args:
      variance: ``gradient_variance`` of :func:`noise`, ``[..., measurement]``.
      signal: ``gradient_signal`` of the same.

    Returns:
      In examples, ``[...]``; inf where the signal cannot be told from 0. The error is inf where
      it could not without one of the measurements.

    Raises:
      InvalidValue: shapes that differ, or less than two measurements.

    Reference:
      McCandlish et al., equations 2.8 and A.2. Efron, The jackknife, 1982, for ratios.

    >>> estimate = noise_scale(jnp.array([2.0, 4.0]), jnp.array([1.0, 1.0]))
    >>> float(estimate.value), float(estimate.error)
    (3.0, 1.0)
    """
    variance, signal = jnp.asarray(variance), jnp.asarray(signal)
    if variance.shape != signal.shape or variance.ndim < 1 or variance.shape[-1] < 2:
        raise InvalidValue(
            "noise_scale needs at least two measurements of both along the last axis, got shapes "
            f"{variance.shape} and {signal.shape}"
        )

    def ratio(variance: jax.Array, signal: jax.Array) -> jax.Array:
        return jnp.where(signal > 0, variance / jnp.where(signal > 0, signal, 1), jnp.inf)

    n = variance.shape[-1]
    sums = variance.sum(-1, keepdims=True), signal.sum(-1, keepdims=True)
    without = ratio(sums[0] - variance, sums[1] - signal)
    known = jnp.isfinite(without).all(-1)
    without = jnp.where(known[..., None], without, 0)
    spread = jnp.sqrt((n - 1) / n * jnp.sum((without - without.mean(-1, keepdims=True)) ** 2, -1))
    return Estimate(ratio(sums[0], sums[1])[..., 0], jnp.where(known, spread, jnp.inf))


def _measure(step: Step, state: Any, microbatches: int) -> tuple[dict[str, Any], Any]:
    examples = examples_in(step.batch)
    if examples < 2:
        return {}, state
    whole = curvature.dot(step.gradient, step.gradient)
    parts, measured = examples, {}
    with telling("diagnostics.noise() needs a loss that takes batches of any size"):
        norms = example_gradient_norms(step.loss_fn, step.params, step.batch)
        if in_parts := norms is None:
            parts = next((m for m in range(microbatches, 1, -1) if examples % m == 0), examples)
            norms = _microbatch_norms(step, parts)
    if not in_parts:
        roots = trees.sqrt(norms)
        measured = {
            "example_norm_mean": roots.mean(),
            "example_norm_median": jnp.median(roots),
            "example_norm_max": roots.max(),
        }
    size, mean = examples // parts, norms.mean()
    measured["gradient_variance"] = (mean - whole) / (1 / size - 1 / examples)
    measured["gradient_signal"] = (examples * whole - size * mean) / (examples - size)
    return measured, state


def _microbatch_norms(step: Step, parts: int) -> jax.Array:  # [part]
    split = jax.tree.map(lambda x: x.reshape(parts, -1, *x.shape[1:]), step.batch)

    def one(batch: Any) -> jax.Array:
        gradient = jax.grad(step.loss_fn)(step.params, batch)
        return curvature.dot(gradient, gradient)

    return jax.lax.map(one, split)
