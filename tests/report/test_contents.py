import math

import numpy as np
import pytest

from gdjax.report import contents, curves, scales
from tests.synthetic import RATES, synthetic


def test_long_runs_are_thinned_by_means_of_blocks():
    steps = 100_000
    result = synthetic({"learning_rate": [0.01, 0.1]}, seeds=1, steps=steps)
    found = curves.learning_curves(result, np.asarray([0, 1]), [np.asarray([0, 1])])
    block = steps // curves.POINTS
    assert found.block == block
    expected = result.traces["loss"][1, 0].astype(float).reshape(-1, block).mean(axis=1)
    np.testing.assert_allclose(found.panels[0].lines[1], expected, rtol=1e-12)
    np.testing.assert_allclose(found.panels[0].x[:2], [(block - 1) / 2, 1.5 * block - 0.5])


def test_a_curve_ends_where_the_first_seed_diverges():
    result = synthetic({"learning_rate": [0.01, 0.1]})
    result.traces["loss"][0, 1, 20:] = np.inf
    found = curves.learning_curves(result, np.asarray([1, 0]), [np.asarray([0, 1])])
    line = found.panels[0].lines[1]
    assert np.isfinite(line[:20]).all()
    assert np.isnan(line[20:]).all()


def test_what_monitors_measure_is_shown_by_how_telling_it_is():
    result = synthetic({"learning_rate": [0.01, 0.1]})
    measured = result.evaluations["heldout_loss"]
    result.evaluations |= dict.fromkeys(["bad_gradients", "clipped", "gradient_norm"], measured)
    found = curves.learning_curves(result, np.asarray([0, 1]), [np.asarray([0, 1])])
    assert [panel.scale.label.split(",")[0] for panel in found.panels] == [
        "training loss",
        "heldout loss",
        "heldout accuracy",
        "gradient norm",
        "bad gradients",
    ]


def test_a_line_is_the_mean_over_seeds_where_one_hyperparameter_varies():
    result = synthetic({"learning_rate": RATES[::-1], "b1": np.full(9, 0.9)})
    profile = contents.prepare(result).profiles["learning_rate"][0][0]
    final = result.final("heldout_loss")[::-1]
    np.testing.assert_array_equal(profile.x, RATES)
    np.testing.assert_allclose(profile.centre, final.mean(axis=1))
    np.testing.assert_array_equal(profile.low, final.min(axis=1))
    assert profile.best is None


def test_bins_show_their_best_and_median_trial_where_several_vary():
    result = synthetic({"learning_rate": [0.01, 0.1, 1.0] * 3, "b1": np.repeat([0, 0.5, 0.9], 3)})
    cost = np.asarray([1, 5, np.nan, 2, 4, np.nan, 3, 6, 7.0])
    result.evaluations["heldout_loss"][:] = cost[:, None, None]
    profile = contents.prepare(result).profiles["learning_rate"][0][0]
    np.testing.assert_array_equal(profile.x, [0.01, 0.1, 1.0])
    np.testing.assert_array_equal(profile.best, [1, 4, 7])
    np.testing.assert_array_equal(profile.centre, [2, 5, np.nan])  # diverged counts as worst


def test_a_loss_that_explodes_does_not_stretch_the_axis():
    result = synthetic({"learning_rate": RATES}, cliff=0.2)
    metric = contents.prepare(result).objective
    assert metric.final.max() > 1e29 or np.isnan(metric.final).any()
    assert metric.scale.high < 1000
    assert metric.scale.log


@pytest.mark.parametrize(
    ("values", "log", "zero"),
    [
        ([1e-4, 1e-2], True, None),
        ([1.0, 10.0], False, None),
        ([0.0, 1e-3, 1e-1], True, 1e-4),
        ([0.0, 1e-3], False, None),
        ([-1.0, 1.0, 1000.0], False, None),
        ([3.0], False, None),
        ([0.5, np.nan, 0.9], False, None),
    ],
)
def test_scales_of_hyperparameters(values, log, zero):
    scale = scales.hyperparameter_scale("a", np.asarray(values))
    known = np.asarray(values)[~np.isnan(values)]
    placed = scale.place(known)
    assert scale.log == log
    assert scale.zero == (None if zero is None else pytest.approx(zero))
    assert scale.low < placed.min() <= placed.max() < scale.high
    units = scale.unit(known)
    assert ((units >= 0) & (units <= 1)).all()


def test_a_grid_is_a_map_of_cells_and_the_telling_hyperparameters_are_chosen():
    rates, idle, decay = np.meshgrid([1e-3, 1e-2, 1e-1], [1, 2], [0, 1], indexing="ij")
    settings = {"idle": idle.ravel(), "decay": decay.ravel(), "learning_rate": rates.ravel()}
    result = synthetic(settings)
    cost = np.log10(rates.ravel()) ** 2 + 0.5 * decay.ravel() + 0.01 * idle.ravel()
    result.evaluations["heldout_loss"][:] = cost[:, None, None]
    entry = contents.prepare(result).maps[0]
    assert (entry.x, entry.y) == ("learning_rate", "decay")
    np.testing.assert_allclose(entry.cells, [[9.01, 4.01, 1.01], [9.51, 4.51, 1.51]])


@pytest.mark.parametrize(
    ("mean", "spread", "text"),
    [(0.0876049, 0.0152469, "0.0876 ± 0.015"), (1.0, math.nan, "1"), (math.nan, math.nan, "")],
)
def test_a_measurement_is_written_with_its_spread(mean, spread, text):
    assert scales.measured(mean, spread) == text
