"""What is trained: four pure functions as one pytree."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from gdjax import monitoring
from gdjax.binding import as_bound
from gdjax.composition import identity
from gdjax.errors import InvalidType, InvalidValue, shown, telling
from gdjax.monitoring import Monitor
from gdjax.stream import Stream
from gdjax.transformation import GradientTransformation


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["init", "loss", "batch", "evaluate", "value_and_grad", "monitors"],
    meta_fields=["objective", "mode"],
)
@dataclasses.dataclass(frozen=True)
class Task:
    """A training problem, independent of the optimizer.

    Its functions are bindings (:func:`gdjax.bind`), so the data and any number in them, such as
    a dropout rate or an L2 coefficient, are leaves; plain functions are taken as they are. They
    must be pure: what one reads from outside is fixed when it is first compiled.
    :func:`gdjax.hyperparameters` lists the numbers, :func:`gdjax.replace` changes them, and
    :func:`gdjax.sweep` varies them by trial as it does an optimizer's. What is a shape cannot
    vary: a batch size of each trial is the largest batch, and weights of 0 for what is not in it.

    Args:
      init: ``init(key) -> params``.
      loss: ``loss(params, batch, key) -> scalar`` or ``(scalar, metrics)`` with ``metrics`` a
        dict of scalars; what is minimized.
      batch: ``batch(key, step) -> batch``; the data of one step, of one shape at every step. Data
        that do not fit the device come from the host: a :class:`gdjax.Stream`.
      evaluate: ``evaluate(params) -> metrics``, a dict of scalars, measured between segments;
        None where there is nothing to measure.
      objective: name of the metric that ranks results: ``"loss"`` or one of the metrics.
      mode: whether less (``"min"``) or more (``"max"``) of the objective is better.
      value_and_grad: what takes the gradient: ``jax.value_and_grad``, or an estimator such as
        :func:`gdjax.spsa` for a loss without a useful derivative, ``bind(gdjax.spsa,
        sigma=0.01)`` to set its numbers. It gets the loss and ``has_aux=True``; what it returns
        gets the parameters and a PRNG key as keyword ``key``.
      monitors: what else is measured, at the last update of each segment; see
        :meth:`with_monitors`.

    >>> import gdjax
    >>> task = Task(
    ...     init=lambda key: jnp.ones(2),
    ...     loss=lambda params, batch, key: jnp.sum((params - batch) ** 2),
    ...     batch=lambda key, step: jnp.zeros(2),
    ... )
    >>> task.check()
    {'loss'}

    A number to sweep, and batches of one to four rows:

    >>> def draw(key, step, size):
    ...     rows = jax.random.normal(key, (4, 2))
    ...     return rows, jnp.arange(4) < size
    >>> def loss(params, batch, key, l2):
    ...     rows, weight = batch
    ...     distances = jnp.sum((params[None] - rows) ** 2, axis=1)
    ...     return weight @ distances / weight.sum() + l2 * jnp.sum(params**2)
    >>> task = Task(lambda key: jnp.ones(2), gdjax.bind(loss, l2=0.0), gdjax.bind(draw, size=4))
    >>> gdjax.hyperparameters(task)
    {'loss.l2': np.float32(0.0), 'batch.size': np.int32(4)}
    >>> space = {"learning_rate": 0.1, "l2": [0.0, 0.1], "size": [1, 4]}
    >>> gdjax.sweep(task, gdjax.sgd, space, steps=2).settings["size"]
    array([1, 4, 1, 4])
    """

    init: Callable[[jax.Array], Any]
    loss: Callable[[Any, Any, jax.Array], Any]
    batch: Callable[[jax.Array, Any], Any]
    evaluate: Callable[[Any], dict[str, Any]] | None = None
    objective: str = "loss"
    mode: Literal["min", "max"] = "min"
    value_and_grad: Callable[..., Any] = jax.value_and_grad
    monitors: tuple[Monitor, ...] = ()

    def __post_init__(self):
        for name in ("init", "loss", "batch", "evaluate", "value_and_grad"):
            object.__setattr__(self, name, as_bound(getattr(self, name)))

    def with_monitors(self, *monitors: Monitor) -> "Task":
        """The same task, watched by these beside those that watch it.

        What they measure stands with the evaluations of :func:`gdjax.train` and
        :func:`gdjax.sweep`. Training is the same with them and without, but for rounding: it is
        another program.

        Raises:
          InvalidType: something that is no monitor.
        """
        for monitor in monitors:
            if not isinstance(monitor, Monitor):
                raise InvalidType(
                    f"with_monitors takes gdjax.Monitor objects, got {shown(monitor)}; put * "
                    "before a list of them"
                )
        return dataclasses.replace(self, monitors=(*self.monitors, *monitors))

    def check_parts(self) -> None:
        """Raise where a part is not even of the right kind; none is called or searched."""
        for name in ("init", "loss", "batch", "evaluate", "value_and_grad"):
            optional = name == "evaluate" and self.evaluate is None
            if not callable(getattr(self, name)) and not optional:
                value = shown(getattr(self, name))
                raise InvalidType(f"Task.{name} must be a function, got {value}")
        if not isinstance(self.mode, str) or self.mode not in ("min", "max"):
            raise InvalidValue(f"Task.mode must be 'min' or 'max', got {shown(self.mode)}")
        if not isinstance(self.objective, str):
            raise InvalidType(f"Task.objective must be a name, got {shown(self.objective)}")

    def check(self, *optimizers: GradientTransformation) -> set[str]:
        """Raise where a function is missing or returns what it must not, before any long work.

        Nothing is compiled; the first batch is made, or read. Monitors see one update of each of
        the optimizers, or one that does nothing.

        Returns:
          The names of all that is measured.

        Raises:
          InvalidType: a part that is not a function, or returns the wrong kind.
          InvalidValue: a loss that is not a scalar, data with NaN, an objective that is not
            measured, a name that is used twice.
        """
        self.check_parts()
        if isinstance(self.batch, Stream):
            first = self.batch.first
            _check_data("the first batch", jax.tree.map(lambda x: x[0, 0], first.batches))
            return dataclasses.replace(self, batch=first).check(*optimizers)
        _check_data("the task's data", self)
        key, step = jax.random.key(0), jnp.zeros((), jnp.int32)
        batch = self._shapes("batch", key, step)
        with telling("Task.batch cannot make the first batch"):
            first = _call_jitted("batch", self, key, step)
        _check_data("the first batch", first)
        params = self._shapes("init", key)
        for path, leaf in jax.tree_util.tree_flatten_with_path(params)[0]:
            if not jnp.issubdtype(leaf.dtype, jnp.inexact):
                raise InvalidType(
                    f"Task.init: params{jax.tree_util.keystr(path)} has dtype {leaf.dtype}, which "
                    "has no gradient; keep it out of the parameters"
                )
        loss, metrics = self._shapes("loss_and_metrics", params, batch, key)
        _check_scalars("loss", {"loss": loss})
        _check_scalars("loss", metrics)
        if not jnp.issubdtype(loss.dtype, jnp.floating):
            raise InvalidType(f"Task.loss must return a real number, got {loss.dtype}")
        if "loss" in metrics:
            raise InvalidValue("Task.loss returns the loss first; leave 'loss' out of its metrics")
        evaluation = {} if self.evaluate is None else self._shapes("evaluate", params)
        _check_scalars("evaluate", evaluation)
        for twice in sorted({"loss", *metrics} & evaluation.keys()):
            raise InvalidValue(f"Task.evaluate and Task.loss both return {twice!r}; rename one")
        watched = self._watched(params, batch, key, optimizers)
        _check_scalars("monitors", watched)
        names = set(monitoring.beside({"loss": loss, **metrics, **evaluation}, watched))
        if self.objective not in names:
            raise InvalidValue(
                f"Task.objective is {shown(self.objective)}, which is not measured; "
                f"choose one of {', '.join(sorted(names))[:300]}"
            )
        return names

    def measured(
        self, *optimizers: GradientTransformation
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Dtypes of what each step measures and of what an evaluation does, by name.

        Args:
          optimizers: whose updates the monitors see; what they measure of any of them is named.
        """
        if isinstance(self.batch, Stream):
            return dataclasses.replace(self, batch=self.batch.first).measured(*optimizers)
        key, step = jax.random.key(0), jnp.zeros((), jnp.int32)
        params, batch = self._shapes("init", key), self._shapes("batch", key, step)
        loss, metrics = self._shapes("loss_and_metrics", params, batch, key)
        evaluation = {} if self.evaluate is None else self._shapes("evaluate", params)
        evaluation = evaluation | self._watched(params, batch, key, optimizers)
        each_step = {"loss": loss.dtype} | {name: x.dtype for name, x in metrics.items()}
        return each_step, {name: x.dtype for name, x in evaluation.items()}

    @property
    def batch_size(self) -> int:
        """Examples in a batch: the length of all leading axes in it; 0 where they differ."""
        if isinstance(self.batch, Stream):
            return dataclasses.replace(self, batch=self.batch.first).batch_size
        return examples_in(self._shapes("batch", jax.random.key(0), jnp.zeros((), jnp.int32)))

    def loss_and_metrics(self, params: Any, batch: Any, key: jax.Array) -> tuple[Any, dict]:
        """The loss, and its metrics where there are any."""
        value = self.loss(params, batch, key)
        if not isinstance(value, tuple):
            return value, {}
        if len(value) != 2:
            raise InvalidType(
                f"Task.loss must return a scalar or (scalar, metrics), got {len(value)} values"
            )
        return value

    def watch(
        self, params: Any, batch: Any, key: jax.Array, optimizer: GradientTransformation
    ) -> dict[str, Any]:
        """What the monitors measure before the first update; of use for its names and shapes."""
        return monitoring.first_look(
            self.monitors, self.loss_and_metrics, params, batch, key, optimizer
        )

    def _watched(
        self, params: Any, batch: Any, key: jax.Array, optimizers: tuple[Any, ...]
    ) -> dict[str, Any]:
        measured = {}
        for optimizer in optimizers or (identity(),):
            if self.monitors:
                measured |= self._shapes("watch", params, batch, key, optimizer)
        return measured

    def _shapes(self, function: str, *args: Any) -> Any:
        """What a function of the task returns, traced as a program traces it."""
        hint = "; a number that is a shape is bound by gdjax.Bound(function, structure={...})"
        with telling(f"Task.{function.removesuffix('_and_metrics')} cannot be traced", hint):
            return _call_jitted.eval_shape(function, self, *args)  # remembers what it traced


