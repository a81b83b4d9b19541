"""Steps that end on a chosen set of parameters, or with exact zeros: proximal steps, projections.

Each stands last, after the learning rate: it takes the updates for a step of gradient descent,
finds where the parameters shall be after it, and returns the way there, ``target - params``.
Where the target is 0 that way is ``-params`` exactly, so that ``apply_updates`` gives exact zeros.
Elsewhere the sum is the target up to rounding.
"""

from typing import Any

import jax.numpy as jnp
import optax

from gdjax import trees
from gdjax.errors import InvalidValue
from gdjax.ranges import NonNegative, Positive
from gdjax.transformation import transformation


@transformation()
def soft_threshold(
    updates: Any, state: optax.EmptyState, params: Any, l1: NonNegative, l2: NonNegative = 0.0
) -> tuple:
    """Shrink the parameters after the step towards 0, small ones to exactly 0: L1, elastic net.

    ``x = params + g``, ``u = x * max(1 - l1 / |x|, 0) / (1 + l2) - params``: the proximal step of
    the penalty ``l1 * |x| + l2 / 2 * |x|**2`` of each parameter.

    ``update`` needs ``params``. It stands last; the two penalties are those of the loss times the
    learning rate.

    Args:
      l1: how much each parameter shrinks; 0 is where a smaller one ends.
      l2: how much it shrinks in proportion, as 1 to ``1 + l2``.

    Reference:
      Daubechies, Defrise and De Mol, An iterative thresholding algorithm for linear inverse
      problems with a sparsity constraint (https://arxiv.org/abs/math/0307152); Zou
      and Hastie, Regularization and variable selection via the elastic net, 2005; Parikh and
      Boyd, Proximal algorithms, 2014, section 6.5.

    >>> init, update = soft_threshold(0.5)
    >>> params = jnp.array([2.0, 0.25])
    >>> optax.apply_updates(params, update(jnp.zeros(2), init(None), params)[0])
    Array([1.5, 0. ], dtype=float32)
    """
    shrink = 1 / (1 + l2)

    def leaf(g: Any, p: Any) -> Any:
        return shrink * _shrunk(p + g, jnp.abs(p + g), l1) - p

    return trees.map_leaves(leaf, updates, given=(params,)), state


@transformation()
def group_soft_threshold(
    updates: Any, state: optax.EmptyState, params: Any, l1: NonNegative
) -> tuple:
    """Shrink the norm of each unit's parameters after the step, small units to 0: group lasso.

    ``x = params + g``, ``u = x * max(1 - l1 / ||x||, 0) - params``, where ``||x||`` is the norm
    of a unit: a vector, or a column of a matrix; see :func:`gdjax.trees.unit_norm`.

    ``update`` needs ``params``. It stands last; the penalty is that of the loss times the
    learning rate.

    Args:
      l1: how much the norm of each unit shrinks; a unit with a smaller one ends at 0.

    Reference:
      Yuan and Lin, Model selection and estimation in regression with grouped variables, 2006;
      Parikh and Boyd, Proximal algorithms, 2014, section 6.5.4, one penalty for all units.

    >>> init, update = group_soft_threshold(2.5)
    >>> params = jnp.array([[3.0, 1.0], [4.0, 0.0]])
    >>> optax.apply_updates(params, update(jnp.zeros((2, 2)), init(None), params)[0])
    Array([[1.5, 0. ],
           [2. , 0. ]], dtype=float32)
    """

    def leaf(g: Any, p: Any) -> Any:
        return _shrunk(p + g, trees.unit_norm(p + g), l1) - p

    return trees.map_leaves(leaf, updates, given=(params,)), state


def _shrunk(x: Any, size: Any, threshold: Any) -> Any:
    """``x`` with its size less by ``threshold``, and exactly 0 where that is not positive."""
    stays = size > threshold
    return jnp.where(stays, x - x * (threshold / jnp.where(stays, size, 1)), 0)


@transformation()
def limit_unit_norm(
    updates: Any, state: optax.EmptyState, params: Any, max_norm: Positive
) -> tuple:
    """Keep the norm of each unit's parameters at most ``max_norm``: max-norm regularization.

    ``x = params + g``, ``u = x * max_norm / ||x|| - params`` where ``||x|| > max_norm``, else
    ``u = g``; ``||x||`` is the norm of a unit: a vector, or a column of a matrix; see
    :func:`gdjax.trees.unit_norm`.

    ``update`` needs ``params``. It stands last.

    Args:
      max_norm: largest Euclidean norm of the parameters of a unit.

    Reference:
      Srebro, Rennie and Jaakkola, Maximum-margin matrix factorization, NIPS 2004; Srivastava et
      al., Dropout, JMLR 15, 2014, section 5.1.

    >>> init, update = limit_unit_norm(2.5)
    >>> params = jnp.array([[3.0, 1.0], [4.0, 0.0]])
    >>> optax.apply_updates(params, update(jnp.zeros((2, 2)), init(None), params)[0])
    Array([[1.5, 1. ],
           [2. , 0. ]], dtype=float32)
    """

    def leaf(g: Any, p: Any) -> Any:
        norm = trees.unit_norm(p + g)
        factor = max_norm / jnp.maximum(norm, max_norm)
        return jnp.where(norm > max_norm, factor * (p + g) - p, g)

    return trees.map_leaves(leaf, updates, given=(params,)), state


@transformation()
def keep_params_nonnegative(updates: Any, state: optax.EmptyState, params: Any) -> tuple:
    """Keep the parameters at least 0, by projection.

    ``u = -params`` where ``params + g < 0``, else ``u = g``.

    ``update`` needs ``params``, which are real. It stands last.

    Reference:
      Bertsekas, On the Goldstein-Levitin-Polyak gradient projection method, 1976.

    >>> init, update = keep_params_nonnegative()
    >>> update(jnp.array([-3.0, -0.5]), init(None), jnp.array([2.0, 2.0]))[0]
    Array([-2. , -0.5], dtype=float32)
    """
    trees.refuse_complex("keep_params_nonnegative", updates)

    def leaf(g: Any, p: Any) -> Any:
        return jnp.where(p + g < 0, -p, g)

    return trees.map_leaves(leaf, updates, given=(params,)), state


@transformation()
def project(updates: Any, state: optax.EmptyState, params: Any, projection: Any) -> tuple:
    """Keep the parameters in a set, by a projection onto it: projected gradient descent.

    ``u = projection(params + g) - params``, and ``u = g`` where the projection changes nothing.

    ``update`` needs ``params``, which are real. It stands last.

    Args:
      projection: function from a tree of parameters to the nearest in the set, such as those of
        ``optax.projections``. Bound with :func:`gdjax.bind` its numbers are hyperparameters.

    Reference:
      Bertsekas, On the Goldstein-Levitin-Polyak gradient projection method, 1976.

    >>> from gdjax.binding import bind
    >>> ball = bind(optax.projections.projection_l2_ball, scale=2.5)
    >>> init, update = project(ball)
    >>> update(jnp.array([1.0, 4.0]), init(None), jnp.array([2.0, 0.0]))[0]
    Array([-0.5,  2. ], dtype=float32)
    """
    trees.refuse_complex("project", updates)
    if params is None:
        raise InvalidValue("project reads the parameters: call update(updates, state, params)")
    step = trees.map_leaves(lambda g, p: p + g, trees.widen(updates), given=(params,))

    def leaf(g: Any, p: Any, x: Any) -> Any:
        return jnp.where(x == p + g, g, x - p)

    return trees.map_leaves(leaf, updates, given=(params, projection(step))), state
