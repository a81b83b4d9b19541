"""The (init, update) pair: ``@transformation``, ``chain`` and ``named_chain``.

A transformation is Optax's own pair of pure functions; both are bindings (see
:mod:`gdjax.binding`), so the pair is a pytree whose leaves are its hyperparameters.
"""

import functools
import inspect
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Concatenate, NamedTuple, ParamSpec

import jax
import jax.numpy as jnp
import numpy as np
import optax

from gdjax import binding, trees
from gdjax.binding import Bound, is_schedule
from gdjax.errors import InvalidType, InvalidValue

apply_updates = optax.apply_updates

P = ParamSpec("P")


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
        arguments = self.arguments() | _at(count, self.leaves, trees.compute_dtype(updates))
        result = self.function(updates, inner_state, params, **arguments, **extra)
        if not (isinstance(result, tuple) and len(result) == 2):
            raise InvalidType(f"{self.name} must return (updates, state), got {type(result)}")
        updates, inner_state = result
        if count is None:
            return updates, inner_state
        return updates, ScheduledState(optax.safe_increment(count), inner_state)

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
    structure.

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
        signature = binding.factory_signature(rule, skip=3, returns=GradientTransformation)
        for_init = inspect.signature(init).parameters.keys() & signature.parameters.keys()

        def make(bound: Bound) -> GradientTransformation:
            update = Update(rule, bound.leaves, bound.structure, name)
            start = Bound(
                init,
                {k: v for k, v in bound.leaves.items() if k in for_init},
                {k: v for k, v in bound.structure.items() if k in for_init},
                name,
            )
            if update.scheduled:
                start = Bound(_init_scheduled, {"init": start})
            return GradientTransformation(start, update)

        return binding.factory(rule, signature, make)

    return decorate


def chain(*transformations: optax.GradientTransformation) -> GradientTransformation:
    """Apply transformations one after another, gdjax's and Optax's alike.

    ``update_n(... update_2(update_1(g)))``; extras go to all of them. The state is a tuple of
    their states.

    Raises:
      InvalidType: an argument that is not an (init, update) pair.
    """
    pairs = [_as_pair(f"chain: argument {i}", t) for i, t in enumerate(transformations)]
    return GradientTransformation(
        Bound(_init_chain, {"links": tuple(pair.init for pair in pairs)}),
        Update(_chain, {"links": tuple(pair.update for pair in pairs)}),
    )


def named_chain(
    *transformations: tuple[str, optax.GradientTransformation],
) -> GradientTransformation:
    """Like :func:`chain`, of (name, transformation) pairs; the state is a dict by name.

    Raises:
      InvalidType: an argument that is not a pair of a name and a transformation.
      InvalidValue: a name given twice.
    """
    for item in transformations:
        if not (isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str)):
            raise InvalidType(f"named_chain takes (name, transformation) pairs, got {item!r}")
    twice = [name for name, n in Counter(name for name, _ in transformations).items() if n > 1]
    if twice:
        raise InvalidValue(f"named_chain: each name may stand once, got {twice[0]!r} again")
    pairs = OrderedDict((k, _as_pair(f"named_chain: {k!r}", t)) for k, t in transformations)
    return GradientTransformation(
        Bound(_init_named_chain, {"links": OrderedDict((k, t.init) for k, t in pairs.items())}),
        Update(_named_chain, {"links": OrderedDict((k, t.update) for k, t in pairs.items())}),
    )


@transformation()
def identity(updates: Any, state: optax.EmptyState, params: Any) -> tuple:
    """Leave the updates as they are."""
    del params
    return updates, state


def _at(count: Any, leaves: dict[str, Any], dtype: np.dtype) -> dict[str, Any]:
    """Hyperparameters at a step, real ones in the dtype in which the rule computes."""

    def value(leaf: Any) -> Any:
        leaf = leaf(count) if is_schedule(leaf) else leaf
        if isinstance(leaf, Bound):
            return leaf
        real = jnp.issubdtype(jnp.result_type(leaf), jnp.floating)
        return jnp.asarray(leaf, dtype if real else None)

    return jax.tree.map(value, leaves, is_leaf=binding.is_bound)


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


def _as_pair(what: str, pair: Any) -> GradientTransformation:
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


def _foreign(updates: Any, state: Any, params: Any, update: Any, takes_extra: bool, **extra: Any):
    return update(updates, state, params, **(extra if takes_extra else {}))


def _init_scheduled(params: Any, init: Bound) -> ScheduledState:
    count = jnp.zeros((), jnp.int32)
    leaves = _at(count, init.leaves, trees.compute_dtype(params))
    return ScheduledState(count, init.function(params, **init.arguments() | leaves))


def _init_chain(params: Any, links: tuple[Bound, ...]) -> tuple:
    return tuple(init(params) for init in links)


def _chain(updates: Any, state: Any, params: Any, links: tuple[Update, ...], **extra: Any) -> tuple:
    if len(links) != len(state):
        raise InvalidValue(
            f"chain of {len(links)} transformations got a state of {len(state)}; pass the state "
            "that this chain's init or last update returned"
        )
    new_state = []
    for update, old in zip(links, state, strict=True):
        updates, new = update(updates, old, params, **extra)
        new_state.append(new)
    return updates, tuple(new_state)


def _init_named_chain(params: Any, links: Mapping[str, Bound]) -> dict[str, Any]:
    return {name: init(params) for name, init in links.items()}


def _named_chain(
    updates: Any, state: Any, params: Any, links: Mapping[str, Update], **extra: Any
) -> tuple:
    if not isinstance(state, Mapping) or state.keys() != links.keys():
        got = ", ".join(state) if isinstance(state, Mapping) else type(state).__name__
        raise InvalidValue(
            f"named_chain of {', '.join(links)} got a state of {got}; pass the state that this "
            "chain's init or last update returned"
        )
    old = tuple(state[name] for name in links)
    updates, new = _chain(updates, old, params, tuple(links.values()), **extra)
    return updates, dict(zip(links, new, strict=True))
