"""Early stopping and the best parameters, in a run and in a sweep."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax
from tests.runs import assert_equal

# The parameter grows by 1 with each update; evaluations are made after 2, 4, 6, ...
COUNTING = gdjax.Task(
    init=lambda key: jnp.zeros(()),
    loss=lambda params, batch, key: -params,
    batch=lambda key, step: None,
    evaluate=lambda params: {"distance": jnp.abs(params - 5.0), "passed": params > 5},
    objective="distance",
)


def _train(task=COUNTING, steps=20, segment=2, **options):
    return gdjax.train(task, gdjax.sgd(1.0), steps, 0, segment=segment, **options)


def test_by_hand():
    """Distances are 3, 1, 1, 3, 5, ...: the best is that after 4 updates."""
    result = _train(patience=4, keep_best=True)
    np.testing.assert_array_equal(result.evaluations["distance"], [3, 1, 1, 3] + [np.nan] * 6)
    assert result.evaluations["passed"].tolist() == [False, False, True, True] + [False] * 6
    assert result.params == 4
    assert result.number == 1
    assert {name: value.item() for name, value in result.evaluation.items()} == {
        "distance": 1.0,
        "passed": False,
    }
    np.testing.assert_array_equal(result.traces["loss"][:8], -np.arange(8.0))
    assert np.isnan(result.traces["loss"][8:]).all()


@pytest.mark.parametrize(
    ("options", "params", "made"),
    [
        ({}, 20, 10),
        ({"patience": 4}, 8, 4),
        ({"patience": 5}, 10, 5),  # seen at the evaluation after
        ({"patience": 4, "min_delta": 2.0}, 6, 3),  # from 3 to 1 is not more
        ({"patience": 4, "min_delta": 1.9}, 8, 4),
        ({"keep_best": True}, 4, 10),
        ({"patience": 100}, 20, 10),
    ],
)
def test_when_it_stops_and_what_is_returned(options, params, made):
    result = _train(**options)
    assert result.params == params
    assert np.isfinite(result.evaluations["distance"]).sum() == made
    np.testing.assert_array_equal(result.evaluation["distance"], abs(params - 5))


def test_a_last_segment_that_is_shorter():
    result = _train(steps=7, segment=3, keep_best=True)  # after 3, 6, 7
    assert (result.params, result.number) == (6, 1)
    assert _train(steps=9, segment=2, patience=4).evaluation_steps[-1] == 9
    stopped = _train(steps=9, segment=2, patience=4)
    assert (stopped.params, stopped.number) == (8, 3)


def test_more_is_better_and_the_loss_counts_where_it_is_the_objective():
    most = dataclasses.replace(COUNTING, mode="max")
    assert _train(most, keep_best=True).params == 20
    by_loss = dataclasses.replace(COUNTING, objective="loss", evaluate=None)
    assert _train(by_loss, patience=2).params == 20  # it falls all the time
    assert _train(dataclasses.replace(by_loss, mode="max"), patience=2, keep_best=True).params == 2


@pytest.mark.parametrize("dtype", [bool, jnp.uint8, jnp.int32])
def test_what_is_no_float_counts_as_a_number(dtype):
    reached = dataclasses.replace(
        COUNTING, evaluate=lambda params: {"distance": (params > 5).astype(dtype)}, mode="max"
    )
    assert _train(reached, keep_best=True).params == 6


def test_what_counts_as_better_may_be_traced():
    train = jax.jit(lambda least: _train(patience=4, min_delta=least).params)
    assert [train(2.0), train(1.9)] == [6, 8]


def test_nan_is_no_improvement():
    def evaluate(params):
        return {"distance": jnp.where(params > 3, jnp.nan, 10 - params)}

    task = dataclasses.replace(COUNTING, evaluate=evaluate)
    assert _train(task, patience=4, keep_best=True).params == 2
    nothing = dataclasses.replace(COUNTING, evaluate=lambda params: {"distance": params * jnp.nan})
    result = _train(nothing, patience=4, keep_best=True)
    assert (result.params, result.number) == (2, 0)
    later = dataclasses.replace(
        COUNTING, evaluate=lambda params: {"distance": jnp.where(params < 4, jnp.nan, params)}
    )
    assert _train(later, keep_best=True).params == 4


def test_each_run_of_many_stops_by_itself():
    train = jax.vmap(
        lambda optimizer: gdjax.train(
            COUNTING, optimizer, 20, 0, segment=2, patience=4, keep_best=True
        )
    )
    result = train(jax.vmap(gdjax.sgd)(jnp.array([1.0, 0.5])))
    assert result.params.tolist() == [4.0, 5.0]
    assert result.number.tolist() == [1, 4]
    assert np.isfinite(result.evaluations["distance"]).sum(axis=1).tolist() == [4, 7]
    assert result.evaluation["distance"].tolist() == [1.0, 0.0]  # of each its own


def test_what_has_stopped_costs_nothing():
    """The updates are inside of what is only executed when it is needed."""
    text = jax.jit(lambda o: gdjax.train(COUNTING, o, 20, 0, segment=2, patience=4)).lower(
        gdjax.sgd(1.0)
    )
    assert "stablehlo.case" in text.as_text()


def test_derivatives_are_those_of_the_kept_parameters():
    def kept(rate):
        return gdjax.train(
            COUNTING, gdjax.sgd(rate), 20, 0, segment=2, patience=4, keep_best=True
        ).params

    assert jax.grad(kept)(1.0) == 4  # updates, each of which adds the rate


def test_bad_arguments():
    for options, message in (
        ({"patience": 0}, "patience must be a whole number of at least 1, got 0"),
        ({"patience": True}, "patience must be a whole number of at least 1, got True"),
        ({"segment": 1.5}, "segment must be a whole number of at least 1, got 1.5"),
        ({"steps": 2.5}, "steps must be a whole number of at least 0, got 2.5"),
        ({"steps": -1}, "steps must be a whole number of at least 0, got -1"),
        ({"min_delta": -1.0}, "min_delta must be at least 0, got -1.0"),
        ({"min_delta": float("nan")}, "min_delta must be at least 0, got nan"),
    ):
        with pytest.raises(gdjax.InvalidValue, match=message):
            _train(**options)
    lost = dataclasses.replace(COUNTING, objective="distanse")
    wide = dataclasses.replace(COUNTING, evaluate=lambda params: {"distance": params[None]})
    with pytest.raises(gdjax.InvalidValue, match=r"'distance' must be a scalar, got \(1,\)"):
        _train(wide, keep_best=True)
    with pytest.raises(gdjax.InvalidValue, match=r"'distanse', which is not measured.*distance"):
        _train(lost, keep_best=True)


@pytest.fixture(scope="module")
def swept():
    return gdjax.sweep(
        COUNTING,
        gdjax.sgd,
        {"learning_rate": [1.0, 0.5]},
        seeds=2,
        steps=20,
        segment=2,
        stopping=gdjax.plateau(4),
    )


def test_the_best_parameters_of_a_sweep(swept):
    assert [swept.best_evaluation(trial) for trial in range(2)] == [1, 4]
    again = swept.rerun(0, until="best")
    assert again.params.tolist() == [4.0, 4.0]
    np.testing.assert_array_equal(again.evaluations["distance"][0], [3, 1] + [np.nan] * 8)
    assert np.isfinite(again.traces["loss"]).sum(axis=1).tolist() == [4, 4]
    assert swept.rerun(1, until="best").params.tolist() == [5.0, 5.0]
    last = swept.rerun(0)
    assert_equal(last.evaluations, {k: v[0] for k, v in swept.evaluations.items()})
    assert last.params.tolist() == [8.0, 8.0]
    with pytest.raises(gdjax.InvalidValue, match="until"):
        swept.rerun(0, until="bset")
    with pytest.raises(gdjax.InvalidValue, match="there is no trial 2"):
        swept.best_evaluation(2)


def test_no_best_where_nothing_is_finite():
    task = dataclasses.replace(COUNTING, evaluate=lambda params: {"distance": params * jnp.nan})
    result = gdjax.sweep(task, gdjax.sgd, {"learning_rate": [1.0]}, steps=4, segment=2)
    with pytest.raises(
        gdjax.InvalidValue, match="trial 0 has no evaluation with a finite distance"
    ):
        result.rerun(0, until="best")
