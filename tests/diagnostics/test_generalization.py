import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import linregress

from gdjax import InvalidValue
from gdjax.diagnostics import generalization_gap

STEPS = np.array([10, 20, 30, 50, 80, 90])


def test_the_slope_is_that_of_a_regression_on_the_steps():
    training, heldout = np.random.default_rng(0).uniform(1, 2, (2, 3, 6))  # [run, evaluation]
    found = generalization_gap(training, heldout, STEPS, window=4)
    assert np.isnan(found.slope[:, :3]).all()
    for run in range(3):
        for last in range(3, 6):
            seen = slice(last - 3, last + 1)
            slope = linregress(STEPS[seen], (heldout - training)[run, seen]).slope
            np.testing.assert_allclose(found.slope[run, last], slope, rtol=1e-4, atol=1e-7)


def test_the_gap_and_the_rise_over_the_least_so_far():
    heldout = jnp.array([4.0, 2.0, 3.0, 1.0, 1.0, 1.5])
    found = generalization_gap(heldout / 2, heldout, STEPS)
    assert found.gap.tolist() == [2.0, 1.0, 1.5, 0.5, 0.5, 0.75]
    assert found.rise.tolist() == [0.0, 0.0, 0.5, 0.0, 0.0, 0.5]


def test_runs_that_are_shorter_than_the_window_have_no_slope():
    assert np.isnan(generalization_gap(jnp.ones(3), jnp.ones(3), STEPS[:3]).slope).all()


@pytest.mark.parametrize(
    ("training", "heldout", "steps", "window"),
    [
        (np.ones((2, 6)), np.ones(6), STEPS, 5),
        (np.ones(5), np.ones(5), STEPS, 5),
        (1.0, 1.0, 10, 5),
        (np.ones(6), np.ones(6), STEPS, 1),
    ],
)
def test_what_does_not_fit_is_told(training, heldout, steps, window):
    with pytest.raises(InvalidValue, match="generalization_gap needs losses of one shape"):
        generalization_gap(training, heldout, steps, window)
