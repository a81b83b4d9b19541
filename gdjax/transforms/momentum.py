"""Accumulating updates over steps."""

from typing import Any, NamedTuple

from gdjax import trees
from gdjax.ranges import Decay
from gdjax.transformation import transformation


class TraceState(NamedTuple):
    """State of :func:`trace`."""

    trace: Any  # like params, in accumulator_dtype: the decayed sum of updates


def _zero_trace(params: Any, accumulator_dtype: Any) -> TraceState:
    return TraceState(trees.zeros_like(params, accumulator_dtype))


@transformation(init=_zero_trace)
def trace(
    updates: Any,
    state: TraceState,
    params: Any,
    decay: Decay,
    nesterov: bool = False,
    accumulator_dtype: Any = None,
) -> tuple[Any, TraceState]:
    """Replace the updates by their decayed sum: momentum, in Polyak's or Nesterov's form.

    ``t = g + decay * t``, then ``u = t``, or ``u = g + decay * t`` with ``nesterov``.

    Args:
      decay: factor of the sum at each step, in [0, 1).
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
    return updates, TraceState(new_trace)
