"""What cannot be searched is told, and no trial of the study is left running."""

import dataclasses

import jax
import numpy as np
import pytest
from optuna.trial import TrialState

import gdjax
from gdjax import InvalidType, InvalidValue
from gdjax.interop.optuna import optimize
from tests.interop.studying import FAMILIES, RATES, SMALL, make
from tests.sweep.killed import TASK

STREAMED = dataclasses.replace(
    TASK, batch=gdjax.Stream(lambda trial, seed: [np.ones(4)], per="trial")
)


def broken(learning_rate):
    return {}[learning_rate]


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
        (InvalidValue, "numbers trials anew in each batch; give .*per='seed'", {"task": STREAMED}),
        (InvalidType, "stopping takes rules", {"stopping": 3}),
        (
            InvalidValue,
            "cannot tell a study of PopulationBasedTraining.*use gdjax.sweep",
            {"stopping": gdjax.population_based_training(2)},
        ),
        (InvalidType, "callbacks takes functions of one argument", {"callbacks": 3}),
        (InvalidType, "progress must be True, False or None", {"progress": 3}),
        (InvalidType, "resume must be True or False", {"resume": 1}),
        (InvalidValue, "steps must be .* below 2147483648", {"steps": 2**31}),
        (InvalidValue, "1000000000000 trials .* half of this machine's", {"trials": 10**12}),
        (InvalidType, "an optimizer cannot be made: KeyError", {"optimizer": broken}),
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


def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(gdjax.MissingExtra, match=r'pip install "gdjax\[optuna\]"'):
        optimize(None, TASK, gdjax.sgd, RATES, **SMALL)
