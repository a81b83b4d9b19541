"""A search that was stopped at any moment goes on: no proposal is lost, none is told twice."""

import json
import pathlib
import shutil
import signal
import subprocess
import sys

import numpy as np
import optuna
import pytest
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState

from gdjax import InvalidValue, SweepResult
from gdjax.sweep import running
from tests.interop import studying
from tests.interop.studying import study_in, train
from tests.interop.test_optuna import check_told
from tests.sweep.comparing import check_reruns, check_same

ROOT = pathlib.Path(__file__).parents[2]
WRITES = (
    "create_new_trial",
    "set_trial_param",
    "set_trial_user_attr",
    "set_trial_intermediate_value",
    "set_trial_state_values",
)
TINY = {"trials": 3, "batch": 2, "steps": 2, "stopping": ()}


class Killed(BaseException):
    """Instead of a kill: whoever lets it pass writes nothing more."""


class Dying(InMemoryStorage):
    """A storage whose user dies as soon as something was written for the ``left``-th time."""

    left = None
    writes = 0


def _dying(name):
    def write(self, *args, **kwargs):
        if self.left == 0:
            raise Killed
        answer = getattr(InMemoryStorage, name)(self, *args, **kwargs)
        self.writes += 1
        if self.left is not None:
            self.left -= 1
            if self.left == 0:
                raise Killed
        return answer

    return write


for name in WRITES:
    setattr(Dying, name, _dying(name))


def attempt(storage, directory):
    """What a process does, from its start; it may die."""
    sampler = optuna.samplers.RandomSampler(seed=1)
    study = optuna.create_study(
        storage=storage, study_name="study", sampler=sampler, load_if_exists=True
    )
    study.enqueue_trial({"family": "momentum", "decay": 0.9}, skip_if_exists=True)
    return study, train(study, directory, **TINY)


def test_killed_after_each_write_to_the_study(tmp_path, monkeypatch):
    monkeypatch.setattr(
        running, "identity", lambda *args: {}
    )  # traces, which takes most of the time
    storage = Dying()
    attempt(storage, tmp_path / "undisturbed")
    assert storage.writes > 20
    for number in range(1, storage.writes + 1):
        dying, directory = Dying(), tmp_path / str(number)
        dying.left = number
        with pytest.raises(Killed):
            attempt(dying, directory)
        dying.left = None
        study, result = attempt(dying, directory)
        assert result.trials == len(study.trials) == 3, number
        assert {trial.state for trial in study.trials} == {TrialState.COMPLETE}, number
        check_told(study.trials, result)
        assert study.trials[0].params["decay"] == 0.9, "what was enqueued is not lost"
        rates = [trial.params["learning_rate"] for trial in study.trials]
        assert rates.count(0.125) == 2, "nor the points to try first"
    check_reruns(result)


def test_killed_in_a_process_of_its_own(tmp_path):
    def process(number):
        command = [sys.executable, "-m", "tests.interop.studying", tmp_path, str(number)]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)

    def trials():
        storage = studying.storage(tmp_path)
        return optuna.load_study(study_name="study", storage=storage).trials

    assert process(9).returncode == -signal.SIGKILL
    before = trials()
    states = {trial.state for trial in before}
    assert states == {TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING}
    assert process(0).returncode == 0
    found = trials()
    assert len(found) == studying.TRIALS
    assert all(trial.state.is_finished() for trial in found)
    for trial in before:
        assert found[trial.number].params == trial.params
    check_told(found, SweepResult.load(tmp_path / "search"))
    rates = [trial.params["learning_rate"] for trial in found]
    assert len(set(rates)) == len(rates) - 1, "one is there for two families; none was repeated"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A directory with a search that has come to its end, and its result."""
    directory = tmp_path_factory.mktemp("search")
    return directory, train(study_in(directory), directory / "search")


def test_the_study_is_in_its_storage(finished):
    directory, result = finished
    study = optuna.load_study(study_name="study", storage=studying.storage(directory))
    check_told(study.trials, result)
    loaded = SweepResult.load(directory / "search")
    check_same(loaded, result)
    assert loaded.attributes["study"] == "study"


def test_a_finished_search_is_what_it_was_and_can_go_further(finished, tmp_path):
    directory, result = finished
    directory = shutil.copytree(directory, tmp_path / "copy")
    again = train(study_in(directory), directory / "search")
    check_same(again, result)
    check_reruns(again)
    study = study_in(directory)
    more = train(study, directory / "search", trials=studying.TRIALS + 3)
    assert more.trials == len(study.trials) == studying.TRIALS + 3
    check_same(more, result, mine=slice(studying.TRIALS))
    check_told(study.trials, more)
    check_same(SweepResult.load(directory / "search"), more)


def test_who_else_asks_the_study_keeps_his_trials(tmp_path):
    study = study_in(tmp_path)
    others = [study.ask(), study.ask()]
    others[0].suggest_float("learning_rate", 0.1, 0.2, log=True)
    others[1].set_user_attr("whose", "another's")
    result = train(study, tmp_path / "search")
    numbers = json.loads(result.attributes["study_trials"])
    assert not set(numbers) & {other.number for other in others}
    assert {study.trials[other.number].state for other in others} == {TrialState.RUNNING}
    assert np.isfinite(result.final("size")).any()


@pytest.mark.parametrize(
    ("message", "change"),
    [
        (r"already holds a sweep \(study.json\)", {"resume": False}),
        ("cannot go on exactly|results of another sweep", {"steps": 7}),
    ],
)
def test_what_cannot_go_on_is_told(finished, message, change):
    directory, _ = finished
    study = study_in(directory)
    before = len(study.trials)
    with pytest.raises(InvalidValue, match=message):
        train(study, directory / "search", **change)
    assert len(study.trials) == before


def test_another_study_is_told(finished):
    directory, _ = finished
    with pytest.raises(InvalidValue, match="holds trials of the study 'study', not of 'no-name"):
        train(optuna.create_study(), directory / "search")
    namesake = optuna.create_study(study_name="study")
    with pytest.raises(InvalidValue, match="the study has none of the trials"):
        train(namesake, directory / "search")
    assert not namesake.trials


def test_the_directory_of_a_sweep_is_not_taken(finished, tmp_path):
    _, result = finished
    result.save(tmp_path)
    with pytest.raises(InvalidValue, match=r"already holds a sweep \(results.nc\)"):
        train(optuna.create_study(), tmp_path)
