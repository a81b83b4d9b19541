import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gdjax
from gdjax import Task, bind, training


def _loss(params, batch, key, l2):
    return jnp.mean((params - batch) ** 2) + l2 * jnp.sum(params**2), {"size": jnp.sum(params**2)}


def _batch(key, step):
    return jax.random.normal(key, (3,)) + step


@pytest.fixture(scope="module")
def task():
    return Task(
        init=lambda key: jax.random.normal(key, (3,)),
        loss=bind(_loss, l2=0.1),
        batch=_batch,
        evaluate=lambda params: {"first": params[0]},
    )


def test_a_run_by_hand(task):
    """The loop that train is, written out."""
    root = jax.random.key(5)
    init_key, run_key = jax.random.split(root)
    params, optimizer, losses = task.init(init_key), optax.sgd(0.1, 0.5), []
    state = optimizer.init(params)
    grad_of = jax.value_and_grad(task.loss, has_aux=True)
    for step in range(4):
        batch_key, loss_key = jax.random.split(jax.random.fold_in(run_key, step))
        (value, _), grad = grad_of(params, task.batch(batch_key, step), loss_key)
        updates, state = optimizer.update(grad, state, params)
        params = optax.apply_updates(params, updates)
        losses.append(value)
    for optimizer in (gdjax.sgd(0.1, 0.5), optax.sgd(0.1, 0.5)):
        result = gdjax.train(task, optimizer, 4, root)
        np.testing.assert_allclose(result.traces["loss"], losses, rtol=1e-5)
        np.testing.assert_allclose(result.params, params, rtol=1e-5)
        np.testing.assert_allclose(result.evaluation["first"], params[0], rtol=1e-5)
        assert result.traces["size"].shape == (4,)


def test_a_seed_is_a_key(task):
    a = gdjax.train(task, gdjax.sgd(0.1), 2, 7)
    b = gdjax.train(task, gdjax.sgd(0.1), 2, jax.random.key(7))
    np.testing.assert_array_equal(a.params, b.params)


def test_segments_are_the_whole(task):
    optimizer = gdjax.adam(gdjax.cosine_decay_schedule(0.1, 6))
    run = training.start(task, optimizer, jax.random.key(0))
    run, first = training.advance(task, optimizer, run, 2)
    run, second = training.advance(task, optimizer, run, 4)
    whole = gdjax.train(task, optimizer, 6, 0)
    np.testing.assert_allclose(
        np.concatenate([first["loss"], second["loss"]]), whole.traces["loss"], rtol=1e-6
    )
    assert run.step == 6


def test_train_is_jitted_mapped_and_differentiated(task):
    rates = jnp.array([0.01, 0.1])
    train = jax.jit(lambda optimizer, task: gdjax.train(task, optimizer, 5, 0).evaluation["first"])
    together = jax.vmap(train, in_axes=(0, None))(jax.vmap(gdjax.adam)(rates), task)
    alone = [train(gdjax.adam(rate), task) for rate in rates]
    np.testing.assert_allclose(together, alone, rtol=1e-5)
    by_optimizer, by_task = jax.grad(train, argnums=(0, 1))(gdjax.adam(0.1), task)
    slopes = gdjax.hyperparameters(by_optimizer)
    step = 1e-3
    rise = train(gdjax.adam(0.1 + step), task) - train(gdjax.adam(0.1 - step), task)
    slope = slopes["scale_by_learning_rate.learning_rate"]
    np.testing.assert_allclose(slope, rise / (2 * step), rtol=1e-2)
    assert by_task.loss.leaves["l2"] != 0


def test_the_loss_is_passed_to_the_optimizer(task):
    @gdjax.transformation()
    def scale_by_value(updates, state, params, *, value, grad, value_fn):
        same = jnp.allclose(value_fn(params), value) & jnp.all(grad == updates)
        return jnp.where(same, updates * value, jnp.nan), state

    result = gdjax.train(task, gdjax.chain(scale_by_value(), gdjax.sgd(0.01)), 2, 0)
    assert np.isfinite(result.params).all()


@pytest.mark.parametrize(
    ("estimator", "value"),
    [
        (bind(gdjax.spsa, sigma=0.5), 4.0),
        (gdjax.parameter_shift, 4.0 * np.pi / 2),  # a line is no sine
        (jax.value_and_grad, 4.0),
    ],
)
def test_an_estimator_takes_the_gradient(estimator, value):
    task = Task(
        init=lambda key: jnp.zeros(()),
        loss=lambda params, batch, key: (4 * params, {"drawn": jax.random.uniform(key)}),
        batch=lambda key, step: None,
        value_and_grad=estimator,
    )
    assert task.check() == {"loss", "drawn"}
    result = jax.jit(lambda task: gdjax.train(task, gdjax.sgd(1.0), 2, 0))(task)
    np.testing.assert_allclose(result.params, -2 * value, rtol=1e-5)
    plain = gdjax.train(
        dataclasses.replace(task, value_and_grad=jax.value_and_grad), gdjax.sgd(1.0), 2, 0
    )
    np.testing.assert_array_equal(result.traces["drawn"], plain.traces["drawn"])


def test_a_loss_of_steps_is_trained():
    """Each step draws directions of its own; the numbers of an estimator are mapped."""

    def train(sigma):
        task = Task(
            init=lambda key: jnp.full(2, 3.0),
            loss=lambda params, batch, key: jnp.sum(jnp.floor(4 * jnp.abs(params))),
            batch=lambda key, step: None,
            value_and_grad=bind(gdjax.evolution_strategies, sigma=sigma),
        )
        return gdjax.train(task, gdjax.sgd(0.02), 100, 0).traces["loss"]

    losses = jax.vmap(train)(jnp.array([1e-6, 0.3]))
    assert losses[0].min() > 20  # steps are flat from close by
    assert losses[1, -1] < 3 < losses[1, 0]
    result = gdjax.train(
        Task(
            init=lambda key: jnp.zeros(3),
            loss=lambda params, batch, key: params.sum(),
            batch=lambda key, step: None,
            value_and_grad=gdjax.spsa,
        ),
        gdjax.sgd(1.0),
        6,
        0,
    )
    assert len({float(loss) for loss in np.diff(result.traces["loss"])}) > 1
