"""What is measured beside training, at the steps that are looked at and at no others."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from gdjax import trees
from gdjax.binding import as_bound
from gdjax.errors import InvalidType, InvalidValue, shown


class Step(NamedTuple):
    """One update as a monitor sees it: what stood before it, and what was made of it.

    Nothing in it has a derivative with respect to the optimizer or the task.
    """

    number: jax.Array  # int32[]: updates before it
    params: Any  # before it
    batch: Any
    loss_fn: Callable[[Any, Any], jax.Array]  # (params, batch) -> loss, with its randomness
    loss: jax.Array
    gradient: Any  # of the loss, before the optimizer; without a loss scale
    last_gradient: Any  # of the step before, at least float32; zeros at the first
    updates: Any  # what the optimizer added to the parameters
    optimizer: optax.GradientTransformation
    state: Any  # the optimizer's, before it


Measure = Callable[[Step, Any], tuple[dict[str, Any], Any]]


@functools.partial(
    jax.tree_util.register_dataclass, data_fields=["measure", "init"], meta_fields=[]
)
@dataclasses.dataclass(frozen=True)
class Monitor:
    """Something to measure in a run: a pure function with a state.

    A task has monitors (:meth:`gdjax.Task.with_monitors`); they look at the last update of each
    segment of :func:`gdjax.train` and :func:`gdjax.sweep`, and change nothing. The updates between
    cost what they cost without.

    Args:
      measure: ``measure(step, state) -> (measured, state)`` with ``step`` a :class:`Step` and
        ``measured`` a dict by name: of scalars where it is to serve in a sweep, else of arrays.
      init: ``init(params) -> state``, from the parameters before the first update; no state
        where it is left out.

    >>> import gdjax, jax.numpy as jnp
    >>> def measure(step, state):
    ...     return {"largest": jnp.max(jnp.abs(step.gradient))}, state
    >>> task = gdjax.Task(
    ...     init=lambda key: jnp.array([1.0, 3.0]),
    ...     loss=lambda params, batch, key: jnp.sum(params**2) / 2,
    ...     batch=lambda key, step: None,
    ... ).with_monitors(gdjax.Monitor(measure))
    >>> result = gdjax.train(task, gdjax.sgd(0.5), steps=4, key=0, segment=2)
    >>> result.evaluations["largest"]  # of the second and the fourth update
    Array([1.5  , 0.375], dtype=float32)
    """

    measure: Measure
    init: Callable[[Any], Any] = lambda params: ()

    def __post_init__(self):
        for name in ("measure", "init"):
            object.__setattr__(self, name, as_bound(getattr(self, name)))


class Watched(NamedTuple):
    """What monitors remember of a run."""

    last_gradient: Any
    states: tuple[Any, ...]  # one for each monitor


def begin(monitors: Sequence[Monitor], params: Any) -> Watched | None:
    """Before the first update; None where nothing is watched."""
    if not monitors:
        return None
    states = tuple(monitor.init(params) for monitor in monitors)
    return Watched(trees.widen(trees.zeros_like(params)), states)


def measure(
    monitors: Sequence[Monitor], step: Step, states: tuple[Any, ...]
) -> tuple[dict[str, Any], tuple[Any, ...]]:
    """All that the monitors measure at a step, and their states behind it.

    Raises:
      InvalidType: a monitor returns something else than a dict and a state like the one before.
      InvalidValue: two measure something of one name.
    """
    measured, new = {}, []
    for monitor, state in zip(monitors, states, strict=True):
        returned = monitor.measure(step, state)
        if not (
            isinstance(returned, tuple) and len(returned) == 2 and isinstance(returned[0], dict)
        ):
            raise InvalidType(
                f"a monitor must return (dict of what it measured, state), got {shown(returned)}"
            )
        for twice in sorted(measured.keys() & returned[0].keys()):
            raise InvalidValue(f"two monitors measure {twice!r}; leave one out or rename it")
        before, after = jax.tree.structure(state), jax.tree.structure(returned[1])
        if before != after:
            raise InvalidType(
                "the state that a monitor returns must have the structure of the one that it was "
                f"given, {before}, got {after}; Monitor.init makes the first"
            )
        measured |= returned[0]
        new.append(returned[1])
    return measured, tuple(new)


def beside(own: dict[str, Any], watched: dict[str, Any]) -> dict[str, Any]:
    """What a task measures by itself, and what its monitors do.

    Raises:
      InvalidValue: both measure something of one name.
    """
    for twice in sorted(own.keys() & watched.keys()):
        raise InvalidValue(f"a monitor and the task both measure {twice!r}; rename one")
    return own | watched


def first_look(
    monitors: Sequence[Monitor],
    loss_and_metrics: Callable[[Any, Any, jax.Array], tuple[Any, dict]],
    params: Any,
    batch: Any,
    key: jax.Array,
    optimizer: optax.GradientTransformation,
) -> dict[str, Any]:
    """What they would measure before the first update; its names and shapes are right."""

    def loss_fn(params: Any, batch: Any) -> Any:
        return loss_and_metrics(params, batch, key)[0]

    watched: Any = begin(monitors, params)
    step = Step(
        number=jnp.zeros((), jnp.int32),
        params=params,
        batch=batch,
        loss_fn=loss_fn,
        loss=loss_fn(params, batch),
        gradient=params,
        last_gradient=watched.last_gradient,
        updates=params,
        optimizer=optimizer,
        state=optimizer.init(params),
    )
    return measure(monitors, step, watched.states)[0]


def unmeasured(shape: tuple[int, ...], dtype: Any) -> jax.Array:
    """What stands where nothing was measured: NaN, or 0 where it is no float."""
    return jnp.full(shape, jnp.nan if jnp.issubdtype(dtype, jnp.inexact) else 0, dtype)
