"""An unstable start: a transformer with post-norm, its first updates, and warm-up."""

import dataclasses

import jax
import numpy as np

import gdjax
from gdjax import diagnostics

SEEDS, STEPS, RATE = 5, 240, 0.01


def adam(learning_rate, warmup, decay):
    """A linear warm-up, a plateau of half the run, a linear decay."""
    schedule = gdjax.warmup_stable_decay_schedule(0.0, learning_rate, warmup, STEPS // 2, decay)
    return gdjax.adam(schedule)


def test_warm_up_learns_where_a_constant_rate_and_the_same_rates_reversed_do_not():
    task = gdjax.problems.language_model(
        16, width=32, layers=3, heads=2, batch_size=8, post_norm=True
    )
    task = dataclasses.replace(task, evaluate=None, objective="loss")
    half = STEPS // 2
    points = [{"warmup": 0, "decay": 0}, {"warmup": half, "decay": 0}, {"warmup": 0, "decay": half}]
    space = gdjax.Space(
        {"learning_rate": RATE, "warmup": [0, half], "decay": [0, half]}, first=points
    )
    result = gdjax.sweep(task, adam, space, trials=3, seeds=SEEDS, steps=STEPS)
    constant, warmed, reversed_ = result.traces["loss"][..., -40:].mean(axis=-1)  # [seed]
    characters = task.batch.leaves["data"]
    shares = np.bincount(np.ravel(characters)) / characters.size
    guessing = -np.sum(shares[shares > 0] * np.log(shares[shares > 0]))
    assert warmed.max() < guessing - 0.2
    assert np.median(constant) > guessing - 0.15
    assert np.median(reversed_) > guessing - 0.15


def test_the_update_ratio_tells_adams_first_step_and_that_of_a_warm_up():
    task = gdjax.problems.language_model(4, width=8, layers=1, heads=1, batch_size=4)
    task = dataclasses.replace(task, evaluate=None, objective="loss")
    task = task.with_monitors(diagnostics.norms())

    @jax.jit
    def look(warmup):
        optimizer = gdjax.adam(gdjax.warmup_constant_schedule(0.0, RATE, warmup))
        return gdjax.train(task, optimizer, 1, key=0).evaluation["update_ratio"]

    # Adam's first step changes each number by the rate.
    arrays = jax.tree.leaves(task.init(jax.random.split(jax.random.key(0))[0]))
    squares = sum(np.sum(np.square(x)) for x in arrays)
    expected = RATE * np.sqrt(sum(x.size for x in arrays) / squares)
    assert expected > 0.02  # where 1e-3 is usual
    np.testing.assert_allclose(look(0), expected, rtol=1e-3)
    assert look(4) == 0
