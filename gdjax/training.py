"""One training run as one pure function: jittable, vmappable, differentiable."""

import functools
import operator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.core import Tracer

from gdjax import monitoring, subtrees, trees
from gdjax.errors import InvalidValue, nearest
from gdjax.monitoring import Step, Watched
from gdjax.ranges import whole
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


class Best(NamedTuple):
    """The best evaluation so far."""

    score: jax.Array  # the task's objective, turned so that less is better
    step: jax.Array  # int32[]: updates made until then; 0 before the first
    params: Any  # of then; None where the last ones are wanted


class TrainResult(NamedTuple):
    """What :func:`train` returns."""

    params: Any
    state: Any  # the optimizer's, of the last update
    traces: dict[str, jax.Array]  # "loss" and the loss's metrics, each [step]
    evaluations: dict[str, jax.Array]  # the task's metrics and its monitors', [evaluation, ...]
    evaluation_steps: jax.Array  # int32[evaluation]: updates made at each
    number: jax.Array  # int32[]: of the evaluation of ``params``

    @property
    def evaluation(self) -> dict[str, jax.Array]:
        """That of ``params``; of a batch of results, of each its own."""
        pick: Any = operator.getitem
        for _ in range(jnp.ndim(self.number)):
            pick = jax.vmap(pick)
        return jax.tree.map(lambda values: pick(values, self.number), self.evaluations)


def train(
    task: Task,
    optimizer: optax.GradientTransformation,
    steps: int,
    key: jax.Array | int,
    segment: int | None = None,
    patience: int | None = None,
    min_delta: float = 0.0,
    keep_best: bool = False,
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
      patience: stop early, when for so many updates no evaluation of the task's objective has
        been better than all before; of what is measured at each step, the mean over the segment
        counts. Never where None. Under ``vmap`` a run that has stopped stays as it is, but costs
        what it would.
      min_delta: what is better by no more than this counts as no better.
      keep_best: return the parameters of the best evaluation, not the last ones.

    Returns:
      Parameters, the optimizer's state, the loss of every step before its update, the
      evaluations. What was not made because the run had stopped is NaN, or 0 where it is no float.

    Raises:
      InvalidValue: numbers that are too small or not whole, monitors but no update.

    >>> import gdjax
    >>> task = Task(
    ...     init=lambda key: jnp.ones(()),
    ...     loss=lambda params, batch, key: 0.5 * params**2,
    ...     batch=lambda key, step: None,
    ... )
    >>> train(task, gdjax.sgd(0.5), steps=3, key=0).traces["loss"]
    Array([0.5    , 0.125  , 0.03125], dtype=float32)
    """
    steps = whole("steps", steps, low=0)
    segment = steps if segment is None else min(whole("segment", segment), steps)
    patience = None if patience is None else whole("patience", patience)
    if not isinstance(min_delta, Tracer) and not min_delta >= 0:
        raise InvalidValue(f"min_delta must be at least 0, got {min_delta}")
    count, rest = divmod(steps, max(segment, 1))
    run = start(task, optimizer, as_key(key))
    best = Best(jnp.full((), jnp.inf), run.step, run.params if keep_best else None)
    progress = run, best if keep_best or patience else None
    go_on = functools.partial(_segments, task, optimizer, patience=patience, min_delta=min_delta)
    progress, told = go_on(progress, max(count, 1), segment)
    if rest:
        progress, more = go_on(progress, 1, rest)
        told = jax.tree.map(lambda x, y: jnp.concatenate([x, y]), told, more)
    run, best = progress
    params, step = (best.params, best.step) if keep_best else (run.params, run.step)
    made = jnp.asarray(np.append(np.arange(segment, steps, max(segment, 1)), steps), jnp.int32)
    number = jnp.searchsorted(made, step)
    return TrainResult(params, run.state, told[0], told[1], made, number)


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
    unseen, traces = advance(task, optimizer, run._replace(watched=None), max(steps - 2, 0))
    run = unseen._replace(watched=run.watched)
    run, before = advance(task, optimizer, run, min(steps - 1, 1))
    run, last, measured = watched_step(task, optimizer, run)
    traces = jax.tree.map(lambda x, y, z: jnp.append(jnp.append(x, y), z), traces, before, last)
    return run, (traces, monitoring.beside(evaluate(task, run.params), measured))


def _segments(
    task: Task,
    optimizer: optax.GradientTransformation,
    progress: Any,  # a run, and the best evaluation where that is wanted
    count: int,
    steps: int,
    patience: int | None,
    min_delta: float,
) -> tuple[Any, Any]:
    """Several segments; the loss and metrics of all their updates, ``[step]``, and evaluations."""

    def one(progress: Any, _: None) -> tuple:
        run, best = progress

        def go_on() -> tuple:
            after, told = one_segment(task, optimizer, run, steps)
            return (after, best and _better(task, best, after, told, min_delta)), told

        if patience is None:
            return go_on()
        _, told = jax.eval_shape(go_on)
        blank = jax.tree.map(lambda x: monitoring.unmeasured(x.shape, x.dtype), told)
        return jax.lax.cond(run.step - best.step < patience, go_on, lambda: (progress, blank))

    progress, (traces, evaluations) = jax.lax.scan(one, progress, length=count)
    return progress, (jax.tree.map(jnp.ravel, traces), evaluations)


def _better(task: Task, best: Best, run: Run, told: tuple[dict, dict], min_delta: float) -> Best:
    """The best evaluation, where one more has been made."""
    values = {name: jnp.mean(trace) for name, trace in told[0].items()} | told[1]
    if task.objective not in values:
        known = nearest(task.objective, values)
        raise InvalidValue(f"Task.objective is {task.objective!r}, which is not measured: {known}")
    score = jax.lax.stop_gradient(jnp.asarray(values[task.objective], float))
    if score.ndim:
        raise InvalidValue(f"Task.objective {task.objective!r} must be a scalar, got {score.shape}")
    score = -score if task.mode == "max" else score
    better = (score < best.score - min_delta) | (best.step == 0)
    return Best(
        score=jnp.where(better & ~jnp.isnan(score), score, best.score),
        step=jnp.where(better, run.step, best.step),
        params=None if best.params is None else trees.select(better, run.params, best.params),
    )


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
    if run.watched is None:
        return after, {"loss": loss, **metrics}, None
    fixed, states = jax.tree.map(_without_derivative, (task, run.watched.states))
    step = Step(
        number=run.step,
        params=run.params,
        batch=batch,
        loss_fn=lambda params, batch: fixed.loss_and_metrics(params, batch, loss_key)[0],
        loss=loss,
        gradient=unscaled,
        last_gradient=run.watched.last_gradient,
        updates=updates,
        optimizer=optimizer,
        state=run.state,
    )
    step = jax.tree.map(_without_derivative, step)
    after = after._replace(watched=Watched(trees.widen(step.gradient), states))
    return after, {"loss": loss, **metrics}, step


def _without_derivative(x: Any) -> Any:
    inexact = not callable(x) and jnp.issubdtype(jnp.result_type(x), jnp.inexact)
    return jax.lax.stop_gradient(x) if inexact else x


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
