"""Step sizes that come from the run itself: from its values, or from how far it went."""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from gdjax import subtrees, trees
from gdjax.errors import InvalidType
from gdjax.ranges import NonNegative, Positive, Real
from gdjax.transformation import transformation


@transformation()
def scale_by_polyak(
    updates: Any,
    state: optax.EmptyState,
    params: Any,
    f_min: Real = 0.0,
    max_learning_rate: NonNegative = 1.0,
    eps: NonNegative = 0.0,
    variant: Literal["sps", "sps+"] = "sps",
    *,
    value: Any,
) -> tuple:
    """Multiply by the step that would reach the minimum of a linear function: Polyak's step.

    ``u = g * min((value - f_min) / (||g||**2 + eps), max_learning_rate)``, where ``||g||`` is the
    norm of all updates together. With the variant ``"sps+"`` a value below ``f_min`` counts as
    ``f_min``; with ``"sps"`` it turns the step round.

    ``update`` needs the loss: ``update(updates, state, params, value=value)``.

    Args:
      f_min: least value of the loss, or a guess of it.
      max_learning_rate: largest factor.
      eps: added to the squared norm.
      variant: ``"sps"`` or ``"sps+"``.

    Raises:
      InvalidValue: another variant.

    Reference:
      Loizou et al., Stochastic Polyak step-size for SGD (https://arxiv.org/abs/2002.10542),
      with c = 1; Garrigos et al., Function value learning
      (https://arxiv.org/abs/2307.14528), for ``"sps+"``.

    >>> init, update = scale_by_polyak()
    >>> update(jnp.array([2.0, 4.0]), init(None), value=5.0)[0]
    Array([0.5, 1. ], dtype=float32)
    """
    gap = jnp.asarray(value, trees.compute_dtype(updates)) - f_min
    gap = jnp.maximum(gap, 0) if variant == "sps+" else gap
    square = trees.global_norm(updates) ** 2 + eps
    # Which of the two is less is known without the quotient, whose derivative may not be finite.
    within = (gap < max_learning_rate * square) & (square > 0)
    step = jnp.where(within, gap / jnp.where(within, square, 1), max_learning_rate)
    return trees.map_leaves(lambda g: step * g, updates), state


class ScaleByDistanceOverGradientsState(NamedTuple):
    """State of :func:`scale_by_distance_over_gradients`."""

    max_dist: Any  # per array, float[]: largest distance from init_params so far
    grad_sum_of_squares: Any  # per array, float[]: sum of the updates' squared norms
    init_params: Any  # like params, in param_dtype


class _Trip(NamedTuple):
    """What the state holds for one array beside where it started."""

    max_dist: Any
    grad_sum_of_squares: Any


def _first_distances(
    params: Any, reps_rel: Any, param_dtype: Any
) -> ScaleByDistanceOverGradientsState:
    def copy(p: Any) -> jax.Array:
        dtype = jnp.dtype(param_dtype)
        if jnp.iscomplexobj(p):
            if dtype.itemsize < 4:
                raise InvalidType(
                    f"complex parameters do not fit param_dtype {dtype}; choose float32 or float64"
                )
            dtype = jnp.promote_types(dtype, jnp.complex64)
        return jnp.array(p, dtype)

    def start(p: Any) -> _Trip:
        distance = reps_rel * (1 + trees.global_norm(p))
        distance = distance.astype(trees.compute_dtype(p))
        return _Trip(distance, jnp.zeros_like(distance))

    distances, squares = subtrees.unpack(_Trip, jax.tree.map(start, params))
    return ScaleByDistanceOverGradientsState(distances, squares, jax.tree.map(copy, params))


@transformation(init=_first_distances)
def scale_by_distance_over_gradients(
    updates: Any,
    state: ScaleByDistanceOverGradientsState,
    params: Any,
    reps_rel: Positive = 1e-6,
    eps: NonNegative = 1e-8,
    param_dtype: Any = jnp.float32,
    global_scale: Real = 1.0,
) -> tuple[Any, ScaleByDistanceOverGradientsState]:
    """Multiply each array by its largest distance over the root of its sum of squares: LDoG.

    ``max_dist = max(max_dist, ||params - init_params||)``, which starts at
    ``reps_rel * (1 + ||init_params||)``, ``s = s + ||g||**2``, then
    ``u = global_scale * g * max_dist / sqrt(s + eps)``, and 0 where ``s`` is 0.

    ``update`` needs ``params``, and ``init`` those from which the run starts. Best followed by
    an average of the parameters.

    Args:
      reps_rel: first distance relative to the parameters' norm.
      eps: added under the root.
      param_dtype: dtype in which the first parameters are kept.
      global_scale: factor of all steps; a descent step is negative.

    State:
      max_dist: the largest distance so far, a scalar for each array.
      grad_sum_of_squares: the sum of the updates' squared norms, a scalar for each array.
      init_params: the parameters at the start, of their shapes.

    Reference:
      Ivgi et al., DoG is SGD's best friend (https://arxiv.org/abs/2302.12022), for each
      layer. Optax keeps arrays of one element where we keep scalars, and so
      makes an array of the update of a scalar.

    >>> init, update = scale_by_distance_over_gradients(reps_rel=0.5, eps=0.0)
    >>> params = jnp.array([0.0, 3.0])
    >>> update(jnp.array([3.0, 4.0]), init(params), params)[0]
    Array([1.2, 1.6], dtype=float32)
    """

    def leaf(g: Any, trip: _Trip, start: Any, p: Any) -> tuple:
        distance = jnp.maximum(trip.max_dist, trees.global_norm(p - start))
        squares = trip.grad_sum_of_squares + jnp.sum(trees.abs_sq(g))
        root = trees.sqrt(jnp.where(squares > 0, squares + eps, 1))
        u = g * (global_scale * distance / root)
        return u, _Trip(distance, squares)

    trips = subtrees.pack(_Trip, state.max_dist, state.grad_sum_of_squares)
    updates, trips = trees.map_leaves(leaf, updates, trips, given=(state.init_params, params))
    distances, squares = subtrees.unpack(_Trip, trips)
    return updates, ScaleByDistanceOverGradientsState(distances, squares, state.init_params)
