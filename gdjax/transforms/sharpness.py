"""Gradients at the worst place nearby: steps towards flat minima.

One call of ``update`` takes both gradients. Optax's form alternates instead: every other update
moves the parameters to the worst place, so that whoever reads them between (a schedule, an
average, an evaluation) sees what is no step of the optimizer.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gdjax import trees
from gdjax.errors import InvalidType
from gdjax.ranges import NonNegative
from gdjax.transformation import Inner, transformation


class SAMState(NamedTuple):
    """State of :func:`sam` and :func:`asam`."""

    opt_state: Any  # of the inner transformation


def _init_inner(params: Any, inner: Any) -> SAMState:
    return SAMState(inner(params))


@transformation(init=_init_inner)
def sam(
    updates: Any,
    state: SAMState,
    params: Any,
    inner: Inner,
    rho: NonNegative = 0.05,
    *,
    grad_fn: Callable[[Any], Any] | None = None,
    value_fn: Callable[[Any], Any] | None = None,
    **extra: Any,
) -> tuple[Any, SAMState]:
    """Take the gradient where the loss is largest nearby: sharpness-aware minimization.

    ``u = inner(grad(params + rho * g / ||g||))``, with the global norm.

    ``update`` needs ``params``, and one of two extras: ``grad_fn``, from parameters to their
    gradient, or ``value_fn``, from parameters to the loss, as :func:`gdjax.train` passes it.

    Args:
      inner: an optimizer.
      rho: how far the worst place is looked for, in units of the parameters.

    State:
      opt_state: of ``inner``.

    Reference:
      Foret et al., Sharpness-aware minimization (https://arxiv.org/abs/2010.01412), algorithm 1.

    >>> import gdjax
    >>> init, update = sam(gdjax.sgd(1.0), rho=0.5)
    >>> p = jnp.array([1.0])
    >>> update(2 * p, init(p), p, grad_fn=lambda p: 2 * p)[0]  # at 1.5
    Array([-3.], dtype=float32)
    """
    away = rho * _inverse(trees.global_norm(updates))
    _, worst = trees.map_leaves(lambda g, p: (g, p + away * g), updates, params)
    gradients = _gradients("sam", worst, updates, grad_fn, value_fn)
    extra = extra | _given(grad_fn=grad_fn, value_fn=value_fn)
    updates, opt_state = inner(gradients, state.opt_state, params, **extra)
    return updates, SAMState(opt_state)


@transformation(init=_init_inner)
def asam(
    updates: Any,
    state: SAMState,
    params: Any,
    inner: Inner,
    rho: NonNegative = 0.5,
    eta: NonNegative = 0.01,
    *,
    grad_fn: Callable[[Any], Any] | None = None,
    value_fn: Callable[[Any], Any] | None = None,
    **extra: Any,
) -> tuple[Any, SAMState]:
    """Sharpness-aware minimization that does not depend on the parameters' scale: ASAM.

    ``u = inner(grad(params + rho * t**2 * g / ||t * g||))`` with ``t = |params| + eta``.

    ``update`` needs what that of :func:`sam` needs.

    Args:
      inner: an optimizer.
      rho: how far the worst place is looked for, relative to the parameters.
      eta: keeps parameters that are 0 moving, in units of the parameters.

    State:
      opt_state: of ``inner``.

    Reference:
      Kwon et al., ASAM (https://arxiv.org/abs/2102.11600), algorithm 1, defaults of section 5;
      here ``eta`` is added for every parameter, in the paper for weights only.

    >>> import gdjax
    >>> init, update = asam(gdjax.sgd(1.0), rho=0.5, eta=0.0)
    >>> p = jnp.array([2.0])
    >>> update(2 * p, init(p), p, grad_fn=lambda p: 2 * p)[0]  # at 2 + 0.5 * 2
    Array([-6.], dtype=float32)
    """

    def scaled(g: Any, p: Any) -> Any:
        return (jnp.abs(p) + eta) * g

    once = trees.map_leaves(scaled, trees.widen(updates), given=(params,))
    away = rho * _inverse(trees.global_norm(once))

    def leaf(g: Any, p: Any) -> tuple:
        return g, p + away * (jnp.abs(p) + eta) * scaled(g, p)

    _, worst = trees.map_leaves(leaf, updates, params)
    gradients = _gradients("asam", worst, updates, grad_fn, value_fn)
    extra = extra | _given(grad_fn=grad_fn, value_fn=value_fn)
    updates, opt_state = inner(gradients, state.opt_state, params, **extra)
    return updates, SAMState(opt_state)


def _inverse(norm: jax.Array) -> jax.Array:
    """``1 / norm``, and 0 where there is no direction."""
    return jnp.where(norm > 0, 1 / jnp.where(norm > 0, norm, 1), 0)


def _gradients(name: str, params: Any, updates: Any, grad_fn: Any, value_fn: Any) -> Any:
    """Gradients at ``params``, of the structure and the dtypes of ``updates``."""
    if grad_fn is None and value_fn is None:
        raise InvalidType(
            f"{name} needs the extra argument 'grad_fn' or 'value_fn' at every step: "
            "update(updates, state, params, grad_fn=jax.grad(loss))"
        )
    gradients = (jax.grad(value_fn) if grad_fn is None else grad_fn)(params)
    return jax.tree.map(
        lambda g, new: None if g is None else new.astype(jnp.result_type(g)),
        updates,
        gradients,
        is_leaf=lambda x: x is None,
    )


def _given(**extra: Any) -> dict[str, Any]:
    return {name: value for name, value in extra.items() if value is not None}
