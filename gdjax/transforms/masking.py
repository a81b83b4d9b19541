"""Which parameters a transformation reaches: masks, labels, freezing.

What is masked out is an ``optax.MaskedNode``, a node without leaves, in what the inner
transformation sees and so in its state: it spends no memory there.
"""

import dataclasses
from collections.abc import Hashable, Mapping
from typing import Any

import jax
import numpy as np
import optax

from gdjax import subtrees, trees
from gdjax.binding import Frozen, as_structure
from gdjax.errors import InvalidType, InvalidValue, nearest
from gdjax.transformation import GradientTransformation, Inner, as_pair, transformation


def _init_masked(params: Any, inner: Any, mask: Any) -> optax.MaskedState:
    if _is_placeholder(params):
        return optax.MaskedState(inner(params))
    return optax.MaskedState(inner(_hide(_bools(mask, params), params)))


@transformation(init=_init_masked)
def masked(
    updates: Any,
    state: optax.MaskedState,
    params: Any,
    inner: Inner,
    mask: Any,
    mask_compatible_extra_args: bool = False,
    **extra: Any,
) -> tuple[Any, optax.MaskedState]:
    """Transform some of the updates and pass the others through.

    ``u = inner(g)`` where ``mask`` is true, else ``u = g``.

    Args:
      inner: a transformation.
      mask: a tree of bools, of the parameters' structure or a prefix of it, or a function from
        the parameters to one. Where an ``update`` gets no parameters, the function gets the
        updates, as in Optax it always does.
      mask_compatible_extra_args: mask extras of the updates' structure too.

    State:
      inner_state: of ``inner``, for the parameters that it reaches.

    Raises:
      InvalidType: a mask that holds anything but bools.
      InvalidValue: a mask that does not fit the parameters.

    >>> import gdjax, jax.numpy as jnp
    >>> init, update = masked(gdjax.scale(2.0), {"w": True, "b": False})
    >>> gradients = {"w": jnp.ones(1), "b": jnp.ones(1)}
    >>> update(gradients, init(gradients))[0]
    {'b': Array([1.], dtype=float32), 'w': Array([2.], dtype=float32)}
    """
    chosen = _bools(mask, updates if params is None else params)
    if mask_compatible_extra_args:
        extra = _hide_alike(chosen, updates, extra)
    return _update_chosen(chosen, inner, updates, state, params, extra)


@transformation()
def set_to_zero(updates: Any, state: optax.EmptyState, params: Any) -> tuple:
    """Replace the updates by zeros: what is frozen stays.

    >>> import jax.numpy as jnp
    >>> init, update = set_to_zero()
    >>> update(jnp.ones(2), init(None))[0]
    Array([0., 0.], dtype=float32)
    """
    del params
    return trees.zeros_like(updates), state


def freeze(mask: Any) -> GradientTransformation:
    """Replace the updates of some parameters by zeros.

    ``u = 0`` where ``mask`` is true, else ``u = g``. Put it behind what adds weight decay. To
    spend no state on frozen parameters use :func:`partition`.

    Args:
      mask: which parameters stay as they are; see :func:`gdjax.masked`.

    >>> import jax.numpy as jnp
    >>> init, update = freeze({"w": True, "b": False})
    >>> gradients = {"w": jnp.ones(1), "b": jnp.ones(1)}
    >>> update(gradients, init(gradients))[0]
    {'b': Array([1.], dtype=float32), 'w': Array([0.], dtype=float32)}
    """
    return masked(set_to_zero(), mask)


def partition(
    transforms: Mapping[Any, optax.GradientTransformation],
    param_labels: Any,
    mask_compatible_extra_args: bool = False,
) -> GradientTransformation:
    """Give each group of parameters a transformation of its own.

    ``u = transforms[label](g)`` where the parameter has that label. The hyperparameters are
    named ``label.rule.argument``.

    Args:
      transforms: transformations by label; labels are strings, or whole numbers.
      param_labels: a tree of labels, of the parameters' structure or a prefix of it, or a
        function from the parameters to one.
      mask_compatible_extra_args: see :func:`gdjax.masked`.

    State:
      inner_states: by label, a :class:`optax.MaskedState` for the parameters that have it.

    Raises:
      InvalidType: ``transforms`` is not a mapping to transformations.
      InvalidValue: a label without a transformation, or labels that do not fit the parameters.

    >>> import gdjax
    >>> groups = {"w": gdjax.sgd(0.1), "b": gdjax.set_to_zero()}
    >>> gdjax.hyperparameters(partition(groups, {"kernel": "w", "bias": "b"}))
    {'w.scale_by_learning_rate.learning_rate': np.float32(0.1)}
    """
    kinds = set(map(type, transforms)) if isinstance(transforms, Mapping) else set()
    if kinds not in ({str}, {int}):
        raise InvalidType(
            "partition: transforms must be a dict of transformations by label, all strings or all "
            f"whole numbers, got {transforms!r}"
        )
    pairs = {k: as_pair(f"partition: transforms[{k!r}]", t) for k, t in transforms.items()}
    labels, known = as_structure("partition", "param_labels", param_labels), tuple(sorted(pairs))
    return _partition(
        {
            label: masked(pair, LabelMask(label, known, labels), mask_compatible_extra_args)
            for label, pair in pairs.items()
        }
    )


