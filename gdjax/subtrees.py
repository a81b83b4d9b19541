"""Trees as structure: prefixes and masks of them, their parts, a node among them."""

from collections.abc import Callable
from typing import Any

import jax
import optax

from gdjax.errors import InvalidValue


def map_prefix(
    what: str,
    subtree: Callable[..., Any],
    prefix: Any,
    *trees: Any,
    is_leaf: Callable[[Any], bool] | None = None,
) -> Any:
    """Apply ``subtree`` to each leaf of ``prefix`` and what hangs there in each of ``trees``.

    Raises:
      InvalidValue: ``prefix``, called ``what``, is not a prefix of the trees.
    """
    try:
        return jax.tree.map(subtree, prefix, *trees, is_leaf=is_leaf)
    except ValueError as error:
        if isinstance(error, InvalidValue):
            raise
        raise InvalidValue(
            f"{what} does not fit the parameters; pass a tree of their structure or a prefix of it"
            f"\n  {error}\n  {what}: {jax.tree.structure(prefix)}\n  parameters: "
            f"{jax.tree.structure(trees[-1])}"
        ) from None


def is_masked(x: Any) -> bool:
    """Whether it stands for what a mask or a partition hides."""
    return isinstance(x, optax.MaskedNode)


def map_chosen(mask: Any, change: Callable[..., Any], updates: Any, params: Any) -> Any:
    """``change(updates, params)`` where ``mask`` is true, the updates as they are elsewhere.

    Args:
      mask: a tree of bools, of the parameters' structure or a prefix of it, or a function from
        the parameters to one. All is chosen where None.
      change: function of two subtrees.
      updates: a tree.
      params: a tree of its structure.
    """
    chosen = True if mask is None else evaluate(mask, params)
    return map_prefix("mask", lambda c, u, p: change(u, p) if c else u, chosen, updates, params)


def pack(kind: Callable[..., Any], *trees: Any) -> Any:
    """Corresponding leaves of ``trees`` together, as named tuples of a ``kind``.

    So a rule keeps what is not of the update's shape, which :func:`map_leaves` would refuse.
    """
    return jax.tree.map(kind, *trees)


def unpack(kind: Any, tree: Any) -> list:
    """What :func:`pack` put together: a tree for each field."""

    def field(i: int) -> Any:
        return jax.tree.map(lambda x: x[i], tree, is_leaf=lambda x: isinstance(x, kind))

    return [field(i) for i in range(len(kind._fields))]


def evaluate(tree: Any, params: Any) -> Any:
    """A tree that may be given as a function of the parameters: a mask, labels.

    A model may be callable and yet the tree itself: then its leaves are not callable.
    """
    leaves = jax.tree.leaves(tree)
    return tree(params) if leaves and all(map(callable, leaves)) else tree


def find(kind: type, tree: Any) -> Any:
    """The one state of a kind inside a state: of a chain, say.

    Raises:
      InvalidValue: there is none, or more than one.
    """
    found = every(kind, tree)
    if len(found) != 1:
        raise InvalidValue(
            f"expected a state that holds one {kind.__name__}, got {len(found)} of them; pass the "
            "state, or the part of it, that the transformation's init or last update returned"
        )
    return found[0]


def every(kind: type, tree: Any) -> list:
    """All states of a kind inside a state, without those inside of one another."""
    nodes = jax.tree.leaves(tree, is_leaf=lambda x: isinstance(x, kind))
    return [x for x in nodes if isinstance(x, kind)]
