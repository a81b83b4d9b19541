"""State made by Optax's counterpart of an optimizer, as this library's optimizer takes it."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from gdjax import trees
from gdjax.errors import InvalidType, InvalidValue
from gdjax.subtrees import is_masked
from gdjax.transformation import GradientTransformation, ScheduledState


def from_optax_state(
    optimizer: GradientTransformation, state: Any, params: Any, **extra: Any
) -> Any:
    """The state of an optimizer of gdjax from that of Optax's counterpart, to train on from it.

    Fields of one name are taken over, in the dtypes that ``optimizer.init(params)`` gives them.
    What debiases an average is the sum of its weights here, where Optax computes it from the step
    count: those sums are made by that many steps of ``optimizer`` itself, on zeros, from the
    hyperparameters and schedules that it has. Where Optax keeps no count it does not debias, and
    the sum is 1.

    Args:
      optimizer: one of gdjax's, with the hyperparameters that Optax's had.
      state: the state of Optax's; mappings stand for its named tuples, as after a restore.
      params: the parameters that are trained.
      **extra: what ``optimizer.update`` needs at every step besides.

    Raises:
      InvalidType: the optimizer is not gdjax's.
      InvalidValue: the states do not correspond; the message names the field and shows both.

    >>> import gdjax
    >>> import optax
    >>> params = jnp.ones(2)
    >>> _, state = optax.adam(0.1, 0.75).update(params, optax.adam(0.1, 0.75).init(params))
    >>> from_optax_state(gdjax.adam(0.1, 0.75), state, params)[0].mu_weight
    Array(0.25, dtype=float32)
    """
    if not isinstance(optimizer, GradientTransformation):
        raise InvalidType(f"from_optax_state takes an optimizer of gdjax, got {optimizer!r}")
    template = optimizer.init(params)
    try:
        fitted = _fit(template, state, "state", None)
    except _Unfit as error:
        raise InvalidValue(
            f"{error}; pass the state of the counterpart in Optax of {optimizer!r}"
            f"\n  gdjax: {jax.tree.structure(template)}\n  Optax: {jax.tree.structure(state)}"
        ) from None
    leaves, treedef = jax.tree.flatten(fitted)
    made = {i: leaf for i, leaf in enumerate(leaves) if isinstance(leaf, _Steps)}
    values = _after_steps(optimizer, template, params, made, extra)
    return treedef.unflatten(values.get(i, leaf) for i, leaf in enumerate(leaves))


class _Unfit(Exception):
    """What does not correspond."""


@dataclasses.dataclass(frozen=True)
class _Steps:
    """Stands for a leaf of the state as so many steps on zeros make it."""

    count: Any  # int32[]
    is_count: bool = False  # then it must come out as ``count``


def _after_steps(
    optimizer: GradientTransformation,
    template: Any,
    params: Any,
    made: Mapping[int, _Steps],
    extra: Mapping[str, Any],
) -> dict[int, Any]:
    """Some leaves of the state, by their position, each after its own number of steps."""
    if not made:
        return {}
    zeros = trees.zeros_like(params)

    def step(i: Any, carry: tuple) -> tuple:
        state, kept = carry
        _, state = optimizer.update(zeros, state, params, **extra)
        new = jax.tree.leaves(state)
        return state, {k: jnp.where(i < made[k].count, new[k], old) for k, old in kept.items()}

    steps = functools.reduce(jnp.maximum, [x.count for x in made.values()])
    start = jax.tree.leaves(template)
    kept = jax.lax.fori_loop(0, steps, step, (template, {k: start[k] for k in made}))[1]
    for k, value in kept.items():
        concrete = not isinstance(value, Tracer) and not isinstance(made[k].count, Tracer)
        if made[k].is_count and concrete and np.any(value != made[k].count):
            raise InvalidValue(
                f"after {steps} steps of {optimizer!r} a part of it has made {value} and not "
                f"{made[k].count}, so the weights of its averages are unknown; convert the state "
                "of that part alone"
            )
    return kept


def _fit(ours: Any, theirs: Any, path: str, outer: Any) -> Any:
    """``theirs`` in the structure of ``ours``; ``outer`` is the count of what is around it."""
    fields = _fields(theirs)
    if "hyperparams" in fields and "inner_state" in fields:  # of inject_hyperparams
        return _fit(ours, fields["inner_state"], path, fields.get("count"))
    if isinstance(ours, ScheduledState):
        count = _count(fields, outer)
        if count is None:
            raise _Unfit(f"{path} holds no step count, from which a schedule could go on")
        inner = _fit(ours.inner_state, fields.get("inner_state", theirs), path, outer)
        return ScheduledState(jnp.asarray(count, jnp.int32), inner)
    if not jax.tree.leaves(ours):
        if not all(map(_is_count, jax.tree.leaves(theirs))):
            raise _Unfit(f"{path} must hold nothing, got {_described(theirs)}")
        return ours
    if type(ours) is tuple:
        return _fit_links(ours, theirs, path, outer)
    if hasattr(ours, "_fields"):
        return _fit_fields(ours, fields, path, outer)
    if isinstance(ours, dict) and isinstance(theirs, Mapping) and ours.keys() == theirs.keys():
        parts = {k: _fit(v, theirs[k], f"{path}[{k!r}]", outer) for k, v in ours.items()}
        return type(ours)(parts)
    theirs = jax.tree.map(_raw, theirs)
    same = jax.tree.structure(ours) == jax.tree.structure(theirs)
    if not same or jax.tree.map(jnp.shape, ours) != jax.tree.map(jnp.shape, theirs):
        raise _Unfit(f"{path} must be {_described(ours)}, got {_described(theirs)}")
    return jax.tree.map(lambda x, y: jnp.asarray(y, jnp.result_type(x)), ours, theirs)


def _fit_links(ours: tuple, theirs: Any, path: str, outer: Any) -> tuple:
    """A chain; where the numbers of links differ, by those that hold something."""
    links = _links_of_muon(theirs) or (list(theirs) if type(theirs) in (tuple, list) else [theirs])
    places = list(range(len(ours)))
    if len(links) != len(ours):
        places = [i for i in places if jax.tree.leaves(ours[i])]
        links = [link for link in links if jax.tree.leaves(link)]
    if len(links) > len(places):  # what counts for a schedule that stands elsewhere here
        links = [link for link in links if not all(map(_is_count, jax.tree.leaves(link)))]
    if len(links) != len(places):
        raise _Unfit(f"{path} must hold {len(places)} states of links, got {len(links)}")
    fitted = list(ours)
    for i, link in zip(places, links, strict=True):
        fitted[i] = _fit(ours[i], link, f"{path}[{i}]", outer)
    return tuple(fitted)


def _links_of_muon(theirs: Any) -> list:
    """Optax's ``muon`` with its two chains, of matrices and of others, as one; [] if it is not."""
    parts = _fields(_fields(theirs).get("inner_states"))
    if parts.keys() != {"muon", "adam"}:
        return []
    matrices, others = (list(_fields(parts[k])["inner_state"]) for k in ("muon", "adam"))
    if "ns_coeffs" not in _fields(matrices[0]):
        return []
    adam = _fields(others[0])

    def merged(matrix: Any, other: Any) -> Any:
        return other if is_masked(matrix) else matrix

    mu = jax.tree.map(merged, _fields(matrices[0])["mu"], adam["mu"], is_leaf=is_masked)
    nu = jax.tree.map(lambda v: () if is_masked(v) else v, adam["nu"], is_leaf=is_masked)
    return [{"count": adam["count"], "mu": mu, "nu": nu}, *matrices[1:]]


