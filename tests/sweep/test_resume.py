"""A sweep that was stopped in any way goes on and ends with the bits of an undisturbed one."""

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import threading

import jax.numpy as jnp
import numpy as np
import pytest

import gdjax
from gdjax import InvalidValue, SweepResult
from gdjax.sweep import checkpoint, keeper
from gdjax.sweep.loop import Loop
from tests.sweep import killed
from tests.sweep.comparing import check_reruns, check_same

ROOT = pathlib.Path(__file__).parents[2]


class Interrupted(Exception):
    """Instead of a kill, where a new process would cost much."""


def stop_at(monkeypatch, number, act):
    """Call ``act`` before the decision of that number is carried out."""
    original, count = Loop._advance, killed._at(number, act)

    def advance(self, trials):
        count()
        original(self, trials)

    monkeypatch.setattr(Loop, "_advance", advance)


def interrupt():
    raise Interrupted


def checkpoints(directory):
    return sorted(directory.glob(keeper.CHECKPOINTS))


@pytest.fixture(scope="module")
def whole():
    """The undisturbed sweeps, by rule, that write nothing."""
    return {
        rule: killed.train(None, rule, resume=False, checkpoint_seconds=None)
        for rule in killed.RULES
    }


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory):
    """A directory with the two checkpoints of a sweep that got through four decisions."""
    directory = tmp_path_factory.mktemp("sweep")
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, 5, interrupt)
        with pytest.raises(Interrupted):
            killed.train(directory, "halving")
    assert len(checkpoints(directory)) == 2
    return directory


@pytest.fixture
def stopped(interrupted, tmp_path):
    """A copy of it."""
    return pathlib.Path(shutil.copytree(interrupted, tmp_path / "sweep"))


def test_killed_at_any_moment(whole, tmp_path):
    """The file ``benchmarks/kills.py`` does so more often, at moments that nobody chose."""
    kinds = [("write", 4), ("call", 600_000), ("term", 2), ("write", 3)]
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
            killed.train(None, rule, resume=False, checkpoint_seconds=None)
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


