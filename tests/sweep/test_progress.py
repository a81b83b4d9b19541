import numpy as np
import pytest

import gdjax
from gdjax.sweep.progress import bar
from gdjax.sweep.snapshots import BestSoFar, Snapshot

START = Snapshot(
    event="start",
    seconds=0.0,
    seconds_left=None,
    steps=0,
    steps_per_second=None,
    progress=0.0,
    running=4,
    done=0,
    stopped=0,
    diverged=0,
    objective="loss",
    best=None,
    status=np.zeros((4, 1), np.int8),
    scores=np.full((4, 2), np.nan),
)
LATER = START._replace(
    event="segment",
    seconds_left=75.0,
    steps_per_second=12345.0,
    progress=0.75,
    running=1,
    done=1,
    stopped=1,
    diverged=1,
    best=BestSoFar(3, "sgd", {}, 2.5),
)


def test_the_bar_counts_runs_and_tells_the_best_and_the_pace(capsys):
    (draw,) = bar(True)
    draw(START)
    assert "0/4 runs" in capsys.readouterr().err
    draw(LATER)
    draw(LATER._replace(event="end"))
    shown = capsys.readouterr().err
    assert "3/4" in shown
    told = "1 running, 1 done, 1 stopped, 1 diverged, best loss 2.5, 1.23e+04 steps/s, 01:15 left"
    assert told in shown
    assert shown.endswith("\n"), "closed"


def test_at_the_end_nothing_is_left(capsys):
    (draw,) = bar(True)
    draw(START)
    draw(LATER._replace(event="end", running=0, done=2, seconds_left=0.0, progress=1.0))
    shown = capsys.readouterr().err
    assert "4/4" in shown
    assert "left" not in shown


def test_a_sweep_draws_it_and_leaves_it(capsys, halving):
    gdjax.sweep(halving, gdjax.sgd, {"learning_rate": [0.5, 0.25]}, steps=2, progress=True)
    shown = capsys.readouterr().err
    assert "2/2 runs" in shown
    assert "2 done, best loss 0.125" in shown


def test_it_is_quiet_where_there_is_no_terminal_or_nobody_asks():
    assert bar(None) == bar(False) == []


def test_a_missing_tqdm_is_told_only_to_who_asks_for_a_bar(monkeypatch, halving):
    monkeypatch.setitem(__import__("sys").modules, "tqdm", None)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    assert bar(None) == []
    with pytest.raises(gdjax.MissingExtra, match=r"gdjax\[sweep\]"):
        gdjax.sweep(halving, gdjax.sgd, {"learning_rate": [0.5]}, progress=True)
