"""Fine-tuning layer by layer: smaller steps for deeper layers, and layers that start later."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from gdjax import subtrees, trees
from gdjax.errors import InvalidType, InvalidValue, nearest
from gdjax.ranges import Positive
from gdjax.transformation import transformation


@transformation()
def scale_by_depth(
    updates: Any, state: optax.EmptyState, params: Any, decay: Positive, depth: Any
) -> tuple:
    """Multiply each update by a power of its layer's depth: layer-wise learning rates.

    ``u = decay**depth * g``

    Args:
      decay: factor from one layer to the next deeper one, most often in (0, 1).
      depth: depth of each layer, 0 where the learning rate is full: a tree of numbers, of the
        parameters' structure or a prefix of it; or a function from a leaf's key path (as of
        ``jax.tree_util.tree_map_with_path``) to its depth.

    Reference:
      Howard and Ruder, Universal language model fine-tuning for text classification
      (https://arxiv.org/abs/1801.06146), section 3.2, discriminative fine-tuning: decay 1 / 2.6.

    >>> init, update = scale_by_depth(0.5, {"head": 0, "body": 2})
    >>> update({"head": jnp.ones(1), "body": jnp.ones(1)}, init(None))[0]
    {'body': Array([0.25], dtype=float32), 'head': Array([1.], dtype=float32)}
    """
    if callable(depth):
        depth = jax.tree_util.tree_map_with_path(lambda path, _: depth(path), updates)

    def scale(depth: Any, updates: Any) -> Any:
        factor = decay ** jnp.asarray(depth, decay.dtype)
        return trees.map_leaves(lambda g: factor * g, updates)

    return subtrees.map_prefix("depth", scale, depth, updates), state


class GradualUnfreezingState(NamedTuple):
    """State of :func:`gradual_unfreezing`."""

    count: Any  # int32[]: updates made so far


def _no_updates(params: Any) -> GradualUnfreezingState:
    del params
    return GradualUnfreezingState(jnp.zeros((), jnp.int32))


@transformation(init=_no_updates)
def gradual_unfreezing(
    updates: Any, state: GradualUnfreezingState, params: Any, unfreeze_steps: Any, param_labels: Any
) -> tuple[Any, GradualUnfreezingState]:
    """Hold each group of parameters until its step has come.

    ``u = g`` where ``count >= unfreeze_steps[label]``, else ``u = 0``.

    Put it last in a chain: averages of gradients then warm up while parameters are held.

    Args:
      unfreeze_steps: a dict by label: updates before the group moves; 0 moves from the start.
      param_labels: a tree of labels, of the parameters' structure or a prefix of it, or a
        function from the parameters to one.

    State:
      count: updates made so far, an int32 scalar.

    Reference:
      Howard and Ruder, Universal language model fine-tuning for text classification
      (https://arxiv.org/abs/1801.06146), section 3.3.

    >>> init, update = gradual_unfreezing({"top": 0, "rest": 100}, {"head": "top", "body": "rest"})
    >>> gradients = {"head": jnp.ones(1), "body": jnp.ones(1)}
    >>> update(gradients, init(gradients))[0]
    {'body': Array([0.], dtype=float32), 'head': Array([1.], dtype=float32)}
    """
    if not isinstance(unfreeze_steps, dict):
        raise InvalidType(
            "gradual_unfreezing: unfreeze_steps must be a dict from a label to the step at which "
            f"it moves, got {unfreeze_steps!r}"
        )
    moves = {label: state.count >= step for label, step in unfreeze_steps.items()}

    def hold(label: str, updates: Any) -> Any:
        if label not in moves:
            raise InvalidValue(
                f"gradual_unfreezing: label {label!r} has no step: {nearest(str(label), moves)}"
            )
        return trees.map_leaves(lambda g: jnp.where(moves[label], g, 0), updates)

    labels = subtrees.evaluate(param_labels, updates if params is None else params)
    held = subtrees.map_prefix("param_labels", hold, labels, updates)
    return held, GradualUnfreezingState(optax.safe_increment(state.count))
