"""Looking inside optimizers and tasks: hyperparameters by name, and the same with other values."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.tree_util import DictKey, GetAttrKey, SequenceKey

from gdjax import binding
from gdjax.binding import Bound, ChildKey, is_schedule
from gdjax.errors import InvalidType, InvalidValue, nearest, shown
from gdjax.ranges import interval_of
from gdjax.task import Task
from gdjax.transformation import GradientTransformation, ScheduledState, Update

_LINKS = ChildKey("", "links")  # of a chain, whose state is that of its links
# Of a pair; the last is that of a rule with a schedule.
_HALVES = (GetAttrKey("init"), GetAttrKey("update"), ChildKey("", "init"))


Inspected = TypeVar("Inspected", GradientTransformation, Task)


def hyperparameters(optimizer: GradientTransformation | Task, state: Any = None) -> dict[str, Any]:
    """Dotted names and values of all hyperparameters.

    The name is the rule's and the argument's; names in a ``named_chain`` stand before it, and
    so does the position in the chain where a rule stands there twice (``"0.clip.max_delta"``).
    Those of a task are the numbers in its functions; arrays there are its data. Their names tell
    the whole way (``"loss.dropout"``).

    Args:
      optimizer: a transformation, or a task.
      state: its state; with it, schedules are evaluated at the state's step, without it they
        are returned as they are.

    Raises:
      InvalidType: the optimizer is not gdjax's.
      InvalidValue: the state is not one of this optimizer's.

    >>> import gdjax
    >>> hyperparameters(gdjax.sgd(0.5))
    {'scale_by_learning_rate.learning_rate': np.float32(0.5)}
    """
    _check_kind(optimizer)
    if isinstance(optimizer, Task):
        return {name: value for name, _, value in _named(optimizer) if _is_number(value)}
    found = _named(optimizer.update, is_leaf=is_schedule)
    if state is None:
        return {name: value for name, _, value in found}
    counts = dict(_counts(state))
    values = {}
    for name, path, value in found:
        if is_schedule(value):
            if _position(path) not in counts:
                raise InvalidValue(
                    f"the state holds no step count for the schedule {name}; pass the state that "
                    "this optimizer's init or update returned"
                )
            value = jnp.asarray(value(counts[_position(path)]))
        values[name] = value
    return values


def replace(optimizer: Inspected, /, **changes: Any) -> Inspected:
    """A new optimizer, or task, of equal structure with other values.

    Args:
      optimizer: a transformation, or a task.
      **changes: new values by name: a dotted one from :func:`hyperparameters`
        (``**{"scale_by_adam.b1": 0.8}``), or its end where only one ends so
        (``learning_rate=3e-4``). The constants of a schedule are named below it
        (``**{"learning_rate.init_value": 1.0}``).

    Raises:
      InvalidType: the optimizer is not gdjax's, or a value is not a number or array.
      InvalidValue: an unknown or ambiguous name, a value out of range, of another shape, or one
        that the dtype cannot hold.

    >>> import gdjax
    >>> gdjax.replace(gdjax.sgd(0.1), learning_rate=0.2)
    chain(identity(), scale_by_learning_rate(learning_rate=0.2))
    """
    _check_kind(optimizer)
    in_task = isinstance(optimizer, Task)
    listed = hyperparameters(optimizer) if in_task else [n for n, _, _ in _named(optimizer.update)]
    names = list(dict.fromkeys(listed))
    new = {resolve(key, names): (key, value) for key, value in changes.items()}
    if len(new) < len(changes):
        raise InvalidValue(f"two of {', '.join(changes)} name one hyperparameter; leave one out")

    def changed(part: Any) -> Any:
        leaves = [
            like(*new[name], value) if name in new else value for name, _, value in _named(part)
        ]
        return jax.tree.structure(part).unflatten(leaves)

    parts: Any = optimizer
    result = changed(parts) if in_task else parts._make(map(changed, parts))
    check(result)
    return result


def put(task: Task, numbers: Mapping[str, Any]) -> Task:
    """The task with these in the place of its own, by dotted name, as they are.

    Of any shape: with leaves ``[trial]`` it is a batch of tasks as far as those go.
    """
    leaves = [numbers.get(name, value) for name, _, value in _named(task)]
    return jax.tree.structure(task).unflatten(leaves)


def check(tree: Any) -> None:
    """Hold every concrete hyperparameter in ``tree`` to its range: what vmap could not check."""
    for bound in bounds(tree):
        for name, value in bound.leaves.items():
            if interval := interval_of(bound.function, name):
                binding.check_range(f"{bound.name}: {name}", value, interval)


def rules(optimizer: Any) -> Iterator[Update]:
    """Every rule of gdjax in an optimizer that gets all arrays, in its order.

    Only those whose hyperparameters are numbers, not schedules.
    """
    for bound in bounds(getattr(optimizer, "update", None), closed="masked"):
        if isinstance(bound, Update) and not bound.scheduled:
            yield bound


def bounds(tree: Any, closed: str = "") -> Iterator[Bound]:
    """Every ``Bound`` in ``tree``, outer ones first; none inside of one that is ``closed``."""
    for leaf in jax.tree.leaves(tree, is_leaf=binding.is_bound):
        if binding.is_bound(leaf):
            yield leaf
            yield from bounds(leaf.leaves, closed) if leaf.name != closed else ()


def _check_kind(optimizer: Any) -> None:
    if not isinstance(optimizer, (GradientTransformation, Task)):
        raise InvalidType(
            f"expected one of gdjax's transformations, whose hyperparameters are leaves, or a "
            f"gdjax.Task, got {optimizer!r}"
        )


def _is_number(x: Any) -> bool:
    """Whether a leaf is a number, which an array and a PRNG key are not."""
    dtype = getattr(x, "dtype", type(x))
    return getattr(x, "shape", ()) == () and jnp.issubdtype(dtype, jnp.number)


def _named(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> list[tuple[str, tuple, Any]]:
    """Name, key path and value of each leaf of one half of a pair, or of a task."""
    flat = jax.tree_util.tree_flatten_with_path(tree, is_leaf=is_leaf)[0]
    if isinstance(tree, Task):
        return [(_way(path), path, value) for path, value in flat]
    # What holds both halves of a pair has each hyperparameter twice; it is still one.
    splits = [_split(path) for path, _ in flat]
    paths = [(*(key for key in outer if key not in _HALVES), *inner) for outer, inner in splits]
    # The constants of a schedule count as what the schedule stands for, as a number would.
    arguments = {path: _argument(path) for path in paths}
    times = Counter(_dotted(argument) for argument in set(arguments.values()))
    return [
        (_dotted(path, positions=times[_dotted(arguments[path])] > 1), path, value)
        for path, (_, value) in zip(paths, flat, strict=True)
    ]


def _way(path: tuple) -> str:
    """The whole way to a task's leaf; one of an optimizer in it has one name for both halves."""
    function, *inside = path
    kept, half = [function], False
    for key in inside:
        half = key in _HALVES[:2] or (half and key == _HALVES[2])
        kept += [] if half else [key]
    return ".".join(str(_entry(key)) for key in kept)


