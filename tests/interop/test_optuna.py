"""Optuna proposes, the sweep trains, the study is told."""

import dataclasses
import json

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

import gdjax
from gdjax import InvalidValue, LogUniform
from gdjax.interop.optuna import optimize
from gdjax.sweep import Status, running, width
from gdjax.sweep.pareto import pareto
from tests.interop.studying import FAMILIES, RATES, SMALL, SPACE, make, momentum, train
from tests.sweep import networks
from tests.sweep.comparing import check_reruns, check_same
from tests.sweep.killed import TASK


def check_told(trials, result):
    """What a study's trials know is what the result says."""
    numbers = json.loads(result.attributes["study_trials"])
    finals = result.final("size").mean(axis=1, dtype=float)
    assert len(numbers) == result.trials
    for i, number in enumerate(numbers):
        trial = trials[number]
        settings = {k: v[i] for k, v in result.settings.items() if not np.isnan(v[i])}
        assert trial.params == {"family": result.family[i], **settings}
        scores = result.evaluations["size"][i].mean(axis=0, dtype=float)
        steps = result.evaluation_steps[np.isfinite(scores)].tolist()
        assert trial.intermediate_values == dict(
            zip(steps, scores[np.isfinite(scores)], strict=True)
        )
        if np.isnan(finals[i]):
            assert (trial.state, trial.value) == (TrialState.FAIL, None)
        elif result.lost[i]:
            assert trial.state == TrialState.PRUNED
            assert trial.value == scores[np.isfinite(scores)][-1]
        else:
            assert (trial.state, trial.value) == (TrialState.COMPLETE, finals[i])


def test_all_trials_are_told_and_are_run_again_bit_by_bit():
    study = make(optuna.samplers.RandomSampler(1))
    study.enqueue_trial({"family": "sgd", "learning_rate": 1000.0})
    result = train(study, None, trials=10, batch=4, steps=60, segment=20)
    check_told(study.trials, result)
    check_reruns(result)
    assert json.loads(result.attributes["study_trials"]) == list(range(10))
    states = {trial.state for trial in study.trials}
    assert states == {TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL}
    assert study.best_trial.number == result.best().trial
    assert study.best_value == result.best().mean
    # What was enqueued, then the points to try first, of each family.
    assert result.settings["learning_rate"][:3].tolist() == [1000.0, 0.125, 0.125]
    assert result.family[:3].tolist() == ["sgd", "sgd", "momentum"]
    assert study.trials[0].user_attrs["reason"] == "; ".join(
        dict.fromkeys(
            f"{reason} at step {step}"
            for reason, step in zip(result.reason[0], result.diverged_at[0], strict=True)
        )
    )
    assert (result.status[0] == Status.DIVERGED).all()


@pytest.mark.parametrize(
    "sampler",
    [
        optuna.samplers.TPESampler(n_startup_trials=4, seed=0, constant_liar=True),
        optuna.samplers.CmaEsSampler(n_startup_trials=2, seed=0),
        optuna.samplers.NSGAIISampler(population_size=4, seed=0),
    ],
    ids=lambda sampler: type(sampler).__name__,
)
def test_any_sampler(sampler):
    space = {"learning_rate": LogUniform(1e-3, 0.1), "decay": gdjax.Uniform(0.0, 0.9)}
    study = make(sampler)
    options = SMALL | {"trials": 12, "width": 2}
    result = optimize(study, TASK, {"momentum": momentum}, space, **options)
    assert (result.status == Status.DONE).all()
    assert {trial.state for trial in study.trials} == {TrialState.COMPLETE}
    rates = result.settings["learning_rate"]
    assert len(np.unique(rates)) > 4  # a genetic algorithm keeps some
    assert ((rates >= 1e-3) & (rates <= 0.1)).all()