def _fit_fields(ours: Any, fields: dict[str, Any], path: str, outer: Any) -> Any:
    """A named tuple, field by field."""
    kind, count = type(ours).__name__, _count(fields, None)
    for name in fields.keys() - ours._asdict().keys():
        if not all(map(_is_count, jax.tree.leaves(fields[name]))):
            raise _Unfit(f"{path} has a field {name!r} for which {kind} has no place")
    sums = {k for k in ours._fields if k.endswith("weight") and k not in fields}

    def value(name: str, own: Any) -> Any:
        if name in sums:
            made = jnp.ones_like(own) if count is None else _Steps(count)
            return jax.tree.map(lambda _: made, own)
        if name == "count" and sums and count is not None:
            return _Steps(count, is_count=True)
        if name == "count" and name not in fields and outer is not None:
            return outer
        if name not in fields:
            raise _Unfit(f"{path} has no field {name!r}, which {kind} needs")
        return _fit(own, fields[name], f"{path}.{name}", outer)

    return type(ours)(**{name: value(name, own) for name, own in ours._asdict().items()})


def _fields(x: Any) -> dict[str, Any]:
    return dict(x) if isinstance(x, Mapping) else x._asdict() if hasattr(x, "_fields") else {}


def _raw(x: Any) -> Any:
    """The data of a PRNG key, as the state of a rule that was given a seed holds them."""
    if isinstance(x, jax.Array) and jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
        return jax.random.key_data(x)
    return x


def _count(fields: Mapping[str, Any], outer: Any) -> Any:
    """The step count among some fields: the one of that name, or the only whole number."""
    if "step_count" in fields:  # of schedule_free, which starts at 1
        return fields["step_count"] - 1
    whole = [x for x in fields.values() if _is_count(x)]
    return fields.get("count", whole[0] if len(whole) == 1 else outer)


def _is_count(x: Any) -> bool:
    array = isinstance(x, (int, np.integer, np.ndarray, jax.Array)) and jnp.ndim(x) == 0
    return array and jnp.issubdtype(jnp.result_type(x), jnp.integer)


def _described(tree: Any) -> str:
    return str(jax.tree.map(lambda x: f"{jnp.result_type(x)}{list(jnp.shape(x))}", tree))
