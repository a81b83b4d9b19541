"""Overfitting: sixty images of digits, six labels wrong; what keeps a network from them."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.stats import ttest_1samp

import gdjax
from gdjax import diagnostics
from gdjax.problems.images import perceptron

SEEDS, STEPS, SEGMENT, EXAMPLES, WRONG = 32, 200, 10, 60, 6
OFF = {"l2": 0.0, "weight_decay": 0.0, "l1": 0.0}
SETTINGS = [OFF, OFF | {"l2": 1e-2}, OFF | {"weight_decay": 3.0}, OFF | {"l1": 3e-4}]


@pytest.fixture(scope="module")
def results():
    """By measurement ``[setting, seed, evaluation]``; and at the best evaluation of each run."""
    plain = gdjax.problems.digits(hidden=(64,), batch_size=None, l2=0.0)
    every = plain.batch(jax.random.key(0), 0)

    def run(l2, weight_decay, l1, key, order):
        images = {name: column[order] for name, column in every.items()}
        train = {name: column[:EXAMPLES] for name, column in images.items()}
        test = {name: column[EXAMPLES:] for name, column in images.items()}
        train["y"] = train["y"].at[:WRONG].add(1) % 10

        def evaluate(params):
            logits = perceptron(params, train["x"])
            loss = optax.softmax_cross_entropy_with_integer_labels(logits, train["y"]).mean()
            hits = jnp.argmax(perceptron(params, test["x"]), axis=-1) == test["y"]
            return plain.evaluate(params) | {
                "training_loss": loss,
                "test_accuracy": hits.mean(),
                "zeros": jnp.mean(params[0]["w"] == 0),
            }

        task = dataclasses.replace(
            gdjax.replace(plain, l2=l2), batch=lambda key, step: train, evaluate=evaluate
        )
        adamw = gdjax.adamw(0.01, weight_decay=weight_decay)
        optimizer = gdjax.chain(adamw, gdjax.soft_threshold(l1))
        found = gdjax.train(task, optimizer, STEPS, key, segment=SEGMENT, keep_best=True)
        return found.evaluations, found.evaluation

    numbers = [jnp.array([setting[name] for setting in SETTINGS]) for name in OFF]
    draw = np.random.default_rng(0)
    orders = np.stack([draw.permutation(len(every["y"])) for _ in range(SEEDS)])
    over_seeds = jax.vmap(run, in_axes=(None, None, None, 0, 0))
    over_settings = jax.jit(jax.vmap(over_seeds, in_axes=(0, 0, 0, None, None)))
    found = over_settings(*numbers, jax.random.split(jax.random.key(0), SEEDS), orders)
    return jax.tree.map(np.asarray, found)


def test_the_plain_run_overfits(results):
    along, _ = results
    steps = np.arange(SEGMENT, STEPS + 1, SEGMENT)
    found = diagnostics.generalization_gap(along["training_loss"], along["heldout_loss"], steps)
    plain = jax.tree.map(lambda values: values[0, :, -1], found)  # [seed]
    assert (plain.gap > 0.5).all()
    assert (plain.slope > 0).all()
    assert (plain.rise > 0.05).all()
    l2, weight_decay = found.rise[1:3, :, -1]
    assert (l2 < plain.rise).all()
    assert (weight_decay < plain.rise).all()


def test_early_stopping_and_small_weights_make_it_right_more_often(results):
    along, best = results
    plain, l2, weight_decay, _ = along["test_accuracy"][..., -1]  # [seed]
    for remedied in (l2, weight_decay, best["test_accuracy"][0]):
        assert (remedied - plain).mean() > 0.005
        assert ttest_1samp(remedied - plain, 0, alternative="greater").pvalue < 0.05


def test_only_l1_by_proximal_steps_gives_exact_zeros(results):
    zeros = results[0]["zeros"][..., -1]  # [setting, seed]
    assert (zeros[3] > 0.1).all()
    assert (zeros[:3] < 1e-3).all()
