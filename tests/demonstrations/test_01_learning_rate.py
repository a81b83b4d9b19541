"""The learning rate: predicted and found edge of divergence, detectors, remedies."""

import numpy as np
import pytest

import gdjax
from gdjax import diagnostics

SEEDS = 5
# The Hessian of half the mean squared error is X^T X / n: x = 1..4 and a column of ones.
LOWEST, SHARPNESS = np.linalg.eigvalsh([[7.5, 2.5], [2.5, 1.0]])
EDGE = 2 / SHARPNESS
OPTIMUM = 0.001875  # residuals 0.05, -0.1, 0.05, 0 of y = 1.95 x
RATES = np.geomspace(1e-3, 1.0, 256)
TASK = gdjax.problems.four_points()


def updates_needed(losses):
    reached = losses - OPTIMUM < 1e-3
    return np.where(reached.any(axis=-1), reached.argmax(axis=-1), np.inf)


@pytest.fixture(scope="module")
def swept():
    """Losses of gradient descent at all rates, ``[rate, seed, step]``."""
    space = {"learning_rate": RATES.tolist()}
    return gdjax.sweep(TASK, gdjax.sgd, space, seeds=SEEDS, steps=2000).traces["loss"]


def test_all_rates_above_the_edge_diverge_and_none_below(swept):
    worse = ~(swept[..., -1] < swept[..., 0])
    assert (worse == (RATES > EDGE)[:, None]).all()


def test_updates_needed_fall_with_the_rate_until_close_to_the_edge(swept):
    needed = np.median(updates_needed(swept), axis=1)
    assert 0.8 * EDGE < RATES[needed.argmin()] < EDGE
    low = np.isfinite(needed) & (RATES < 0.1 * EDGE)
    slope = np.polyfit(np.log(RATES[low]), np.log(needed[low]), 1)[0]
    assert slope == pytest.approx(-1, abs=0.02)
    assert np.isinf(needed[RATES < 0.001 * EDGE]).all()
    assert np.isinf(needed[RATES > EDGE]).all()


def test_monitors_tell_too_high_and_too_low_within_20_updates():
    watched = TASK.with_monitors(diagnostics.norms(), diagnostics.spectrum())
    shares = np.array([0.02, 0.5, 0.95, 1.05])
    result = gdjax.sweep(
        watched,
        gdjax.sgd,
        {"learning_rate": (shares * EDGE).tolist()},
        seeds=SEEDS,
        steps=20,
        segment=20,
    )
    seen = {name: values[..., -1] for name, values in result.evaluations.items()}
    np.testing.assert_allclose(
        seen["stability"], np.repeat(shares[:, None], SEEDS, axis=1), rtol=1e-4
    )
    np.testing.assert_allclose(seen["sharpness"], SHARPNESS, rtol=1e-5)
    np.testing.assert_allclose(seen["lowest_curvature"], LOWEST, rtol=1e-4)
    assert (seen["overshoot"][3] > 1).all()
    assert (seen["overshoot"][:3] < 1).all()
    assert (seen["gradient_cosine"][2:] < -0.99).all()  # below the edge too: it oscillates
    assert (seen["gradient_cosine"][0] > 0.99).all()  # each update repeats the one before
    rises = (np.diff(result.traces["loss"], axis=-1) > 0).sum(axis=-1)  # [rate, seed]
    assert (rises[:3] == 0).all()
    assert (rises[3] == 19).all()


def test_the_search_ends_below_the_edge_and_its_suggestion_arrives():
    found = gdjax.find_learning_rate(TASK, gdjax.sgd, seeds=SEEDS)
    assert found.low < found.suggestion < found.high < EDGE
    assert found.rates[found.rates > found.high][0] > EDGE
    result = gdjax.sweep(
        TASK, gdjax.sgd, {"learning_rate": found.suggestion}, seeds=SEEDS, steps=1000
    )
    assert (updates_needed(result.traces["loss"]) < 1000).all()


def test_adam_needs_no_other_rate_for_a_loss_in_other_units():
    def in_units(params, batch, key, units):
        return units * TASK.loss(params, batch, key)

    units = np.array([0.01, 1.0, 100.0])
    result = gdjax.sweep(
        gdjax.Task(TASK.init, gdjax.bind(in_units, units=1.0), TASK.batch),
        {"sgd": gdjax.sgd, "adam": gdjax.adam},
        {"learning_rate": 0.1, "units": units.tolist()},
        seeds=SEEDS,
        steps=1000,
    )
    losses = result.traces["loss"].reshape(2, 3, SEEDS, -1) / units[:, None, None]
    sgd, adam = np.median(updates_needed(losses), axis=-1)
    assert sgd[0] == np.inf  # too slow
    assert sgd[1] < 1000
    assert sgd[2] == np.inf  # diverges
    np.testing.assert_allclose(adam, adam[1], rtol=0.02)
    assert adam[1] < 1000


def test_a_schedule_mends_a_rate_too_high_for_digits():
    def warmed(learning_rate):
        return gdjax.sgd(gdjax.warmup_cosine_decay_schedule(0.0, learning_rate, 150, 300))

    task = gdjax.problems.digits(hidden=(32,), batch_size=32)
    optimizers = {"sgd": gdjax.sgd, "warmed": warmed}
    result = gdjax.sweep(task, optimizers, {"learning_rate": 1.4}, seeds=8, steps=300)
    plain, remedied = np.nan_to_num(result.final("heldout_accuracy"), nan=0.1)  # [seed]
    assert np.median(plain) < 0.5
    assert np.median(remedied) > 0.9
