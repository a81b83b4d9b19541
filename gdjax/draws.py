"""Random numbers of a rule: its key, and draws in at least float32."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gdjax import trees
from gdjax.errors import InvalidType


def normal(key: jax.Array, x: Any) -> jax.Array:
    """Independent standard normal numbers in the shape of ``x``, in at least float32.

    Raises:
      InvalidType: ``x`` is complex.
    """
    trees.refuse_complex("noise", x)
    return jax.random.normal(key, jnp.shape(x), trees.compute_dtype(x))


def normal_like(key: jax.Array, tree: Any) -> Any:
    """``normal`` for each leaf of a tree, from keys split as ``optax.tree.random_like`` does."""
    leaves, treedef = jax.tree.flatten(tree)
    keys = jax.random.split(key, len(leaves)) if leaves else ()
    return treedef.unflatten(normal(k, x) for k, x in zip(keys, leaves, strict=True))


def random_key(key: Any) -> jax.Array:
    """A PRNG key from a key or from a seed, an integer.

    A seed gives raw key data, which is saved like any array; a key is taken as it is.

    Raises:
      InvalidType: a number that is not whole, or no number.
    """
    if _is_kind(key, jax.dtypes.prng_key) or (_is_kind(key, jnp.integer) and jnp.ndim(key)):
        return key
    if not _is_kind(key, jnp.integer):
        raise InvalidType(f"key must be a PRNG key or a seed, a whole number, got {key}")
    return jax.random.PRNGKey(key)


def _is_kind(x: Any, kind: Any) -> bool:
    known = isinstance(x, (int, float, np.generic, np.ndarray, jax.Array))
    return known and jnp.issubdtype(jnp.result_type(x), kind)
