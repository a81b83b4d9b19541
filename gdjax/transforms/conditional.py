"""Transforming at some steps only, and refusing what is not finite."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from gdjax import gating, trees
from gdjax.ranges import Steps
from gdjax.transformation import Inner, transformation


def _init_conditional(params: Any, inner: Any) -> optax.ConditionallyTransformState:
    return optax.ConditionallyTransformState(inner(params), jnp.zeros((), jnp.int32))


@transformation(init=_init_conditional)
def conditionally_transform(
    updates: Any,
    state: optax.ConditionallyTransformState,
    params: Any,
    inner: Inner,
    should_transform_fn: Callable[..., Any],
    forward_extra_args: bool = False,
    **extra: Any,
) -> tuple[Any, optax.ConditionallyTransformState]:
    """Transform at some steps and pass the updates through at the others.

    ``u = inner(g)`` where ``should_transform_fn(step)``, else ``u = g`` and ``inner``'s state
    stays.

    Args:
      inner: a transformation.
      should_transform_fn: from the step, 0 at the first, to whether ``inner`` transforms;
        :func:`gdjax.bind` makes its numbers leaves.
      forward_extra_args: pass it the extras too.

    State:
      inner_state: of ``inner``.
      step: updates made so far, an int32 scalar.

    >>> import gdjax
    >>> init, update = conditionally_transform(gdjax.scale(2.0), lambda step: step % 2 == 1)
    >>> gradient, state = jnp.ones(1), init(jnp.zeros(1))
    >>> first, state = update(gradient, state)
    >>> first.item(), update(gradient, state)[0].item()
    (1.0, 2.0)
    """
    condition = _condition(should_transform_fn, state.step, extra if forward_extra_args else {})
    updates, inner_state = gating.update_if(
        condition, inner, updates, state.inner_state, params, extra, otherwise=updates
    )
    return updates, optax.ConditionallyTransformState(inner_state, optax.safe_increment(state.step))


def _init_conditional_mask(params: Any, inner: Any) -> optax.ConditionallyMaskState:
    return optax.ConditionallyMaskState(jnp.zeros((), jnp.int32), inner(params))


@transformation(init=_init_conditional_mask)
def conditionally_mask(
    updates: Any,
    state: optax.ConditionallyMaskState,
    params: Any,
    inner: Inner,
    should_transform_fn: Callable[..., Any],
    forward_extra_args: bool = False,
    **extra: Any,
) -> tuple[Any, optax.ConditionallyMaskState]:
    """Transform at some steps and hold the parameters at the others.

    ``u = inner(g)`` where ``should_transform_fn(step)``, else ``u = 0`` and ``inner``'s state
    stays.

    Args:
      inner: a transformation.
      should_transform_fn: see :func:`gdjax.conditionally_transform`.
      forward_extra_args: pass it the extras too.

    State:
      step: updates made so far, an int32 scalar.
      inner_state: of ``inner``.

    >>> import gdjax
    >>> init, update = conditionally_mask(gdjax.scale(2.0), lambda step: step % 2 == 1)
    >>> gradient, state = jnp.ones(1), init(jnp.zeros(1))
    >>> first, state = update(gradient, state)
    >>> first.item(), update(gradient, state)[0].item()
    (0.0, 2.0)
    """
    condition = _condition(should_transform_fn, state.step, extra if forward_extra_args else {})
    updates, inner_state = gating.update_if(
        condition, inner, updates, state.inner_state, params, extra
    )
    return updates, optax.ConditionallyMaskState(optax.safe_increment(state.step), inner_state)


def _init_if_finite(params: Any, inner: Any) -> optax.ApplyIfFiniteState:
    none = jnp.zeros((), jnp.int32)
    return optax.ApplyIfFiniteState(none, jnp.array(True), none.copy(), inner(params))


@transformation(init=_init_if_finite)
def apply_if_finite(
    updates: Any,
    state: optax.ApplyIfFiniteState,
    params: Any,
    inner: Inner,
    max_consecutive_errors: Steps,
    **extra: Any,
) -> tuple[Any, optax.ApplyIfFiniteState]:
    """Refuse updates that hold a NaN or an infinity, until there are too many in a row.

    ``u = inner(g)`` where all of ``g`` is finite, else ``u = 0`` and ``inner``'s state stays.

    Args:
      inner: a transformation.
      max_consecutive_errors: how many in a row are refused; the next ones are accepted.

    State:
      notfinite_count: updates in a row that were not finite, an int32 scalar.
      last_finite: whether the last one was finite.
      total_notfinite: updates that were not finite, an int32 scalar.
      inner_state: of ``inner``.

    >>> import gdjax
    >>> init, update = apply_if_finite(gdjax.scale(2.0), max_consecutive_errors=5)
    >>> update(jnp.array([jnp.nan, 1.0]), init(jnp.zeros(2)))[0]
    Array([0., 0.], dtype=float32)
    """
    finite = trees.all_finite(updates)
    notfinite_count = jnp.where(finite, 0, optax.safe_increment(state.notfinite_count))
    updates, inner_state = gating.update_if(
        finite | (notfinite_count > max_consecutive_errors),
        inner,
        updates,
        state.inner_state,
        params,
        extra,
    )
    total = jnp.where(finite, state.total_notfinite, optax.safe_increment(state.total_notfinite))
    return updates, optax.ApplyIfFiniteState(notfinite_count, finite, total, inner_state)


def _condition(should_transform: Callable[..., Any], step: Any, extra: dict) -> jax.Array:
    return jnp.asarray(should_transform(step, **extra), bool)
