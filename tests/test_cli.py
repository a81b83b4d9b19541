"""The command, run in this process; a subprocess for what only a process has."""

import json
import pathlib
import signal
import subprocess
import sys

import numpy as np
import pytest

from gdjax import SweepResult, cli
from tests.sweep.stopping import stop_at

TASK = """
import jax, jax.numpy as jnp
from gdjax import Task, bind

def make():
    return Task(
        init=lambda key: jax.random.normal(key, (3,)),
        loss=lambda params, batch, key: jnp.sum(params**2),
        batch=lambda key, step: None,
    )

task = make()
def measured(params, unit=1.0):
    return {"size": jnp.sum(params**2) / unit}

def loss(params, batch, key, l2=0.5):
    return jnp.sum((params - 1) ** 2) + l2 * jnp.sum(params**2)

regular = Task(task.init, bind(loss, l2=0.5), task.batch, measured)
broken = Task(init=task.init, loss=lambda p, b, k: p, batch=task.batch)
not_finite = Task(init=task.init, loss=task.loss, batch=lambda k, s: jnp.array(jnp.nan))
number = 3

def needs(size):
    return task
"""


@pytest.fixture(autouse=True)
def _own_directory(tmp_path, monkeypatch):
    (tmp_path / "my_problem.py").write_text(TASK)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    monkeypatch.delitem(sys.modules, "my_problem", raising=False)


def gdjax(*arguments):
    cli.main([str(argument) for argument in arguments])


SMALL = ("--learning-rate", "0.1,0.2,1e30", "--seeds", 2, "--steps", 4)


def test_a_sweep_of_ones_own_task_writes_everything_and_says_what_it_found(tmp_path, capsys):
    gdjax("sweep", "my_problem:task", "--optimizer", "sgd,adam", *SMALL, "--out", "out")
    said = capsys.readouterr().out
    assert "12 runs (6 trials x 2 seeds) of sgd, adam, 4 steps" in said
    assert "compiled in" in said
    assert "trials/s" in said
    result = SweepResult.load("out")
    best = result.best()
    first_row = next(line for line in said.splitlines() if line.split()[:1] == [str(best.trial)])
    assert best.family in first_row
    assert f"{best.mean:.4g} ± {best.spread:.2g}" in first_row
    assert f"trial {best.trial} is the best of {best.peers + 1} with a probability of " in said
    assert f"diverged: {int((result.diverged_at >= 0).sum())} of 12 runs" in said
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written >= {"results.nc", "config.json", "report.html"}
    assert any(name.endswith(".png") for name in written)


def test_config_reruns_the_sweep_bit_for_bit(capsys):
    gdjax("sweep", "my_problem:make", *SMALL, "--set", "b1=0.5,0.9", "--key", 3, "--out", "one")
    with pytest.raises(SystemExit) as stop:
        gdjax("rerun", "one", "--out", "two")
    assert stop.value.code == 0
    assert "every number is bit-equal to those in one: yes" in capsys.readouterr().out
    one, two = SweepResult.load("one"), SweepResult.load("two")
    np.testing.assert_array_equal(one.traces["loss"], two.traces["loss"])
    assert one.settings["b1"].tolist() == [0.5, 0.9] * 3
    configs = [json.loads(pathlib.Path(d, "config.json").read_text()) for d in ("one", "two")]
    assert configs[0]["sweep"] == configs[1]["sweep"]


def test_numbers_of_the_task_are_set_like_any_other(tmp_path, capsys):
    numbers = ("--set", "l2=0,0.5", "evaluate.unit=1,2")
    gdjax("sweep", "my_problem:regular", "--optimizer", "sgd", *SMALL, *numbers, "--out", "one")
    assert "l2  evaluate.unit" in capsys.readouterr().out
    settings = SweepResult.load("one").settings
    assert settings["l2"].tolist() == [0.0, 0.0, 0.5, 0.5] * 3
    assert settings["evaluate.unit"].tolist() == [1.0, 2.0] * 6
    assert "evaluate.unit" in (tmp_path / "one" / "report.html").read_text()
    with pytest.raises(SystemExit) as stop:
        gdjax("rerun", "one", "--out", "two")
    assert stop.value.code == 0


