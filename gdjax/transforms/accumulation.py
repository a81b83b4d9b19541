"""Collecting the updates of several steps into one."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from gdjax import gating, trees
from gdjax.ranges import Positive, PositiveSteps
from gdjax.transformation import Inner, transformation


def _init_apply_every(params: Any) -> optax.ApplyEvery:
    return optax.ApplyEvery(jnp.zeros((), jnp.int32), trees.zeros_like(params))


@transformation(init=_init_apply_every)
def apply_every(
    updates: Any, state: optax.ApplyEvery, params: Any, k: PositiveSteps = 1
) -> tuple[Any, optax.ApplyEvery]:
    """Sum the updates of ``k`` steps and let the sum through at the last of them.

    ``a = g`` at the first of them, then ``a = a + g``; ``u = a`` at the last, else ``u = 0``.

    What stands before it in a chain steps every time; :func:`multi_steps` holds a whole
    optimizer.

    Args:
      k: steps whose updates are summed, at least 1.

    State:
      count: updates collected so far, an int32 scalar.
      grad_acc: their sum, of the parameters' shapes.

    >>> init, update = apply_every(2)
    >>> first, state = update(jnp.ones(1), init(jnp.zeros(1)))
    >>> first.item(), update(jnp.ones(1), state)[0].item()
    (0.0, 2.0)
    """
    count = state.count + 1
    first, emit = state.count == 0, count >= k

    def leaf(g: Any, a: Any) -> tuple:
        a = jnp.where(first, g, a + g)
        return jnp.where(emit, a, 0), a

    updates, grad_acc = trees.map_leaves(leaf, updates, state.grad_acc)
    return updates, optax.ApplyEvery(jnp.where(emit, 0, count), grad_acc)


def _init_multi_steps(
    params: Any, inner: Any, should_skip_update_fn: Any, accumulator_dtype: Any
) -> optax.MultiStepsState:
    none = jnp.zeros((), jnp.int32)
    return optax.MultiStepsState(
        mini_step=none,
        gradient_step=none.copy(),
        inner_opt_state=inner(params),
        acc_grads=jax.tree.map(
            lambda p: jnp.zeros_like(p, accumulator_dtype or trees.wide_dtype(p)), params
        ),
        skip_state=_skip(should_skip_update_fn, trees.zeros_like(params), none, params)[1],
    )


@transformation(init=_init_multi_steps)
def multi_steps(
    updates: Any,
    state: optax.MultiStepsState,
    params: Any,
    inner: Inner,
    every_k: PositiveSteps,
    use_grad_mean: bool = True,
    should_skip_update_fn: Callable[..., Any] | None = None,
    accumulator_dtype: Any = None,
    **extra: Any,
) -> tuple[Any, optax.MultiStepsState]:
    """Collect gradients and update by their mean every ``every_k`` steps: a larger batch.

    ``a = a + (g - a) / n`` for the ``n``-th gradient; ``u = inner(a)`` and ``a = 0`` at the
    last of ``every_k``, else ``u = 0`` and ``inner``'s state stays.

    One update equals that of a batch ``every_k`` times as large, to rounding. ``inner`` gets
    the extras of the step at which it updates. At the other steps it does not run, or under
    ``jax.vmap`` sees zeros: nothing that is not finite can come out of it.

    Args:
      inner: a transformation, most often a whole optimizer.
      every_k: gradients in one update, at least 1. A schedule of it counts gradients, where
        Optax's counts updates. A change in the middle of a collection holds at once.
      use_grad_mean: collect the mean; the sum where False.
      should_skip_update_fn: from ``(updates, gradient_step, params)`` to whether a gradient is
        left out, as if it never came, and a tree that the state keeps: for example
        ``skip_not_finite`` or ``gdjax.bind(skip_large_updates, max_squared_norm=1.0)``.
      accumulator_dtype: dtype of the mean; where None that of the parameters, of at least
        float32.

    State:
      mini_step: gradients collected so far, an int32 scalar.
      gradient_step: updates of ``inner`` so far, an int32 scalar.
      inner_opt_state: of ``inner``.
      acc_grads: the mean, or the sum, of the parameters' shapes.
      skip_state: what ``should_skip_update_fn`` returned last.

    >>> import gdjax
    >>> init, update = multi_steps(gdjax.sgd(1.0), every_k=2)
    >>> first, state = update(jnp.array([1.0]), init(jnp.zeros(1)))
    >>> first.item(), update(jnp.array([3.0]), state)[0].item()
    (0.0, -2.0)
    """
    skip, skip_state = _skip(should_skip_update_fn, updates, state.gradient_step, params)
    mini_step = jnp.where(skip, state.mini_step, state.mini_step + 1)
    emit = (mini_step >= every_k) & jnp.logical_not(skip)
    weight = 1 / jnp.maximum(mini_step, 1).astype(trees.compute_dtype(updates))

    def collect(g: Any, a: Any) -> tuple:
        g = jnp.where(skip, 0, g)
        new = a + (g - a) * weight if use_grad_mean else a + g
        new = jnp.where(skip, a, new)
        return new, jnp.where(emit, 0, new)

    collected, acc_grads = trees.map_leaves(collect, updates, state.acc_grads)
    updates, inner_opt_state = gating.update_if(
        emit, inner, collected, state.inner_opt_state, params, extra
    )
    return updates, optax.MultiStepsState(
        mini_step=jnp.where(emit, 0, mini_step),
        gradient_step=jnp.where(
            emit, optax.safe_increment(state.gradient_step), state.gradient_step
        ),
        inner_opt_state=inner_opt_state,
        acc_grads=acc_grads,
        skip_state=skip_state,
    )


def skip_not_finite(updates: Any, gradient_step: jax.Array, params: Any) -> tuple[jax.Array, dict]:
    """Whether an element of the updates is NaN or infinite, and how many: for :func:`multi_steps`.

    >>> skip_not_finite(jnp.array([1.0, jnp.nan]), 0, None)[0].item()
    True
    """
    del gradient_step, params
    counts = [jnp.sum(~jnp.isfinite(g), dtype=jnp.int32) for g in jax.tree.leaves(updates)]
    num_not_finite = sum(counts, jnp.zeros((), jnp.int32))
    should_skip = num_not_finite > 0
    return should_skip, {"should_skip": should_skip, "num_not_finite": num_not_finite}


def skip_large_updates(
    updates: Any, gradient_step: jax.Array, params: Any, max_squared_norm: Positive
) -> tuple[jax.Array, dict]:
    """Whether the squared norm of the updates is too large, or NaN: for :func:`multi_steps`.

    Args:
      updates: the updates.
      gradient_step: not used.
      params: not used.
      max_squared_norm: squared norm from which on updates are left out.

    >>> skip_large_updates(jnp.array([3.0, 4.0]), 0, None, max_squared_norm=25.0)[0].item()
    True
    """
    del gradient_step, params
    norm_squared = trees.abs_sq(trees.global_norm(updates))
    should_skip = jnp.logical_not(norm_squared < max_squared_norm)
    return should_skip, {"should_skip": should_skip, "norm_squared": norm_squared}


def _skip(function: Any, updates: Any, gradient_step: Any, params: Any) -> tuple:
    if function is None:
        return jnp.array(False), ()
    return function(updates, gradient_step, params)
