"""A sweep that was stopped in any way goes on and ends with the bits of an undisturbed one."""

import os
import pathlib
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

from gdjax import InvalidValue, SweepResult
from gdjax.sweep import checkpoint, execution
from gdjax.sweep.loop import Loop
from tests.sweep import killed
from tests.sweep.comparing import check_reruns, check_same
from tests.sweep.stopping import Interrupted, checkpoints, interrupt, stop_at

ROOT = pathlib.Path(__file__).parents[2]


def test_killed_at_any_moment(whole, tmp_path):
    """The file ``benchmarks/kills.py`` does so more often, at moments that nobody chose."""
    kinds = [("write", 4), ("call", 60_000), ("term", 2), ("write", 3)]
    codes = []
    for kind, number in [*kinds, ("", 0)]:
        process = subprocess.run(
            [sys.executable, "-m", "tests.sweep.killed", tmp_path, kind, str(number)],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        codes.append(process.returncode)
        if kind == "write":
            assert process.returncode == -signal.SIGKILL, process.stderr
            assert list(tmp_path.glob("*/.checkpoint-*.partial"))
        if kind == "term":
            assert "KeyboardInterrupt: stopped; all is saved" in process.stderr
    assert process.returncode == 0, process.stderr
    kills = codes.count(-signal.SIGKILL)
    assert kills >= 2, codes
    made = (tmp_path / "log").read_text().splitlines()
    for rule, result in whole.items():
        check_same(SweepResult.load(tmp_path / rule), result)
        assert os.listdir(tmp_path / rule) == ["results.nc"]
    log = pathlib.Path(tmp_path / "undisturbed")
    log.mkdir()
    original = killed.log_decisions(log)
    try:
        for rule in killed.RULES:
            killed.train(log / rule, rule)
    finally:
        Loop._advance = original
    undisturbed = (log / "log").read_text().splitlines()
    assert len(undisturbed) <= len(made) <= len(undisturbed) + kills


@pytest.mark.parametrize("rule", killed.RULES)
@pytest.mark.parametrize("decision", [1, 2, 6])
def test_stopped_once(whole, tmp_path, monkeypatch, rule, decision):
    with monkeypatch.context() as patch:
        stop_at(patch, decision, interrupt)
        with pytest.raises(Interrupted):
            killed.train(tmp_path, rule)
    result = killed.train(tmp_path, rule)
    check_same(result, whole[rule])
    check_reruns(result, [0, 9, 17])


@pytest.mark.parametrize("rule", killed.RULES)
@pytest.mark.parametrize("seconds", [0, 1e9, None])
def test_when_a_checkpoint_is_written_changes_no_bit(whole, tmp_path, rule, seconds):
    check_same(killed.train(tmp_path, rule, checkpoint_seconds=seconds), whole[rule])


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("rule", ["none", "asha"])
def test_a_signal_stops_cleanly(whole, tmp_path, monkeypatch, handlers, kind, rule):
    made = []
    with monkeypatch.context() as patch:
        patch.setattr(execution, "CALL", 0)  # each segment is a call
        stop_at(patch, 3, lambda: signal.raise_signal(kind))
        options = {"checkpoint_seconds": 1e9}
        with pytest.raises(KeyboardInterrupt, match="stopped; all is saved"):
            killed.train(tmp_path, rule, **options)
    assert len(checkpoints(tmp_path)) == 2
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == handlers
    stop_at(monkeypatch, 1, lambda: made.append(checkpoints(tmp_path)))
    check_same(killed.train(tmp_path, rule), whole[rule])
    assert made


def test_what_was_made_is_all_saved_by_a_signal(tmp_path, monkeypatch, handlers):
    with monkeypatch.context() as patch:
        patch.setattr(execution, "CALL", 0)  # each segment is a call
        stop_at(patch, 3, lambda: signal.raise_signal(signal.SIGTERM))
        with pytest.raises(KeyboardInterrupt):
            killed.train(tmp_path, "none", checkpoint_seconds=1e9)
    with np.load(checkpoints(tmp_path)[-1]) as file:
        running = (file["ledger/status"] == 0).any(axis=1)
        assert (file["ledger/measured"][running] == 3).all()


def test_a_second_signal_does_not_wait(whole, tmp_path, monkeypatch, handlers):
    def savez(file, **arrays):
        file.write(b"half of it")
        signal.raise_signal(signal.SIGINT)

    def signalled():
        monkeypatch.setattr(np, "savez", savez)
        signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        stop_at(patch, 3, signalled)
        with pytest.raises(KeyboardInterrupt) as caught:
            killed.train(tmp_path, "halving")
    assert "all is saved" not in str(caught.value)
    monkeypatch.undo()
    assert len(checkpoints(tmp_path)) == 2
    assert not list(tmp_path.glob(".*.partial"))
    check_same(killed.train(tmp_path, "halving"), whole["halving"])


def test_a_signal_that_is_ignored_stays_so(whole, tmp_path, monkeypatch, handlers):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    stop_at(monkeypatch, 3, lambda: signal.raise_signal(signal.SIGINT))
    check_same(killed.train(tmp_path, "none"), whole["none"])
    assert signal.signal(signal.SIGINT, handlers[0]) is signal.SIG_IGN


def full(*args, **kwargs):
    raise OSError(28, "No space left on device")


def test_a_full_disk_is_told_once_and_the_sweep_ends(whole, tmp_path, monkeypatch):
    monkeypatch.setattr(np, "savez", full)
    message = "no checkpoint can be written to .*: No space left on device; the sweep goes on"
    with pytest.warns(UserWarning, match=message) as told:
        result = killed.train(tmp_path, "halving")
    assert len(told) == 1
    check_same(result, whole["halving"])
    assert os.listdir(tmp_path) == ["results.nc"]


def test_a_full_disk_and_a_signal(stopped, whole, monkeypatch, handlers):
    """Nothing is promised that was not done, and the checkpoints that there are stay."""
    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", full)
        stop_at(patch, 1, lambda: signal.raise_signal(signal.SIGINT))
        lost = "stopped; what was made since the last checkpoint is lost"
        with (
            pytest.warns(UserWarning, match="No space"),
            pytest.raises(KeyboardInterrupt, match=lost),
        ):
            killed.train(stopped, "halving")
    assert len(checkpoints(stopped)) == 2
    check_same(killed.train(stopped, "halving"), whole["halving"])


def test_a_failure_puts_the_handlers_back(tmp_path, monkeypatch, handlers):
    stop_at(monkeypatch, 1, interrupt)
    with pytest.raises(Interrupted):
        killed.train(tmp_path, "none")


def test_in_another_thread(whole, tmp_path, handlers):
    results = []
    thread = threading.Thread(target=lambda: results.append(killed.train(tmp_path, "halving")))
    thread.start()
    thread.join()
    check_same(results[0], whole["halving"])


def test_partial_files_of_the_dead_are_removed(stopped, whole):
    (stopped / ".checkpoint-00000009.npz.1.partial").write_bytes(b"half")
    check_same(killed.train(stopped, "halving"), whole["halving"])
    assert os.listdir(stopped) == ["results.nc"]


def test_the_lock_is_free_after_a_failure(stopped):
    with checkpoint.locked(stopped), pytest.raises(InvalidValue, match="another process"):
        killed.train(stopped, "halving")
    killed.train(stopped, "halving")