def test_log_lines_go_to_a_file_or_alone_to_standard_error(tmp_path, capsys, monkeypatch):
    gdjax("sweep", "my_problem:task", *SMALL, "--out", "out", "--log", "out/log.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "out" / "log.jsonl").read_text().splitlines()]
    assert [lines[0]["event"], lines[-1]["event"]] == ["start", "end"]
    assert lines[-1]["running"] == 0
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    capsys.readouterr()
    gdjax("sweep", "my_problem:task", *SMALL, "--out", "other", "--log", "-")
    again = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    names = [name for name in lines[-1] if "second" not in name and name != "time"]
    assert [again[-1][name] for name in names] == [lines[-1][name] for name in names]


def test_resume_goes_on_and_appends_to_the_log(tmp_path, monkeypatch, capsys):
    options = ("--out", "out", "--stopping", "plateau:patience=9", "--log", "log.jsonl")
    with monkeypatch.context() as patch:
        stop_at(patch, 3, lambda: signal.raise_signal(signal.SIGTERM))
        with pytest.raises(SystemExit) as stop:
            gdjax("sweep", "my_problem:task", *SMALL, *options)
    assert stop.value.code == 130
    assert "`gdjax resume out` goes on" in capsys.readouterr().err
    gdjax("resume", "out", "--log", "log.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    starts = [line["steps"] for line in lines if line["event"] == "start"]
    assert starts[0] == 0 < starts[1]
    assert (lines[-1]["event"], lines[-1]["running"]) == ("end", 0)


SPACE = """
learning_rate: {log: [0.01, 1.0], points: 2}
b1: [0.5, 0.9]
try first: [{learning_rate: 0.1}]
"""


def test_a_space_from_a_file_reruns_without_the_file(tmp_path):
    (tmp_path / "space.yaml").write_text(SPACE)
    gdjax("sweep", "my_problem:task", "--space", "space.yaml", "--steps", 4, "--out", "one")
    (tmp_path / "space.yaml").unlink()
    with pytest.raises(SystemExit) as stop:
        gdjax("rerun", "one", "--out", "two")
    assert stop.value.code == 0
    settings = SweepResult.load("two").settings
    np.testing.assert_allclose(settings["learning_rate"], [0.1, 0.01, 0.01, 1.0, 1.0])
    assert settings["b1"].tolist() == [0.5, 0.5, 0.9, 0.5, 0.9]


def test_a_spec_overrides_the_file_and_adds_to_it(tmp_path):
    (tmp_path / "space.yaml").write_text("learning_rate: [0.3]\nb1: [0.5, 0.9]")
    options = ("--set", "b1=0.8", "b2=0.99,0.999", "--steps", 2)
    gdjax("sweep", "my_problem:task", "--space", "space.yaml", *options, "--out", "out")
    settings = SweepResult.load("out").settings
    assert {name: values.tolist() for name, values in settings.items()} == {
        "learning_rate": [0.3, 0.3],
        "b1": [0.8, 0.8],
        "b2": [0.99, 0.999],
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("b1: [0.5]", "needs learning_rate"),
        ("learning_rate: [a]", "space.yaml, line 1, column 17: expected a number such as"),
        ("learning_rate: 0.1\ntry first: [{b1: 0.1}]", "line 2, column 14: no hyperparameter 'b1'"),
    ],
)
def test_what_is_wrong_in_a_file_is_told(tmp_path, capsys, content, message):
    (tmp_path / "space.yaml").write_text(content)
    with pytest.raises(SystemExit) as stop:
        gdjax("sweep", "my_problem:task", "--space", "space.yaml")
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_the_report_is_written_again(tmp_path, capsys):
    gdjax("sweep", "my_problem:task", *SMALL, "--out", "out")
    (tmp_path / "out" / "report.html").unlink()
    gdjax("report", "out")
    assert (tmp_path / "out" / "report.html").exists()
    assert "6 runs (3 trials x 2 seeds)" in capsys.readouterr().out


def test_results_are_exported(tmp_path, capsys):
    gdjax("sweep", "my_problem:task", *SMALL, "--out", "out")
    capsys.readouterr()
    gdjax("export", "out", "--csv", "runs.csv", "--tensorboard", "board")
    assert capsys.readouterr().out == "wrote runs.csv\nwrote board\n"
    assert (tmp_path / "runs.csv").read_text().count("\n") == 7  # a header, 3 trials x 2 seeds
    assert len(list((tmp_path / "board").rglob("*tfevents*"))) == 6
    with pytest.raises(SystemExit) as stop:
        gdjax("export", "out")
    assert stop.value.code == 2
    assert "--csv FILE or --tensorboard DIRECTORY" in capsys.readouterr().err


def test_a_sweep_is_diagnosed(tmp_path, capsys):
    rates, monitors = ("--learning-rate", "1e-4,1e-2"), ("--monitors", "economy")
    gdjax("sweep", "my_problem:task", *rates, *SMALL[2:], *monitors, "--out", "out")
    assert SweepResult.load("out").evaluations["gradient_norm"].shape == (2, 2, 4)
    capsys.readouterr()
    gdjax("diagnose", "out", "--trial", 0)
    said = capsys.readouterr().out
    assert said.startswith("learning rate too low (in 100% of the seeds)\n")
    assert "exploding gradients" in said.partition("looked for: ")[2].splitlines()[0]
    with pytest.raises(SystemExit):
        gdjax("diagnose", "out", "--trial", 2)
    assert "no trial 2" in capsys.readouterr().err


def test_without_out_each_sweep_has_a_directory_of_its_own(tmp_path):
    gdjax("sweep", "my_problem:task", *SMALL)
    (made,) = (tmp_path / "runs").iterdir()
    assert made.name.startswith("my_problem-task-")


def test_devices(capsys):
    gdjax("devices")
    assert "jax" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["digit"], "no problem 'digit': did you mean digits"),
        (["my_problem:tsk"], "my_problem has no 'tsk': did you mean task"),
        (["my_problem:number"], "must be a gdjax.Task or a function that makes one, got 3"),
        (["no_such:task"], "no_such cannot be imported"),
        ([":task"], "must be package.module:name"),
        (["my_problem:needs"], "makes no task without arguments: missing a required argument"),
        (["my_problem:task", "--key", "-1"], "key must be a whole number of at least 0"),
        (["my_problem:broken"], "Task.loss: loss must be a scalar, got shape (3,)"),
        (["my_problem:not_finite"], "the first batch holds NaN in 1 places"),
        (["my_problem:task", "--optimizer", "adma"], "no optimizer 'adma': did you mean adam"),
        (["my_problem:task", "--learning-rate", "lg:1:2"], "learning_rate: cannot read 'lg:1:2'"),
        (["my_problem:task", "--learning-rate", "log:1:0.1"], "learning_rate: LogUniform needs"),
        (["my_problem:task", "--learning-rate", "-0.1"], "learning_rate must be a number in [0"),
        (["my_problem:task", "--weight-decay", "0.1"], "adam: no hyperparameter 'weight_decay'"),
        (["my_problem:task", "--set", "b1"], "--set takes NAME=SPEC"),
        (["my_problem:task", "--set", "b1=0.8", "--set", "b2=0.9"], "give --set once, with all"),
        (["my_problem:task", "--set", "nesterov=0,1"], "nesterov is structural"),
        (
            ["my_problem:task", "--trials", "0"],
            "trials must be a whole number of at least 1",
        ),
        (["my_problem:task", "--steps", "0"], "steps must be a whole number of at least 1"),
        (["my_problem:task", "--log", "."], "log_lines: '.' cannot be written: Is a directory"),
    ],
)
def test_what_is_wrong_is_one_message_and_status_2(arguments, message, capsys, tmp_path):
    with pytest.raises(SystemExit) as stop:
        gdjax("sweep", *arguments)
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("gdjax: ")
    assert message in said
    assert said.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_a_directory_with_another_sweep_is_refused_and_left_alone(capsys, tmp_path):
    (tmp_path / "results.nc").write_text("other")
    with pytest.raises(SystemExit) as stop:
        gdjax("sweep", "my_problem:task", "--out", tmp_path)
    assert stop.value.code == 2
    assert "already holds a sweep" in capsys.readouterr().err
    assert (tmp_path / "results.nc").read_text() == "other"


def test_a_missing_extra_is_told(monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SystemExit) as stop:
        gdjax("devices")
    assert stop.value.code == 2
    assert 'pip install "gdjax[cli]"' in capsys.readouterr().err


def test_the_command_is_installed_and_a_wrong_option_has_no_traceback():
    command = pathlib.Path(sys.executable).with_name("gdjax")
    run = subprocess.run([command, "sweep", "--no-such"], capture_output=True, text=True)
    assert run.returncode == 2
    assert "Traceback" not in run.stdout + run.stderr