def test_a_sampler_that_has_no_more_ends_the_search():
    study = make(optuna.samplers.GridSampler({"learning_rate": [0.1, 0.01, 0.001]}, seed=0))
    result = optimize(study, TASK, gdjax.sgd, RATES, **SMALL | {"trials": 8, "batch": 3})
    assert sorted(result.settings["learning_rate"]) == [0.001, 0.01, 0.1]
    assert {trial.state for trial in study.trials} == {TrialState.COMPLETE}


def test_batches_share_the_programs_of_one_sweep():
    """Whatever the numbers of their families: a loss tells how often it is traced."""

    def traced(train):
        count = []

        def loss(params, batch, key):
            count.append(1)
            return TASK.loss(params, batch, key)

        return train(dataclasses.replace(TASK, loss=loss)), len(count)

    options = {"seeds": 2, "steps": 6, "segment": 2}
    rates = {"learning_rate": [0.1, 0.2], "decay": 0.5}
    _, expected = traced(
        lambda task: gdjax.sweep(task, FAMILIES, rates, trials=2, width=2, **options)
    )
    result, traces = traced(
        lambda task: optimize(make(), task, FAMILIES, SPACE, trials=21, batch=4, **options)
    )
    assert traces == expected
    of_batches = [np.count_nonzero(result.family[i : i + 4] == "sgd") for i in range(0, 21, 4)]
    assert len(set(of_batches)) >= 3, of_batches


def test_a_trial_trains_as_in_a_sweep_of_its_settings():
    study = make()
    result = optimize(study, TASK, gdjax.sgd, RATES, **SMALL)
    rates = result.settings["learning_rate"]
    alone = gdjax.sweep(
        TASK, gdjax.sgd, {"learning_rate": rates.tolist()}, seeds=2, steps=6, segment=2
    )
    np.testing.assert_array_equal(alone.traces["loss"], result.traces["loss"])


def test_kinds_of_dimensions_and_their_dtypes():
    def family(learning_rate, b1, decay, steps, flag):
        return gdjax.sgd(gdjax.cosine_decay_schedule(learning_rate * flag, steps), b1 * decay)

    space = {
        "learning_rate": LogUniform(1e-3, 0.1),
        "b1": gdjax.Uniform(0.0, 0.9),
        "decay": [0.5, 0.25, 0.5],
        "steps": gdjax.Integer(3, 9),
        "flag": 1,
    }
    study = make()
    result = optimize(study, TASK, family, space, **SMALL)
    found = study.trials[0].distributions
    assert found == {
        "learning_rate": optuna.distributions.FloatDistribution(1e-3, 0.1, log=True),
        "b1": optuna.distributions.FloatDistribution(0.0, 0.9),
        "decay": optuna.distributions.CategoricalDistribution((0.5, 0.25)),
        "steps": optuna.distributions.IntDistribution(3, 9),
        "flag": optuna.distributions.CategoricalDistribution((1,)),
    }
    assert {k: v.dtype.kind for k, v in result.settings.items()} == {
        "learning_rate": "f",
        "b1": "f",
        "decay": "f",
        "steps": "i",
        "flag": "i",
    }


def test_numbers_of_the_task_are_parameters_of_the_study():
    dimensions = {
        "learning_rate": LogUniform(1e-3, 0.1),
        "l2": gdjax.Uniform(0.0, 0.1),
        "loss.smoothing": [0.0, 0.3],
    }
    options = {"steps": 4, "segment": 2, "width": 2}
    study = make()
    result = optimize(study, networks.TASK, gdjax.adam, dimensions, 4, batch=2, **options)
    points = [trial.params for trial in study.trials]
    assert [list(point) for point in points] == [list(dimensions)] * 4
    space = gdjax.Space(dimensions, points)
    expected = gdjax.sweep(networks.TASK, gdjax.adam, space, trials=4, **options)
    check_same(result, expected)
    check_reruns(result)


