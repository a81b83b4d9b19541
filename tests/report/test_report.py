import importlib.util
import json
import math
import re
import subprocess
import sys
from html.parser import HTMLParser

import matplotlib
import numpy as np
import pytest

import gdjax.report
from gdjax.errors import InvalidValue, MissingExtra
from gdjax.report import contents, curves, scales
from gdjax.sweep.results import SweepResult
from gdjax.sweep.stopping import Status, judge

VOID = {"meta", "link", "br"}


def synthetic(
    settings, family=None, seeds=2, steps=40, evaluations=4, mode="min", cliff=0.5, nan=False
):
    """A result as a sweep would measure it: a valley in the learning rate, then a cliff."""
    trials = len(next(iter(settings.values())))
    settings = {name: np.asarray(values, float) for name, values in settings.items()}
    rate = settings.get("learning_rate", np.full(trials, 0.01))
    rate = np.where(np.isnan(rate), 0.01, rate)
    rng = np.random.default_rng(0)
    floor = 0.05 * (1 + np.abs(np.log10(rate / 0.01)))[:, None, None]
    decay = np.exp(-np.arange(steps) / steps * 4)
    loss = floor + 2.3 * decay * rng.uniform(0.8, 1.2, (trials, seeds, steps))
    loss[..., 0] = 2.3
    wild = np.flatnonzero(rate > cliff)
    for trial in wild:
        loss[trial, :, 5:] = np.nan if trial % 2 else 1e30
    at = np.linspace(steps // evaluations, steps, evaluations).astype(int) if evaluations else None
    measured = {}
    if evaluations:
        measured["heldout_loss"] = loss[..., at - 1]
        measured["heldout_accuracy"] = 1 / (1 + np.nan_to_num(loss[..., at - 1], posinf=9.0))
    traces = {"loss": loss.astype(np.float32)}
    if nan:
        traces["gradient_norm"] = np.full_like(traces["loss"], np.nan)
    status, diverged_at, reason = judge(loss, measured)
    objective = "heldout_loss" if mode == "min" else "heldout_accuracy"
    attributes = {
        "objective": objective if evaluations else "loss",
        "mode": mode,
        "gdjax": "0.1.0",
        "jax": "0.10",
        "device": "1 x cpu (cpu)",
        "steps": steps,
        "segment": max(1, steps // 10),
        "width": 16,
        "key": 0,
        "compile_seconds": 1.25,
        "run_seconds": 2.0,
    }
    return SweepResult(
        family=np.asarray(["adam"] * trials if family is None else family),
        settings=settings,
        traces=traces,
        evaluations=measured,
        evaluation_steps=np.asarray([]) if at is None else at,
        status=status,
        diverged_at=diverged_at,
        reason=reason,
        attributes=attributes,
    )


RATES = np.logspace(-4, 0, 9)
GRID = dict(zip(("learning_rate", "weight_decay"), np.meshgrid(RATES, [0, 1e-3, 0.1]), strict=True))
GRID = {name: values.ravel() for name, values in GRID.items()}
NAN = np.full(9, np.nan)
THREE = {
    "learning_rate": np.concatenate([RATES, RATES, RATES]),
    "momentum": np.concatenate([NAN, np.linspace(0, 0.99, 9), NAN]),
    "delay": np.concatenate([NAN, NAN, np.arange(9)]),
}
NASTY = "</script><img src=x onerror=alert(1)>" + "long_name_" * 20 + "$x$ & ünï"

CASES = {
    "one hyperparameter": lambda: synthetic({"learning_rate": RATES}),
    "one trial": lambda: synthetic({"learning_rate": [0.1]}),
    "one seed": lambda: synthetic({"learning_rate": RATES}, seeds=1),
    "one of all": lambda: synthetic({"b1": [0.9]}, seeds=1, steps=1, evaluations=1),
    "all diverged": lambda: _lost(synthetic({"learning_rate": [0.7, 0.9], "b1": [0, 1]})),
    "NaN in a metric": lambda: synthetic({"learning_rate": RATES}, nan=True),
    "training loss alone": lambda: synthetic({"learning_rate": RATES}, evaluations=0),
    "a constant": lambda: synthetic({"learning_rate": RATES, "b1": np.full(9, 0.9)}),
    "whole numbers": lambda: synthetic({"warmup": [1, 2, 3, 8, 8]}),
    "a grid": lambda: synthetic(GRID),
    "points": lambda: synthetic({"learning_rate": RATES, "weight_decay": RATES[::-1]}),
    "three families": lambda: synthetic(THREE, ["adam"] * 9 + ["sgd"] * 9 + ["lion"] * 9),
    "more is better": lambda: synthetic(GRID, mode="max"),
    "a negative metric": lambda: _shifted(synthetic(GRID)),
    "nasty names": lambda: synthetic(
        {NASTY: RATES, f"b{NASTY}": RATES[::-1]}, ["_a" + NASTY] * 4 + [NASTY] * 5
    ),
    "many families": lambda: synthetic({"learning_rate": RATES}, list("abcdefghi")),
}


def _shifted(result):
    result.evaluations["heldout_loss"] -= 1
    return result


def _lost(result):
    result.status[:], result.diverged_at[:] = Status.DIVERGED, 3
    result.reason = np.full(result.status.shape, "loss is nan")
    result.traces["loss"][..., 3:] = np.nan
    return result


class Page(HTMLParser):
    """Cells of tables, attributes that load, and whether each tag is closed."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.loads, self.open, self.texts = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.loads += [v for k, v in attrs if k in ("src", "href", "srcset", "action", "data")]
        assert not any(name.startswith("on") for name, _ in attrs)
        if tag == "tr":
            self.rows.append([])
        if tag == "data":
            self.rows[-1][-1] = float(dict(attrs)["value"])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data
        if self.open and self.open[-1] not in ("script", "style"):
            self.texts.append(data)


def _figures(text):
    """The plotly figures in a page."""
    found = re.findall(r"Plotly\.newPlot\('plot\d+', \{\.\.\.(.*), config: \{.*\}\}\);", text)
    return [json.loads(figure) for figure in found]


@pytest.mark.parametrize("case", CASES)
def test_every_case_makes_figures_and_a_page(case, tmp_path):
    result = CASES[case]()
    files = gdjax.report.write(result, tmp_path / "new")
    assert sorted(files) == sorted((tmp_path / "new").iterdir())
    assert files[0].name == "report.html"
    for file in files[1:]:
        assert file.read_bytes().startswith(b"\x89PNG"), file
    text = files[0].read_text()
    page, prepared = Page(text), contents.prepare(result)
    assert not page.open
    assert page.loads == ["data:,"]
    assert "<img" not in text.split("<script>", 1)[0]
    expected = len(prepared.axes) + len(prepared.families) + 2 * len(prepared.maps)
    assert len(_figures(text)) == expected == text.count('class="plot"')
    assert len(files) == 1 + len(prepared.axes) + 1 + (2 if prepared.maps else 0)


def test_a_page_without_a_best_trial_says_so(tmp_path):
    page = Page(gdjax.report.write(CASES["all diverged"](), tmp_path)[0].read_text())
    assert "There is no best trial: each has a run that diverged." in page.texts


def test_the_same_result_makes_the_same_files_over_an_old_report(tmp_path):
    first, second = (
        {file: file.read_bytes() for file in gdjax.report.write(CASES["points"](), tmp_path)}
        for _ in range(2)
    )
    assert first == second


def test_the_table_of_the_page_is_the_ranking_of_the_result(tmp_path):
    result = synthetic(GRID)
    page = Page(gdjax.report.write(result, tmp_path)[0].read_text())
    best, head, rows = result.best(), page.rows[0], page.rows[1:11]
    assert [int(row[1]) for row in rows] == result.ranking()[:10].tolist()
    assert rows[0][head.index("heldout loss")] == pytest.approx(best.mean, rel=1e-12)
    assert float(rows[0][head.index("learning rate")]) == best.settings["learning_rate"]
    lead = "".join(page.texts).replace("\xa0", " ")
    assert f"heldout loss {scales.measured(best.mean, best.spread)}" in lead
    assert "12.0 s" not in lead
    assert "1.2 s" in lead  # compiling
    assert "27" in lead  # runs a second: 54 runs in 2 s


def test_the_table_of_diverged_runs_has_step_and_reason_and_the_count_of_the_rest(tmp_path):
    result = synthetic({"learning_rate": np.linspace(0.6, 1, 101)}, seeds=2)
    page = Page(gdjax.report.write(result, tmp_path)[0].read_text())
    head = page.rows.index(["trial", "seed", "settings", "at update", "reason"])
    rows = page.rows[head + 1 :]
    assert len(rows) == 50
    assert rows[0] == ["1", "0", "learning rate 0.604", "5", "loss is nan"]
    assert "and 50 more" in page.texts


def test_a_report_of_very_many_trials_is_thinned_and_says_so(tmp_path):
    rates = np.logspace(-4, 0, 10_000)
    result = synthetic({"learning_rate": rates, "b1": np.linspace(0.5, 0.99, 10_000)}, seeds=2)
    page = gdjax.report.write(result, tmp_path)[0]
    assert page.stat().st_size < 15e6
    text = page.read_text()
    assert "1000 of 10000 trials" in text
    assert "200 of 10000 trials" in text
    assert contents.prepare(result).curves.trials.size == 200


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


@pytest.mark.parametrize("missing", ["matplotlib", "plotly"])
def test_a_missing_package_is_said_before_anything_is_written(missing, tmp_path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == missing else find(name, *a)
    )
    with pytest.raises(MissingExtra, match=r'gdjax\.report\.write needs .* "gdjax\[report\]"'):
        gdjax.report.write(synthetic({"learning_rate": RATES}), tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_directory_that_is_a_file_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidValue, match="cannot be written to"):
        gdjax.report.write(synthetic({"learning_rate": [0.1]}), tmp_path / "file")


def test_importing_the_report_imports_neither_library():
    lines = "import sys, gdjax.report; print(sorted({'matplotlib', 'plotly'} & set(sys.modules)))"
    run = subprocess.run(
        [sys.executable, "-c", lines], check=True, capture_output=True, text=True, timeout=120
    )
    assert run.stdout.strip() == "[]"


def test_writing_ignores_the_user_s_style_and_leaves_it_alone(tmp_path):
    result = synthetic({"learning_rate": RATES}, evaluations=0)
    expected = [file.read_bytes() for file in gdjax.report.write(result, tmp_path)]
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red"}):
        before = dict(matplotlib.rcParams)
        assert [file.read_bytes() for file in gdjax.report.write(result, tmp_path)] == expected
        assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize(
    ("mean", "spread", "text"),
    [(0.0876049, 0.0152469, "0.0876 ± 0.015"), (1.0, math.nan, "1"), (math.nan, math.nan, "")],
)
def test_a_measurement_is_written_with_its_spread(mean, spread, text):
    assert scales.measured(mean, spread) == text
