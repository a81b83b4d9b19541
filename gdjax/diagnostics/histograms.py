"""How the numbers of a gradient are distributed over orders of magnitude."""

from typing import Any

import jax
import jax.numpy as jnp

from gdjax.monitoring import Monitor, Step

EXPONENTS = range(-24, 8, 2)
"""Of two, at the lower edges of all bins but the first."""


def histogram() -> Monitor:
    """A monitor of the magnitudes of the gradient's numbers, for :func:`gdjax.train`.

    ``gradient_histogram``, ``float32[16]``: shares of the numbers ``g`` with ``2**k <= |g| <
    2**(k + 2)``, ``k`` even from -24 to 6. What is smaller, 0 included, is in the first bin, what
    is larger, or not finite, in the last.

    >>> import gdjax
    >>> task = gdjax.Task(
    ...     init=lambda key: jnp.array([0.0, 1.5, 1.0, -4.0]),
    ...     loss=lambda params, batch, key: jnp.sum(params**2) / 2,
    ...     batch=lambda key, step: None,
    ... ).with_monitors(histogram())
    >>> seen = gdjax.train(task, gdjax.sgd(0.1), steps=1, key=0).evaluation["gradient_histogram"]
    >>> {k: share for k, share in zip(EXPONENTS, seen.tolist()) if share}
    {-24: 0.25, 0: 0.5, 2: 0.25}
    """
    return Monitor(_measure)


def _measure(step: Step, state: Any) -> tuple[dict[str, Any], Any]:
    leaves = [jnp.abs(x).astype(jnp.float32).ravel() for x in jax.tree.leaves(step.gradient)]
    counts = sum((_counts(x) for x in leaves), start=jnp.zeros(len(EXPONENTS), jnp.int32))
    size = sum(x.size for x in leaves)
    return {"gradient_histogram": counts / max(size, 1)}, state


def _counts(magnitudes: jax.Array) -> jax.Array:  # int32[bin]
    bits = jax.lax.bitcast_convert_type(magnitudes, jnp.int32)
    edges = (jnp.array(EXPONENTS) + 127) << 23  # numbers that are not negative sort as their bits
    above = jnp.sum(bits[None, :] >= edges[1:, None], axis=1, dtype=jnp.int32)
    reached = jnp.concatenate([jnp.full(1, bits.size), above, jnp.zeros(1, jnp.int32)])
    return reached[:-1] - reached[1:]
