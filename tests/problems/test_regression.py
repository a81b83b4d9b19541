"""Linear and logistic regression against NumPy's and scikit-learn's optima."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss

import gdjax
from gdjax import InvalidValue, problems

ON_DATA = {
    "diabetes": (problems.diabetes, load_diabetes, 88),
    "breast_cancer": (problems.breast_cancer, load_breast_cancer, 114),
}


def data_of(task):
    """Features and targets of the training part and of the held-out one, in float64."""
    parts = (f.leaves["data"] for f in (task.batch, task.evaluate))
    return [np.asarray(part[name], float) for part in parts for name in ("x", "y")]


def least_squares(x, y):
    return np.linalg.lstsq(np.column_stack([x, np.ones(len(x))]), y, rcond=None)[0]


def as_vector(params):
    return np.concatenate([params["w"][:, 0], params["b"]])


@pytest.fixture(scope="module")
def diabetes():
    return problems.diabetes()


@pytest.fixture(scope="module")
def breast_cancer():
    return problems.breast_cancer(l2=1 / 455)


@pytest.mark.parametrize("name", ON_DATA)
def test_the_rows_are_those_of_scikit_learn_and_each_is_in_one_part(name):
    make, load, heldout = ON_DATA[name]
    x, y, x_heldout, y_heldout = data_of(make())
    features, targets = load(return_X_y=True)
    assert len(x_heldout) == len(y_heldout) == heldout
    np.testing.assert_allclose(x.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(x.std(axis=0), 1, rtol=1e-5)

    ours = np.column_stack([np.concatenate([x, x_heldout]), np.concatenate([y, y_heldout])])
    theirs = np.column_stack([features, targets])
    ours, theirs = ((rows - rows.mean(axis=0)) / rows.std(axis=0) for rows in (ours, theirs))
    np.testing.assert_allclose(np.sort(ours, axis=0), np.sort(theirs, axis=0), atol=1e-4)
    np.testing.assert_allclose(ours.T @ ours, theirs.T @ theirs, atol=1e-2)  # by rows


def test_classes_have_the_same_share_in_both_parts(breast_cancer):
    _, y, _, y_heldout = data_of(breast_cancer)
    np.testing.assert_allclose(y.mean(), y_heldout.mean(), atol=0.01)


def test_four_points_by_hand():
    """From w = b = 0 the slopes are the means of -x y and of -y."""
    task = problems.four_points()
    params = {"w": jnp.zeros((1, 1)), "b": jnp.zeros(1)}
    batch = task.batch(jax.random.key(0), 0)
    loss, slope = jax.value_and_grad(task.loss)(params, batch, None)
    np.testing.assert_allclose(loss, (2**2 + 3.8**2 + 5.9**2 + 7.8**2) / 8, rtol=1e-6)
    slopes = -(2 + 2 * 3.8 + 3 * 5.9 + 4 * 7.8) / 4, -(2 + 3.8 + 5.9 + 7.8) / 4
    np.testing.assert_allclose(as_vector(slope), slopes, rtol=1e-6)
    train = jax.jit(lambda optimizer: gdjax.train(task, optimizer, 500, 0))
    np.testing.assert_allclose(as_vector(train(gdjax.sgd(0.2)).params), [1.95, 0.0], atol=1e-3)


def test_descent_finds_the_least_squares(diabetes):
    x, y, x_heldout, y_heldout = data_of(diabetes)
    best = least_squares(x, y)
    result = jax.jit(lambda optimizer: gdjax.train(diabetes, optimizer, 2000, 0))(
        gdjax.sgd(0.2, momentum=0.9)
    )
    np.testing.assert_allclose(as_vector(result.params), best, atol=1e-3)
    errors = y_heldout - x_heldout @ best[:-1] - best[-1]
    np.testing.assert_allclose(result.evaluation["heldout_loss"], (errors**2).mean() / 2, rtol=1e-4)
    np.testing.assert_allclose(y.var() / 2, 0.5, rtol=1e-5)  # predicting the mean
    assert result.traces["loss"][-1] < 0.26


def test_the_penalty_is_that_of_ridge_regression():
    task = problems.diabetes(l2=0.5)
    x, y, _, _ = data_of(task)
    ridge = Ridge(alpha=0.5 * len(x)).fit(x, y)
    train = jax.jit(lambda optimizer: gdjax.train(task, optimizer, 300, 0).params)
    expected = [*ridge.coef_, ridge.intercept_]
    np.testing.assert_allclose(as_vector(train(gdjax.sgd(0.2))), expected, atol=1e-5)


def test_descent_finds_the_logistic_regression_of_scikit_learn(breast_cancer):
    x, y, x_heldout, y_heldout = data_of(breast_cancer)
    oracle = LogisticRegression(C=1.0, tol=1e-8, max_iter=10_000).fit(x, y)
    train = jax.jit(lambda optimizer: gdjax.train(breast_cancer, optimizer, 4000, 0))
    result = train(gdjax.sgd(0.5, momentum=0.9))
    expected = [*oracle.coef_[0], *oracle.intercept_]
    np.testing.assert_allclose(as_vector(result.params), expected, atol=1e-3)
    probability = oracle.predict_proba(x_heldout)
    np.testing.assert_allclose(
        result.evaluation["heldout_loss"], log_loss(y_heldout, probability), rtol=1e-3
    )
    hits = oracle.score(x_heldout, y_heldout)
    np.testing.assert_allclose(result.evaluation["heldout_accuracy"], hits, rtol=1e-6)
    assert hits > 0.95


def test_mini_batches_and_penalties_in_a_sweep():
    task = problems.breast_cancer(batch_size=32)
    assert task.batch(jax.random.key(0), 0)["x"].shape == (32, 30)
    assert task.check() == {"loss", "heldout_loss", "heldout_accuracy"}
    space = {"learning_rate": [0.0, 0.1], "l2": [0.0, 0.1]}
    result = gdjax.sweep(task, gdjax.sgd, space, steps=200)
    heldout = result.final("heldout_loss")[:, 0].reshape(2, 2)
    assert heldout[0].min() > 0.3
    assert heldout[1].max() < 0.2
    free, penalized = result.traces["loss"][2:, 0, -50:].mean(axis=1)
    assert penalized > free + 0.02


@pytest.mark.parametrize("name", ON_DATA)
def test_bad_input(name, monkeypatch):
    make = ON_DATA[name][0]
    with pytest.raises(
        InvalidValue, match=rf"{name}: sizes must be whole numbers of at least 1, got batch_size=0"
    ):
        make(batch_size=0)
    with pytest.raises(InvalidValue, match=r"l2 must be a number in \[0, inf\), got -1"):
        make(l2=-1.0)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(gdjax.MissingExtra, match=rf"gdjax.problems.{name} needs .*gdjax\[data\]"):
        make()
