"""Checkpoints that are damaged, or another sweep's, and directories that are taken."""

import os
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest

import gdjax
from gdjax import InvalidValue
from gdjax.sweep import keeper
from gdjax.sweep.loop import Loop
from tests.sweep import killed
from tests.sweep.comparing import check_reruns, check_same
from tests.sweep.stopping import Interrupted, checkpoints, interrupt, stop_at


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
    generator = np.random.default_rng(0)
    ends = np.r_[:200, -400:0]  # the head of the first file, and the end of the archive
    fallen = 0
    for place in [*ends, *generator.integers(0, len(content), 200)]:
        changed = bytearray(content)
        changed[place] ^= int(generator.integers(1, 256))
        newest.write_bytes(changed)
        found = keeper._newest(stopped)
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
    "steps was 15, is 16": {"steps": 16},
    "key was 0, is 1": {"key": 1},
    "seeds was 2, is 3": {"seeds": 3},
    "segment was 2, is 3": {"segment": 3},
    "width of sgd was 3, is 4": {"width": 4},
}


@pytest.mark.parametrize("message", CHANGES)
def test_another_sweep_is_refused(stopped, message):
    before = {path: path.read_bytes() for path in checkpoints(stopped)}
    with pytest.raises(InvalidValue, match=f"cannot go on exactly: .*{message}"):
        killed.train(stopped, "halving", **CHANGES[message])
    assert {path: path.read_bytes() for path in checkpoints(stopped)} == before


def test_other_flags_of_the_compiler_are_refused(stopped, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=x --xla_cpu_enable_fast_math=true")
    message = "cannot go on exactly: XLA_FLAGS was .*, is --xla_cpu_enable_fast_math=true$"
    with pytest.raises(InvalidValue, match=message):
        killed.train(stopped, "halving")


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
            "import fcntl, os, sys; directory = os.open(sys.argv[1], os.O_RDONLY);"
            "fcntl.flock(directory, fcntl.LOCK_EX); print(); sys.stdin.read()",
            stopped,
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    holder.stdout.readline()
    with pytest.raises(InvalidValue, match="another process writes to"):
        killed.train(stopped, "halving")
    assert sorted(os.listdir(stopped)) == sorted(before)
    holder.communicate()
    killed.train(stopped, "halving")


def test_a_directory_with_checkpoints_is_left_alone_without_resume(stopped):
    before = {path: path.read_bytes() for path in stopped.iterdir()}
    with pytest.raises(InvalidValue, match=r"already holds a sweep \(checkpoint-.*resume=True"):
        killed.train(stopped, "halving", resume=False)
    assert {path: path.read_bytes() for path in stopped.iterdir()} == before
