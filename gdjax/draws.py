"""Random numbers and trees of them in at least float32; the key of a rule."""

from collections.abc import Callable
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


def signs(key: jax.Array, shape: tuple[int], dtype: Any) -> jax.Array:
    """1 and -1, one for each random bit."""
    words = jax.random.bits(key, (-(-shape[0] // 32),), jnp.uint32)
    bits = (words[:, None] >> jnp.arange(32, dtype=jnp.uint32)[None]) & 1
    return 2 * bits.ravel()[: shape[0]].astype(dtype) - 1


def tree_of(sample: Callable[..., jax.Array], like: Any, key: jax.Array) -> Any:
    """``sample(key, (size,), dtype)`` in the shape of a tree, each leaf in at least float32.

    All leaves in one draw: one draw for each takes long to compile.
    """
    leaves, structure = jax.tree.flatten(like)
    sizes = [jnp.size(x) for x in leaves]
    numbers = sample(key, (sum(sizes),), trees.compute_dtype(like))
    drawn = jnp.split(numbers, np.cumsum(sizes)[:-1]) if leaves else []
    shaped = [
        d.reshape(jnp.shape(x)).astype(trees.wide_dtype(x))
        for d, x in zip(drawn, leaves, strict=True)
    ]
    return jax.tree.unflatten(structure, shaped)


def direction(like: Any, key: jax.Array | None = None) -> Any:
    """Normal numbers in the shape of a tree, the same each time where there is no key."""
    return tree_of(jax.random.normal, like, jax.random.key(0) if key is None else key)


def direction_if(needed: jax.Array, tree: Any, key: jax.Array) -> Any:
    """A random direction where it is needed, else ``tree`` itself.

    A loop, for under ``vmap`` a ``cond`` would draw always; and so would a loop whose draw does
    not depend on its count, which XLA takes out of it.
    """

    def draw(i: jax.Array, tree: Any) -> Any:
        return direction(tree, jax.random.fold_in(key, i))

    return jax.lax.fori_loop(0, needed.astype(jnp.int32), draw, tree)


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
