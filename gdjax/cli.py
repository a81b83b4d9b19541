"""The command ``gdjax``: arguments to a sweep to a report.

Arguments are parsed by tyro, which takes them from the signatures and docstrings below: there is
no second description of them. Like argparse it exits with 2 on a wrong one.
"""

import dataclasses
import datetime
import importlib
import importlib.util
import inspect
import json
import os
import pathlib
import sys
from typing import Any

import jax
import numpy as np

from gdjax import optimizers, problems, report
from gdjax.errors import GdjaxError, InvalidValue, MissingExtra, nearest
from gdjax.sweep import Space, SweepResult, checkpoint, load_space, spacefile, specs, sweep
from gdjax.sweep.families import Factory
from gdjax.sweep.results import RESULTS_FILE
from gdjax.sweep.running import environment
from gdjax.sweep.space import Method
from gdjax.sweep.table import Status
from gdjax.task import Task

CONFIG_FILE = "config.json"
LEARNING_RATE = "log:1e-4:1:64"  # where nothing else says it
ROWS = 5  # of the table of best trials


@dataclasses.dataclass(frozen=True)
class Config:
    """What decides a sweep: the content of ``config.json``."""

    task: str
    optimizer: str
    space: dict[str, str]
    trials: int | None
    method: Method | None
    seeds: int
    steps: int
    key: int
    width: int | None
    space_file: dict[str, Any] | None = None  # its content, which the SPECs of `space` override


