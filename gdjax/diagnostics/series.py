"""What a series of measurements tells: where it jumps."""

from typing import Any

import jax
import jax.numpy as jnp

from gdjax import trees
from gdjax.errors import InvalidValue


def spikes(values: Any, window: int = 64, quantile: float = 0.9, factor: float = 3.0) -> jax.Array:
    """Where losses, or norms, stand out of those before them, or are not finite.

    With ``q`` and ``m`` a quantile and the median of up to ``window`` values before, a spike is
    above ``m + factor (q - m)``, which spikes themselves hardly move. With the defaults, of normal
    noise 1 value in 2,000 is a spike (in a very long window those beyond 3.8 standard deviations,
    1 in 15,000). A value with fewer than 8 finite ones before it is no spike, unless it is not
    finite.

    Args:
      values: ``[..., step]``, such as ``traces["loss"]`` or ``evaluations["gradient_norm"]``.
      window: how many values a new one is compared with, at least 8.
      quantile: between 0.5 and 1.
      factor: how far above, in units of ``q - m``; at least 0.

    Returns:
      ``bool[..., step]``.

    Raises:
      InvalidValue: no axis of steps, or a number out of its range.

    >>> losses = jnp.where(jnp.arange(40) == 30, 5.0, jnp.sin(jnp.arange(40.0)))
    >>> jnp.flatnonzero(spikes(losses)).tolist()
    [30]
    """
    values = trees.widen(jnp.asarray(values))
    if not (values.ndim and window >= 8 and 0.5 < quantile < 1 and factor >= 0):
        raise InvalidValue(
            "spikes needs an axis of steps, a window of at least 8, a quantile between 0.5 and 1 "
            f"and a factor of at least 0, got shape {values.shape}, {window=}, {quantile=}, "
            f"{factor=}"
        )
    steps = values.shape[-1]
    finite = jnp.where(jnp.isfinite(values), values, jnp.nan)
    padding = jnp.full((*values.shape[:-1], window), jnp.nan, values.dtype)
    places = jnp.arange(steps)[:, None] + jnp.arange(window)[None, :]
    before = jnp.concatenate([padding, finite], axis=-1)[..., places]  # [..., step, window]
    enough = jnp.isfinite(before).sum(-1) >= 8
    middle, high = jnp.nanquantile(before, jnp.array([0.5, quantile]), axis=-1)
    return (enough & (values > middle + factor * (high - middle))) | ~jnp.isfinite(values)
