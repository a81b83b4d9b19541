"""Vanishing gradients: twenty layers of logistic units, one unit on its plateau, their cures."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gdjax
from gdjax import diagnostics

DEPTH, WIDTH, SEEDS = 20, 32, 5
GUESSING = np.log(10)  # nats, of ten classes


def init(key):
    """Weights by He, for both kinds of units: initialization alone is no cure of logistic ones."""
    shapes = list(itertools.pairwise([64, *[WIDTH] * DEPTH, 10]))
    keys = jax.random.split(key, len(shapes))
    initializer = jax.nn.initializers.he_normal()
    return [{"w": initializer(k, s)} for k, s in zip(keys, shapes, strict=True)]


def loss(params, batch, key, cured):
    """A plain network of logistic units; with ``cured = 1`` a residual one of ReLU units."""

    def units(x, layer):
        x = x @ layer["w"]
        return jnp.where(cured, jax.nn.relu(x), jax.nn.sigmoid(x))

    first, *hidden, last = params
    x = units(batch["x"], first)
    for layer in hidden:
        y = units(x, layer)
        x = jnp.where(cured, x + y / np.sqrt(DEPTH), y)
    return optax.softmax_cross_entropy_with_integer_labels(x @ last["w"], batch["y"]).mean()


@pytest.fixture(scope="module")
def result():
    """The plain network at two learning rates, then the cured one."""
    digits = gdjax.problems.digits(batch_size=32)
    task = gdjax.Task(init, gdjax.bind(loss, cured=0.0), digits.batch)
    return gdjax.sweep(
        task.with_monitors(diagnostics.norms()),
        gdjax.sgd,
        {"cured": [0.0, 1.0], "learning_rate": [0.03, 0.1]},
        seeds=SEEDS,
        steps=300,
        segment=1,
    )


def test_norms_by_layer_fall_from_last_to_first_but_in_the_cured_network(result):
    first, last = (result.evaluations[f"gradient_norm.{i}"][..., 0] for i in (0, DEPTH))
    ratio = (first / last).reshape(2, 2, SEEDS)  # [cured, rate, seed]
    assert (ratio[0] < 1e-6).all()
    assert (ratio[1] > 0.1).all()
    assert (ratio[1] < 10).all()


def test_only_the_cured_network_learns(result):
    losses = result.traces["loss"][..., -20:].mean(axis=-1).reshape(2, 2, SEEDS)
    assert (losses[0] > 0.97 * GUESSING).all()
    assert (losses[1].min(axis=0) < 0.7 * GUESSING).all()


def test_a_unit_on_its_plateau_is_left_by_steps_of_another_size():
    task = gdjax.problems.sigmoid_plateau.task(spread=0.1)  # starts around 5
    optimizers = {"sgd": gdjax.sgd, "adam": gdjax.adam}
    result = gdjax.sweep(task, optimizers, {"learning_rate": 0.1}, seeds=SEEDS, steps=500)
    sgd, adam = result.final("distance_to_minimum")  # [seed]
    assert sgd.min() > 1
    assert adam.max() < 1e-2
