import numpy as np
import pytest

from gdjax.report import charts_lineage, contents, figures_lineage, lineage
from tests.synthetic import copied, synthetic

SCORES = np.array([[1.0, 0.8, 0.7, 0.3], [2.0, 0.9, 0.5, 0.4], [3.0, 1.1, 1.2, 0.6]])
KIND = [
    ["survived", "extinct", "extinct", "leader"],
    ["leader", "leader", "leader", "survived"],
    ["extinct", "survived", "survived", "survived"],
]


def result():
    """Trial 2 goes on from trial 0 after 10 updates, trial 0 from trial 1 after 30 of 40."""
    made = synthetic({"b1": [0.1, 0.2, 0.3]})
    made.evaluations["heldout_loss"] = SCORES[:, None] + [[[0.01], [-0.01]]]
    return copied(made, {(2, 1): (0, {"b1": 0.15}), (0, 3): (1, {"b1": 0.25})})


def shown(made):
    found = contents.prepare(made).lineage
    assert found is not None
    return found


def test_who_went_on_from_whom_by_hand():
    found = shown(result())
    assert found.kind.tolist() == KIND
    assert found.begins.tolist() == [0, 10, 20, 30, 40]
    assert found.trials.tolist() == [0, 1, 2]
    assert not found.diverged.any()
    assert not found.beyond
    assert [axis.tolist() for axis in found.copies()] == [[30], [pytest.approx(0.5)]]
    score, b1 = found.panels
    np.testing.assert_allclose(score.values, SCORES)
    lines = found.lines(score, "survived")
    np.testing.assert_array_equal(lines.trial, [[0, 2], [2, 2], [1, 1], [2, 2]])
    np.testing.assert_array_equal(lines.x, [[10, 20], [20, 30], [30, 40], [30, 40]])
    np.testing.assert_allclose(lines.y, [[1.0, 1.1], [1.1, 1.2], [0.5, 0.4], [1.2, 0.6]])
    extinct = found.lines(b1, "extinct", np.array([0, 1]))
    np.testing.assert_array_equal(extinct.x, [[10, 20], [20, 30]])
    np.testing.assert_array_equal(extinct.y, [[0.1, 0.1], [0.1, 0.1]])


def test_both_figures_have_the_points_of_the_best_line_and_its_schedule():
    prepared = contents.prepare(result())
    score, schedule = [2.0, 0.9, 0.5, 0.3], [0.2, 0.2, 0.2, 0.2, 0.25]
    static = figures_lineage.lineage(prepared, prepared.lineage)
    black = [axes.get_lines()[0] for axes in static.axes]
    np.testing.assert_array_equal(black[0].get_xdata(), [10, 20, 30, 40])
    np.testing.assert_allclose(black[0].get_ydata(), score)
    np.testing.assert_array_equal(black[1].get_xdata(), [0, 10, 20, 30, 40])
    np.testing.assert_array_equal(black[1].get_ydata(), schedule)
    assert black[1].get_drawstyle() == "steps-pre"
    jump = static.axes[1].collections[1].get_segments()[1]  # trial 2, by a corner
    np.testing.assert_array_equal(jump, [[10, 0.1], [10, 0.15], [20, 0.15]])
    interactive = charts_lineage.lineage(prepared, prepared.lineage).data
    lines = [
        trace for trace in interactive if trace.line.color == "black" and trace.x[0] is not None
    ]
    np.testing.assert_allclose(lines[0].y, score, rtol=1e-6)
    np.testing.assert_allclose(lines[1].y, schedule, rtol=1e-6)
    assert lines[1].line.shape == "vh"
    # Said at each point: the trial, its updates, score and b1.
    np.testing.assert_allclose(lines[0].customdata[2:], [[1, 30, 0.5, 0.2], [0, 40, 0.3, 0.25]])


def test_a_run_that_diverged_is_marked_at_the_score_before():
    made = result()
    made.evaluations["heldout_loss"][0, 1, 2] = np.nan
    made.width[2, 3], made.evaluations["heldout_loss"][2, :, 3] = 0, np.nan  # stopped by a budget
    found = shown(made)
    assert found.kind[0].tolist() == ["survived", "extinct", "", "leader"]
    assert found.kind[2].tolist() == ["extinct", "survived", "survived", ""]
    assert [axis.tolist() for axis in found.fallen(np.array([0, 1]))] == [
        [20],
        [pytest.approx(0.8)],
    ]
    assert not found.fallen(np.array([1, 2]))[0].size


def test_what_is_off_the_scale_is_at_its_edge_and_said_as_it_is():
    made = result()
    made.evaluations["heldout_loss"][2, :, 0] = 1e30
    found = shown(made)
    assert found.beyond
    score = found.panels[0]
    assert score.values[2, 0] == 1e30
    assert score.scale.inner[1] < score.y[2, 0] < score.scale.high


def test_axes_of_settings_are_of_those_that_led_to_an_end():
    made = result()
    made.copied.settings["b1"][2, 0] = 100.0
    assert shown(made).panels[1].scale.inner == (0.1, 0.25)


def test_there_is_no_lineage_where_no_trial_copied_another():
    assert contents.prepare(synthetic({"b1": [0.1, 0.2]})).lineage is None
    assert contents.prepare(copied(synthetic({"b1": [0.1, 0.2]}), {})).lineage is None


def test_very_many_trials_are_thinned_and_no_ancestor_is_lost(monkeypatch):
    monkeypatch.setattr(lineage, "POINTS", 8)
    found = shown(result())
    assert found.trials.tolist() == [0, 2]
    assert found.kind.tolist() == [KIND[0], [*KIND[1][:3], ""], KIND[2]]
