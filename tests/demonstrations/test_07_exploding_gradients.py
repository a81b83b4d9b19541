"""Exploding gradients: a rectified recurrent network, and bad batches; clipping and skipping.

And gradients that half precision loses, and what scales the loss.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gdjax
from gdjax import diagnostics

SEEDS, LENGTH = 5, 20
GUESSING = 1 / 12
OFF = 1e30  # a threshold that clips nothing


@pytest.fixture(scope="module")
def recurrent():
    """The adding problem, 16 of 1024 sequences at each step."""
    drawn = gdjax.problems.adding(LENGTH, hidden=32, batch_size=1024, rectified=True)
    sequences = drawn.batch(jax.random.key(0), 0)

    def batch(key, step):
        rows = jax.random.randint(key, (16,), 0, 1024)
        return jax.tree.map(lambda x: x[rows], sequences)

    return gdjax.Task(drawn.init, drawn.loss, batch)


def test_sgd_learns_at_no_rate_but_with_clipping_by_norm_in_each_seed(recurrent):
    def clipped(learning_rate, norm):
        return gdjax.chain(gdjax.clip_by_global_norm(norm), gdjax.sgd(learning_rate))

    plain = [{"learning_rate": rate, "norm": OFF} for rate in (3e-4, 1e-3, 3e-3, 0.01, 0.1)]
    points = [*plain, {"learning_rate": 0.1, "norm": 1.0}]
    space = gdjax.Space(
        {"learning_rate": gdjax.LogUniform(1e-4, 1.0), "norm": [1.0, OFF]}, first=points
    )
    result = gdjax.sweep(recurrent, clipped, space, trials=len(points), seeds=SEEDS, steps=1500)
    losses = result.traces["loss"].astype(float)[..., -150:].mean(axis=-1)  # [trial, seed]
    shares = np.nan_to_num(losses, nan=np.inf) / GUESSING
    assert (shares[:-1].max(axis=1) > 0.8).all()
    assert shares[:-1].min() > 0.3
    assert shares[-1].max() < 0.3


DIGITS = gdjax.problems.digits(hidden=(32,), batch_size=32)
FACTORS = [1.0, 1e4, 3e38]  # the last one overflows


def poisoned(key, step, factor):
    clean = DIGITS.batch(key, step)
    return clean | {"x": clean["x"] * jnp.where(step % 100 == 99, factor, 1.0)}


@pytest.fixture(scope="module")
def digits():
    """Adam by threshold, by how many errors are skipped, and by the factor of bad batches."""

    def guarded(norm, max_errors):
        adam = gdjax.chain(gdjax.clip_by_global_norm(norm), gdjax.adam(0.003))
        return gdjax.apply_if_finite(adam, max_errors)

    task = dataclasses.replace(DIGITS, batch=gdjax.bind(poisoned, factor=1.0))
    space = {"norm": [OFF, 1.0], "max_errors": [0, 5], "factor": FACTORS}
    return gdjax.sweep(
        task.with_monitors(diagnostics.norms()),
        guarded,
        space,
        seeds=SEEDS,
        steps=400,
        segment=10,
    )


def test_clipping_mends_what_is_large_and_skipping_what_is_not_finite(digits):
    error = 1 - digits.final("heldout_accuracy").reshape(2, 2, 3, SEEDS)
    plain, skips, clips, both = error.reshape(4, 3, SEEDS)
    assert plain[0].max() < 0.06
    np.testing.assert_array_equal(skips[:2], plain[:2])
    assert (plain[1] > 1.5 * plain[0]).all()
    assert np.isnan(plain[2]).all()
    assert np.isnan(clips[2]).all()
    assert skips[2].max() < 0.06
    assert clips[1].max() < 0.06
    assert both.max() < 0.06


def test_spikes_and_bad_gradients_tell_the_bad_batches(digits):
    seen = {
        name: values.reshape(2, 2, 3, SEEDS, -1)[0, 1]  # no clipping, [factor, seed, evaluation]
        for name, values in digits.evaluations.items()
    }
    bad = digits.evaluation_steps % 100 == 0
    spikes = np.asarray(diagnostics.spikes(seen["gradient_norm"]))
    assert spikes[0].mean() < 0.03
    assert spikes[1][:, bad].all()
    assert spikes[1][:, ~bad].mean() < 0.03
    assert (seen["bad_gradients"][:2] == 0).all()
    assert (seen["bad_gradients"][2, :, bad] > 0).all()
    assert (seen["bad_gradients"][2][:, ~bad] == 0).all()


DEPTH, WIDTH, RATE = 8, 16, 0.01


def in_float16(params, batch, key, dtype=jnp.float16):
    """A deep network of logistic units."""
    params, x = jax.tree.map(lambda x: x.astype(dtype), (params, batch["x"]))
    x = jax.nn.sigmoid(x @ params["first"])
    x, _ = jax.lax.scan(lambda x, w: (jax.nn.sigmoid(x @ w), None), x, params["middle"])
    logits = (x @ params["last"]).astype(jnp.float32)
    return optax.softmax_cross_entropy_with_integer_labels(logits, batch["y"]).mean()


def weights(key):
    xavier = jax.nn.initializers.glorot_normal(batch_axis=0)
    first, middle, last = jax.random.split(key, 3)
    return {
        "first": xavier(first, (1, 64, WIDTH))[0],
        "middle": xavier(middle, (DEPTH - 1, WIDTH, WIDTH)),
        "last": xavier(last, (1, WIDTH, 10))[0],
    }


def test_what_float16_loses_a_scale_of_the_loss_keeps():
    def scaled(init_scale):
        return gdjax.dynamic_loss_scale(gdjax.adam(RATE), init_scale, growth_interval=10)

    digits = gdjax.problems.digits(batch_size=1024)
    task = gdjax.Task(weights, in_float16, digits.batch).with_monitors(diagnostics.underflow())
    scales = [2.0**16, 2.0**40]  # with the second all overflows, until it is small enough
    sizes = {"seeds": SEEDS, "steps": 200, "segment": 50}
    plain = gdjax.sweep(task, gdjax.adam, {"learning_rate": RATE}, **sizes)
    mended = gdjax.sweep(task, scaled, {"init_scale": scales}, **sizes)
    assert plain.evaluations["underflow"].min() > 0.3
    guessing = np.log(10)
    assert (plain.traces["loss"][..., -20:] > 0.98 * guessing).all()
    assert (mended.traces["loss"][..., -20:].mean(axis=-1) < 0.85 * guessing).all()


def test_what_a_scale_keeps_is_what_float32_has():
    params, batch = weights(jax.random.key(0)), DIGITS.batch(jax.random.key(1), 0)

    def gradient(scale, dtype):
        of = jax.grad(lambda params: scale * in_float16(params, batch, None, dtype))(params)
        return np.asarray(of["first"])

    exact = gradient(1.0, jnp.float32)
    lost = [np.mean((gradient(x, jnp.float16) == 0) & (exact != 0)) for x in (1.0, 2.0**16)]
    assert lost[0] > 0.1
    assert lost[1] < 0.02
