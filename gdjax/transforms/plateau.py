"""Smaller steps where the loss stops falling."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from gdjax import trees
from gdjax.ranges import Decay, NonNegative, PositiveSteps, Steps
from gdjax.transformation import transformation


def _no_plateau(params: Any) -> optax.contrib.ReduceLROnPlateauState:
    dtype = trees.compute_dtype(params)
    return optax.contrib.ReduceLROnPlateauState(
        scale=jnp.ones((), dtype),
        best_value=jnp.full((), jnp.inf, dtype),
        plateau_count=jnp.zeros((), jnp.int32),
        cooldown_count=jnp.zeros((), jnp.int32),
        count=jnp.zeros((), jnp.int32),
        avg_value=jnp.zeros((), dtype),
    )


@transformation(init=_no_plateau)
def reduce_on_plateau(
    updates: Any,
    state: optax.contrib.ReduceLROnPlateauState,
    params: Any,
    factor: Decay = 0.1,
    patience: PositiveSteps = 10,
    rtol: NonNegative = 1e-4,
    atol: NonNegative = 0.0,
    cooldown: Steps = 0,
    accumulation_size: PositiveSteps = 1,
    min_scale: NonNegative = 0.0,
    *,
    value: Any,
) -> tuple[Any, optax.contrib.ReduceLROnPlateauState]:
    """Multiply the updates by a scale that shrinks where the loss stops falling.

    ``u = scale * g``. The mean of ``accumulation_size`` values improves if it lies below
    ``best - rtol * |best| - atol``. After ``patience`` means in a row that do not,
    ``scale = max(factor * scale, min_scale)``, and the next ``cooldown`` means do not count.

    ``update`` needs the extra ``value``: the loss, or any other number that should fall.

    Args:
      factor: of the scale at a plateau, in [0, 1).
      patience: means without improvement before the scale shrinks, at least 1.
      rtol: improvement that counts, relative to the best mean.
      atol: improvement that counts, in units of the value.
      cooldown: means that do not count after the scale has shrunk.
      accumulation_size: values in one mean; more than 1 where the value is a batch's loss.
      min_scale: smallest scale.

    State:
      scale: factor of the updates.
      best_value: lowest mean so far, infinite before the first.
      plateau_count: means in a row without improvement, an int32 scalar.
      cooldown_count: means that still do not count, an int32 scalar.
      count: values in the current mean, an int32 scalar.
      avg_value: the current mean.

    Reference:
      Optax's rule, after PyTorch's ReduceLROnPlateau; theirs take for an improvement of a
      negative value what is up to ``rtol`` worse.

    >>> init, update = reduce_on_plateau(factor=0.5, patience=1)
    >>> first, state = update(jnp.ones(1), init(jnp.zeros(1)), value=3.0)
    >>> first.item(), update(jnp.ones(1), state, value=3.0)[0].item()
    (1.0, 0.5)
    """
    dtype = jnp.result_type(state.avg_value)
    count = optax.safe_increment(state.count)
    mean = (state.count * state.avg_value + jnp.asarray(value, dtype)) / count
    full = count >= accumulation_size  # else only count and mean change
    best = state.best_value
    improved = mean < best * (1 - rtol * jnp.sign(best)) - atol
    cooling = jnp.greater(state.cooldown_count, 0)
    bad = jnp.where(improved | cooling, 0, state.plateau_count + 1)
    reduce = bad >= patience
    scale = jnp.maximum(jnp.where(reduce, factor * state.scale, state.scale), min_scale)
    scale = jnp.where(full & ~cooling, scale, state.scale).astype(dtype)
    wait = jnp.where(reduce, jnp.asarray(cooldown, jnp.int32), 0)

    def at_a_mean(new: Any, old: Any) -> jax.Array:
        return jnp.where(full, new, old).astype(jnp.result_type(old))

    return trees.map_leaves(lambda g: scale * g, updates), optax.contrib.ReduceLROnPlateauState(
        scale=scale,
        best_value=at_a_mean(jnp.where(improved, mean, best), best),
        plateau_count=at_a_mean(jnp.where(reduce, 0, bad), state.plateau_count),
        cooldown_count=at_a_mean(
            jnp.where(cooling, state.cooldown_count - 1, wait), state.cooldown_count
        ),
        count=jnp.where(full, 0, count),
        avg_value=jnp.where(full, 0, mean).astype(dtype),
    )
