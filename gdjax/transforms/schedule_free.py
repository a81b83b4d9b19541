"""Averaging instead of a schedule."""

from typing import Any

import jax.numpy as jnp
import optax

from gdjax import curves, subtrees, trees
from gdjax.errors import InvalidValue
from gdjax.ranges import NonNegative, PositiveFraction, Steps
from gdjax.transformation import Inner, transformation


def _init_schedule_free(
    params: Any, base_optimizer: Any, b1: Any, state_dtype: Any
) -> optax.contrib.ScheduleFreeState:
    dtype = trees.compute_dtype(params)
    return optax.contrib.ScheduleFreeState(
        b1=jnp.asarray(b1, dtype),
        weight_sum=jnp.zeros((), dtype),
        step_count=jnp.ones((), jnp.int32),
        max_lr=jnp.zeros((), dtype),
        base_optimizer_state=base_optimizer(params),
        z=trees.copy(params, state_dtype),
    )


@transformation(init=_init_schedule_free)
def schedule_free(
    updates: Any,
    state: optax.contrib.ScheduleFreeState,
    params: Any,
    base_optimizer: Inner,
    learning_rate: NonNegative,
    b1: PositiveFraction = 0.9,
    weight_lr_power: NonNegative = 2.0,
    state_dtype: Any = None,
    apply_learning_rate: bool = False,
    warmup_steps: Steps | None = None,
    **extra: Any,
) -> tuple[Any, optax.contrib.ScheduleFreeState]:
    """Average the steps of an optimizer, and take gradients near the average: schedule-free.

    With ``y`` the parameters: ``z = z + base_optimizer(g)``, ``x = (1 - c) * x + c * z``,
    ``u = b1 * x + (1 - b1) * z - y``. The weight ``c = w / (sum of all w)`` has
    ``w = max_lr**weight_lr_power``, ``max_lr`` being the largest learning rate so far.

    ``update`` needs ``params``, and its result is what must be added to them, so nothing may
    follow in a chain. ``x`` is not stored: :func:`schedule_free_eval_params` computes it, and
    it is what should be evaluated.

    Args:
      base_optimizer: an optimizer without momentum of its own.
      learning_rate: that of ``base_optimizer``, with a warm-up and no decay. A schedule of it
        is read at the same step as by ``base_optimizer``.
      b1: how near to the average the gradients are taken, in (0, 1).
      weight_lr_power: power of the largest learning rate in the average's weights.
      state_dtype: dtype of ``z``; that of the parameters where None.
      apply_learning_rate: multiply the updates of ``base_optimizer`` by ``-learning_rate``,
        which then stands in one place.
      warmup_steps: updates in which ``learning_rate`` rises from 0, in proportion to the updates
        made before; ``base_optimizer`` must do likewise unless ``apply_learning_rate``.

    State:
      b1: with which the parameters were mixed.
      weight_sum: sum of the weights.
      step_count: one more than updates made so far, an int32 scalar.
      max_lr: largest learning rate so far.
      base_optimizer_state: of ``base_optimizer``.
      z: where ``base_optimizer`` is, of the parameters' shapes.

    Reference:
      Defazio et al., The road less scheduled (https://arxiv.org/abs/2405.15682), algorithm 1
      with the weights of section 3. Optax takes the weight from the next step's learning rate
      where that is a schedule; the paper and its authors' code from this step's, as here.

    >>> import gdjax
    >>> init, update = schedule_free(gdjax.sgd(1.0), learning_rate=1.0, b1=0.5)
    >>> y, state = jnp.zeros(1), init(jnp.zeros(1))
    >>> for _ in range(2):
    ...     updates, state = update(jnp.array([-1.0]), state, y)
    ...     y = y + updates
    >>> y.item(), state.z.item(), schedule_free_eval_params(state, y).item()
    (1.75, 2.0, 1.5)
    """
    if params is None:
        raise InvalidValue(
            "schedule_free reads the parameters: call update(updates, state, params)"
        )
    steps, base_state = base_optimizer(updates, state.base_optimizer_state, params, **extra)
    if warmup_steps is not None:
        risen = curves.ratio(state.step_count - 1, warmup_steps, 1)
        learning_rate = learning_rate * jnp.minimum(risen, 1)
    step_size = -learning_rate if apply_learning_rate else 1
    max_lr = jnp.maximum(state.max_lr, learning_rate).astype(jnp.result_type(state.max_lr))
    weight = curves.power(max_lr, weight_lr_power)
    weight_sum = (state.weight_sum + weight).astype(jnp.result_type(state.weight_sum))
    c = weight / jnp.where(weight_sum > 0, weight_sum, 1)
    # u of the docstring without x, so that nothing is divided by b1 and little cancels.
    ratio = b1 / state.b1
    to_z, along = 1 - ratio + ratio * c, 1 - b1 * (1 - c)

    _, z = trees.map_leaves(lambda s, z: (s, z + step_size * s), steps, state.z)

    def leaf(s: Any, new: Any, old: Any, y: Any) -> Any:
        del s  # by way of z, so that the step is not written to memory
        return along * (new - old) - to_z * (y - old)

    updates = trees.map_leaves(leaf, steps, given=(z, state.z, params))
    return updates, optax.contrib.ScheduleFreeState(
        b1=b1.astype(jnp.result_type(state.b1)),
        weight_sum=weight_sum,
        step_count=optax.safe_increment(state.step_count),
        max_lr=max_lr,
        base_optimizer_state=base_state,
        z=z,
    )


def schedule_free_eval_params(state: Any, params: Any) -> Any:
    """The parameters to evaluate: ``x = (params - (1 - b1) * z) / b1``.

    Those that a mask or a partition keeps from it are evaluated as they are.

    Args:
      state: of :func:`schedule_free`, or of a chain or a combinator around it.
      params: the parameters at which gradients are taken.
    """
    own = subtrees.find(optax.contrib.ScheduleFreeState, state)

    def below(z: Any, y: Any) -> Any:
        if subtrees.is_masked(z):
            return y
        return trees.map_leaves(lambda y, z: (y - (1 - own.b1) * z) / own.b1, y, given=(z,))

    return subtrees.map_prefix("state", below, own.z, params, is_leaf=subtrees.is_masked)
