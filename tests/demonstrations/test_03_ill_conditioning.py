"""Ill-conditioning: its price for gradient descent, and what pays its root or none at all."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

import gdjax
from gdjax import diagnostics
from gdjax.problems import quadratic, rosenbrock

CONDITION, STEPS, SEEDS, TOLERANCE = 1000.0, 3000, 5, 1e-3
BEST_MOMENTUM = ((np.sqrt(CONDITION) - 1) / (np.sqrt(CONDITION) + 1)) ** 2


def formula(x, condition, turned):
    """A quadratic whose axes are those of the parameters, or turned by 45 degrees."""
    diagonal = jnp.stack([x[0] - x[1], x[0] + x[1]]) / np.sqrt(2)
    return quadratic(condition)(jnp.where(turned, diagonal, x))


@pytest.fixture(scope="module")
def result():
    """Three optimizers on both quadratics, gradient descent with momentum and without."""
    bound = gdjax.bind(formula, condition=CONDITION, turned=0.0)
    families = {"sgd": gdjax.sgd, "adam": gdjax.adam, "shampoo": gdjax.shampoo}
    rates = 1.9 / CONDITION * 1.5 ** np.arange(-3, 17)
    return gdjax.sweep(
        dataclasses.replace(quadratic(), formula=bound).task(spread=1.0),
        families,
        {
            "turned": [0.0, 1.0],
            "learning_rate": rates.tolist(),
            "momentum": [0.0, BEST_MOMENTUM],
        },
        seeds=SEEDS,
        steps=STEPS,
    )


def fewest(result, family, momentum=None):
    """Updates to the tolerance at the best rate, ``[turned, seed]``."""
    of = result.family == family
    if momentum is not None:
        of &= np.isclose(result.settings["momentum"], momentum)
    above = ~(result.traces["loss"][of] < TOLERANCE)  # [trial, seed, step]
    needed = np.where(above[..., -1], np.inf, STEPS - above[..., ::-1].argmax(axis=-1))
    needed = needed.reshape(2, -1, SEEDS)  # [turned, rate, seed]
    return needed[[0, 1], needed.mean(axis=-1).argmin(axis=-1)]


def test_gradient_descent_pays_the_condition_number_and_momentum_its_root(result):
    sgd, momentum = fewest(result, "sgd", 0.0), fewest(result, "sgd", BEST_MOMENTUM)
    # From a start of 1 along the flat axis; here they are drawn from (-1, 1).
    predicted = CONDITION / 4 * np.log(1 / (2 * TOLERANCE))
    assert (0.2 * predicted < sgd).all()
    assert (sgd < 1.5 * predicted).all()
    predicted = np.sqrt(CONDITION) / 4 * np.log(CONDITION / (2 * TOLERANCE))
    assert (momentum < 1.5 * predicted).all()
    assert (sgd > 4 * momentum).all()


def test_scaling_parameters_needs_their_axes_and_preconditioning_does_not(result):
    adam, shampoo = fewest(result, "adam"), fewest(result, "shampoo")
    assert (adam[1] > 2 * adam[0]).all()
    assert (shampoo[1] < 1.5 * shampoo[0]).all()
    assert (shampoo < fewest(result, "sgd", 0.0) / 2).all()


def test_the_monitor_finds_the_condition_number():
    task = rosenbrock.task(start=[1.0, 1.0]).with_monitors(diagnostics.spectrum())
    seen = gdjax.train(task, gdjax.sgd(0.0), steps=1, key=0).evaluation
    found = seen["sharpness"] / seen["lowest_curvature"]
    by_hand = np.linalg.cond([[802.0, -400.0], [-400.0, 200.0]])
    np.testing.assert_allclose(found, by_hand, rtol=2e-3)  # of float32
