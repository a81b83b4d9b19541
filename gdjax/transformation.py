"""The (init, update) pair and ``@transformation``, which makes it of one pure function.

A transformation is Optax's own pair of pure functions; both are bindings (see
:mod:`gdjax.binding`), so the pair is a pytree whose leaves are its hyperparameters.
"""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Concatenate, NamedTuple, ParamSpec

import jax
import jax.numpy as jnp
import numpy as np
import optax

from gdjax import binding, factories, trees
from gdjax.binding import Bound, is_schedule
from gdjax.errors import InvalidType, InvalidValue

apply_updates = optax.apply_updates

P = ParamSpec("P")

# Annotation of an argument that is a transformation, or a tree of them. Typed Any, because a
# factory takes the pair, of which the rule sees ``update`` and its ``init`` sees ``init``.
Inner = Annotated[Any, "a transformation, gdjax's or Optax's"]


class GradientTransformation(optax.GradientTransformationExtraArgs):
    """A pair of pure functions whose hyperparameters are its leaves.

    ``init(params) -> state`` and ``update(updates, state, params=None, **extra) ->
    (updates, state)``, Optax's own contract: both libraries' transformations mix freely.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        """Like the code that makes it."""
        return repr(self.update)


class ScheduledState(NamedTuple):
    """State of a transformation that has a scheduled hyperparameter."""

    count: Any  # int32[]: updates made so far
    inner_state: Any


@jax.tree_util.register_pytree_with_keys_class
class Update(Bound):
    """The update half of a transformation: a bound rule that may have schedules and extras."""

    __slots__ = ()

    @property
    def scheduled(self) -> bool:
        """Whether a hyperparameter is a schedule; the state then holds a count."""
        return any(map(is_schedule, jax.tree.leaves(self.leaves, is_leaf=binding.is_bound)))

    def __call__(self, updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple:
        """Transform ``updates``; the rule's own docstring says how."""
        extra = _select_extra(self.function, extra)
        if self.scheduled and not isinstance(state, ScheduledState):
            raise InvalidValue(
                f"{self.name} with a schedule got a state without a step count; pass the state "
                "that this transformation's init or last update returned"
            )
        count, inner_state = state if self.scheduled else (None, state)
        kind = _state_type(self.function)
        needed, there = (getattr(x, "_fields", ()) for x in (kind, inner_state))
        for field in needed:
            if field not in there:
                raise self._misplaced(inner_state, f"a state without {field}")
        if needed and len(there) > len(needed):
            raise self._misplaced(inner_state, f"a state with more than {', '.join(needed)}")
        is_tuple = isinstance(inner_state, tuple)  # Optax's tests pass other things for no state
        if kind is optax.EmptyState and is_tuple and jax.tree.leaves(inner_state):
            raise self._misplaced(inner_state, "the state of another transformation")
        arguments = self.arguments() | at_step(count, self.leaves, trees.compute_dtype(updates))
        try:
            result = self.function(updates, inner_state, params, **arguments, **extra)
        except AttributeError as error:  # of a rule that does not say what its state is
            if error.obj is not inner_state:
                raise
            raise self._misplaced(inner_state, f"a state without {error.name}") from None
        if not (isinstance(result, tuple) and len(result) == 2):
            raise InvalidType(f"{self.name} must return (updates, state), got {type(result)}")
        updates, inner_state = result
        if count is None:
            return updates, inner_state
        return updates, ScheduledState(optax.safe_increment(count), inner_state)

    def _misplaced(self, state: Any, what: str) -> InvalidValue:
        return InvalidValue(
            f"{self.name} got {what}: {type(state).__name__}; pass the state that this "
            "transformation's init or last update returned, or convert Optax's with "
            "gdjax.from_optax_state"
        )

    def __repr__(self) -> str:
        """Like the code that makes it."""
        links = self.leaves.get("links")
        if links is None:
            return super().__repr__()
        items = links.items() if isinstance(links, Mapping) else links
        return f"{self.name}({', '.join(map(repr, items))})"


def stateless(params: Any) -> optax.EmptyState:
    """The ``init`` of a rule without state."""
    del params
    return optax.EmptyState()


