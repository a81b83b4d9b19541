"""Batch size: the noise scale predicts where larger batches cease to save updates."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import least_squares

import gdjax
from gdjax import diagnostics

SIZES, SEEDS, STEPS, TARGET, LOOK = [1, 4, 16, 64], 5, 420, 0.6, 3
RATES = [0.15, 0.3, 0.6, 1.2, 2.4]


def sized(batch_size):
    """A linear classifier of digits."""
    return gdjax.problems.digits(hidden=(), batch_size=batch_size)


@pytest.fixture(scope="module")
def needed():
    """Updates to the target at the best rate, ``[size, seed]``: one program for all sizes."""
    largest = sized(SIZES[-1])

    def draw(key, step, size):
        return largest.batch(key, step), jnp.arange(SIZES[-1]) < size

    def loss(params, batch, key):
        images, used = batch
        images = jax.tree.map(lambda x: x[:, None], images)  # [image, 1, ...]
        losses = jax.vmap(largest.loss, (None, 0, None))(params, images, key)
        return used @ losses / used.sum()

    task = dataclasses.replace(largest, loss=loss, batch=gdjax.bind(draw, size=1))
    result = gdjax.sweep(
        task,
        gdjax.sgd,
        {"size": SIZES, "learning_rate": RATES},
        seeds=SEEDS,
        steps=STEPS,
        segment=LOOK,
    )
    reached = result.evaluations["heldout_loss"] <= TARGET
    first = np.where(reached.any(-1), result.evaluation_steps[reached.argmax(-1)], np.inf)
    first = first.reshape(len(SIZES), len(RATES), SEEDS)
    return first[np.arange(len(SIZES)), first.mean(axis=-1).argmin(axis=-1)]


def test_returns_diminish(needed):
    assert (needed[0] > 2 * needed[1]).all()
    assert (SIZES[-1] * needed[-1] > 4 * needed[0]).all()  # images
    one, four, sixteen, most = needed.mean(axis=1)
    assert one > 2.5 * four
    assert sixteen < 2 * most


def test_the_noise_scale_predicts_the_critical_batch_size(needed):
    def misfit(logs):
        return logs[0] + np.log1p(np.exp(logs[1]) / np.array(SIZES)) - np.log(needed.mean(axis=1))

    critical = np.exp(least_squares(misfit, [np.log(needed.min()), np.log(10)]).x[1])
    task = sized(16).with_monitors(diagnostics.noise())
    keys = jax.vmap(jax.random.key)(jnp.arange(SEEDS))
    run = jax.jit(jax.vmap(lambda key: gdjax.train(task, gdjax.sgd(1.2), 30, key, segment=1)))
    seen = run(keys).evaluations
    parts = [
        diagnostics.noise_scale(
            *(seen[f"gradient_{x}"][:, i : i + 10].ravel() for x in ("variance", "signal"))
        )
        for i in (0, 10, 20)
    ]
    predicted = np.mean([part.value for part in parts])
    assert 1 / 3 < predicted / critical < 3
