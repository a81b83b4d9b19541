"""One training run as one pure function: jittable, vmappable, differentiable."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from gdjax import monitoring, subtrees, trees
from gdjax.errors import InvalidValue
from gdjax.monitoring import Step, Watched
from gdjax.task import Task
from gdjax.transformation import ScheduledState
from gdjax.transforms.loss_scaling import DynamicLossScaleState


class Run(NamedTuple):
    """Where a training run stands; all of it follows from the task, the optimizer and the key."""

    params: Any
    state: Any  # the optimizer's
    key: jax.Array  # of the whole run; step t draws from fold_in(key, t)
    step: jax.Array  # int32[]: updates made so far
    watched: Watched | None = None  # what the task's monitors remember


class TrainResult(NamedTuple):
    """What :func:`train` returns."""

    params: Any
    state: Any  # the optimizer's
    traces: dict[str, jax.Array]  # "loss" and the loss's metrics, each [step]
    evaluations: dict[str, jax.Array]  # the task's metrics and its monitors', [evaluation, ...]
    evaluation_steps: jax.Array  # int32[evaluation]: updates made at each

    @property
    def evaluation(self) -> dict[str, jax.Array]:
        """The last of the evaluations."""
        return {name: values[-1] for name, values in self.evaluations.items()}


def train(
    task: Task,
    optimizer: optax.GradientTransformation,
    steps: int,
    key: jax.Array | int,
    segment: int | None = None,
) -> TrainResult:
    """Train once.

    Each step draws its batch and its loss's randomness from ``fold_in(key, step)``, so a run
    depends on nothing but its arguments. ``value``, ``grad`` and ``value_fn`` are passed to
    ``optimizer.update`` as extras.

    Args:
      task: what is trained.
      optimizer: gdjax's or Optax's.
      steps: number of updates.
      key: a PRNG key, or a seed for one.
      segment: updates between evaluations; the end alone is evaluated where None. The task's
        monitors look at the last update of each.

    Returns:
      Final parameters and state, the loss of every step before its update, the evaluations.

    Raises:
      InvalidValue: a segment of less than one update, or monitors and no update to look at.

    >>> import gdjax
    >>> task = Task(
    ...     init=lambda key: jnp.ones(()),
    ...     loss=lambda params, batch, key: 0.5 * params**2,
    ...     batch=lambda key, step: None,
    ... )
    >>> train(task, gdjax.sgd(0.5), steps=3, key=0).traces["loss"]
    Array([0.5    , 0.125  , 0.03125], dtype=float32)
    """
    if segment is not None and segment < 1:
        raise InvalidValue(f"segment must be at least one update, got {segment}")
    segment = steps if segment is None else min(segment, steps)
    whole, rest = divmod(steps, max(segment, 1))
    run = start(task, optimizer, as_key(key))
    run, told = _segments(task, optimizer, run, max(whole, 1), segment)
    if rest:
        run, more = _segments(task, optimizer, run, 1, rest)
        told = jax.tree.map(lambda x, y: jnp.concatenate([x, y]), told, more)
    evaluated_at = np.append(np.arange(segment, steps, max(segment, 1)), steps)
    traces, evaluations = told
    return TrainResult(
        run.params, run.state, traces, evaluations, jnp.asarray(evaluated_at, jnp.int32)
    )


def as_key(key: jax.Array | int) -> jax.Array:
    """A PRNG key from a key or a seed."""
    if isinstance(key, jax.Array) and not jnp.issubdtype(key.dtype, jnp.signedinteger):
        return key
    return jax.random.key(key)


def start(task: Task, optimizer: optax.GradientTransformation, key: jax.Array) -> Run:
    """A run before its first step."""
    params = task.init(jax.random.split(key)[0])
    state, step = optimizer.init(params), jnp.zeros((), jnp.int32)
    return Run(params, state, run_key(key), step, monitoring.begin(task.monitors, params))


def run_key(key: jax.Array) -> jax.Array:
    """What a run that starts from ``key`` draws its steps from."""
    return jax.random.split(key)[1]


def advance(
    task: Task, optimizer: optax.GradientTransformation, run: Run, steps: int
) -> tuple[Run, dict[str, jax.Array]]:
    """``steps`` more updates, and the loss and metrics of each, ``[step]``."""
    return jax.lax.scan(lambda run, _: one_step(task, optimizer, run), run, length=steps)


def one_segment(
    task: Task, optimizer: optax.GradientTransformation, run: Run, steps: int
) -> tuple[Run, tuple[dict[str, jax.Array], dict[str, jax.Array]]]:
    """``steps`` more updates; the loss and metrics of each, ``[step]``, and the evaluation."""
    if not task.monitors:
        run, traces = advance(task, optimizer, run, steps)
        return run, (traces, evaluate(task, run.params))
    if steps < 1:
        raise InvalidValue("a task with monitors needs an update for them to look at, got none")
    run, traces = advance(task, optimizer, run, steps - 1)
    run, last, measured = watched_step(task, optimizer, run)
    traces = jax.tree.map(lambda x, y: jnp.append(x, y), traces, last)
    return run, (traces, evaluate(task, run.params) | measured)


def _segments(
    task: Task, optimizer: optax.GradientTransformation, run: Run, count: int, steps: int
) -> tuple[Run, tuple[dict[str, jax.Array], dict[str, jax.Array]]]:
    """Several segments; the loss and metrics of all their updates, ``[step]``, and evaluations."""
    run, (traces, evaluations) = jax.lax.scan(
        lambda run, _: one_segment(task, optimizer, run, steps), run, length=count
    )
    return run, (jax.tree.map(jnp.ravel, traces), evaluations)


def one_step(
    task: Task, optimizer: optax.GradientTransformation, run: Run
) -> tuple[Run, dict[str, jax.Array]]:
    """One update, and the loss and metrics before it."""
    run, traces, _ = _update(task, optimizer, run)
    return run, traces


def watched_step(
    task: Task, optimizer: optax.GradientTransformation, run: Run
) -> tuple[Run, dict[str, jax.Array], dict[str, jax.Array]]:
    """One update, the loss and metrics before it, and what the task's monitors measure."""
    after, traces, step = _update(task, optimizer, run)
    watched: Any = after.watched
    measured, states = monitoring.measure(task.monitors, step, watched.states)
    return after._replace(watched=watched._replace(states=states)), traces, measured