def _dotted(path: tuple, positions: bool = False) -> str:
    """A rule's label and what follows it; before it, where it stands: in dicts, or everywhere."""
    outer, inner = _split(path)
    kinds = (DictKey, SequenceKey, ChildKey) if positions else DictKey
    entries = [_entry(key) for key in outer if isinstance(key, kinds) and key != _LINKS]
    label = [key.label for key in inner[:1] if isinstance(key, ChildKey) and key.label]
    return ".".join(map(str, entries + label + [_entry(key) for key in inner]))


def _split(path: tuple) -> tuple[tuple, tuple]:
    """The way to a rule, and the way inside it: the last labelled key begins the second."""
    labelled = [i for i, key in enumerate(path) if isinstance(key, ChildKey) and key.label]
    last = labelled[-1] if labelled else len(path)
    return path[:last], path[last:]


def _argument(path: tuple) -> tuple:
    """The way to the rule's argument in which a leaf is."""
    outer, inner = _split(path)
    return (*outer, *inner[:1])


def _entry(key: Any) -> Any:
    """The name, dict key or index that a key-path entry stands for."""
    names = (getattr(key, attribute, None) for attribute in ("name", "key", "idx"))
    return next((name for name in names if name is not None), key)


def _position(path: tuple) -> tuple:
    """Where in its chains and combinators a rule stands: the same for its update and its state.

    A combinator's argument that is a transformation (or a tree of them) and the field of its
    state for it count alike, whatever they are called.
    """
    return tuple(
        _entry(key) if isinstance(key, (SequenceKey, DictKey)) else "inner"
        for key in _split(path)[0]
        if key != _LINKS
    )


def _counts(state: Any, outer: tuple = ()) -> Iterator[tuple[tuple, jax.Array]]:
    """Position and step count of each rule that has a schedule."""
    flat = jax.tree_util.tree_flatten_with_path(
        state, is_leaf=lambda x: isinstance(x, ScheduledState)
    )[0]
    for path, node in flat:
        if isinstance(node, ScheduledState):
            position = outer + _position(path)
            yield position, node.count
            yield from _counts(node.inner_state, position)


def resolve(key: str, names: Collection[str]) -> str:
    """The one of the dotted ``names`` that is ``key`` or ends in it."""
    matches = [name for name in names if name == key or name.endswith(f".{key}")]
    if key in names:
        return key
    if not matches:
        raise InvalidValue(f"no hyperparameter {key!r}: {nearest(key, names)}")
    if len(matches) > 1:
        raise InvalidValue(f"{key!r} is ambiguous, write one of: {', '.join(matches)}")
    return matches[0]


def like(name: str, value: Any, old: Any) -> Any:
    """``value`` in the shape and dtype of ``old``, so that the structure stays equal."""
    if is_schedule(value) or not binding.is_numeric(value):
        raise InvalidType(
            f"{name}: expected a number or an array, got {value!r}; make a new optimizer where "
            "its structure differs"
        )
    dtype = jnp.result_type(old)
    if not isinstance(value, Tracer):
        _check_held(name, value, dtype)
    if jnp.shape(value) not in ((), jnp.shape(old)):
        raise InvalidValue(
            f"{name}: expected a number or an array of shape {jnp.shape(old)}, got shape "
            f"{jnp.shape(value)}; stack optimizers with jax.vmap to get an axis more"
        )
    if isinstance(value, jax.Array):
        return jnp.broadcast_to(value, jnp.shape(old)).astype(dtype)
    return np.broadcast_to(np.asarray(value, dtype), jnp.shape(old))[()]


def _check_held(name: str, value: Any, dtype: Any) -> None:
    """Raise where a concrete value cannot be one of ``dtype``, apart from rounding."""
    if jnp.issubdtype(dtype, jnp.integer):
        values, limits, kind = np.ravel(value), jnp.iinfo(dtype), "a whole number"
        held = (values % 1 == 0) & (values >= limits.min) & (values <= limits.max)
    elif jnp.issubdtype(dtype, jnp.floating):
        values, largest, kind = np.ravel(value), float(jnp.finfo(dtype).max), "a number"
        held = ~((abs(values) > largest) & (abs(values) != np.inf))
    else:
        return
    for bad in values[~held][:1].tolist():
        raise InvalidValue(
            f"{name} must be {kind} that {dtype} holds, as it is bound, got {shown(bad)}"
        )
