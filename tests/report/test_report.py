import importlib.util
import json
import re
import subprocess
import sys
from html.parser import HTMLParser

import matplotlib
import numpy as np
import pytest

import gdjax.report
from gdjax.errors import InvalidValue, MissingExtra
from gdjax.report import contents, scales
from gdjax.sweep.table import Status
from tests.synthetic import GRID, RATES, THREE, copied, halved, synthetic

VOID = {"meta", "link", "br"}


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
    "halving": lambda: halved(
        synthetic({"learning_rate": RATES}, ["sgd"] * 5 + ["adam"] * 4),
        [1] * 3 + [2, 4, 4] + [1] * 3,
    ),
    "copies": lambda: copied(
        synthetic({"learning_rate": RATES, "b1": np.zeros(9)}, ["sgd"] * 5 + ["adam"] * 4),
        {(8, 1): (5, {"learning_rate": 1e-3, "b1": 0.5}), (0, 3): (4, {"learning_rate": 2e-2})},
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
        if self.open and self.open[-1] in ("td", "th", "span"):  # a span is inside a cell
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
    rungs = prepared.rungs is not None
    assert rungs == (case == "halving")
    lineage = prepared.lineage is not None
    assert lineage == (case == "copies")
    assert lineage == (tmp_path / "new" / "lineage.png").exists()
    either = rungs + lineage
    expected = len(prepared.axes) + len(prepared.families) + either + 2 * len(prepared.maps)
    assert len(_figures(text)) == expected == text.count('class="plot"')
    assert len(files) == 1 + len(prepared.axes) + 1 + either + (2 if prepared.maps else 0)


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
    assert "100 of 202 runs, the first 50 of them here." in page.texts


def test_diverged_runs_of_several_families_are_told_apart(tmp_path):
    result = synthetic({"learning_rate": [0.1, 0.7, 0.1, 0.7]}, ["sgd", "sgd", "adam", "adam"])
    page = Page(gdjax.report.write(result, tmp_path)[0].read_text())
    head = page.rows.index(["trial", "seed", "family", "settings", "at update", "reason"])
    assert page.rows[head + 1] == ["1", "0", "sgd", "learning rate 0.7", "5", "loss is nan"]
    assert "4 of 8 runs (sgd 2, adam 2)." in page.texts


def test_a_run_whose_place_a_copy_took_is_in_the_table_with_what_it_had_then(tmp_path):
    result = copied(synthetic({"b1": [0.1, 0.2, 0.3]}), {(0, 3): (1, {"b1": 0.25})})
    result.copied.replaced_at[0, 1, 3] = 25
    result.copied.replaced_reason[0, 1, 3] = "loss is nan"
    page = Page(gdjax.report.write(result, tmp_path)[0].read_text())
    head = page.rows.index(["trial", "seed", "settings", "at update", "reason"])
    assert page.rows[head + 1 :] == [["0", "1", "b1 0.1", "25", "loss is nan"]]
    assert "0 of 6 runs, and 1 whose place a copy took." in page.texts


def test_a_page_says_how_sure_the_best_is(tmp_path):
    result = synthetic({"b1": [0.1, 0.2, 0.3]}, seeds=3)
    page = Page(gdjax.report.write(result, tmp_path)[0].read_text())
    best, ranks = result.best(), result.ranks()
    assert any(
        text.startswith("Of the 3 trials that came as far it is the best with a probability of ")
        and f" {best.probability:.0%}, as far as seeds tell; {best.rivals:.0f} of the others"
        in text
        for text in page.texts
    )
    low, high = ranks.low[0], ranks.high[0]
    assert page.rows[1][0] == (f"1 ({low:.0f}–{high:.0f})" if low < high else "1")
    assert any("(" in row[0] for row in page.rows[1:4])
    page = Page(gdjax.report.write(synthetic({"b1": [0.1, 0.2]}, seeds=1), tmp_path)[0].read_text())
    assert "One seed does not tell how sure that is." in page.texts
    assert [row[0] for row in page.rows[1:3]] == ["1", "2"]


def test_the_best_trial_is_diagnosed(tmp_path):
    result = synthetic({"learning_rate": [1e-5, 1e-4, 0.01]}, seeds=3)
    text = gdjax.report.write(result, tmp_path)[0].read_text()
    assert "<b>unvalidated settings</b>, in 100% of the seeds: 1 (threshold 1), hyper" in text
    assert "space[&#x27;learning_rate&#x27;] = gdjax.LogUniform(0.00033, 0.3)</pre>" in text
    assert "Not told by what was measured: " in text
    result = synthetic({"learning_rate": [1e-4, 0.01, 0.1]}, seeds=3)
    assert "<p>Nothing found.</p>" in gdjax.report.write(result, tmp_path)[0].read_text()
    text = gdjax.report.write(CASES["all diverged"](), tmp_path)[0].read_text()
    assert "Diagnosis of the first trial" in text
    assert "2 of its 2 runs diverged." in text
    text = gdjax.report.write(halved(result, [0, 0, 0]), tmp_path)[0].read_text()
    assert "Diagnosis" not in text


def test_widths_are_a_table_where_they_differ(tmp_path):
    result = synthetic({"b1": np.arange(5) / 10}, ["sgd"] * 3 + ["adam"] * 2)
    page = Page(gdjax.report.write(result, tmp_path)[0].read_text())
    assert page.texts[page.texts.index("runs side by side") + 1] == "16"
    result.width[1] = [16, 2, 2, 0]
    page = Page(gdjax.report.write(result, tmp_path)[0].read_text())
    head = page.rows.index(["family", "runs side by side", "trials", "their segments"])
    assert page.rows[head + 1 :] == [
        ["sgd", "16", "3", "9"],
        ["sgd", "2", "1", "2"],
        ["adam", "16", "2", "8"],
    ]


def test_widths_that_were_tried_are_told(tmp_path):
    result = synthetic({"b1": np.arange(5) / 10})
    tried = [
        {"width": 16, "speed": 1.5, "compile_seconds": 0.26},
        {"width": 8, "speed": 1.0, "compile_seconds": 0.5},
    ]
    result.attributes["tried_widths"] = json.dumps([tried])
    page = Page(gdjax.report.write(result, tmp_path)[0].read_text())
    head = page.rows.index(["runs side by side", "trials", "their segments", "speed", "compiling"])
    assert page.rows[head + 1 :] == [
        ["16", "5", "20", "1.50", "0.3 s"],
        ["8", "0", "0", "1.00", "0.5 s"],
    ]


def test_a_report_of_very_many_trials_is_thinned_and_says_so(tmp_path):
    rates = np.logspace(-4, 0, 10_000)
    result = synthetic({"learning_rate": rates, "b1": np.linspace(0.5, 0.99, 10_000)}, seeds=2)
    page = gdjax.report.write(result, tmp_path)[0]
    assert page.stat().st_size < 15e6
    text = page.read_text()
    assert "1000 of 10000 trials" in text
    assert "200 of 10000 trials" in text
    assert contents.prepare(result).curves.trials.size == 200


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
