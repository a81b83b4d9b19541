import dataclasses

import numpy as np
import pytest

import gdjax
from gdjax.sweep.ledger import Ledger
from gdjax.sweep.progress import Progress
from gdjax.sweep.table import Status


@pytest.fixture
def ledger(halving):
    """Four trials of two segments, of which none has begun."""
    return Ledger(4, 1, np.array([10, 20]), halving)


def test_the_bar_counts_runs_and_tells_the_best(capsys, ledger, halving):
    progress = Progress(True, ledger, halving)
    progress.begin()
    ledger.measured[:] = [1, 1, 0, 0]
    ledger.scores[:2, 0] = [3.0, np.inf]
    progress.update()
    ledger.status[:, 0] = [Status.DONE, Status.STOPPED, Status.DIVERGED, Status.RUNNING]
    ledger.measured[3], ledger.scores[3, 0] = 1, 2.5
    progress.update()
    progress.close()
    shown = capsys.readouterr().err
    assert "4/4" in shown  # three that have ended, and half of one
    assert "1 running, 1 done, 1 stopped, 1 diverged, best loss 2.5" in shown


def test_more_is_better_where_the_mode_says_so(capsys, ledger, halving):
    accuracy = dataclasses.replace(halving, objective="accuracy", mode="max")
    progress = Progress(True, ledger, accuracy)
    ledger.scores[:2, 0] = [-0.5, -0.75]
    progress.update()
    progress.close()
    assert "best accuracy 0.75" in capsys.readouterr().err


def test_it_is_quiet_where_there_is_no_terminal_or_nobody_asks(capsys, ledger, halving):
    for show in (None, False):
        progress = Progress(show, ledger, halving)
        progress.update()
        progress.close()
    assert capsys.readouterr().err == ""


def test_a_missing_tqdm_is_told_only_to_who_asks_for_a_bar(monkeypatch, ledger, halving):
    monkeypatch.setitem(__import__("sys").modules, "tqdm", None)
    with pytest.raises(gdjax.MissingExtra, match=r"gdjax\[sweep\]"):
        Progress(True, ledger, halving)
