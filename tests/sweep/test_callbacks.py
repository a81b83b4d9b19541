"""Callbacks are told what is measured, and can do a sweep no harm."""

import dataclasses
import signal
import warnings

import numpy as np
import pytest

import gdjax
from gdjax import InvalidType
from gdjax.sweep import snapshots
from gdjax.sweep.families import Family
from gdjax.sweep.ledger import Ledger
from gdjax.sweep.loop import Loop
from gdjax.sweep.snapshots import Origin
from gdjax.sweep.table import Status
from tests.sweep import killed
from tests.sweep.comparing import check_same
from tests.sweep.stopping import Interrupted, checkpoints, interrupt, stop_at


@pytest.fixture
def ledger(halving):
    """Four trials of two seeds and two segments of ten steps."""
    ledger = Ledger(4, 2, np.array([10, 20]), halving)
    ledger.measured[:] = [2, 1, 1, 0]
    ledger.scores[:3, 0] = [3.0, np.inf, 0.5]
    ledger.scores[0, 1] = 2.0
    done, stopped, diverged, running = Status.DONE, Status.STOPPED, Status.DIVERGED, Status.RUNNING
    ledger.status[:] = [[done, done], [stopped, diverged], [running, diverged], [running, running]]
    return ledger


def take(ledger, task, event="segment", seconds=9.0, origin=None):
    drawn = [
        Family("a", {"learning_rate": np.array([0.1, 0.2])}, None, None, {}),
        Family("b", {"learning_rate": np.array([0.3, 0.4])}, None, None, {}),
    ]
    return snapshots.take(event, drawn, ledger, task, seconds, origin)


def test_a_snapshot_by_hand(ledger, halving):
    snapshot = take(ledger, halving, origin=Origin(seconds=5.0, steps=20, progress=0.25))
    assert snapshot.steps == (20 + 10 + 10) * 2
    assert snapshot.steps_per_second == (80 - 20) / (9 - 5)
    assert snapshot.progress == (1 + 1 + 0.5 + 0) / 4
    assert snapshot.seconds_left == pytest.approx(4 * (1 - 0.625) / (0.625 - 0.25))
    assert (snapshot.running, snapshot.done, snapshot.stopped, snapshot.diverged) == (3, 2, 1, 2)
    assert snapshot.best == (2, "b", {"learning_rate": 0.3}, 0.5)
    nan = np.nan
    np.testing.assert_array_equal(snapshot.scores, [[3, 2], [nan, nan], [0.5, nan], [nan, nan]])
    np.testing.assert_array_equal(snapshot.status, ledger.status)
    assert (snapshot.event, snapshot.seconds, snapshot.objective) == ("segment", 9.0, "loss")


def test_a_snapshot_where_more_is_better(ledger, halving):
    ledger.scores *= -1  # what a ledger of scores that count the other way holds
    ledger.scores[1, 0] = np.inf
    snapshot = take(ledger, dataclasses.replace(halving, mode="max"))
    assert snapshot.best == (0, "a", {"learning_rate": 0.1}, 3.0)
    assert snapshot.scores[2, 0] == 0.5
    assert np.isnan(snapshot.scores[1, 0])


def test_what_is_not_known_yet_is_none(ledger, halving):
    ledger.scores[:] = np.nan
    nothing = take(ledger, halving)
    assert (nothing.best, nothing.steps_per_second, nothing.seconds_left) == (None, None, None)
    still = take(ledger, halving, origin=Origin(5.0, 80, 0.625))  # nothing made since
    assert (still.steps_per_second, still.seconds_left) == (None, None)


def test_a_snapshot_never_changes(ledger, halving):
    snapshot = take(ledger, halving)
    before = snapshot.status.copy(), snapshot.scores.copy()
    for values in (snapshot.status, snapshot.scores):
        with pytest.raises(ValueError, match="read-only"):
            values[:] = 0
    with pytest.raises(TypeError):
        snapshot.best.settings["learning_rate"] = 0.0
    with pytest.raises(AttributeError):
        snapshot.steps = 0
    ledger.status[:], ledger.scores[:] = Status.STOPPED, 7.0
    np.testing.assert_array_equal(snapshot.status, before[0])
    np.testing.assert_array_equal(snapshot.scores, before[1])


def train(told, rule="halving", directory=None, **changes):
    options = {"resume": directory is not None, "callbacks": told} | changes
    return killed.train(directory, rule, **options)