def main(arguments: list[str] | None = None) -> None:
    """Run the command ``gdjax``; what is wrong with its arguments is one message and status 2."""
    try:
        if importlib.util.find_spec("tyro") is None:
            raise MissingExtra("the command gdjax", "cli")
        import tyro

        app = tyro.extras.SubcommandApp()
        for name, command in _COMMANDS.items():
            app.command(command, name=name)
        app.cli(prog="gdjax", description="Sweeps of JAX optimizers.", args=arguments)
    except GdjaxError as error:
        print(f"gdjax: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


def run_sweep(
    task: str,
    /,
    optimizer: str = "adam",
    learning_rate: str | None = None,
    weight_decay: str | None = None,
    set: tuple[str, ...] = (),
    space: str | None = None,
    trials: int | None = None,
    method: Method | None = None,
    seeds: int = 4,
    steps: int = 500,
    key: int = 0,
    width: int | None = None,
    out: str | None = None,
) -> None:
    """Train many settings of one or more optimizers, and write results and a report.

    A SPEC says which values a hyperparameter takes: log:LOW:HIGH or uniform:LOW:HIGH, with
    :POINTS behind it for a grid; int:LOW:HIGH; numbers with commas between them; one number.

    Args:
      task: A problem of gdjax.problems, such as digits, or package.module:task for your own
        gdjax.Task (or a function that makes one).
      optimizer: Names of gdjax's optimizers, or package.module:function, commas between them.
      learning_rate: SPEC of the learning rate. log:1e-4:1:64 without it and --space.
      weight_decay: SPEC of the weight decay, for optimizers that have one.
      set: NAME=SPEC for any other hyperparameter.
      space: YAML or JSON file with a space, as gdjax.load_space reads it. SPECs add to it, and
        win where both name a hyperparameter.
      trials: Settings that each optimizer draws. Without it a grid of all combinations.
      method: How settings are drawn. A grid without trials, else Sobol points.
      seeds: Runs of each setting.
      steps: Updates in a run.
      key: Seed of the whole sweep.
      width: Runs that one program trains side by side. A default for the device, if not given.
      out: Directory to write to. A new one in runs/, if not given.
    """
    given = {"learning_rate": learning_rate, "weight_decay": weight_decay}
    if learning_rate is None and space is None:
        given["learning_rate"] = LEARNING_RATE
    chosen = {name: spec for name, spec in given.items() if spec is not None}
    for item in set:
        name, _, spec = item.partition("=")
        if not spec:
            raise InvalidValue(f"--set takes NAME=SPEC, such as b1=0.8,0.9, got {item!r}")
        chosen[name.replace("-", "_")] = spec
    in_file = None if space is None else spacefile.content(load_space(space))
    config = Config(task, optimizer, chosen, trials, method, seeds, steps, key, width, in_file)
    _sweep_and_report(config, out)


def rerun(directory: str, /, out: str | None = None) -> None:
    """Run a sweep again as its config.json says, and tell whether the numbers are the same.

    Args:
      directory: What a sweep wrote.
      out: Directory to write to. A new one in runs/, if not given.
    """
    before = SweepResult.load(directory)
    path = pathlib.Path(directory) / CONFIG_FILE
    if not path.is_file():
        raise InvalidValue(f"{directory} holds no {CONFIG_FILE}, which says how to run it again")
    try:
        config = Config(**json.loads(path.read_text())["sweep"])
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidValue(f"{path} is not what gdjax wrote: {error}") from None
    after = _sweep_and_report(config, out)
    measured = [result.traces | result.evaluations for result in (before, after)]
    same = all(
        np.array_equal(values, measured[1][name], equal_nan=True)
        for name, values in measured[0].items()
    )
    print(f"every number is bit-equal to those in {directory}: {'yes' if same else 'no'}")
    sys.exit(0 if same else 1)


def write_report(directory: str, /) -> None:
    """Write the figures and the page of a sweep again.

    Args:
      directory: What a sweep wrote.
    """
    result = SweepResult.load(directory)
    _print_summary(result)
    _print_written(directory, report.write(result, directory))


def devices() -> None:
    """Show what JAX finds to run on."""
    for name, value in environment().items():
        print(f"{name:8} {value}")
    print(f"{'cores':8} {os.cpu_count()}")
    for device in jax.devices():
        memory = (device.memory_stats() or {}).get("bytes_limit")
        size = f", {memory / 2**30:.1f} GiB" if memory else ""
        print(f"{'':8} {device.id}: {device.platform} {device.device_kind}{size}")


_COMMANDS = {"sweep": run_sweep, "report": write_report, "rerun": rerun, "devices": devices}


def _sweep_and_report(config: Config, out: str | None) -> SweepResult:
    for package, extra in {"xarray": "sweep", "matplotlib": "report", "plotly": "report"}.items():
        if importlib.util.find_spec(package) is None:
            raise MissingExtra("gdjax sweep", extra)
    sys.path.insert(0, os.getcwd())  # a user's own module, as `python -m` would find it
    task = _load_task(config.task)
    factories = {n: _load_factory(n) for n in config.optimizer.split(",")}
    space = _space(config)
    directory = pathlib.Path(out or _new_directory(config.task))
    options = ("trials", "seeds", "steps", "method", "key", "width")
    chosen = {name: getattr(config, name) for name in options}
    result = sweep(task, factories, space, directory=directory, **chosen)
    with checkpoint.atomic(directory / CONFIG_FILE) as path:
        content = {"sweep": dataclasses.asdict(config), "made_with": environment()}
        path.write_text(json.dumps(content, indent=2) + "\n")
    _print_summary(result)
    _print_written(directory, report.write(result, directory))
    return result


def _space(config: Config) -> Space:
    chosen = {name: specs.parse(name, spec) for name, spec in config.space.items()}
    if config.space_file is None:
        return Space(chosen)
    in_file = spacefile.parse(
        json.dumps(config.space_file), f"{CONFIG_FILE}: space_file", as_json=True
    )
    return Space(in_file.dimensions | chosen, in_file.first)


def _load_task(name: str) -> Task:
    if ":" in name:
        task = _load(name)
        if callable(task) and not isinstance(task, Task):
            try:
                inspect.signature(task).bind()
            except TypeError as error:
                raise InvalidValue(f"{name} makes no task without arguments: {error}") from None
            task = task()
    elif name in problems.__all__:
        task = getattr(problems, name)()
    else:
        raise InvalidValue(
            f"no problem {name!r}: {nearest(name, problems.__all__)}; your own: package.module:task"
        )
    if not isinstance(task, Task):
        raise InvalidValue(
            f"{name} must be a gdjax.Task or a function that makes one, got {task!r}"
        )
    return task


def _load_factory(name: str) -> Factory:
    if ":" in name:
        return _load(name)
    known = {known: getattr(optimizers, known) for known in optimizers.__all__}
    if name not in known:
        raise InvalidValue(f"no optimizer {name!r}: {nearest(name, known)}")
    return known[name]


def _load(name: str) -> Any:
    """What ``package.module:attribute`` names."""
    module_name, _, attribute = name.partition(":")
    if not all(part.isidentifier() for part in (*module_name.split("."), attribute)):
        raise InvalidValue(f"{name!r} must be package.module:name")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # whatever the user's module does
        raise InvalidValue(
            f"{module_name} cannot be imported from the current directory or the environment: "
            f"{type(error).__name__}: {error}"
        ) from error
    if not hasattr(module, attribute):
        raise InvalidValue(
            f"{module_name} has no {attribute!r}: {nearest(attribute, vars(module))}"
        )
    return getattr(module, attribute)


def _new_directory(task: str) -> str:
    now = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    return f"runs/{task.replace(':', '-')}-{now}-{os.getpid()}"


def _print_summary(result: SweepResult) -> None:
    facts = result.attributes
    runs, diverged = result.status.size, int(np.sum(result.status == Status.DIVERGED))
    seconds, compiling = facts["run_seconds"], facts["compile_seconds"]
    print(
        f"\n{runs} runs ({result.trials} trials x {result.seeds} seeds) of "
        f"{', '.join(dict.fromkeys(result.family.tolist()))}, {facts['steps']} steps, on "
        f"{facts['device']}\ncompiled in {compiling:.1f} s, ran in {seconds:.1f} s: "
        f"{runs / seconds:.1f} runs/s, {result.trials / seconds:.1f} trials/s\n"
    )
    metrics = sorted({facts["objective"], *(result.evaluations or result.traces)})
    metrics.sort(key=lambda name: name != facts["objective"])
    spread = "mean ± sd over seeds" if result.seeds > 1 else "one seed"
    header = ["trial", "family", *result.settings, *metrics, "diverged"]
    rows = [header, *(_row(result, trial, metrics) for trial in result.ranking()[:ROWS].tolist())]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))
    print(f"\nranked by {facts['objective']} ({facts['mode']}), {spread}")
    print(f"diverged: {diverged} of {runs} runs")


def _row(result: SweepResult, trial: int, metrics: list[str]) -> list[str]:
    values = [result.settings[name][trial] for name in result.settings]
    cells = ["-" if np.isnan(value) else f"{value:.4g}" for value in values]
    for name in metrics:
        final = result.final(name)[trial]
        spread = f" ± {final.std(ddof=1):.2g}" if result.seeds > 1 else ""
        cells.append(f"{final.mean():.4g}{spread}")
    diverged = int(np.sum(result.status[trial] == Status.DIVERGED))
    return [str(trial), str(result.family[trial]), *cells, f"{diverged}/{result.seeds}"]


def _print_written(directory: str | os.PathLike, figures: list[pathlib.Path]) -> None:
    names = [RESULTS_FILE, CONFIG_FILE, *(path.name for path in figures)]
    print(
        f"in {directory}: {', '.join(n for n in names if (pathlib.Path(directory) / n).exists())}"
    )