def _init_partition(params: Any, transforms: Any) -> optax.PartitionState:
    return optax.PartitionState({label: init(params) for label, init in transforms.items()})


@transformation(init=_init_partition)
def _partition(
    updates: Any, state: optax.PartitionState, params: Any, transforms: Inner, **extra: Any
) -> tuple[Any, optax.PartitionState]:
    held = state.inner_states
    if not isinstance(held, Mapping) or held.keys() != transforms.keys():
        raise InvalidValue(
            f"partition of {_listed(transforms)} got a state of {_listed(held)}; pass the state "
            "that this partition's init or last update returned"
        )
    inner_states = {}
    for label, update in transforms.items():
        updates, inner_states[label] = update(updates, held[label], params, **extra)
    return updates, optax.PartitionState(inner_states)


@dataclasses.dataclass(frozen=True)
class LabelMask:
    """A mask of the parameters that have a label.

    A function of the parameters that is equal to another of the same labels, as structure must be.
    """

    label: Hashable
    known: tuple[Hashable, ...]  # labels that have a transformation
    param_labels: Hashable  # a Frozen tree of labels, one label, or a function to one of these

    def __call__(self, params: Any) -> Any:
        """A tree of bools."""
        labels = subtrees.evaluate(self._labels, params)
        for other in jax.tree.leaves(labels):
            if other not in self.known:
                names = nearest(str(other), map(str, self.known))
                raise InvalidValue(f"partition: label {other!r} has no transformation: {names}")
        subtrees.map_prefix("param_labels", lambda *_: None, labels, params)
        return jax.tree.map(lambda other: other == self.label, labels)

    @property
    def _labels(self) -> Any:
        labels = self.param_labels
        return labels.thaw() if isinstance(labels, Frozen) else labels

    def __repr__(self) -> str:
        """What it compares."""
        return f"{self._labels!r} == {self.label!r}"


def _update_chosen(
    chosen: Any,
    inner: Any,
    updates: Any,
    state: optax.MaskedState,
    params: Any,
    extra: dict[str, Any],
) -> tuple[Any, optax.MaskedState]:
    seen = None if params is None else _hide(chosen, params)
    new, inner_state = inner(_hide(chosen, updates), state.inner_state, seen, **extra)
    merged = subtrees.map_prefix("mask", lambda c, u, g: u if c else g, chosen, new, updates)
    return merged, optax.MaskedState(inner_state)


def _hide(chosen: Any, tree: Any) -> Any:
    """The tree with a node without leaves in place of what is not chosen."""
    return subtrees.map_prefix("mask", lambda c, x: x if c else optax.MaskedNode(), chosen, tree)


def _hide_alike(chosen: Any, updates: Any, extra: dict[str, Any]) -> dict[str, Any]:
    structure = jax.tree.structure(updates)
    return {
        k: _hide(chosen, v) if jax.tree.structure(v) == structure else v for k, v in extra.items()
    }


def _bools(mask: Any, params: Any) -> Any:
    mask = subtrees.evaluate(mask, params)
    for leaf in jax.tree.leaves(mask):
        if not isinstance(leaf, (bool, np.bool_)):
            raise InvalidType(
                f"mask must hold True and False, which are structure, got {leaf!r}; pass a tree "
                "of Python bools or a function from the parameters to one"
            )
    return mask


def _listed(by_label: Any) -> str:
    return ", ".join(map(repr, by_label)) if isinstance(by_label, Mapping) else repr(by_label)


def _is_placeholder(params: Any) -> bool:
    """Whether ``optax.tree_map_params`` asks what of the state is like the parameters.

    No mask fits what it puts in their place. Optax keeps the class to itself.
    """
    return type(params).__name__ == "_ParamsPlaceholder"
