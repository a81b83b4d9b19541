"""Running an inner transformation at some steps only."""

from typing import Any

import jax
import jax.numpy as jnp

from gdjax import trees


def update_if(
    condition: jax.Array,
    inner: Any,
    updates: Any,
    state: Any,
    params: Any,
    extra: dict[str, Any],
    otherwise: Any = None,
) -> tuple[Any, Any]:
    """``inner``'s update and state where ``condition`` holds, else ``otherwise`` and ``state``.

    One program with both branches, of which one runs. Under ``jax.vmap`` with a condition for
    each trial both run and one result is selected; what ``inner`` sees is 0 where its result is
    not used, so that nothing infinite or NaN comes out of it, in derivatives too.

    Args:
      condition: bool[].
      inner: the update of a transformation.
      updates: what ``inner`` transforms.
      state: the state of ``inner``.
      params: the parameters, or None.
      extra: extras for ``inner``.
      otherwise: of the structure of ``updates``; zeros where None.
    """
    zeros = trees.zeros_like(updates)

    def run() -> tuple:
        seen = trees.select(condition, updates, zeros)  # under vmap; else it is all of them
        new_updates, new_state = inner(seen, state, params, **extra)
        return _like(new_updates, updates), _like(new_state, state)

    def skip() -> tuple:
        return _like(zeros if otherwise is None else otherwise, updates), _like(state, state)

    return jax.lax.cond(condition, run, skip)


def _like(tree: Any, reference: Any) -> Any:
    """Strongly typed leaves: both branches return the same types."""

    def leaf(x: Any, y: Any) -> Any:
        dtype = jnp.result_type(y)
        return x if jnp.issubdtype(dtype, jax.dtypes.extended) else jnp.asarray(x, dtype)

    return jax.tree.map(leaf, tree, reference)
