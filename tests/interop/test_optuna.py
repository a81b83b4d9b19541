"""Optuna proposes, the sweep trains, the study is told."""

import dataclasses
import json

import jax
import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

import gdjax
from gdjax import InvalidType, InvalidValue, LogUniform
from gdjax.interop.optuna import optimize
from gdjax.sweep import Status, running
from gdjax.sweep.pareto import pareto
from tests.interop.studying import FAMILIES, SPACE, momentum, train
from tests.sweep.comparing import check_reruns
from tests.sweep.killed import TASK

RATES = {"learning_rate": LogUniform(1e-3, 0.5)}
SMALL = {"trials": 4, "batch": 4, "seeds": 2, "steps": 6, "segment": 2}


def make(sampler=None, **options):
    return optuna.create_study(sampler=sampler or optuna.samplers.RandomSampler(0), **options)


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


@pytest.mark.parametrize(
    ("error", "message", "change"),
    [
        (InvalidType, "study must be an Optuna study, .*minimize", {"study": None}),
        (InvalidValue, "study maximizes 'size', of which .* less", {"study": ["maximize"]}),
        (InvalidValue, "has 2 directions: say what it is to be told", {"study": ["minimize"] * 2}),
        (
            InvalidValue,
            "study maximizes 'loss'",
            {"study": ["minimize", "maximize"], "by": ("size", "loss")},
        ),
        (InvalidValue, "has 1 directions, but by is", {"by": ("size", "steps")}),
        (InvalidValue, "told the task's objective", {"by": ("loss",)}),
        (InvalidValue, "no number 'siz' of a trial: did you mean size", {"by": ("siz",)}),
        (InvalidType, "by must be a list of names", {"by": "size"}),
        (InvalidValue, "trials must be a whole number of at least 1, got 0", {"trials": 0}),
        (InvalidValue, "batch must be a whole number of at least 1, got 1.5", {"batch": 1.5}),
        (InvalidValue, "width must be .*, got 'measured'", {"width": "measured"}),
        (InvalidValue, "seeds must be a whole number", {"seeds": 0}),
        (InvalidValue, "no hyperparameter 'rate'", {"space": {"rate": 0.1}}),
        (InvalidValue, "learning_rate", {"space": {"learning_rate": gdjax.Uniform(-1.0, 1.0)}}),
        (InvalidValue, "resume=True needs directory", {"resume": True}),
        (InvalidType, "task must be a gdjax.Task", {"task": 3}),
        (InvalidType, "stopping takes rules", {"stopping": 3}),
    ],
)
def test_bad_arguments_are_told_before_a_trial_is_asked_for(monkeypatch, error, message, change):
    directions = change.pop("study", ["minimize"])
    study = directions and make(directions=directions)
    options = {"task": TASK, "optimizer": gdjax.sgd, "space": RATES, **SMALL, **change}
    monkeypatch.setattr(jax.stages.Lowered, "compile", None)
    with pytest.raises(error, match=message):
        optimize(study, **options)
    assert study is None or not study.trials


@pytest.mark.parametrize("enqueued", [{"learning_rate": 7.0}, {"decay": 0.3}, {"family": "adam"}])
@pytest.mark.filterwarnings("ignore:Fixed parameter")  # Optuna's own
def test_a_trial_outside_of_the_space_fails_and_is_told(enqueued):
    study = make()
    study.enqueue_trial({"learning_rate": 0.1})
    study.enqueue_trial({"family": "momentum", "decay": 0.5} | enqueued)
    (value,) = enqueued.values()
    with pytest.raises(InvalidValue, match=rf"trial 1 of the study: .*{value}"):
        optimize(study, TASK, FAMILIES, RATES | {"decay": [0.0, 0.5]}, **SMALL)
    assert [trial.state for trial in study.trials] == [TrialState.FAIL] * 2


def test_a_study_of_another_space_is_told():
    study = make()
    optimize(study, TASK, gdjax.sgd, {"learning_rate": [0.1, 0.2]}, **SMALL)
    with pytest.raises(InvalidValue, match="dynamic value space"):
        optimize(study, TASK, gdjax.sgd, {"learning_rate": [0.1, 0.3]}, **SMALL)
    assert study.trials[-1].state == TrialState.FAIL
    assert len(study.trials) == 5


def test_what_ends_a_batch_early_leaves_no_trial_running(monkeypatch):
    study = make()

    def fail(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(running, "run", fail)
    with pytest.raises(KeyboardInterrupt):
        optimize(study, TASK, gdjax.sgd, RATES, **SMALL)
    assert [trial.state for trial in study.trials] == [TrialState.FAIL] * 4


def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(gdjax.MissingExtra, match=r'pip install "gdjax\[optuna\]"'):
        optimize(None, TASK, gdjax.sgd, RATES, **SMALL)
