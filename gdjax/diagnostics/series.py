"""What a series of measurements tells: where it jumps, how heavy its tail is."""

from typing import Any

import jax
import jax.numpy as jnp

from gdjax import trees
from gdjax.curvature import Estimate
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


def tail_index(values: Any, share: float = 0.1) -> Estimate:
    """How fast the tail of a distribution falls, ``P(x > t) ~ t**-index``, by Hill's estimator.

    Of gradients' norms: below 2 their variance is infinite, below 1 their mean, so that no mean
    over examples, workers or steps settles. A light tail has a large index.

    With ``n`` values in falling order and ``k = floor(share * n)``,
    ``index = k / sum_(i < k) log(values[i] / values[k])``; its standard error is
    ``index / sqrt(k)``, for values that do not depend on each other and a tail that is a power.

    Args:
      values: positive, ``[..., sample]``, such as norms of the gradients of examples, workers or
        steps. What is not finite counts as infinite.
      share: of the values that is the tail: too much of it is biased, too little noisy.

    Returns:
      ``[...]``; 0 where the tail has infinite values, inf where all in it are equal, NaN where what
      lies next to it is not positive.

    Raises:
      InvalidValue: less than two values in the tail, or none outside of it.

    Reference:
      Hill, A simple general approach to inference about the tail of a distribution, 1975. Of
      gradients: Simsekli et al., A tail-index analysis of stochastic gradient noise in deep neural
      networks (https://arxiv.org/abs/1901.06053), with another estimator.

    >>> index, error = tail_index(jnp.array([4.0, 2.0, 1.0, 0.1]), share=0.5)  # 2 / log(8)
    >>> print(f"{index:.3f} {error:.3f}")
    0.962 0.680
    """
    values = trees.widen(jnp.asarray(values))
    n = values.shape[-1] if values.ndim else 0
    k = int(share * n)
    if not 2 <= k < n:
        raise InvalidValue(
            "tail_index needs at least two values in the tail and one outside of it along the last "
            f"axis, got shape {values.shape} and {share=}, which is {k} values"
        )
    values = jnp.where(jnp.isfinite(values), values, jnp.inf)
    ordered = -jnp.sort(-values, axis=-1)
    tail, least = ordered[..., :k], ordered[..., k, None]
    excess = jnp.where(tail > least, jnp.log(tail / least), 0).sum(-1)
    index = jnp.where(least[..., 0] > 0, k / excess, jnp.nan)
    index = jnp.where(jnp.isinf(tail[..., 0]), 0, index)
    return Estimate(index, index / k**0.5)
