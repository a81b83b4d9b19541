import numpy as np
import pytest

from gdjax.report import rungs
from gdjax.sweep.table import Status
from tests.synthetic import halved, synthetic

MADE = [4, 1, 2, 4, 1, 2, 1, 1]


def result(mode="min"):
    """8 trials halved after segments 1 and 2; each scores its number plus 10 a segment to go."""
    made = synthetic({"b1": np.arange(8) / 10}, mode=mode)
    score = np.arange(8)[:, None, None] + np.array([30, 20, 10, 0]) + [[[1.0], [-1.0]]]
    made.evaluations["score"] = score if mode == "min" else -score
    made.attributes["objective"] = "score"
    return halved(made, MADE)


def test_who_came_where_by_hand():
    halving = result()
    found = rungs.of(halving, halving.ranking(), "loss")
    assert found.steps.tolist() == [10, 20, 40]
    assert found.came.tolist() == [8, 4, 2]
    assert found.went_on.tolist() == [4, 2, 0]
    assert found.trials.tolist() == [0, 3, 2, 5, 1, 4, 6, 7]
    assert found.last.tolist() == [2, 2, 1, 1, 0, 0, 0, 0]
    assert found.ended.tolist() == ["kept"] * 2 + ["stopped"] * 6
    np.testing.assert_array_equal(found.scores[1], [33, 23, 3])
    np.testing.assert_array_equal(found.scores[2], [32, 22, np.nan])
    np.testing.assert_array_equal(found.scores[-1], [37, np.nan, np.nan])
    assert not found.beyond
    line, rung = found.points("stopped")
    assert list(zip(line.tolist(), rung.tolist(), strict=True)) == [
        (2, 1), (3, 1), (4, 0), (5, 0), (6, 0), (7, 0)
    ]  # fmt: skip
    assert len(found.points("kept")[0]) == 3 + 3 + 1 + 1
    assert found.ticks(6) == ([0, 1, 2], [["10", "8", "→ 4"], ["20", "4", "→ 2"], ["40", "2"]])
    assert found.ticks(2)[0] == [0, 2]


def test_there_are_no_rungs_where_no_scheduler_stopped_a_trial():
    halving = result()
    halving.lost[:] = False  # stopped, but by a budget
    assert rungs.of(halving, halving.ranking(), "loss") is None
    never = result()
    never.width[never.lost] = 0  # stopped before anything was measured
    assert rungs.of(never, never.ranking(), "loss") is None


@pytest.mark.parametrize(("mode", "edge"), [("min", 1), ("max", -1)])
def test_what_is_off_the_scale_is_at_its_bad_end(mode, edge):
    halving = result(mode)
    halving.evaluations["score"][7, :, 0] = edge * 1e30
    found = rungs.of(halving, halving.ranking(), "loss")
    assert found.beyond
    low, high = found.scale.inner
    assert found.scores[-1, 0] > high if mode == "min" else found.scores[-1, 0] < low
    assert found.scale.low < found.scores[-1, 0] < found.scale.high


def test_a_trial_that_diverged_ends_at_its_last_rung():
    halving = result()
    halving.status[2, 1], halving.diverged_at[2, 1] = Status.DIVERGED, 15
    halving.evaluations["score"][2, 1, 1:] = np.nan
    found = rungs.of(halving, halving.ranking(), "loss")
    (line,) = np.flatnonzero(found.trials == 2)
    assert (found.last[line], found.ended[line]) == (0, "diverged")
    assert found.points("diverged") == (line, 0)


def test_trials_are_thinned_rung_by_rung_and_the_best_are_there():
    many = synthetic({"b1": np.linspace(0, 0.9, 3000)}, seeds=1)
    halved(many, np.repeat([4, 2, 1], [3, 297, 2700]))
    order = many.ranking()
    found = rungs.of(many, order, "loss")
    assert found.trials[:3].tolist() == order[:3].tolist()
    counts = np.unique(found.last, return_counts=True)[1]
    assert counts.tolist() == [66, 66, 3]
    assert found.came.tolist() == [3000, 300, 3]