@pytest.mark.parametrize("rule", killed.RULES)
def test_all_events_and_the_bits_of_a_sweep_without(whole, rule):
    snapshots, others = [], []
    result = train([snapshots.append, others.append], rule)
    check_same(result, whole[rule])
    assert snapshots == others
    events = [snapshot.event for snapshot in snapshots]
    assert events == ["start", *["segment"] * (len(events) - 2), "end"]
    assert len(events) > 10
    assert (snapshots[0].steps, snapshots[0].running, snapshots[0].best) == (0, 36, None)
    steps = [snapshot.steps for snapshot in snapshots]
    assert sorted(steps) == steps
    last = snapshots[-1]
    np.testing.assert_array_equal(last.status, result.status)
    with np.errstate(over="ignore", invalid="ignore"):
        scores = result.evaluations["size"].astype(float).mean(axis=1)
    np.testing.assert_array_equal(last.scores, np.where(np.isfinite(scores), scores, np.nan))
    lengths = np.diff(result.evaluation_steps, prepend=0)
    assert last.steps == 2 * ((result.width > 0) @ lengths).sum()
    assert (last.progress, last.seconds_left, last.running) == (1.0, 0.0, 0)
    trial, evaluation = np.unravel_index(np.nanargmin(last.scores), last.scores.shape)
    assert last.best.trial == trial
    assert last.best.score == last.scores[trial, evaluation]
    assert last.best.family == result.family[trial]
    assert last.best.settings == result.lineage(trial)[evaluation].settings


def broken(snapshot):
    raise LookupError(snapshot.event)


def test_an_exception_is_told_once_and_the_sweep_goes_on(whole):
    snapshots = []
    message = r"(?s)callback <function broken .* is not called again.*Traceback.*LookupError: start"
    with pytest.warns(UserWarning, match=message) as told:
        result = train([broken, snapshots.append])
    assert len(told) == 1
    check_same(result, whole["halving"])
    assert snapshots[-1].event == "end"


def test_it_goes_on_where_warnings_are_errors(whole, capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_same(train(broken), whole["halving"])
    assert "LookupError: start" in capsys.readouterr().err


def test_of_equal_callbacks_only_the_broken_one_is_switched_off():
    class Same:
        calls = 0

        def __eq__(self, other):
            return True

        __hash__ = None

        def __call__(self, snapshot):
            self.calls += 1
            if self.calls == 2 and self is second:
                raise LookupError

    first, second = Same(), Same()
    with pytest.warns(UserWarning, match="LookupError"):
        train([first, second])
    assert first.calls > second.calls == 2


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_ends_a_process_passes(error, whole, tmp_path):
    """As Ctrl-C in a callback; a sweep in a directory goes on from its last checkpoint."""
    snapshots = []

    def leave(snapshot):
        snapshots.append(snapshot)
        if len(snapshots) == 4:
            raise error

    with pytest.raises(error):
        train(leave, directory=tmp_path)
    assert snapshots[-1].event == "end"
    assert snapshots[-1].running > 0
    check_same(train(snapshots.append, directory=tmp_path), whole["halving"])
    again = snapshots[5:]
    assert again[0].event == "start"
    assert 0 < again[0].steps <= snapshots[3].steps
    assert again[0].seconds > 0


def test_a_signal_that_comes_during_a_callback_saves_everything(whole, tmp_path, handlers):
    snapshots = []

    def leave(snapshot):
        snapshots.append(snapshot)
        if len(snapshots) == 4:
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(KeyboardInterrupt, match="all is saved"):
        train(leave, directory=tmp_path, checkpoint_seconds=1e9)
    assert checkpoints(tmp_path)
    assert [snapshot.event for snapshot in snapshots[3:]] == ["segment", "end"]
    check_same(train((), directory=tmp_path), whole["halving"])


def test_the_end_is_told_whatever_ends_it(monkeypatch):
    snapshots = []
    with monkeypatch.context() as patch:
        stop_at(patch, 2, interrupt)
        with pytest.raises(Interrupted):
            train(snapshots.append)
    events = [snapshot.event for snapshot in snapshots]
    assert (events[0], events[-1], events.count("end")) == ("start", "end", 1)


def test_other_callbacks_make_no_other_sweep(stopped, whole, monkeypatch):
    """Those of the sweep that was killed were none; its results are read whatever is told."""
    snapshots = []
    check_same(train(snapshots.append, directory=stopped), whole["halving"])
    assert snapshots[0].steps > 0
    assert snapshots[1].event == "segment"
    monkeypatch.setattr(Loop, "run", interrupt)
    check_same(train(broken, directory=stopped), whole["halving"])


def no_arguments():
    pass


def two_arguments(study, trial):
    pass


async def later(snapshot):
    pass


@pytest.mark.parametrize(
    "wrong", [3, "print", no_arguments, two_arguments, later, gdjax.Snapshot, {}, [[broken]]]
)
def test_what_cannot_be_called_is_refused_before_any_work(halving, monkeypatch, wrong):
    monkeypatch.setattr(gdjax.Task, "check", interrupt)
    with pytest.raises(InvalidType, match="callbacks takes functions of one argument"):
        gdjax.sweep(halving, gdjax.sgd, {"learning_rate": 0.1}, callbacks=[wrong])
    if not isinstance(wrong, list):
        with pytest.raises(InvalidType, match="callbacks takes"):
            gdjax.sweep(halving, gdjax.sgd, {"learning_rate": 0.1}, callbacks=wrong)


def test_none_is_nobody_and_a_function_of_c_is_taken(whole):
    heard = []
    check_same(train([None, heard.append]), whole["halving"])
    check_same(train(None), whole["halving"])
    assert heard
