"""Transformations one after another: ``chain``, ``named_chain`` and what does nothing."""

from collections import Counter, OrderedDict
from collections.abc import Mapping
from typing import Any

import optax

from gdjax.binding import Bound
from gdjax.errors import InvalidType, InvalidValue
from gdjax.transformation import GradientTransformation, Update, as_pair, transformation


def chain(*transformations: optax.GradientTransformation) -> GradientTransformation:
    """Apply transformations one after another, gdjax's and Optax's alike.

    ``update_n(... update_2(update_1(g)))``; extras go to all of them. The state is a tuple of
    their states.

    Raises:
      InvalidType: an argument that is not an (init, update) pair.
    """
    pairs = [as_pair(f"chain: argument {i}", t) for i, t in enumerate(transformations)]
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
    pairs = OrderedDict((k, as_pair(f"named_chain: {k!r}", t)) for k, t in transformations)
    return GradientTransformation(
        Bound(_init_named_chain, {"links": OrderedDict((k, t.init) for k, t in pairs.items())}),
        Update(_named_chain, {"links": OrderedDict((k, t.update) for k, t in pairs.items())}),
    )


@transformation()
def identity(updates: Any, state: optax.EmptyState, params: Any) -> tuple:
    """Leave the updates as they are."""
    del params
    return updates, state


def _init_chain(params: Any, links: tuple[Bound, ...]) -> tuple:
    return tuple(init(params) for init in links)


def _chain(updates: Any, state: Any, params: Any, links: tuple[Update, ...], **extra: Any) -> tuple:
    held = len(state) if isinstance(state, (tuple, list)) else type(state).__name__
    if len(links) != held:
        raise InvalidValue(
            f"chain of {len(links)} transformations got a state of {held}; pass the state "
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