def test_scores_are_told_while_a_batch_is_trained():
    """Those of a trial's own, in whichever order its batch is trained."""
    study, counts = make(), []

    def see(snapshot):
        order = [t for name in FAMILIES for t in study.trials if t.params["family"] == name]
        for trial, scores in zip(order, snapshot.scores, strict=True):
            known = zip((2, 4, 6), scores.tolist(), strict=True)
            assert trial.intermediate_values == {s: v for s, v in known if np.isfinite(v)}
            counts.append(len(trial.intermediate_values))

    space = RATES | {"decay": 0.5}
    optimize(study, TASK, FAMILIES, space, **SMALL | {"trials": 8, "batch": 8}, callbacks=see)
    families = [trial.params["family"] for trial in study.trials]
    assert families != sorted(families, key=list(FAMILIES).index)
    assert {0, 1, 2, 3} == set(counts)


def test_what_a_run_measured_before_it_diverged_is_no_score():
    """Its loss is finite at some steps of its first segment."""
    study = make()
    study.enqueue_trial({"learning_rate": 1e15})
    task, rates = dataclasses.replace(TASK, objective="loss"), {"learning_rate": [1e15, 0.1]}
    result = optimize(study, task, gdjax.sgd, rates, 2, batch=2, steps=6, segment=3)
    assert np.isfinite(result.traces["loss"][0, 0, :2]).all()
    assert result.diverged_at[0, 0] == 2
    assert study.trials[0].intermediate_values == {}
    assert study.trials[0].state == TrialState.FAIL


def test_each_batch_is_a_sweep_to_callbacks_and_to_the_bar(capsys):
    events = []
    optimize(
        make(),
        TASK,
        gdjax.sgd,
        RATES,
        **SMALL | {"trials": 6},
        progress=True,
        callbacks=[lambda snapshot: events.append((snapshot.event, len(snapshot.scores)))],
    )
    assert [event for event in events if event[0] != "segment"] == [
        ("start", 4),
        ("end", 4),
        ("start", 2),
        ("end", 2),
    ]
    bars = [line.rpartition("\r")[2] for line in capsys.readouterr().err.strip().split("\n")]
    assert ["100%" in bar for bar in bars] == [True, True]


def test_a_space_of_many_values_needs_no_memory_for_all_of_them(monkeypatch):
    monkeypatch.setattr(width, "host_memory", lambda: 4000)
    rates = {"learning_rate": np.linspace(0.1, 0.2, 200).tolist()}
    assert optimize(make(), TASK, gdjax.sgd, rates, **SMALL).trials == 4
    with pytest.raises(InvalidValue, match="half of this machine's memory"):
        gdjax.sweep(TASK, gdjax.sgd, rates, seeds=2, steps=6, segment=2)


def test_a_study_of_two_directions():
    study = make(directions=["minimize", "minimize"])
    options = SMALL | {"trials": 8, "stopping": gdjax.successive_halving(eta=2)}
    result = optimize(study, TASK, gdjax.sgd, RATES, by=("size", "learning_rate"), **options)
    done = [trial for trial in study.trials if trial.state == TrialState.COMPLETE]
    assert len(done) == np.count_nonzero(~result.lost) > 1
    for trial in done:
        size = result.final("size").mean(axis=1, dtype=float)[trial.number]
        assert trial.values == [size, result.settings["learning_rate"][trial.number]]
    on_front = pareto(result, ["size", "learning_rate"], [None, "min"])
    mine = [trial for trial in on_front if not result.lost[trial]]
    assert sorted(mine) == [trial.number for trial in study.best_trials]


def more_is_better():
    return dataclasses.replace(TASK, mode="max")


def test_more_is_better():
    study = make(direction="maximize")
    result = optimize(study, more_is_better(), gdjax.sgd, RATES, **SMALL)
    assert (
        study.best_trial.number
        == result.best().trial
        == np.argmax(result.final("size").mean(axis=1, dtype=float))
    )


def test_what_ends_a_batch_early_leaves_no_trial_running(monkeypatch):
    study = make()

    def fail(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(running, "run", fail)
    with pytest.raises(KeyboardInterrupt):
        optimize(study, TASK, gdjax.sgd, RATES, **SMALL)
    assert [trial.state for trial in study.trials] == [TrialState.FAIL] * 4
