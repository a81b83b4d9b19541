"""A pure function with its hyperparameters bound as pytree leaves.

``Bound`` is what makes an optimizer data: the function and its structural arguments are the
tree's structure, the numeric arguments its leaves. Two bindings of one function therefore have
equal structures; they stack, and they share one compiled program.
"""

import functools
import inspect
from collections.abc import Callable, Hashable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from gdjax.errors import InvalidType, InvalidValue
from gdjax.ranges import Interval, choices_of, interval_of, is_structure

_signature = functools.lru_cache(maxsize=1024)(inspect.signature)


class ChildKey(NamedTuple):
    """Key-path entry of a bound value: the label of its owner, where it has one, and its name."""

    label: str
    name: str

    def __str__(self) -> str:
        return f".{self.label}.{self.name}" if self.label else f".{self.name}"


class Frozen(NamedTuple):
    """An unhashable structural value (a mask, say) taken apart into hashable pieces."""

    leaves: tuple[Hashable, ...]
    treedef: Any

    def thaw(self) -> Any:
        """The value again."""
        return self.treedef.unflatten(self.leaves)


@jax.tree_util.register_pytree_with_keys_class
class Bound:
    """A function with bound arguments: numbers as leaves, everything else as structure.

    Args:
      function: a pure function, of a module rather than made on the fly: its identity is part
        of the tree's structure.
      leaves: arguments by name whose leaves are numbers, arrays, keys or further ``Bound``.
      structure: hashable arguments by name.
      label: name under which :func:`gdjax.hyperparameters` lists the leaves; a rule's own.
    """

    __slots__ = ("__weakref__", "function", "label", "leaves", "structure")

    def __init__(
        self,
        function: Callable[..., Any],
        leaves: Mapping[str, Any] | None = None,
        structure: Mapping[str, Hashable] | None = None,
        label: str = "",
    ):
        self.function = function
        self.label = label
        self.leaves = dict(leaves or {})
        self.structure = dict(structure or {})

    @property
    def name(self) -> str:
        """The bound function's name."""
        return getattr(self.function, "__name__", type(self.function).__name__).lstrip("_")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function with the bound arguments beside those given."""
        return self.function(*args, **self.arguments(), **kwargs)

    def arguments(self) -> dict[str, Any]:
        """All bound arguments, leaves first, structural ones as they were passed."""
        thawed = {k: v.thaw() if isinstance(v, Frozen) else v for k, v in self.structure.items()}
        return {**self.leaves, **thawed}

    def tree_flatten(self) -> tuple:
        """Children and the structure."""
        aux = (self.function, tuple(self.leaves), tuple(self.structure.items()), self.label)
        return tuple(self.leaves.values()), aux

    def tree_flatten_with_keys(self) -> tuple:
        """Children with their keys, and the structure."""
        children, aux = self.tree_flatten()
        keys = (ChildKey(self.label, name) for name in self.leaves)
        return tuple(zip(keys, children, strict=True)), aux

    @classmethod
    def tree_unflatten(cls, aux: tuple, children: tuple) -> "Bound":
        """The inverse of flattening."""
        function, names, structure, label = aux
        return cls(function, dict(zip(names, children, strict=True)), dict(structure), label)

    def __repr__(self) -> str:
        """Like the call that makes it; structural arguments at their defaults are left out."""
        parameters = _signature(self.function).parameters
        shown = [f"{name}={_show(value)}" for name, value in self.leaves.items()]
        for name, value in self.structure.items():
            default = parameters[name].default if name in parameters else inspect.Parameter.empty
            if value is not default:
                shown.append(f"{name}={_show(value)}")
        return f"{self.name}({', '.join(shown)})"


@jax.tree_util.register_pytree_with_keys_class
class Schedule(Bound):
    """A function of the step with its constants bound: it stands where a hyperparameter does."""

    __slots__ = ()

    @classmethod
    def of(cls, function: Callable[[Any], Any]) -> "Schedule":
        """A schedule from any function of the step; without leaves where it is not a pytree."""
        if isinstance(function, Schedule):
            return function
        if isinstance(function, Bound):
            return cls(function.function, function.leaves, function.structure, function.label)
        plain = jax.tree_util.all_leaves([function])
        return cls(function) if plain else cls(_call, {"schedule": as_leaves(function, None)})


def bind(function: Callable[..., Any], /, **hyperparameters: Any) -> Bound:
    """Bind hyperparameters to a pure function: numbers as leaves, the rest as structure.

    Numbers, arrays, schedules, PRNG keys and trees of them become leaves; ``bool``, ``str``,
    ``None``, dtypes and other callables become part of the structure. An annotation such as
    :data:`gdjax.ranges.Decay` gives a range, which concrete values are held to. A whole number
    that shapes depend on is structure where its annotation is :data:`gdjax.ranges.Size`.

    Raises:
      InvalidValue: a value outside its range.
      InvalidType: an argument that the function does not have, or of the wrong kind.

    >>> def loss(params, batch, key, l2):
    ...     return l2 * (params**2).sum()
    >>> bind(loss, l2=0.1)
    loss(l2=0.1)
    """
    name = Bound(function).name
    parameters = _signature(function).parameters
    leaves, structure = {}, {}
    for key in hyperparameters:
        if key not in parameters:
            raise InvalidType(f"{name} has no argument {key!r}; it has {', '.join(parameters)}")
    for key in (key for key in parameters if key in hyperparameters):
        value, default = hyperparameters[key], parameters[key].default
        interval = interval_of(function, key)
        flag = isinstance(default, (bool, str))
        known = interval or (isinstance(default, (int, float)) and not flag)
        if known and callable(value):
            value = Schedule.of(value)
        given = value is not None or default is not None
        size = interval if interval and interval.static and given else None
        if size and isinstance(value, (int, np.integer)) and not isinstance(value, bool):
            check_range(f"{name}: {key}", value, size)
            structure[key] = int(value)
        elif size or (flag and is_numeric(value)):
            kind = "int" if size else type(default).__name__
            raise InvalidType(not_structural(f"{name}: {key}", value, kind))
        elif is_numeric(value) and not is_structure(function, key):
            integer = interval.integer if interval else isinstance(default, int)
            leaves[key] = as_leaves(value, integer if known else None)
            if interval:
                check_range(f"{name}: {key}", leaves[key], interval)
        elif interval and given:
            raise InvalidType(f"{name}: {key} must be {interval} or a schedule, got {value!r}")
        elif isinstance(default, bool) and not isinstance(value, (bool, np.bool_)):
            raise InvalidType(f"{name}: {key} must be True or False, got {value!r}")
        else:
            check_choice(f"{name}: {key}", value, choices_of(function, key))
            structure[key] = as_structure(name, key, value)
    return Bound(function, leaves, structure)


def check_range(what: str, value: Any, interval: Interval) -> None:
    """Raise where a concrete leaf of ``value`` lies outside ``interval``; tracers pass."""
    for leaf in jax.tree.leaves(value, is_leaf=is_bound):
        if is_bound(leaf) or isinstance(leaf, Tracer):
            continue
        if not interval.contains(leaf):
            bad = next(value for value in np.ravel(leaf) if not interval.contains(value))
            raise InvalidValue(f"{what} must be {interval}, got {bad!s}")


def check_choice(what: str, value: Any, choices: tuple) -> None:
    """Raise where there are ``choices`` and a structural ``value`` is none of them."""
    if choices and value not in choices:
        names = ", ".join(map(repr, choices))
        raise InvalidValue(f"{what} must be one of {names}, got {value!r}")


def as_bound(function: Any) -> Any:
    """A plain function as a ``Bound``, which is a pytree; all else as it is."""
    plain = callable(function) and jax.tree_util.all_leaves([function])
    return Bound(function) if plain else function


def is_bound(x: Any) -> bool:
    """Whether ``x`` is a ``Bound``: the usual ``is_leaf``."""
    return isinstance(x, Bound)


def is_schedule(x: Any) -> bool:
    """Whether ``x`` is a schedule."""
    return isinstance(x, Schedule)


def is_numeric(value: Any) -> bool:
    """Whether ``value`` is a number, array, key or binding, or a tree of such."""
    numbers = (int, float, complex, np.ndarray, np.number, jax.Array, Bound)
    leaves = jax.tree.leaves(value, is_leaf=is_bound)
    return bool(leaves) and all(isinstance(x, numbers) and not isinstance(x, bool) for x in leaves)


def not_structural(what: str, value: Any, kind: str) -> str:
    """What an error says of an array where a Python value of some kind must stand."""
    got = f"{what} is structural (it decides what is computed), got {_show(value)}; pass a Python "
    families = "{'a': lambda ...: ..., 'b': lambda ...: ...}"
    return f"{got}{kind}. To compare several in a sweep make each a family: {families}"


def as_leaves(value: Any, integer: bool | None) -> Any:
    """A number or a tree of them as it is bound, whole numbers as ``integer`` says."""
    return jax.tree.map(
        lambda x: x if is_bound(x) else _as_array(x, integer), value, is_leaf=is_bound
    )


def _call(count: Any, schedule: Callable[[Any], Any]) -> Any:
    return schedule(count)


def _as_array(x: Any, integer: bool | None) -> Any:
    """A leaf of explicit dtype: a weakly typed one would compile a second program."""
    if isinstance(x, jax.Array):
        if jnp.issubdtype(x.dtype, jax.dtypes.extended):
            return x
        whole = jnp.issubdtype(x.dtype, jnp.integer)
        return jnp.asarray(x, float if whole and integer is False else x.dtype)
    x = np.asarray(x)
    if x.dtype == object:
        raise InvalidValue(f"a whole number of more than 64 bits cannot be bound, got {x}")
    if x.dtype.kind == "c" or integer is None or (integer and np.any(x != np.floor(x))):
        dtype = x.dtype
    else:
        dtype = np.dtype(int if integer else float)
    dtype = jax.dtypes.canonicalize_dtype(dtype)
    if dtype.kind in "iu" and not _holds(dtype, x):
        # A number of steps may as well be a float. A seed has at most 32 bits.
        dtype = np.dtype(jnp.float32 if integer else jnp.uint32)
        if not integer and not _holds(dtype, x):
            raise InvalidValue(
                f"a whole number of more than 32 bits cannot be bound, got {x}; enable x64, or "
                "pass jax.random.key(...) where it is a seed"
            )
    return x.astype(dtype)[()]


def _holds(dtype: np.dtype, x: np.ndarray) -> bool:
    """Whether whole numbers of ``dtype`` include ``x``."""
    limits = np.iinfo(dtype)
    return not x.size or bool(limits.min <= x.min() and x.max() <= limits.max)


def as_structure(name: str, key: str, value: Any) -> Hashable:
    """A structural argument as it is bound: hashable."""
    try:
        hash(value)
        return value
    except TypeError:
        leaves, treedef = jax.tree.flatten(value)
    try:
        hash(tuple(leaves))
    except TypeError:
        raise InvalidType(
            f"{name}: {key} is neither a number, array or schedule nor hashable: {value!r}; "
            "structural arguments must be hashable or trees of hashable values"
        ) from None
    return Frozen(tuple(leaves), treedef)


def _show(value: Any) -> str:
    if isinstance(value, Tracer):
        return f"a traced {value.aval.str_short()}"
    if isinstance(value, Frozen):
        return repr(value.thaw())
    if isinstance(value, (np.ndarray, np.number, jax.Array)):
        shape = ",".join(map(str, value.shape))
        return f"{value.dtype}[{shape}]" if shape else str(value)
    if type(value) in (tuple, list):
        return f"({', '.join(map(_show, value))})"
    return repr(value)
