"""Saddle points: where the gradient is 0, only what is random leaves."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax
from gdjax.diagnostics import norms, spectrum
from gdjax.problems import beale, digits, monkey_saddle

SEEDS, STEPS = 8, 400
SADDLE = [0.0, 1.0]  # of Beale's function
CURVATURE = 3 + 9 + 15.75  # its Hessian there, by hand: 0 on the diagonal, this beside it


def losses(make_optimizer, task, seeds=SEEDS):
    """The loss before each step, [seed, step]."""
    keys, noise = jax.random.split(jax.random.key(0), (2, seeds))
    train = jax.vmap(lambda optimizer, key: gdjax.train(task, optimizer, STEPS, key).traces["loss"])
    return np.asarray(jax.jit(train)(jax.vmap(make_optimizer)(noise), keys))


def escape(loss):
    """The first step at which the loss is half of that of the saddle, [seed]."""
    out = np.asarray(loss < beale(SADDLE) / 2)
    assert out.any(axis=1).all()
    return out.argmax(axis=1)


@pytest.mark.parametrize(
    "optimizer",
    [gdjax.sgd(0.002), gdjax.sgd(0.002, momentum=0.9), gdjax.adam(0.01)],
    ids=["plain", "momentum", "adam"],
)
def test_without_noise_a_run_stays_at_the_saddle(optimizer):
    run = jax.jit(lambda: gdjax.train(beale.task(start=SADDLE), optimizer, STEPS, key=0))()
    np.testing.assert_array_equal(run.params, SADDLE)


def test_the_monitors_tell_a_saddle_from_a_minimum():
    def look(start):
        task = beale.task(start=start).with_monitors(norms(), spectrum())
        return gdjax.train(task, gdjax.sgd(0.002), 1, key=0).evaluation

    saddle, minimum = map(jax.jit(look), (jnp.array(SADDLE), jnp.array([3.0, 0.5])))
    assert saddle["gradient_norm"] == 0
    np.testing.assert_allclose(saddle["lowest_curvature"], -CURVATURE, rtol=1e-5)
    assert saddle["lowest_residual"] < 1e-3
    assert minimum["gradient_norm"] < 1e-5
    assert minimum["lowest_curvature"] > 0.1


@pytest.mark.parametrize(
    ("make_optimizer", "spread"),
    [
        (lambda key: gdjax.perturbed_sgd(0.002, 1.0, 0.01, key), 0.0),
        (lambda key: gdjax.noisy_sgd(0.002, 0.01, key=key), 0.0),
        (lambda key: gdjax.sgd(0.002), 0.001),
    ],
    ids=["perturbed", "noise", "another start"],
)
def test_what_is_random_leaves_with_each_seed(make_optimizer, spread):
    loss = losses(make_optimizer, beale.task(start=SADDLE, spread=spread))
    assert escape(loss).max() < STEPS
    assert loss[:, -1].max() < 3  # the minimum, or the valley on the other side


def test_near_the_saddle_curvature_predicts_the_steps_and_momentum_and_adam_need_fewer():
    distances = np.geomspace(1e-5, 1e-2, 4)
    starts = np.array([SADDLE]) + distances[:, None] * np.array([[1, -1]]) / 2**0.5
    tasks = jax.vmap(beale.task)(jnp.asarray(starts))
    plain, momentum, adam = (
        escape(
            jax.jit(jax.vmap(lambda t, o=o: gdjax.train(t, o, STEPS, key=0).traces["loss"]))(tasks)
        )
        for o in (gdjax.sgd(0.002), gdjax.sgd(0.002, momentum=0.9), gdjax.adam(0.01))
    )
    np.testing.assert_allclose(-np.diff(plain), np.log(10) / np.log1p(0.002 * CURVATURE), atol=2)
    assert (momentum < plain / 2).all()
    assert np.ptp(adam) <= 3  # its steps do not depend on the gradient's length
    assert adam[0] < plain[0] / 2


def test_the_monkey_saddle_is_seen_on_the_ridge_alone_and_left_by_perturbation():
    on_ridge, at_centre = (monkey_saddle.task(start=[x, 0.0]) for x in (1.0, 0.0))
    watch = jax.jit(
        lambda task: gdjax.train(
            task.with_monitors(norms(), spectrum()), gdjax.sgd(0.01), STEPS, key=0
        )
    )
    run, centre = watch(on_ridge), watch(at_centre).evaluation
    x, y = np.asarray(run.params)
    assert y == 0
    assert 0 < x < 0.1  # it creeps into the saddle
    np.testing.assert_allclose(run.evaluation["gradient_norm"], 3 * x**2, rtol=0.1)
    np.testing.assert_allclose(run.evaluation["lowest_curvature"], -6 * x, rtol=0.1)
    assert centre["gradient_norm"] == centre["lowest_curvature"] == 0
    loss = losses(lambda key: gdjax.perturbed_sgd(0.01, 2.0, 0.5, key), on_ridge)
    assert (np.nanmin(loss, axis=1) < -1).all()  # the function has no lower bound


DRAWN = digits(hidden=(8,), batch_size=64)  # mini-batches: their noise is the same for all units
KEYS = jax.random.split(jax.random.key(1), SEEDS)
RANDOM = jax.vmap(DRAWN.init)(KEYS)
EQUAL = jax.tree.map(lambda leaf: jnp.full_like(leaf, 0.1), RANDOM)


def given(key, weights):
    return weights


@jax.jit
def accuracies(weights, optimizers):
    """Held-out accuracy, and how far the hidden units' weights differ, [seed]."""

    def train(weights, optimizer, key):
        task = dataclasses.replace(DRAWN, init=gdjax.bind(given, weights=weights))
        run = gdjax.train(task, optimizer, STEPS, key)
        return run.evaluation["heldout_accuracy"], run.params[0]["w"].std(axis=1).max()

    return jax.vmap(train)(weights, optimizers, KEYS)


def with_momentum(key):
    return gdjax.sgd(0.1, momentum=0.9)


@pytest.mark.parametrize("make", [with_momentum, lambda key: gdjax.adam(0.01)], ids=["sgd", "adam"])
def test_no_descent_without_noise_tells_equal_units_apart(make):
    accuracy, apart = accuracies(EQUAL, jax.vmap(make)(KEYS))
    assert apart.max() < 1e-4
    assert accuracy.max() < 0.6


@pytest.mark.parametrize(
    ("weights", "make"),
    [(EQUAL, lambda key: gdjax.noisy_sgd(0.3, 1e-4, key=key)), (RANDOM, with_momentum)],
    ids=["noise", "random weights"],
)
def test_noise_or_random_weights_train_the_whole_network(weights, make):
    accuracy, apart = accuracies(weights, jax.vmap(make)(KEYS))
    assert apart.min() > 0.1
    assert accuracy.min() > 0.7
