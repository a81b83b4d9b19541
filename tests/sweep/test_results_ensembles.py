"""The best trials trained again, and what they make together."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax
from gdjax import InvalidType, InvalidValue, SweepResult
from gdjax.sweep import ensembles

SPACE = {"learning_rate": gdjax.LogUniform(1e-3, 1e2)}
FAMILIES = {"adam": gdjax.adam, "sgd": gdjax.sgd}


@pytest.fixture(scope="module")
def result(noisy):
    """Two families of 12 trials, stopped at three rungs, in chunks of 5."""
    stopping = gdjax.successive_halving(eta=2, min_steps=2)
    options = {"trials": 12, "seeds": 2, "steps": 16, "segment": 2, "width": 5}
    return gdjax.sweep(noisy, FAMILIES, SPACE, stopping=stopping, **options)


@pytest.fixture(scope="module")
def top(result):
    return result.top(15)


def test_the_best_are_trained_again_side_by_side_to_the_bits_of_each_alone(result, top):
    assert top.trials.tolist() == result.ranking()[:15].tolist()
    assert top.params.shape == (15, 2, 4)
    assert len(np.unique(result.segments[top.trials])) > 2
    assert set(result.family[top.trials]) == set(FAMILIES)
    for i in (0, 1, 7, 14):
        again = result.rerun(int(top.trials[i]))
        np.testing.assert_array_equal(top.params[i], again.params)
    size = jnp.sum(top.params**2, axis=-1)
    np.testing.assert_allclose(size, result.final("size")[top.trials], rtol=1e-6)


def test_what_is_measured_again_side_by_side_is_what_was_measured(result):
    trials = result.ranking()[[9, 0, 4, 3]]
    for trial, again in zip(trials, result.again(trials, result.width[trials]), strict=True):
        for name, values in (again.traces | again.evaluations).items():
            before = (result.traces | result.evaluations)[name][trial]
            np.testing.assert_array_equal(values, before)


def test_an_ensemble_is_the_mean_of_all_predictions(result):
    def predict(params, inputs):
        return {"square": (inputs @ params) ** 2}

    inputs = np.arange(12.0, dtype=np.float32).reshape(3, 4)
    params = np.asarray(result.top(3).params, float)
    expected = np.mean([(inputs @ p) ** 2 for p in params.reshape(6, 4)], axis=0)
    mean = result.ensemble(3, predict)
    np.testing.assert_allclose(mean(inputs)["square"], expected, rtol=1e-5)
    assert [leaf.shape for leaf in jax.tree.leaves(mean)] == [(6, 4)]
    twice = jax.jit(lambda f, x: f(x)["square"])(jax.tree.map(lambda x: 2 * x, mean), inputs)
    np.testing.assert_allclose(twice, 4 * expected, rtol=1e-5)


def test_weights_are_averaged_seed_by_seed(result):
    params = np.asarray(result.top(3).params)
    np.testing.assert_allclose(result.weight_average(3), params.mean(axis=0), rtol=1e-6)


def test_a_greedy_soup_of_a_sweep_is_no_worse_than_the_best(result, noisy):
    soup = result.weight_average(10, noisy.evaluate)
    best = result.final("size")[result.best().trial]
    assert soup.shape == (2, 4)
    assert (np.sum(np.asarray(soup) ** 2, axis=-1) <= best * (1 + 1e-6)).all()


def test_a_greedy_soup_takes_only_what_makes_it_no_worse():
    """Cost is the square. Of seed 0 the third is left out, of seed 1 the second, of 2 all but one.

    In seed 3 the mean of 1 and -3 is as good as 1 and taken; NaN never is.
    """
    members = jnp.array([[2, -1, 5], [1, 5, -1], [1, 3, 9], [1, -3, jnp.nan]]).T
    cost = ensembles.cost_of(lambda x: {"square": x**2}, "square", "min")
    assert ensembles.greedy_soup(members, cost).tolist() == [0.5, 0.0, 1.0, -1.0]
    worst = ensembles.cost_of(lambda x: {"square": -(x**2)}, "square", "max")
    assert ensembles.greedy_soup(members, worst).tolist() == [0.5, 0.0, 1.0, -1.0]


def test_narrow_weights_are_averaged_in_float32():
    members = jnp.array([256, 1, 1], jnp.bfloat16)[:, None]  # 256 + 1 is 256 in bfloat16
    cost = ensembles.cost_of(lambda x: {"size": x * 0}, "size", "min")
    for soup in (ensembles.uniform_soup(members), ensembles.greedy_soup(members, cost)):
        assert soup.dtype == jnp.bfloat16
        assert soup.tolist() == [86]


@pytest.mark.parametrize("k", [0, True, 1.5, "2", 1000])
def test_how_many_must_be_there(result, k):
    with pytest.raises(InvalidValue, match="k must be a whole number from 1 to"):
        result.top(k)


def test_what_is_no_function_is_told_before_anything_is_trained(result, monkeypatch):
    monkeypatch.setattr(result, "again", None)
    with pytest.raises(InvalidType, match="predict must be a function"):
        result.ensemble(2, "predict")
    with pytest.raises(InvalidType, match="evaluate must be a function"):
        result.weight_average(2, {})
    with pytest.raises(InvalidValue, match=r"gdjax\.reconnect"):
        result.top(2)


def test_predictions_must_be_what_can_be_averaged(result):
    with pytest.raises(InvalidType, match="such as probabilities, got int32"):
        result.ensemble(1, lambda params, inputs: params.argmax())(0)
    with pytest.raises(InvalidValue, match="a dict with the metric 'size'; did you mean sise"):
        result.weight_average(1, lambda params: {"sise": params.sum()})


def test_a_loaded_result_trains_its_best_when_it_has_its_task(result, top, noisy, tmp_path):
    result.save(tmp_path)
    again = gdjax.reconnect(SweepResult.load(tmp_path), noisy, FAMILIES)
    np.testing.assert_array_equal(again.top(2).params, top.params[:2])
