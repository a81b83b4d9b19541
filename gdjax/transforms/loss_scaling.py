"""Scaling the loss so that narrow gradients do not underflow."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gdjax import gating, subtrees, trees
from gdjax.ranges import Positive, PositiveSteps
from gdjax.transformation import Inner, transformation


class DynamicLossScaleState(NamedTuple):
    """State of :func:`dynamic_loss_scale`."""

    scale: jax.Array  # float[]: multiply the next loss by it
    finite_count: jax.Array  # int32[]: finite gradients since the scale last changed
    inner_state: Any


def _init_scale(params: Any, inner: Any, init_scale: Any) -> DynamicLossScaleState:
    return DynamicLossScaleState(
        scale=jnp.asarray(init_scale, trees.compute_dtype(params)),
        finite_count=jnp.zeros((), jnp.int32),
        inner_state=inner(params),
    )


@transformation(init=_init_scale)
def dynamic_loss_scale(
    updates: Any,
    state: DynamicLossScaleState,
    params: Any,
    inner: Inner,
    init_scale: Positive = 2.0**16,
    growth_factor: Positive = 2.0,
    backoff_factor: Positive = 0.5,
    growth_interval: PositiveSteps = 2000,
    min_loss_scale: Positive = 1.0,
    **extra: Any,
) -> tuple[Any, DynamicLossScaleState]:
    """Divide the gradients of a scaled loss by its scale; skip and shrink where they overflow.

    ``u = inner(g / scale)`` where all of ``g`` is finite, and after ``growth_interval`` such
    steps ``scale = growth_factor * scale``. Else ``u = 0``, ``inner``'s state stays and
    ``scale = max(backoff_factor * scale, min_loss_scale)``.

    The loss is multiplied by the caller: ``loss * loss_scale(state)``, with the state of the
    last update. :func:`gdjax.train` and :func:`gdjax.sweep` do so where it is the outermost.

    Args:
      inner: a transformation, most often a whole optimizer.
      init_scale: scale of the first loss.
      growth_factor: of the scale after ``growth_interval`` finite steps.
      backoff_factor: of the scale where a gradient is not finite.
      growth_interval: finite steps in a row before the scale grows.
      min_loss_scale: the scale does not shrink below it.

    State:
      scale: scale of the next loss.
      finite_count: finite gradients since the scale last changed, an int32 scalar.
      inner_state: of ``inner``.

    Reference:
      Micikevicius et al., Mixed precision training (https://arxiv.org/abs/1710.03740), section
      3.2; names and values are those of PyTorch's GradScaler, which has no ``min_loss_scale``.

    >>> import gdjax
    >>> optimizer = dynamic_loss_scale(gdjax.sgd(1.0), init_scale=4.0)
    >>> state = optimizer.init(jnp.zeros(1))
    >>> scaled_gradient = jnp.array([0.5]) * loss_scale(state)
    >>> optimizer.update(scaled_gradient, state)[0]
    Array([-0.5], dtype=float32)
    """
    finite, scale = trees.all_finite(updates), state.scale
    inverse = 1 / scale
    # Wide, because what float16 holds of the scaled gradient it does not hold of the gradient.
    unscaled = trees.map_leaves(lambda g: inverse * g, trees.widen(updates))
    new, inner_state = gating.update_if(finite, inner, unscaled, state.inner_state, params, extra)
    updates = trees.map_leaves(lambda _, u: u, updates, given=(new,))
    count = jnp.where(finite, state.finite_count + 1, 0)
    grown = growth_factor * scale
    grow = (count >= growth_interval) & jnp.isfinite(grown)
    shrunk = jnp.minimum(scale, jnp.maximum(backoff_factor * scale, min_loss_scale))
    scale = jnp.where(finite, jnp.where(grow, grown, scale), shrunk).astype(scale.dtype)
    return updates, DynamicLossScaleState(
        scale, jnp.where(count >= growth_interval, 0, count), inner_state
    )


def loss_scale(state: Any) -> jax.Array:
    """The number by which to multiply the next loss, from a state of :func:`dynamic_loss_scale`.

    The state may also be that of a chain or a combinator around it.
    """
    return subtrees.find(DynamicLossScaleState, state).scale
