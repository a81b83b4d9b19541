"""What several trained models make together: averages of predictions, averages of weights."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gdjax import trees
from gdjax.binding import Bound
from gdjax.errors import InvalidType, InvalidValue, nearest, shown


class Top(NamedTuple):
    """The best trials, trained again."""

    trials: np.ndarray  # int[k], best first
    params: Any  # leaves [k, seed, ...]


def ensemble(params: Any, predict: Callable[[Any, Any], Any]) -> Bound:
    """A function of inputs: the mean of all members' predictions.

    Args:
      params: leaves ``[member, seed, ...]``.
      predict: ``predict(params, inputs) -> predictions``.
    """
    members = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), params)
    predict = predict if isinstance(predict, Bound) else Bound(predict)
    return Bound(_mean_prediction, {"members": members, "predict": predict})


def uniform_soup(params: Any) -> Any:
    """The mean over members of weights, ``[member, seed, ...]``, seed by seed."""
    return _mean(params)


@jax.jit
def greedy_soup(params: Any, cost: Callable[[Any], jax.Array]) -> Any:
    """Of each seed the mean of those members that make it no worse, asked from the best on.

    Args:
      params: leaves ``[member, seed, ...]``, the best member first: it is in any case.
      cost: a pytree, of parameters; less is better.
    """

    def of_one_seed(members: Any) -> Any:
        first = jax.tree.map(lambda x: trees.widen(x[0]), members)

        def ask(carry: tuple, member: Any) -> tuple[tuple, None]:
            total, count, least = carry
            more = jax.tree.map(jnp.add, total, trees.widen(member))
            value = cost(_divided(more, count + 1, member))
            taken = (more, count + 1, value)
            return jax.tree.map(lambda x, y: jnp.where(value <= least, x, y), taken, carry), None

        carry = (first, jnp.ones(()), cost(jax.tree.map(lambda x: x[0], members)))
        rest = jax.tree.map(lambda x: x[1:], members)
        (total, count, _), _ = jax.lax.scan(ask, carry, rest)
        return _divided(total, count, jax.tree.map(lambda x: x[0], members))

    return jax.vmap(of_one_seed, in_axes=1)(params)


def cost_of(evaluate: Callable[[Any], dict[str, Any]], by: str, mode: str) -> Bound:
    """One of the metrics of parameters, as a number of which less is better."""
    evaluate = evaluate if isinstance(evaluate, Bound) else Bound(evaluate)
    return Bound(_cost, {"evaluate": evaluate}, {"by": by, "sign": -1 if mode == "max" else 1})


def _cost(params: Any, evaluate: Any, by: str, sign: int) -> jax.Array:
    metrics = evaluate(params)
    if not isinstance(metrics, dict) or by not in metrics:
        known = nearest(by, metrics) if isinstance(metrics, dict) else f"got {shown(metrics)}"
        raise InvalidValue(f"evaluate must return a dict with the metric {by!r}; {known}")
    return sign * metrics[by]


@jax.jit
def _mean_prediction(inputs: Any, members: Any, predict: Any) -> Any:
    predictions = jax.vmap(predict, in_axes=(0, None))(members, inputs)
    for leaf in jax.tree.leaves(predictions):
        if not jnp.issubdtype(leaf.dtype, jnp.inexact):
            raise InvalidType(
                f"predict must return what can be averaged, such as probabilities, got {leaf.dtype}"
            )
    return _mean(predictions)


def _mean(tree: Any) -> Any:
    """Over the leading axis; JAX sums narrow numbers in float32."""
    return jax.tree.map(lambda x: jnp.mean(x, axis=0), tree)


def _divided(total: Any, count: jax.Array, like: Any) -> Any:
    return jax.tree.map(lambda x, y: (x / count).astype(y.dtype), total, like)
