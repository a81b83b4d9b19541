"""How large gradients, updates and parameters are, by layer, and where they point."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from gdjax import inspection, trees
from gdjax.monitoring import Monitor, Step

CLIPS = frozenset(
    {"adaptive_grad_clip", "clip", "clip_by_block_rms", "clip_by_global_norm", "clip_by_unit_norm"}
)
"""Rules that bound a gradient and remember nothing."""


def norms() -> Monitor:
    """A monitor of norms, directions and what is not finite; it reads each array once.

    With ``p`` the parameters before the update, ``p0`` those before the first, ``g`` the gradient,
    ``g'`` the one before it, ``u`` the update:

    - ``gradient_norm``: ``||g||``;
    - ``update_ratio``: ``||u|| / ||p||``, of which about 1e-3 is usual;
    - ``gradient_cosine``: ``g . g' / (||g|| ||g'||)``, which overshooting turns towards -1;
    - ``distance``: ``||p - p0||``;
    - ``bad_gradients``: arrays of the gradient whose norm is not finite;
    - ``clipped``: share of the gradient's numbers that the optimizer's clipping (by value, by
      norm or adaptive) changes, as if it came first; only where there is some, for all arrays
      and without a schedule.

    Where the parameters have several layers the first two are measured of each as well, as in
    ``gradient_norm.0``: a layer is what stands together in the tree, such as weights and bias.

    >>> import gdjax
    >>> task = gdjax.Task(
    ...     init=lambda key: jnp.array([3.0, 4.0]),
    ...     loss=lambda params, batch, key: jnp.sum(params**2) / 2,
    ...     batch=lambda key, step: None,
    ... ).with_monitors(norms())
    >>> seen = gdjax.train(task, gdjax.sgd(1.5), steps=2, key=0, segment=1).evaluations
    >>> {name: values.tolist() for name, values in seen.items() if name != "bad_gradients"}
    {'distance': [0.0, 7.5], 'gradient_cosine': [0.0, -1.0], 'gradient_norm': [5.0, 2.5],
     'update_ratio': [1.5, 1.5]}
    """
    return Monitor(_measure, trees.widen)


def layer_names(params: Any) -> list[str]:
    """For each array the name of its layer: of the node that holds it in the tree.

    >>> layer_names([{"b": 0.0, "w": 0.0}, {"b": 0.0, "w": 0.0}])
    ['0', '0', '1', '1']
    """
    paths = [path for path, _ in jax.tree_util.tree_leaves_with_path(params)]
    return [
        jax.tree_util.keystr(path[:-1] or path, simple=True, separator=".").replace("/", ".")
        for path in paths
    ]


def _measure(step: Step, start: Any) -> tuple[dict[str, Any], Any]:
    wide = map(trees.widen, (step.params, start, step.gradient, step.last_gradient, step.updates))
    arrays = list(map(_sums, *map(jax.tree.leaves, wide)))
    layers: dict[str, list[_Sums]] = {}
    for name, sums in zip(layer_names(step.params), arrays, strict=True):
        layers.setdefault(name, []).append(sums)
    whole = _add(arrays)
    measured = {
        "gradient_norm": trees.sqrt(whole.gradient),
        "update_ratio": _ratio(whole.update, whole.params),
        "gradient_cosine": whole.product * _inverse(whole.gradient) * _inverse(whole.last),
        "distance": trees.sqrt(whole.moved),
        "bad_gradients": jnp.asarray(
            sum(~jnp.isfinite(sums.gradient) for sums in arrays), jnp.int32
        ),
    }
    for name, parts in layers.items() if len(layers) > 1 else ():
        layer = _add(parts)
        measured[f"gradient_norm.{name}"] = trees.sqrt(layer.gradient)
        measured[f"update_ratio.{name}"] = _ratio(layer.update, layer.params)
    return measured | _clipped(step), start


class _Sums(NamedTuple):
    """Over all numbers of an array, or of several."""

    params: jax.Array  # of squares
    moved: jax.Array  # of squares, since the start
    gradient: jax.Array  # of squares
    last: jax.Array  # of squares
    product: jax.Array  # of the gradient and the last one
    update: jax.Array  # of squares


def _sums(params: Any, start: Any, gradient: Any, last: Any, update: Any) -> _Sums:
    squares = map(trees.abs_sq, (params, params - start, gradient, last, update))
    p, moved, g, before, u = squares
    numbers = _Sums(p, moved, g, before, jnp.real(jnp.conj(last) * gradient), u)
    zeros = tuple(jnp.zeros((), x.dtype) for x in numbers)
    # In one loop, which reads each array once; by rows, which processors share.
    rows = jax.lax.reduce(
        tuple(numbers),
        zeros,
        lambda a, b: tuple(map(jnp.add, a, b)),
        tuple(range(max(p.ndim - 1, 0), p.ndim)),
    )
    return _Sums(*map(jnp.sum, rows))


def _add(parts: Sequence[_Sums]) -> _Sums:
    none = _Sums(*[jnp.zeros(())] * 6)
    return _Sums(*(jnp.stack(column).sum() for column in zip(*(parts or [none]), strict=True)))


def _ratio(above: jax.Array, below: jax.Array) -> jax.Array:
    """Of two norms, from their squares; 0 where that below is."""
    return trees.sqrt(above) * _inverse(below)


def _inverse(square: jax.Array) -> jax.Array:
    """``1 / sqrt(square)``; 0 for 0."""
    return jnp.where(square == 0, 0, jax.lax.rsqrt(square))


def _clipped(step: Step) -> dict[str, jax.Array]:
    """The share of the gradient's numbers that the optimizer's clipping changes."""
    clips = [rule for rule in inspection.rules(step.optimizer) if rule.name in CLIPS]
    if not clips:
        return {}
    clipped = step.gradient
    for rule in clips:
        clipped, _ = rule(clipped, optax.EmptyState(), step.params)
    pairs = list(zip(*map(jax.tree.leaves, (step.gradient, clipped)), strict=True))
    changed = sum(jnp.sum(x != y) for x, y in pairs)
    return {"clipped": jnp.asarray(changed / max(sum(x.size for x, _ in pairs), 1))}
