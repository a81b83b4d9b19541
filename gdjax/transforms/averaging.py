"""Averages of the parameters along a run.

The state holds each average ready for use, as ``x = (1 - c) * x + c * p`` with the weight ``c``
of the newest parameters ``p``; while ``c`` is 1 it is ``p`` itself. So nothing is debiased later.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from gdjax import subtrees, trees
from gdjax.errors import InvalidValue
from gdjax.ranges import Decay, NonNegative, PositiveSteps, Steps
from gdjax.transformation import Inner, transformation


class AverageParamsState(NamedTuple):
    """State of :func:`average_params` and :func:`ema_params`."""

    count: Any  # int32[]: updates made so far
    weight: jax.Array  # float[]: sum of the weights in the average
    average: Any  # like params, in average_dtype


def averaged_params(state: Any) -> Any:
    """The averaged parameters, from a state of :func:`average_params` or :func:`ema_params`.

    The state may also be that of a chain or a combinator around it.
    """
    return subtrees.find(AverageParamsState, state).average


def _at_params(params: Any, average_dtype: Any) -> AverageParamsState:
    return AverageParamsState(
        jnp.zeros((), jnp.int32), trees.no_weight(params), trees.copy(params, average_dtype)
    )


@transformation(init=_at_params)
def average_params(
    updates: Any,
    state: AverageParamsState,
    params: Any,
    start_step: Steps = 0,
    every_k: PositiveSteps = 1,
    average_dtype: Any = None,
) -> tuple[Any, AverageParamsState]:
    """Keep the mean of the parameters: of all steps (Polyak), or of some late ones (SWA).

    With ``p = params + g``: up to update ``start_step`` ``average = p``, and from then on
    ``average = average + (p - average) / n`` at every ``every_k``-th update, the ``n``-th of
    them. The updates pass through.

    Put it last in a chain, where the updates are what is added to ``params``, which ``update``
    needs. :func:`averaged_params` reads the average.

    Args:
      start_step: updates before the first whose parameters are averaged.
      every_k: updates from one to the next whose parameters are averaged, at least 1.
      average_dtype: dtype of the average; that of the parameters where None.

    State:
      count: updates made so far, an int32 scalar.
      weight: how many parameters are in the mean.
      average: the mean, of the parameters' shapes.

    Reference:
      Polyak and Juditsky, Acceleration of stochastic approximation by averaging, 1992; Izmailov
      et al., Averaging weights leads to wider optima and better generalization
      (https://arxiv.org/abs/1803.05407), algorithm 1.

    >>> import gdjax
    >>> init, update = gdjax.chain(gdjax.sgd(1.0), average_params())
    >>> state, p = init(jnp.zeros(1)), jnp.zeros(1)
    >>> for gradient in (-2.0, -4.0):
    ...     updates, state = update(jnp.array([gradient]), state, p)
    ...     p = p + updates
    >>> p.item(), averaged_params(state).item()
    (6.0, 4.0)
    """
    late = state.count - start_step
    counts = (late >= 0) & (late % every_k == 0)
    weight = jnp.where(counts, state.weight + 1, state.weight).astype(state.weight.dtype)
    newest = jnp.where(counts, 1 / jnp.maximum(weight, 1), jnp.where(late < 0, 1.0, 0.0))
    return _average("average_params", updates, state, params, weight, newest)


@transformation(init=_at_params)
def ema_params(
    updates: Any,
    state: AverageParamsState,
    params: Any,
    decay: Decay = 0.999,
    debias: bool = True,
    average_dtype: Any = None,
) -> tuple[Any, AverageParamsState]:
    """Keep an exponential moving average of the parameters.

    With ``p = params + g``: ``average = decay * average + (1 - decay) * p``, debiased by the
    sum of its weights; or without ``debias`` as it is, starting from the initial parameters.
    The updates pass through.

    Put it last in a chain, where the updates are what is added to ``params``, which ``update``
    needs. :func:`averaged_params` reads the average.

    Args:
      decay: weight of the past in the average, in [0, 1).
      debias: forget the initial parameters.
      average_dtype: dtype of the average; that of the parameters where None.

    State:
      count: updates made so far, an int32 scalar.
      weight: sum of the weights of all parameters but the initial ones.
      average: the average, debiased, of the parameters' shapes.

    Reference:
      Tarvainen and Valpola, Mean teachers are better role models
      (https://arxiv.org/abs/1703.01780), section 2; debiasing as Kingma and Ba, Adam, section 3.

    >>> import gdjax
    >>> init, update = gdjax.chain(gdjax.sgd(1.0), ema_params(0.75))
    >>> _, state = update(jnp.array([-2.0]), init(jnp.zeros(1)), jnp.zeros(1))
    >>> averaged_params(state).item()
    2.0
    """
    weight = trees.average(1, state.weight, decay)
    newest = (1 - decay) / weight if debias else 1 - decay
    return _average("ema_params", updates, state, params, weight, newest)


class LookaheadState(NamedTuple):
    """State of :func:`lookahead`."""

    fast_state: Any
    steps_since_sync: Any  # int32[]: updates since both parameters were the same
    slow: Any  # like params: the slow parameters


def _init_lookahead(params: Any, inner: Any) -> LookaheadState:
    return LookaheadState(inner(params), jnp.zeros((), jnp.int32), trees.copy(params))


@transformation(init=_init_lookahead)
def lookahead(
    updates: Any,
    state: LookaheadState,
    params: Any,
    inner: Inner,
    sync_period: PositiveSteps,
    slow_step_size: NonNegative,
    **extra: Any,
) -> tuple[Any, LookaheadState]:
    """Every few steps go back part of the way: lookahead.

    ``inner`` moves ``params``. After every ``sync_period`` of its updates, with ``p = params +
    inner(g)``: ``slow = slow + slow_step_size * (p - slow)``, and the parameters become ``slow``.

    ``update`` needs ``params``, and its result is what must be added to them, so nothing may
    follow in a chain. :func:`slow_params` reads the slow parameters, which generalize better.

    Args:
      inner: an optimizer.
      sync_period: updates of ``inner`` from one synchronization to the next, at least 1.
      slow_step_size: part of the way that is kept, in (0, 1] in the paper; at 0 all is undone.

    State:
      fast_state: of ``inner``.
      steps_since_sync: updates since the last synchronization, an int32 scalar.
      slow: the slow parameters.

    Reference:
      Zhang et al., Lookahead optimizer: k steps forward, 1 step back
      (https://arxiv.org/abs/1907.08610), algorithm 1. Optax's needs ``LookaheadParams``; here
      the slow parameters are in the state, and those of the model stay as they are.

    >>> import gdjax
    >>> init, update = lookahead(gdjax.sgd(1.0), sync_period=1, slow_step_size=0.25)
    >>> update(jnp.array([-4.0]), init(jnp.zeros(1)), jnp.zeros(1))[0]
    Array([1.], dtype=float32)
    """
    _check_params("lookahead", params)
    updates, fast_state = inner(updates, state.fast_state, params, **extra)
    steps = state.steps_since_sync + 1
    sync = steps >= sync_period

    def leaf(u: Any, s: Any, p: Any) -> tuple:
        way = p + u - s
        back = u - (1 - slow_step_size) * way
        return jnp.where(sync, back, u), jnp.where(sync, s + slow_step_size * way, s)

    updates, slow = trees.map_leaves(leaf, updates, state.slow, given=(params,))
    return updates, LookaheadState(fast_state, jnp.where(sync, 0, steps), slow)


def slow_params(state: Any) -> Any:
    """The slow parameters, from a state of :func:`lookahead`, or of a chain around it."""
    return subtrees.find(LookaheadState, state).slow


def _average(
    name: str, updates: Any, state: AverageParamsState, params: Any, weight: Any, newest: Any
) -> tuple[Any, AverageParamsState]:
    """Mix the new parameters into the average with the weight ``newest``."""
    _check_params(name, params)

    def leaf(g: Any, a: Any, p: Any) -> tuple:
        return g, jnp.where(newest > 0, trees.average(p + g, a, 1 - newest), a)

    updates, average = trees.map_leaves(leaf, updates, state.average, given=(params,))
    return updates, AverageParamsState(optax.safe_increment(state.count), weight, average)


def _check_params(name: str, params: Any) -> None:
    if params is None:
        raise InvalidValue(f"{name} reads the parameters: call update(updates, state, params)")