def examples_in(batch: Any) -> int:
    """How many examples a batch has: the length of all leading axes; 0 where they differ."""
    shapes = {jnp.shape(leaf)[:1] for leaf in jax.tree.leaves(batch)}
    return shapes.pop()[0] if len(shapes) == 1 and () not in shapes else 0


def _call(function: str, task: Task, *args: Any) -> Any:
    returned = getattr(task, function)(*args)
    if _holds_itself(returned, ()):  # JAX would search it until the memory is full
        name = function.removesuffix("_and_metrics")
        raise InvalidType(f"Task.{name} must return arrays; a container in it holds itself")
    return returned


def _holds_itself(tree: Any, above: tuple[Any, ...]) -> bool:
    """Whether a container is among those that it stands in."""
    if not isinstance(tree, list | tuple | dict):
        return False
    inside = tree.values() if isinstance(tree, dict) else tree
    above = (*above, tree)
    return any(any(x is y for y in above) or _holds_itself(x, above) for x in inside)


_call_jitted = jax.jit(_call, static_argnames="function")


def _check_scalars(function: str, metrics: Any) -> None:
    if not isinstance(metrics, dict):
        raise InvalidType(f"Task.{function} must return metrics as a dict, got {shown(metrics)}")
    for name, value in metrics.items():
        if not _is_name(name):
            raise InvalidValue(
                f"Task.{function}: {shown(name)} is no name of a metric; leave out '/'"
            )
        if getattr(value, "shape", None) != ():
            shape = getattr(value, "shape", type(value).__name__)
            raise InvalidValue(
                f"Task.{function}: {name} must be a scalar, got shape {shape}; take a mean or sum"
            )
        if not jnp.issubdtype(value.dtype, jnp.number) and value.dtype != bool:
            raise InvalidType(f"Task.{function}: {name} must be a number, got {value.dtype}")
        if name != "loss" and jnp.issubdtype(value.dtype, jnp.complexfloating):
            raise InvalidValue(
                f"Task.{function}: {name} is complex ({value.dtype}); return its parts or its size"
            )


def _is_name(name: Any) -> bool:
    """Whether it can be a column of a table and a variable of a file."""
    named = isinstance(name, str) and bool(name.strip(".")) and len(name) <= 100
    return named and name.isprintable() and "/" not in name


def _check_data(what: str, tree: Any) -> None:
    with telling(f"{what} cannot be read"):
        for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
            inexact = jnp.issubdtype(jnp.result_type(leaf), jnp.inexact)
            if not inexact or isinstance(leaf, Tracer):
                continue
            if bad := np.count_nonzero(np.isnan(np.asarray(leaf))):  # NumPy's compiles nothing
                raise InvalidValue(
                    f"{what}{jax.tree_util.keystr(path)} holds NaN in {bad} places; remove or "
                    "replace it"
                )
