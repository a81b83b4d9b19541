"""Curvature of the loss while it is trained: sharpness, negative curvature, trace, overshoot."""

from typing import Any

import jax
import jax.numpy as jnp

from gdjax import curvature, draws, inspection, trees
from gdjax.binding import Bound
from gdjax.errors import InvalidValue
from gdjax.monitoring import Monitor, Step
from gdjax.transformation import GradientTransformation


def spectrum(iterations: int = 3, samples: int = 1) -> Monitor:
    """A monitor of the Hessian of the batch's loss, from products with vectors.

    With ``H`` the Hessian before the update, ``g`` the gradient and ``u`` the update:

    - ``sharpness`` and ``lowest_curvature``: its largest and smallest eigenvalue, by Lanczos from
      where the last measurement ended, so that few products do for the former, measured some
      times; the latter takes more, where it is small beside it. ``sharpness_residual`` and
      ``lowest_residual`` tell how far an eigenvalue may be;
    - ``stability``: ``sharpness * learning_rate / 2``. Gradient descent is stable below 1, and
      full-batch training with a large rate stays near it. Only where the optimizer has exactly
      one learning rate; with momentum ``b`` the bound is ``1 + b``, and an optimizer that
      rescales gradients has another;
    - ``gradient_curvature``: ``g . H g / |g|^2``;
    - ``overshoot``: ``u . H u / (-2 g . u)``: above 1, the loss along the update has its minimum
      less than half way, and the update raises it as far as it is quadratic; negative where it
      points uphill or curves down;
    - ``hessian_trace``: over random signs, one draw of them where ``samples`` is 1.

    Where there are no parameters nothing is measured.

    Args:
      iterations: products for the eigenvalues, at least 2.
      samples: random signs for the trace, at least 1.

    Reference:
      Cohen et al., Gradient descent on neural networks typically occurs at the edge of stability
      (https://arxiv.org/abs/2103.00065), sections 2 and 3.
    """
    if iterations < 2 or samples < 1:
        raise InvalidValue(
            f"spectrum needs at least 2 iterations and 1 sample, got {iterations=}, {samples=}"
        )
    numbers = {"iterations": int(iterations), "samples": int(samples)}
    return Monitor(Bound(_measure, structure=numbers), draws.direction)


def _measure(step: Step, start: Any, iterations: int, samples: int) -> tuple[dict[str, Any], Any]:
    if not any(map(jnp.size, jax.tree.leaves(step.params))):
        return {}, start

    def loss(params: Any) -> jax.Array:
        return step.loss_fn(params, step.batch)

    product = curvature.hessian_product(loss, step.params)
    form = curvature.quadratic_form(loss, step.params)
    key = jax.random.fold_in(jax.random.key(0), step.number)
    ends = curvature.extreme_eigenvalues(product, step.params, key, iterations, start)
    downhill = -2 * curvature.dot(step.gradient, step.updates)
    measured = {
        "sharpness": ends.largest.value,
        "sharpness_residual": ends.largest.residual,
        "lowest_curvature": ends.smallest.value,
        "lowest_residual": ends.smallest.residual,
        "gradient_curvature": curvature.along(form, step.gradient),
        "overshoot": trees.divide(form(step.updates), jnp.where(downhill == 0, jnp.inf, downhill)),
        "hessian_trace": curvature.trace(form, step.params, key, samples).value,
    }
    if (rate := learning_rate(step)) is not None:
        measured["stability"] = ends.largest.value * rate / 2
    following = jax.tree.map(jnp.add, ends.largest.vector, ends.smallest.vector)
    return measured, following


def learning_rate(step: Step) -> Any:
    """The optimizer's at this step; None where it has none, several, or one for each array."""
    if not isinstance(step.optimizer, GradientTransformation):
        return None
    found = [
        value
        for name, value in inspection.hyperparameters(step.optimizer, step.state).items()
        if name.rpartition(".")[2] == "learning_rate" and jnp.ndim(value) == 0
    ]
    return found[0] if len(found) == 1 else None
