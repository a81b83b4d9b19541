"""What is trained: four pure functions as one pytree."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax.core import Tracer

from gdjax.binding import Bound
from gdjax.errors import InvalidType, InvalidValue


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["init", "loss", "batch", "evaluate"],
    meta_fields=["objective", "mode"],
)
@dataclasses.dataclass(frozen=True)
class Task:
    """A training problem, independent of the optimizer.

    Its functions are bindings (:func:`gdjax.bind`), so the data and any number in them, such as
    a dropout rate or an L2 coefficient, are leaves; plain functions are taken as they are. They
    must be pure: what one reads from outside is fixed when it is first compiled.

    Args:
      init: ``init(key) -> params``.
      loss: ``loss(params, batch, key) -> scalar`` or ``(scalar, metrics)`` with ``metrics`` a
        dict of scalars; what is minimized.
      batch: ``batch(key, step) -> batch``; the data of one step, of one shape at every step.
      evaluate: ``evaluate(params) -> metrics``, a dict of scalars, measured between segments;
        None where there is nothing to measure.
      objective: name of the metric that ranks results: ``"loss"`` or one of the metrics.
      mode: whether less (``"min"``) or more (``"max"``) of the objective is better.

    >>> task = Task(
    ...     init=lambda key: jnp.ones(2),
    ...     loss=lambda params, batch, key: jnp.sum((params - batch) ** 2),
    ...     batch=lambda key, step: jnp.zeros(2),
    ... )
    >>> task.check()
    {'loss'}
    """

    init: Callable[[jax.Array], Any]
    loss: Callable[[Any, Any, jax.Array], Any]
    batch: Callable[[jax.Array, Any], Any]
    evaluate: Callable[[Any], dict[str, Any]] | None = None
    objective: str = "loss"
    mode: Literal["min", "max"] = "min"

    def __post_init__(self):
        for name in ("init", "loss", "batch", "evaluate"):
            function = getattr(self, name)
            if callable(function) and jax.tree_util.all_leaves([function]):
                object.__setattr__(self, name, Bound(function))

    def check(self) -> set[str]:
        """Raise where a function is missing or returns what it must not, before any long work.

        Nothing is compiled; the first batch is made.

        Returns:
          The names of all that is measured.

        Raises:
          InvalidType: a part that is not a function, or returns the wrong kind.
          InvalidValue: a loss that is not a scalar, data with NaN, an objective that is not
            measured, a name that is used twice.
        """
        for name in ("init", "loss", "batch"):
            if not callable(getattr(self, name)):
                raise InvalidType(f"Task.{name} must be a function, got {getattr(self, name)!r}")
        if self.mode not in ("min", "max"):
            raise InvalidValue(f"Task.mode must be 'min' or 'max', got {self.mode!r}")
        _check_data("the task's data", self)
        key = jax.random.key(0)
        batch = self.batch(key, jnp.zeros((), jnp.int32))
        _check_data("the first batch", batch)
        params = jax.eval_shape(self.init, key)
        loss, metrics = jax.eval_shape(self.loss_and_metrics, params, batch, key)
        _check_scalars("loss", {"loss": loss})
        _check_scalars("loss", metrics)
        if not jnp.issubdtype(loss.dtype, jnp.floating):
            raise InvalidType(f"Task.loss must return a real number, got {loss.dtype}")
        if "loss" in metrics:
            raise InvalidValue("Task.loss returns the loss first; leave 'loss' out of its metrics")
        measured = {"loss", *metrics}
        if self.evaluate is not None:
            evaluation = jax.eval_shape(self.evaluate, params)
            _check_scalars("evaluate", evaluation)
            for twice in sorted(measured & evaluation.keys()):
                raise InvalidValue(f"Task.evaluate and Task.loss both return {twice!r}; rename one")
            measured |= evaluation.keys()
        if self.objective not in measured:
            raise InvalidValue(
                f"Task.objective is {self.objective!r}, which is not measured; "
                f"choose one of {', '.join(sorted(measured))}"
            )
        return measured

    def loss_and_metrics(self, params: Any, batch: Any, key: jax.Array) -> tuple[Any, dict]:
        """The loss, and its metrics where there are any."""
        value = self.loss(params, batch, key)
        return value if isinstance(value, tuple) else (value, {})


def _check_scalars(function: str, metrics: Any) -> None:
    if not isinstance(metrics, dict):
        raise InvalidType(f"Task.{function} must return metrics as a dict, got {metrics!r}")
    for name, value in metrics.items():
        if getattr(value, "shape", None) != ():
            shape = getattr(value, "shape", type(value).__name__)
            raise InvalidValue(
                f"Task.{function}: {name} must be a scalar, got shape {shape}; take a mean or sum"
            )


def _check_data(what: str, tree: Any) -> None:
    for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
        inexact = jnp.issubdtype(jnp.result_type(leaf), jnp.inexact)
        if inexact and not isinstance(leaf, Tracer) and (bad := int(jnp.isnan(leaf).sum())):
            raise InvalidValue(
                f"{what}{jax.tree_util.keystr(path)} holds NaN in {bad} places; remove or "
                "replace it"
            )
