"""Accumulating updates over steps."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from gdjax import trees
from gdjax.ranges import Decay, DecayOrSum
from gdjax.transformation import transformation


def _zero_trace(params: Any, accumulator_dtype: Any) -> optax.TraceState:
    return optax.TraceState(trees.zeros_like(params, accumulator_dtype))


@transformation(init=_zero_trace)
def trace(
    updates: Any,
    state: optax.TraceState,
    params: Any,
    decay: DecayOrSum,
    nesterov: bool = False,
    accumulator_dtype: Any = None,
) -> tuple[Any, optax.TraceState]:
    """Replace the updates by their decayed sum: momentum, in Polyak's or Nesterov's form.

    ``t = g + decay * t``, then ``u = t``, or ``u = g + decay * t`` with ``nesterov``.

    Args:
      decay: factor of the sum at each step, in [0, 1]; at 1 nothing is forgotten.
      nesterov: look one step ahead.
      accumulator_dtype: dtype of the sum; that of the parameters where None.

    State:
      trace: the sum, of the parameters' shapes.

    Reference:
      Polyak, Some methods of speeding up the convergence of iteration methods, 1964; Sutskever
      et al., On the importance of initialization and momentum in deep learning, ICML 2013,
      equations 1 to 4, with the learning rate applied after the sum.

    >>> import jax.numpy as jnp
    >>> init, update = trace(0.5)
    >>> u, state = update(jnp.array([1.0]), init(jnp.zeros(1)))
    >>> update(jnp.array([1.0]), state)[0]
    Array([1.5], dtype=float32)
    """

    def leaf(g: Any, t: Any) -> tuple:
        t = g + decay * t
        return (g + decay * t if nesterov else t), t

    updates, new_trace = trees.map_leaves(leaf, updates, state.trace)
    return updates, optax.TraceState(new_trace)


class EmaState(NamedTuple):
    """State of :func:`ema`."""

    count: Any  # int32[]: updates made so far
    ema: Any  # like params, in accumulator_dtype: average
    weight: jax.Array  # float[]: sum of the weights in it


def _zero_ema(params: Any, accumulator_dtype: Any) -> EmaState:
    return EmaState(
        jnp.zeros((), jnp.int32),
        trees.zeros_like(params, accumulator_dtype),
        trees.no_weight(params),
    )


@transformation(init=_zero_ema)
def ema(
    updates: Any,
    state: EmaState,
    params: Any,
    decay: Decay,
    debias: bool = True,
    accumulator_dtype: Any = None,
) -> tuple[Any, EmaState]:
    """Replace the updates by their moving average.

    ``ema = decay * ema + (1 - decay) * g``, ``u = ema``, divided by the sum of its weights with
    ``debias``. :func:`trace` is a sum instead.

    Args:
      decay: weight of the past in the average, in [0, 1).
      debias: divide the average by the sum of its weights.
      accumulator_dtype: dtype of the average; that of the parameters where None.

    State:
      count: updates made so far, an int32 scalar.
      ema: the average, of the parameters' shapes.
      weight: the sum of its weights, a scalar.

    Reference:
      Kingma and Ba, Adam (https://arxiv.org/abs/1412.6980), section 3, for the debiasing.

    >>> import jax.numpy as jnp
    >>> init, update = ema(0.5)
    >>> u, state = update(jnp.array([1.0]), init(jnp.zeros(1)))
    >>> update(jnp.array([4.0]), state)[0]
    Array([3.], dtype=float32)
    """
    weight = trees.average(1, state.weight, decay)
    scale = 1 / weight if debias else 1

    def leaf(g: Any, m: Any) -> tuple:
        m = trees.average(g, m, decay)
        return m * scale, m

    updates, average = trees.map_leaves(leaf, updates, state.ema)
    return updates, EmaState(optax.safe_increment(state.count), average, weight)