def damage_by_cutting(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def damage_by_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 4
    path.write_bytes(content)


def damage_by_emptying(path):
    path.write_bytes(b"")


DAMAGES = [damage_by_cutting, damage_by_a_bit, damage_by_emptying]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_gives_way_to_the_one_before(whole, stopped, monkeypatch, damage):
    before, newest = checkpoints(stopped)
    damage(newest)
    made = []
    stop_at(monkeypatch, 1, lambda: made.append(checkpoints(stopped)))
    check_same(killed.train(stopped, "halving"), whole["halving"])
    assert newest in made[0]
    assert before not in made[0], "the newest whole one is the one that was written at once"


@pytest.mark.parametrize("damage", DAMAGES)
def test_only_damaged_checkpoints_are_told(stopped, damage):
    for path in checkpoints(stopped):
        damage(path)
    with pytest.raises(InvalidValue, match=r"no checkpoint in .* can be read: checkpoint-0.*: "):
        killed.train(stopped, "halving")
    assert len(checkpoints(stopped)) == 2


def test_any_changed_byte_is_seen_or_means_nothing(stopped):
    before, newest = checkpoints(stopped)
    content = newest.read_bytes()
    with np.load(before) as file:
        older = dict(file)
    with np.load(newest) as file:
        wanted = dict(file)
    reader = keeper.Keeper(stopped, {}, None)
    generator = np.random.default_rng(0)
    ends = np.r_[:200, -400:0]  # the head of the first file, and the end of the archive
    fallen = 0
    for place in [*ends, *generator.integers(0, len(content), 200)]:
        changed = bytearray(content)
        changed[place] ^= int(generator.integers(1, 256))
        newest.write_bytes(changed)
        found = reader._newest()
        expected = wanted
        if not np.array_equal(found["ledger/measured"], wanted["ledger/measured"]):
            expected, fallen = older, fallen + 1
        assert found.keys() == expected.keys()
        for name, values in expected.items():
            np.testing.assert_array_equal(found[name], values)
    assert fallen > 200


def other_loss(params, batch, key):
    return 2 * killed.TASK.loss(params, batch, key)


def with_data(scale):
    def loss(params, batch, key, scale):
        return scale * killed.TASK.loss(params, batch, key)

    return gdjax.Task(
        killed.TASK.init,
        gdjax.bind(loss, scale=jnp.float32(scale)),
        killed.TASK.batch,
        killed.TASK.evaluate,
        "size",
    )


RATES = np.geomspace(1e-3, 1e25, 9)
CHANGES = {
    "hyperparameters of sgd was": {"space": {"learning_rate": (RATES * 2).tolist()}},
    r"families was sgd \(9 trials\), momentum \(9 trials\), is sgd": {
        "space": {"learning_rate": RATES[:8].tolist()}
    },
    "code of the task or of sgd was": {
        "task": gdjax.Task(
            killed.TASK.init, other_loss, killed.TASK.batch, killed.TASK.evaluate, "size"
        )
    },
    r"stopping was SuccessiveHalving\(eta=2.*, is SuccessiveHalving\(eta=3": {
        "stopping": gdjax.successive_halving(eta=3)
    },
    r"steps, segment, seeds, key was \(15, 2, 2, 0\), is \(16, 2, 2, 0\)": {"steps": 16},
    r", is \(15, 2, 2, 1\)": {"key": 1},
    r", is \(15, 2, 3, 0\)": {"seeds": 3},
    r", is \(15, 3, 2, 0\)": {"segment": 3},
    "width of sgd was 3, is 4": {"width": 4},
}


@pytest.mark.parametrize("message", CHANGES)
def test_another_sweep_is_refused(stopped, message):
    before = {path: path.read_bytes() for path in checkpoints(stopped)}
    with pytest.raises(InvalidValue, match=f"cannot go on exactly: .*{message}"):
        killed.train(stopped, "halving", **CHANGES[message])
    assert {path: path.read_bytes() for path in checkpoints(stopped)} == before


def test_other_data_are_refused_also_when_all_is_done(tmp_path, monkeypatch):
    options = {"optimizer": gdjax.sgd}
    with monkeypatch.context() as patch:
        stop_at(patch, 2, interrupt)
        with pytest.raises(Interrupted):
            killed.train(tmp_path, "none", task=with_data(1.0), **options)
    with pytest.raises(InvalidValue, match="go on exactly: data of the task was"):
        killed.train(tmp_path, "none", task=with_data(2.0), **options)
    result = killed.train(tmp_path, "none", task=with_data(1.0), **options)
    with pytest.raises(InvalidValue, match=r"results of another sweep.*: data of the task was"):
        killed.train(tmp_path, "none", task=with_data(2.0), **options)
    check_same(killed.train(tmp_path, "none", task=with_data(1.0), **options), result)


def test_a_sweep_that_is_done_is_read_and_can_be_run_again(whole, tmp_path, monkeypatch):
    killed.train(tmp_path, "halving")
    monkeypatch.setattr(Loop, "run", interrupt)
    again = killed.train(tmp_path, "halving")
    monkeypatch.undo()
    check_same(again, whole["halving"])
    check_reruns(again, [0, 9, 17])


def test_two_cannot_write_to_one_directory(stopped):
    before = sorted(os.listdir(stopped))
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import fcntl, sys; file = open(sys.argv[1], 'a'); fcntl.flock(file, fcntl.LOCK_EX);"
            "print(); sys.stdin.read()",
            stopped / ".lock",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    holder.stdout.readline()
    with pytest.raises(InvalidValue, match="another process writes to"):
        killed.train(stopped, "halving")
    assert sorted({*os.listdir(stopped), ".lock"}) == sorted({*before, ".lock"})
    holder.communicate()
    killed.train(stopped, "halving")


def test_a_directory_with_checkpoints_is_left_alone_without_resume(stopped):
    before = {path: path.read_bytes() for path in stopped.iterdir()}
    with pytest.raises(InvalidValue, match=r"already holds a sweep \(checkpoint-.*resume=True"):
        killed.train(stopped, "halving", resume=False)
    assert {path: path.read_bytes() for path in stopped.iterdir()} == before


@pytest.fixture
def handlers():
    """The handlers of signals are afterwards what they were."""
    kinds = signal.SIGINT, signal.SIGTERM
    before = [signal.getsignal(kind) for kind in kinds]
    yield before
    assert [signal.getsignal(kind) for kind in kinds] == before


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("rule", ["none", "asha"])
def test_a_signal_stops_cleanly(whole, tmp_path, monkeypatch, handlers, kind, rule):
    made = []
    with monkeypatch.context() as patch:
        stop_at(patch, 3, lambda: os.kill(os.getpid(), kind))
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
        stop_at(patch, 3, lambda: os.kill(os.getpid(), signal.SIGTERM))
        with pytest.raises(KeyboardInterrupt):
            killed.train(tmp_path, "none", checkpoint_seconds=1e9)
    with np.load(checkpoints(tmp_path)[-1]) as file:
        running = (file["ledger/status"] == 0).any(axis=1)
        assert (file["ledger/measured"][running] == 3).all()


def test_a_second_signal_does_not_wait(whole, tmp_path, monkeypatch, handlers):
    def savez(file, **arrays):
        file.write(b"half of it")
        os.kill(os.getpid(), signal.SIGINT)

    def signalled():
        monkeypatch.setattr(np, "savez", savez)
        os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        stop_at(patch, 3, signalled)
        with pytest.raises(KeyboardInterrupt) as caught:
            killed.train(tmp_path, "halving")
    assert "all is saved" not in str(caught.value)
    monkeypatch.undo()
    assert len(checkpoints(tmp_path)) == 2
    assert not list(tmp_path.glob(".*.partial"))
    check_same(killed.train(tmp_path, "halving"), whole["halving"])


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
        stop_at(patch, 1, lambda: os.kill(os.getpid(), signal.SIGINT))
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
