import numpy as np
import pytest

import gdjax
from gdjax.sweep.progress import Progress


def test_the_bar_counts_runs_and_tells_the_best(capsys):
    progress = Progress(True, runs=4, steps=10, objective="loss", mode="min")
    progress.begin()
    progress.update(20, {"loss": np.array([3.0, np.nan])})
    progress.update(20, {"loss": np.array([2.0, 5.0])})
    progress.close()
    shown = capsys.readouterr().err
    assert "4/4" in shown
    assert "best loss 2" in shown


def test_more_is_better_where_the_mode_says_so(capsys):
    progress = Progress(True, runs=1, steps=1, objective="accuracy", mode="max")
    progress.update(1, {"accuracy": np.array([0.5, 0.75])})
    progress.close()
    assert "best accuracy 0.75" in capsys.readouterr().err


def test_it_is_quiet_where_there_is_no_terminal_or_nobody_asks(capsys):
    for show in (None, False):
        progress = Progress(show, runs=1, steps=1, objective="loss", mode="min")
        progress.update(1, {"loss": np.array([np.nan])})
        progress.close()
    assert capsys.readouterr().err == ""


def test_a_missing_tqdm_is_told_only_to_who_asks_for_a_bar(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tqdm", None)
    with pytest.raises(gdjax.MissingExtra, match=r"gdjax\[sweep\]"):
        Progress(True, runs=1, steps=1, objective="loss", mode="min")
