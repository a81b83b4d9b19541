"""``lift`` turns an Optax-like factory into one whose numeric arguments are leaves."""

import dataclasses
import functools
import inspect
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from gdjax import binding, factories, tracing, trees
from gdjax.binding import Bound, Schedule, is_schedule
from gdjax.errors import InvalidType, InvalidValue, nearest
from gdjax.transformation import GradientTransformation, Update, as_pair, at_step, with_count

# What Python raises where it asks a traced array for its value; JAX's own errors are among them.
REFUSALS = (TypeError, ValueError, IndexError)


def lift(
    factory: Callable[..., Any], static: str | Iterable[str] = ()
) -> Callable[..., GradientTransformation]:
    """Turn any Optax-like factory into one whose numeric arguments are leaves.

    What it makes calls ``factory`` anew at each ``init`` and ``update``, with its leaves as
    arguments: one program serves all values. Updates leave in the dtype in which they came, and
    the state keeps its dtypes.

    A transformation of gdjax given as an argument keeps its leaves. A schedule is handed on where
    the annotation of the argument allows a callable, as Optax's ``ScalarOrSchedule`` does.
    Elsewhere the factory gets its value at each step, and the state is a ``ScheduledState``.

    Args:
      factory: function of hyperparameters that returns a pair of pure functions, init and update.
      static: names of the arguments on whose value ``factory``, or what it makes, decides in
        Python: sizes, numbers of iterations. They become structure, as all do that are no number.

    Returns:
      A function with the arguments of ``factory`` that returns a transformation.

    Raises:
      InvalidType: ``factory`` is not a function of hyperparameters; and later, where it decides
        in Python on an argument that is a leaf.
      InvalidValue: ``factory`` has no argument of a name in ``static``.

    >>> lift(optax.fromage)(0.5)
    fromage(learning_rate=0.5, min_norm=1e-06)
    """
    try:
        signature = inspect.signature(factory)
    except (TypeError, ValueError):  # it is not callable, or built in
        raise InvalidType(
            "lift takes a function that makes transformations, such as optax.contrib.prodigy, got "
            f"{factory!r}"
        ) from None
    static = (static,) if isinstance(static, str) else tuple(static)
    for name in static:
        if name not in signature.parameters:
            raise InvalidValue(
                f"lift: {_name(factory)} has no argument {name!r} that could be static: "
                f"{nearest(str(name), signature.parameters)}"
            )

    def make(arguments: dict[str, Any]) -> GradientTransformation:
        return _bind(factory, frozenset(static), arguments)

    shown = signature.replace(return_annotation=GradientTransformation)
    return factories.factory(factory, shown, make)


def _bind(
    factory: Callable[..., Any], static: frozenset[str], arguments: dict[str, Any]
) -> GradientTransformation:
    """The pair of a lifted factory and its arguments."""
    name, leaves, structure = _name(factory), {}, {}
    for key, value in arguments.items():
        parameter = inspect.signature(factory).parameters[key]
        flag = isinstance(parameter.default, (bool, str))
        if key in static or flag:
            _check_structural(f"{name}: {key}", value, parameter.default)
        value = value if key in static else _prepared(f"{name}: {key}", value, parameter)
        if key not in static and binding.is_numeric(value):
            leaves[key] = binding.as_leaves(value, None)
        else:
            structure[key] = binding.as_structure(name, key, value)
    update = Update(_Half(factory, "update"), leaves, structure, name)
    _check_factory(update)
    return with_count(Bound(_Half(factory, "init"), leaves, structure, name), update)


@dataclasses.dataclass(frozen=True)
class _Half:
    """The init or the update of what a factory makes, as a pure function of its arguments too.

    Those of one factory are equal, and so are the structures of bindings of them.
    """

    factory: Callable[..., Any]
    half: str  # "init" or "update"

    @property
    def __name__(self) -> str:
        return _name(self.factory)

    @property
    def __signature__(self) -> inspect.Signature:
        """What may be bound; the update takes any extras."""
        parameters = inspect.signature(self.factory).parameters.values()
        bound = [p.replace(kind=p.POSITIONAL_OR_KEYWORD) for p in parameters]
        extra = inspect.Parameter("_extra", inspect.Parameter.VAR_KEYWORD)
        ordered = sorted(bound, key=lambda p: p.default is not p.empty)
        return inspect.Signature([*ordered, extra])

    def __call__(self, /, *args: Any, **given: Any) -> Any:
        names = inspect.signature(self.factory).parameters.keys()
        arguments = {k: v for k, v in given.items() if k in names}
        extra = {k: v for k, v in given.items() if k not in names}
        run = self._init if self.half == "init" else self._update
        try:
            return run(arguments, *args, **extra)
        except REFUSALS as error:
            _explain(self, lambda arguments: run(arguments, *args, **extra), arguments, {}, error)
            raise

    def pair(self, arguments: dict[str, Any]) -> Any:
        """What the factory makes of ``arguments``."""
        signature = inspect.signature(self.factory)
        ordered = OrderedDict((k, arguments[k]) for k in signature.parameters if k in arguments)
        call = inspect.BoundArguments(signature, ordered)
        pair = self.factory(*call.args, **call.kwargs)
        if not (isinstance(pair, tuple) and len(pair) == 2 and all(map(callable, pair))):
            raise InvalidType(
                f"lift: {self.__name__} must return an (init, update) pair, got {pair!r}; lift a "
                "function that does"
            )
        return optax.GradientTransformation(*pair) if type(pair) is tuple else pair

    def _init(self, arguments: dict[str, Any], params: Any) -> Any:
        dtype = trees.compute_dtype(params)
        arguments = jax.tree.map(
            lambda x: jnp.asarray(x, dtype) if _is_real(x) else x,
            arguments,
            is_leaf=binding.is_bound,
        )
        # Strongly typed from the start, as it is after an update.
        return jax.tree.map(lambda x: _like(x, x), self.pair(arguments).init(params))

    def _update(
        self, arguments: dict[str, Any], updates: Any, state: Any, params: Any, **extra: Any
    ) -> tuple:
        pair = self.pair(arguments)
        accepted = inspect.signature(pair.update).parameters
        if not any(p.kind is p.VAR_KEYWORD for p in accepted.values()):
            extra = {k: v for k, v in extra.items() if k in accepted}
        # In one dtype, since what a float32 leaf promotes need not fit the rest of Optax's code.
        wide = jax.tree.map(_widen, (updates, state, params, extra))
        new_updates, new_state = pair.update(*wide[:3], **wide[3])
        return _all_like(new_updates, updates, params), _all_like(new_state, state)


