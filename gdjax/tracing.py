"""Which arguments' values a function needs in Python: found by trying."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from gdjax import binding


def needed_values(
    attempt: Callable[[dict[str, Any]], Any],
    arguments: Mapping[str, Any],
    looked_at: Mapping[str, Any],
    defaults: Mapping[str, Any],
) -> list[str]:
    """Names of the arguments that ``attempt`` cannot take while they are traced.

    It is traced with one of them at a time, the others being numbers. None is found where it
    fails with numbers too.

    Args:
      attempt: function of the arguments by name; what it returns is not used.
      arguments: those with which it failed.
      looked_at: arguments that may be needed though they are not traced now.
      defaults: values by name, taken for those that are traced and so have none.

    >>> def choose(arguments):
    ...     return arguments["x"] if arguments["flag"] > 0 else -arguments["x"]
    >>> needed_values(choose, {"x": np.ones(()), "flag": np.ones(())}, {"x": 0, "flag": 0}, {})
    ['flag']
    """
    names = [k for k, v in arguments.items() if k in looked_at or _is_traced(v)]
    names = [k for k in names if all(map(_is_number, jax.tree.leaves(arguments[k])))]
    numbers = {**arguments, **{k: _numbers(arguments[k], defaults.get(k)) for k in names}}

    def works(*traced: str) -> bool:
        def trial(given: dict[str, Any]) -> tuple:
            attempt({**numbers, **given})
            return ()

        try:
            jax.eval_shape(trial, {k: arguments[k] for k in traced})
        except Exception:
            return False
        return True

    return [k for k in names if not works(k)] if names and works() else []


def _is_traced(value: Any) -> bool:
    return any(isinstance(x, Tracer) for x in jax.tree.leaves(value, is_leaf=binding.is_bound))


def _is_number(x: Any) -> bool:
    numbers = (jax.Array, np.ndarray, np.number)
    return isinstance(x, numbers) and not jnp.issubdtype(x.dtype, jax.dtypes.extended)


def _numbers(value: Any, default: Any) -> Any:
    """Numbers for ``value``: those that it holds, its default, or small ones."""
    if not _is_traced(value):
        return jax.tree.map(lambda x: np.asarray(x).tolist() if x.shape == () else x, value)
    same = jax.tree.structure(value) == jax.tree.structure(default)
    if same and binding.is_numeric(default):
        return default

    def small(x: Any) -> Any:
        number = 0.5 if jnp.issubdtype(x.dtype, jnp.floating) else 1
        return np.full(x.shape, number, x.dtype) if x.shape else number

    return jax.tree.map(small, value)
