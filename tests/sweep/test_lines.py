"""Log lines: JSON whatever is measured, appended, each line whole."""

import datetime
import io
import json
import math
import os

import numpy as np
import pytest

from gdjax import InvalidType, InvalidValue, log_lines
from gdjax.sweep.snapshots import BestSoFar, Snapshot
from tests.sweep import killed
from tests.sweep.stopping import Interrupted, interrupt, stop_at

SNAPSHOT = Snapshot(
    event="segment",
    seconds=2.5,
    seconds_left=math.inf,
    steps=30,
    steps_per_second=None,
    progress=0.5,
    running=1,
    done=2,
    stopped=3,
    diverged=0,
    objective="size",
    best=BestSoFar(1, "adam", {"learning_rate": 0.5, "layers": 2, "b": math.nan}, -math.inf),
    status=np.zeros((3, 2), np.int8),
    scores=np.ones((3, 4)),
)
LINE = {
    "event": "segment",
    "trials": 3,
    "seconds": 2.5,
    "seconds_left": None,
    "steps": 30,
    "steps_per_second": None,
    "progress": 0.5,
    "running": 1,
    "done": 2,
    "stopped": 3,
    "diverged": 0,
    "objective": "size",
    "best": None,
    "best_trial": 1,
    "best_family": "adam",
    "best_settings": {"learning_rate": 0.5, "layers": 2, "b": None},
}


def read(text):
    """All lines, by a reader that knows no NaN."""

    def refuse(word):
        raise AssertionError(word)

    assert text.endswith("\n")
    return [json.loads(line, parse_constant=refuse) for line in text.splitlines()]


def test_a_line_by_hand_and_what_json_does_not_know():
    file = io.StringIO()
    log_lines(file)(SNAPSHOT)
    (line,) = read(file.getvalue())
    time = datetime.datetime.fromisoformat(line.pop("time"))
    assert time.utcoffset() == datetime.timedelta(0)
    assert abs(datetime.datetime.now(datetime.UTC) - time) < datetime.timedelta(minutes=5)
    assert line == LINE


def test_without_a_best_trial():
    file = io.StringIO()
    log_lines(file)(SNAPSHOT._replace(best=None))
    (line,) = read(file.getvalue())
    assert [line[name] for name in line if name.startswith("best")] == [None] * 4


def test_a_file_is_flushed():
    flushed = []

    class File(io.StringIO):
        def flush(self):
            flushed.append(self.getvalue().count("\n"))

    log = log_lines(File())
    log(SNAPSHOT)
    log(SNAPSHOT)
    assert flushed == [1, 2]


def test_a_sweep_that_goes_on_appends(tmp_path, monkeypatch):
    path = tmp_path / "new" / "log.jsonl"
    with monkeypatch.context() as patch:
        stop_at(patch, 3, interrupt)
        with pytest.raises(Interrupted):
            killed.train(tmp_path / "sweep", "halving", callbacks=log_lines(path))
    first = read(path.read_text())
    torn = '{"event": "segm'
    with open(path, "a") as file:
        file.write(torn)  # by who was killed
    killed.train(tmp_path / "sweep", "halving", callbacks=log_lines(os.fspath(path)))
    before, _, after = path.read_text().partition(f"{torn}\n")
    assert read(before) == first
    lines = first + read(after)
    events = [line["event"] for line in lines]
    assert events[:2] == ["start", "segment"]
    assert events.count("start") == events.count("end") == 2
    assert lines[-1]["done"] + lines[-1]["stopped"] + lines[-1]["diverged"] == 36
    steps = [line["steps"] for line in lines]
    assert sorted(steps) == steps
    assert steps[len(first)] > 0, "it goes on where it was"


def test_another_directory_does_not_move_a_relative_path(tmp_path, monkeypatch):
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path)
    log = log_lines("log.jsonl")
    monkeypatch.chdir(tmp_path / "other")
    log(SNAPSHOT)
    assert len(read((tmp_path / "log.jsonl").read_text())) == 1


def test_where_nothing_can_be_written_is_told_before_any_work(tmp_path):
    for path in (tmp_path, tmp_path / "a\0b"):
        with pytest.raises(InvalidValue, match=r"log_lines: .* cannot be written: "):
            log_lines(path)


@pytest.mark.parametrize("wrong", [None, 3, io.StringIO, [], object()])
def test_what_is_no_file_is_told(wrong):
    with pytest.raises(InvalidType, match="log_lines takes a path or a text file, got"):
        log_lines(wrong)


def test_a_full_disk_ends_the_log_but_not_the_sweep():
    class Full(io.StringIO):
        def write(self, text):
            raise OSError(28, "No space left on device")

    with pytest.warns(UserWarning, match="No space left") as told:
        killed.train(
            None, "none", resume=False, checkpoint_seconds=None, callbacks=log_lines(Full())
        )
    assert len(told) == 1