def transformation(
    init: Callable[..., Any] = stateless,
) -> Callable[
    [Callable[Concatenate[Any, Any, Any, P], tuple]], Callable[P, GradientTransformation]
]:
    """Turn one pure update rule into a factory of transformations.

    The rule takes ``(updates, state, params)``, then its hyperparameters; keyword-only
    parameters are extras that the caller passes to ``update`` at run time. The factory takes
    the hyperparameters: numbers, arrays, schedules and PRNG keys become leaves, all else
    structure. An argument annotated as ``Inner`` is itself a transformation, or a tree of them:
    the rule gets its ``update``, ``init`` its ``init``.

    Args:
      init: function of ``params`` and of those hyperparameters that it names; makes the state.

    Returns:
      A decorator.

    >>> from gdjax import ranges
    >>> @transformation()
    ... def double(updates, state, params, factor: ranges.Real = 2.0):
    ...     return trees.map_leaves(lambda g: factor * g, updates), state
    >>> double(factor=4.0)
    double(factor=4.0)
    """
    if not callable(init) or "updates" in inspect.signature(init).parameters:
        raise InvalidType(
            f"@transformation() takes parentheses, and init a function of params, got {init!r}"
        )

    def decorate(rule: Callable[..., tuple]) -> Callable[..., GradientTransformation]:
        name = rule.__name__
        signature = factories.factory_signature(rule, skip=3, returns=GradientTransformation)
        for_init = inspect.signature(init).parameters.keys() & signature.parameters.keys()
        inner = [k for k, p in signature.parameters.items() if p.annotation is Inner]

        def make(arguments: dict[str, Any]) -> GradientTransformation:
            pairs = {k: _as_pairs(f"{name}: {k}", arguments[k]) for k in inner}
            bound = binding.bind(rule, **arguments | _halves(pairs, "update"))
            update = Update(rule, bound.leaves, bound.structure, name)
            leaves = bound.leaves | _halves(pairs, "init")
            start = Bound(
                init,
                {k: v for k, v in leaves.items() if k in for_init},
                {k: v for k, v in bound.structure.items() if k in for_init},
                name,
            )
            return with_count(start, update)

        return factories.factory(rule, signature, make)

    return decorate


def with_count(init: Bound, update: Update) -> GradientTransformation:
    """The pair of two halves; its state holds a count where a hyperparameter is a schedule."""
    start = Bound(_init_scheduled, {"init": init}) if update.scheduled else init
    return GradientTransformation(start, update)


def at_step(count: Any, leaves: dict[str, Any], dtype: np.dtype) -> dict[str, Any]:
    """Hyperparameters at a step, real ones in the dtype in which the rule computes."""

    def value(leaf: Any) -> Any:
        leaf = leaf(count) if is_schedule(leaf) else leaf
        if isinstance(leaf, Bound):
            return leaf
        real = jnp.issubdtype(jnp.result_type(leaf), jnp.floating)
        return jnp.asarray(leaf, dtype if real else None)

    return jax.tree.map(value, leaves, is_leaf=binding.is_bound)


@functools.lru_cache(maxsize=1024)
def _state_type(rule: Callable[..., Any]) -> Any:
    """The annotation of a rule's state: most often a named tuple."""
    parameter = inspect.signature(rule).parameters.get("state")
    return parameter and parameter.annotation


@functools.lru_cache(maxsize=1024)
def _extra_names(rule: Callable[..., Any]) -> tuple[frozenset[str], frozenset[str], bool]:
    """The extras that a rule takes, those it cannot do without, and whether it takes any."""
    parameters = inspect.signature(rule).parameters.values()
    named = [p for p in parameters if p.kind is p.KEYWORD_ONLY]
    required = frozenset(p.name for p in named if p.default is p.empty)
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters)
    return frozenset(p.name for p in named), required, takes_any


def _select_extra(rule: Callable[..., Any], extra: dict[str, Any]) -> dict[str, Any]:
    names, required, takes_any = _extra_names(rule)
    for name in sorted(required - extra.keys()):
        raise InvalidType(
            f"{rule.__name__} needs the extra argument {name!r} at every step: "
            f"update(updates, state, params, {name}=...)"
        )
    return extra if takes_any else {k: v for k, v in extra.items() if k in names}


def as_pair(what: str, pair: Any) -> GradientTransformation:
    """An element of a chain; one of Optax's becomes a binding without leaves."""
    if isinstance(pair, GradientTransformation):
        return pair
    if not (isinstance(pair, tuple) and len(pair) == 2 and all(map(callable, pair))):
        raise InvalidType(
            f"{what} must be a gradient transformation, an (init, update) pair such as "
            f"gdjax.scale(0.1), got {pair!r}"
        )
    takes_extra = isinstance(pair, optax.GradientTransformationExtraArgs)
    init, update = pair
    return GradientTransformation(
        Bound(init), Update(_foreign, structure={"update": update, "takes_extra": takes_extra})
    )


def _as_pairs(what: str, tree: Any) -> Any:
    """``as_pair`` on each element of a tree of transformations, most often of one."""
    return jax.tree.map(
        lambda x: as_pair(what, x), tree, is_leaf=lambda x: x is None or isinstance(x, tuple)
    )


def _halves(pairs: dict[str, Any], half: str) -> dict[str, Any]:
    return jax.tree.map(lambda x: getattr(x, half), pairs, is_leaf=_is_pair)


def _is_pair(x: Any) -> bool:
    return isinstance(x, GradientTransformation)


def _foreign(updates: Any, state: Any, params: Any, update: Any, takes_extra: bool, **extra: Any):
    return update(updates, state, params, **(extra if takes_extra else {}))


def _init_scheduled(params: Any, init: Bound) -> ScheduledState:
    count = jnp.zeros((), jnp.int32)
    leaves = at_step(count, init.leaves, trees.compute_dtype(params))
    return ScheduledState(count, init.function(params, **init.arguments() | leaves))