def _update(
    task: Task, optimizer: optax.GradientTransformation, run: Run
) -> tuple[Run, dict[str, jax.Array], Any]:
    """One update, the loss and metrics before it, and the :class:`Step` that monitors see."""
    step_key = jax.random.fold_in(run.key, run.step)
    batch_key, loss_key, gradient_key = jax.random.split(step_key, 3)
    batch = task.batch(batch_key, run.step)

    def loss_fn(params: Any, key: Any = None) -> tuple[Any, dict]:
        del key  # an estimator draws from it; jax.value_and_grad hands it on
        return task.loss_and_metrics(params, batch, loss_key)

    scale = _loss_scale(run.state)

    def scaled(params: Any, key: Any = None) -> tuple[Any, dict]:
        loss, metrics = loss_fn(params, key)
        return loss * scale, metrics

    value_and_grad = task.value_and_grad(loss_fn if scale is None else scaled, has_aux=True)
    (loss, metrics), grad = value_and_grad(run.params, key=gradient_key)
    unscaled = grad
    if scale is not None:
        loss, unscaled = jax.tree.map(lambda x: x / scale, (loss, trees.widen(grad)))
    extra = {"value": loss, "grad": unscaled, "value_fn": lambda params: loss_fn(params)[0]}
    update = optax.with_extra_args_support(optimizer).update
    updates, state = update(grad, run.state, run.params, **extra)
    params = optax.apply_updates(run.params, updates)
    after = Run(params, state, run.key, run.step + 1, run.watched)
    traces = {"loss": loss, **metrics}
    watched = run.watched
    if watched is None:
        return after, traces, None
    fixed: Any = (task, optimizer, run.params, run.state, watched, batch, loss, unscaled, updates)
    task, optimizer, params, state, watched, batch, loss, gradient, updates = jax.tree.map(
        _without_derivative, fixed
    )
    step = Step(
        number=run.step,
        params=params,
        batch=batch,
        loss_fn=lambda params, batch: task.loss_and_metrics(params, batch, loss_key)[0],
        loss=loss,
        gradient=gradient,
        last_gradient=watched.last_gradient,
        updates=updates,
        optimizer=optimizer,
        state=state,
    )
    return after._replace(watched=Watched(trees.widen(gradient), watched.states)), traces, step


def _without_derivative(x: Any) -> Any:
    return jax.lax.stop_gradient(x) if jnp.issubdtype(jnp.result_type(x), jnp.inexact) else x


def _loss_scale(state: Any) -> jax.Array | None:
    """That of :func:`gdjax.dynamic_loss_scale`, where that is what the optimizer is."""
    own = state.inner_state if isinstance(state, ScheduledState) else state
    scales = isinstance(own, DynamicLossScaleState)
    if subtrees.every(DynamicLossScaleState, own.inner_state if scales else own):
        raise InvalidValue(
            "dynamic_loss_scale must be the outermost transformation of an optimizer that is "
            "trained, and stand there once: what is around it would see gradients of a scaled loss"
        )
    return own.scale if scales else None


def evaluate(task: Task, params: Any) -> dict[str, jax.Array]:
    """The task's metrics of parameters; none where the task measures none."""
    return {} if task.evaluate is None else task.evaluate(params)
