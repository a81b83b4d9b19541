import jax
import numpy as np
import pytest

import gdjax
from gdjax import InvalidValue, problems


@pytest.fixture(scope="module")
def task():
    return problems.deep_quadratic()


def test_the_spectrum_is_that_of_deepobs(task):
    hessian = np.asarray(task.loss.leaves["hessian"], float)
    np.testing.assert_array_equal(
        hessian,
        jax.jit(jax.hessian(task.loss))(
            np.ones(100, np.float32), np.ones((1, 100), np.float32), None
        ),
    )
    values = np.linalg.eigvalsh(hessian)
    assert (values > 0).all()
    assert (values[:90] < 1).all()
    assert ((values[90:] > 30) & (values[90:] < 60)).all()
    assert np.abs(hessian - np.diag(np.diag(hessian))).max() > 1  # rotated


def test_the_points_are_normal_and_others_are_held_out(task):
    train, heldout = (np.asarray(f.leaves["data"]) for f in (task.batch, task.evaluate))
    assert train.shape == heldout.shape == (1000, 100)
    seen = {point.tobytes() for point in train}
    assert not any(point.tobytes() in seen for point in heldout)
    for points in (train, heldout):
        np.testing.assert_allclose([points.mean(), points.std()], [0, 0.6], atol=0.01)


def test_full_batches_lead_to_the_mean_of_the_points():
    """What is left is half the trace of Hessian times covariance, by NumPy."""
    task = problems.deep_quadratic(batch_size=None)
    assert task.check() == {"loss", "heldout_loss"}
    points = np.asarray(task.batch.leaves["data"], float)
    hessian = np.asarray(task.loss.leaves["hessian"], float)
    least = np.trace(hessian @ np.cov(points.T, bias=True)) / 2
    best = task.loss(points.mean(axis=0).astype(np.float32), task.batch(None, 0), None)
    np.testing.assert_allclose(best, least, rtol=1e-5)
    space = {"learning_rate": [0.03, 0.04], "momentum": [0.0, 0.9]}
    result = gdjax.sweep(task, gdjax.sgd, space, steps=200)
    loss = result.traces["loss"][:, 0, -1].reshape(2, 2)
    assert least < loss[0, 0] < 1.01 * least
    assert not loss[1, 0] < 1e6  # above 2 / 60 plain descent diverges, and momentum does not
    np.testing.assert_allclose(loss[:, 1], least, rtol=1e-3)


def test_noise_keeps_small_batches_away_from_the_minimum():
    task = problems.deep_quadratic(batch_size=4)
    result = gdjax.sweep(task, gdjax.sgd, {"learning_rate": [0.03, 0.003]}, steps=300)
    fast, slow = result.final("heldout_loss")[:, 0]
    assert fast > 1.1 * slow


def test_a_batch_of_none_is_told():
    with pytest.raises(InvalidValue, match=r"deep_quadratic: sizes must be .* got batch_size=0"):
        problems.deep_quadratic(batch_size=0)