def _name(factory: Any) -> str:
    while isinstance(factory, functools.partial):
        factory = factory.func
    return Bound(factory).name


def _prepared(what: str, value: Any, parameter: inspect.Parameter) -> Any:
    """An argument as it is bound: schedules and transformations as bindings, numbers as floats."""
    nodes = jax.tree.leaves(value, is_leaf=_is_node)
    if any(isinstance(x, GradientTransformation) for x in nodes):
        return jax.tree.map(lambda x: as_pair(what, x), value, is_leaf=_is_node)
    number = isinstance(parameter.default, (int, float)) and not isinstance(parameter.default, bool)
    if any(word in str(parameter.annotation) for word in ("Callable", "Schedule")):
        value = jax.tree.map(_as_function, value, is_leaf=_is_node)
    elif number and callable(value):
        return Schedule.of(value)
    # A Python int where a float may stand would make a second program.
    undecided = parameter.default in (None, parameter.empty)
    if isinstance(parameter.default, float) or (undecided and "float" in str(parameter.annotation)):
        return float(value) if type(value) is int else value
    return value


def _as_function(x: Any) -> Any:
    """A schedule as a binding that is called, and not evaluated beforehand."""
    return Bound(x.function, x.leaves, x.structure, x.label) if is_schedule(x) else x


def _is_node(x: Any) -> bool:
    return isinstance(x, optax.GradientTransformation) or binding.is_bound(x)


def _is_real(x: Any) -> bool:
    is_array = isinstance(x, (jax.Array, np.ndarray, np.generic))
    return is_array and jnp.issubdtype(x.dtype, jnp.floating)


def _check_structural(what: str, value: Any, default: Any) -> None:
    arrays = (jax.Array, np.ndarray, Bound)
    if any(isinstance(x, arrays) for x in jax.tree.leaves(value, is_leaf=binding.is_bound)):
        kind = type(default).__name__ if isinstance(default, (bool, str, int)) else "value"
        raise InvalidType(binding.not_structural(what, value, kind))


def _widen(x: Any) -> Any:
    narrow = _is_real(x) and x.dtype.itemsize < 4
    return jnp.asarray(x, jnp.float32) if narrow else x


def _all_like(new: Any, *olds: Any) -> Any:
    """The leaves of ``new`` in the dtypes of the first of ``olds`` that has its structure."""
    for old in olds:
        if jax.tree.structure(new) == jax.tree.structure(old):
            return jax.tree.map(_like, new, old)
    return new


def _like(new: Any, old: Any) -> Any:
    if not isinstance(new, (jax.Array, np.ndarray, np.generic, int, float, complex)):
        return new
    dtype = jnp.result_type(old)
    narrows = jnp.iscomplexobj(new) and not jnp.issubdtype(dtype, jnp.complexfloating)
    return new if narrows else jnp.asarray(new, dtype)


def _check_factory(update: Update) -> None:
    """Call the factory once on traced leaves, so that it refuses them here and not in a step."""
    rule: Any = update.function
    given = at_step(np.int32(0), update.leaves, np.dtype(np.float32))
    arguments = {k: v for k, v in update.arguments().items() if k not in given}

    def build(leaves: Any) -> tuple:
        rule.pair({**arguments, **leaves})
        return ()

    try:
        jax.eval_shape(build, given)
    except REFUSALS as error:
        _explain(rule, rule.pair, {**arguments, **given}, given, error)
        raise


def _explain(
    rule: _Half,
    attempt: Callable[[dict[str, Any]], Any],
    arguments: dict[str, Any],
    leaves: dict[str, Any],
    error: Exception,
) -> None:
    """Raise an error that names the arguments whose values ``attempt`` needs; nothing if none."""
    defaults = {k: p.default for k, p in inspect.signature(rule.factory).parameters.items()}
    if needed := tracing.needed_values(attempt, arguments, leaves, defaults):
        shown = ", ".join(map(repr, needed))
        raise InvalidType(
            f"{_name(rule.factory)} decides in Python on the value of {shown}, which is a leaf and "
            f"has no value while it is traced; make it structure: "
            f"lift({_name(rule.factory)}, static=({shown},))"
        ) from error
