"""Local minima: descent stays in the first that it finds; noise that cools and restarts do not."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq

import gdjax
from gdjax.diagnostics import basins, distinct_ends, nearest_minimum
from gdjax.problems import rastrigin, two_wells

SEEDS, STEPS = 32, 500
NEAR = two_wells.task(start=[1.5], spread=0.05)
LEFT, RIGHT = two_wells.minima[0, 0], two_wells.local_minima[0, 0]
TOP = brentq(np.poly1d([4, 0, -10, 3]), 0, 1)  # of the hill between


def ends(make_optimizer, task=NEAR, steps=STEPS, seeds=SEEDS):
    """Parameters at the end of each seed, [seed, dimension]."""
    keys, noise = jax.random.split(jax.random.key(0), (2, seeds))
    train = jax.vmap(lambda optimizer, key: gdjax.train(task, optimizer, steps, key).params)
    return np.asarray(jax.jit(train)(jax.vmap(make_optimizer)(noise), keys))


@pytest.mark.parametrize(
    "optimizer",
    [
        gdjax.sgd(0.01),
        gdjax.sgd(0.01, momentum=0.95),
        gdjax.sgd(gdjax.cosine_restarts_schedule(0.2, 50)),
        gdjax.adam(0.01),
    ],
    ids=["plain", "momentum", "cycles", "adam"],
)
def test_without_noise_all_seeds_stay_in_the_worse_minimum(optimizer):
    np.testing.assert_allclose(ends(lambda key: optimizer), RIGHT, atol=2e-3)


@pytest.mark.parametrize(
    ("make_optimizer", "share"),
    [
        (lambda key: gdjax.adam(gdjax.cosine_restarts_schedule(2.0, 50)), 0.9),
        (lambda key: gdjax.noisy_sgd(0.01, 3e4, 1.0, key=key), 0.5),
        (lambda key: gdjax.sgld(0.01, key, gdjax.linear_schedule(6.0, 0.0, STEPS)), 0.75),
    ],
    ids=["adam with cycles", "noisy gradients", "annealed noise"],
)
def test_remedies_bring_most_seeds_to_the_global_minimum(make_optimizer, share):
    assert np.mean(np.abs(ends(make_optimizer) - LEFT) < 0.3) >= share


def test_langevin_dynamics_divide_the_seeds_as_boltzmann_says():
    def weight(x):
        return np.exp(-np.polyval([1, 0, -5, 3, 0], x) / temperature)

    temperature, seeds = 4.0, 2048
    expected = quad(weight, -5, TOP)[0] / quad(weight, -5, 5)[0]
    at_left = ends(lambda key: gdjax.sgld(0.005, key, temperature), steps=1500, seeds=seeds) < TOP
    # Four standard errors, and as much as the length of the steps may bend the density.
    error = 4 * np.sqrt(expected * (1 - expected) / seeds)
    np.testing.assert_allclose(at_left.mean(), expected, atol=error + 0.005)


def test_restarts_detect_both_minima_and_the_best_of_8_is_the_global_one():
    starts = jax.random.uniform(jax.random.key(0), (SEEDS * 8, 1), minval=-3, maxval=3)
    found = basins(two_wells, gdjax.sgd, starts, [0.01], STEPS)
    points = distinct_ends(found, tolerance=1e-2)
    np.testing.assert_allclose(points[:, 0], [LEFT, RIGHT], atol=2e-3)
    labels = np.asarray(nearest_minimum(found.params, points, 0.01))
    np.testing.assert_array_equal(labels, starts > TOP)  # each on its own side
    assert found.loss.std() > 4
    assert np.mean(labels.reshape(SEEDS, 8).min(axis=1) == 0) >= 0.95


def test_beyond_the_stable_rate_descent_leaves_the_sharper_minimum_for_the_flatter():
    flat, sharp = (float(np.polyval([12, 0, -10], x)) for x in (RIGHT, LEFT))
    rates = jnp.array([0.95 * 2 / sharp, 1.05 * 2 / sharp, 0.95 * 2 / flat, 1.05 * 2 / flat])
    starts = jnp.array([[LEFT], [RIGHT]]) + 1e-3
    found = basins(two_wells, gdjax.sgd, starts, rates, STEPS)
    labels = nearest_minimum(found.params, jnp.array([[LEFT], [RIGHT]]), tolerance=1e-3)
    assert (labels[0] == 0).tolist() == [True, False, False, False]
    assert (labels[1] == 1).tolist() == [True, True, True, False]


def test_momentum_rolls_over_the_hill_only_from_above_it():
    starts = jnp.array([[1.0], [1.5], [1.8], [2.4], [2.8]])
    momentum = functools.partial(gdjax.sgd, momentum=0.95)
    for make_optimizer, rolls in ((gdjax.sgd, 0), (momentum, 2)):
        found = basins(two_wells, make_optimizer, starts, [0.002], 2000)
        assert (found.params[:, 0, 0] < TOP).tolist() == [False] * (5 - rolls) + [True] * rolls


def test_restarts_solve_many_minima_in_2_dimensions_and_cycles_help_in_10():
    few, many = rastrigin, rastrigin.in_dimension(10)
    points = ends(lambda key: gdjax.sgd(0.002), few.task(spread=1.0), seeds=512)
    assert 1 / 512 <= np.mean(np.linalg.norm(points, axis=1) < 1e-2) < 0.05
    plain, cycles = (
        jax.vmap(many)(ends(lambda key, o=optimizer: o, many.task(spread=1.0)))
        for optimizer in (gdjax.sgd(0.002), gdjax.sgd(gdjax.cosine_restarts_schedule(0.02, 100)))
    )
    assert jnp.median(cycles) < jnp.median(plain) / 2
    assert plain.min() > 10  # restarts alone are lost
