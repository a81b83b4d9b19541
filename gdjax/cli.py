"""The command ``gdjax``: arguments to a sweep to a report.

Arguments are parsed by tyro, which takes them from the signatures and docstrings below: there is
no second description of them. Like argparse it exits with 2 on a wrong one.
"""

import contextlib
import dataclasses
import datetime
import importlib.util
import os
import pathlib
import sys
from typing import Literal, get_args

import jax
import numpy as np

from gdjax import diagnostics, naming, report, summary
from gdjax.config import CONFIG_FILE, Config, Monitors
from gdjax.doctor import diagnose_sweep
from gdjax.errors import GdjaxError, InvalidValue, MissingExtra
from gdjax.sweep import SweepResult, checkpoint, load_space, log_lines, spacefile, sweep
from gdjax.sweep.arguments import choose
from gdjax.sweep.keeper import CHECKPOINTS
from gdjax.sweep.results import RESULTS_FILE
from gdjax.sweep.space import Method
from gdjax.sweep.specs import parse_rules

LEARNING_RATE = "log:1e-4:1:64"  # where nothing else says it


def main(arguments: list[str] | None = None) -> None:
    """Run the command ``gdjax``; what is wrong with its arguments is one message and status 2."""
    try:
        if importlib.util.find_spec("tyro") is None:
            raise MissingExtra("the command gdjax", "cli")
        import tyro

        if (sys.argv[1:] if arguments is None else arguments).count("--set") > 1:
            raise InvalidValue("give --set once, with all that it sets: --set b1=0.8,0.9 b2=0.99")

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
    stopping: str | None = None,
    monitors: Monitors | None = None,
    width: int | Literal["measured"] | None = None,
    devices: int | None = None,
    out: str | None = None,
    log: str | None = None,
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
      stopping: Rules that end trials early, or copy them, commas between them: successive_halving,
        hyperband, asha, population_based_training, median_stopping, plateau, target, budget;
        numbers behind a colon, such as successive_halving:eta=3 or
        population_based_training:interval_steps=100.
      width: Runs that one program trains side by side; "measured": the fastest that is found by
        trying. A default for the device, if not given.
      monitors: What is measured beside training, after each segment: economy (norms and units) or
        full (noise and curvature too). Evidence for `gdjax diagnose`.
      devices: Parts into which JAX divides the CPU, for trials side by side. Its cores, if not
        given. Without effect on other devices.
      out: Directory to write to. A new one in runs/, if not given.
      log: File to append a line of JSON to after each segment. - for standard error, without bar.
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
    more = {"stopping": stopping, "monitors": monitors, "devices": devices or _cores()}
    config = dataclasses.replace(config, **more)
    directory = pathlib.Path(out or _new_directory(task))
    _sweep_and_report(config, directory, log=log)


def rerun(directory: str, /, out: str | None = None) -> None:
    """Run a sweep again as its config.json says, and tell whether the numbers are the same.

    Args:
      directory: What a sweep wrote.
      out: Directory to write to. A new one in runs/, if not given.
    """
    before = SweepResult.load(directory)
    config = Config.read(directory)
    after = _sweep_and_report(config, pathlib.Path(out or _new_directory(config.task)))
    measured = [result.traces | result.evaluations for result in (before, after)]
    same = all(
        np.array_equal(values, measured[1][name], equal_nan=True)
        for name, values in measured[0].items()
    )
    print(f"every number is bit-equal to those in {directory}: {'yes' if same else 'no'}")
    sys.exit(0 if same else 1)


def resume(directory: str, /, log: str | None = None) -> None:
    """Go on with a sweep that was stopped or killed, to the bits it would have ended with.

    Args:
      directory: What the sweep wrote.
      log: File to append a line of JSON to after each segment. - for standard error, without bar.
    """
    _sweep_and_report(Config.read(directory), pathlib.Path(directory), resume=True, log=log)


def write_report(directory: str, /) -> None:
    """Write the figures and the page of a sweep again.

    Args:
      directory: What a sweep wrote.
    """
    result = SweepResult.load(directory)
    summary.print_summary(result)
    _write(result, directory)


def export(directory: str, /, csv: str | None = None, tensorboard: str | None = None) -> None:
    """Write the results of a sweep in the form of other programs.

    Args:
      directory: What a sweep wrote.
      csv: File for a table with a row for each run.
      tensorboard: Directory for TensorBoard, with a row for each trial in its HParams table.
    """
    if csv is None and tensorboard is None:
        raise InvalidValue("say where to: --csv FILE or --tensorboard DIRECTORY, or both")
    result = SweepResult.load(directory)
    if csv is not None:
        print(f"wrote {result.to_csv(csv)}")
    if tensorboard is not None:
        print(f"wrote {result.to_tensorboard(tensorboard)}")


def diagnose(directory: str, /, trial: int | None = None) -> None:
    """Tell which challenges of gradient descent a sweep met, its evidence and what helps.

    Args:
      directory: What a sweep wrote.
      trial: Number of the trial to look at. The best one, if not given.
    """
    print(diagnose_sweep(SweepResult.load(directory), trial))


def devices() -> None:
    """Show what JAX finds to run on."""
    summary.print_devices()


_COMMANDS = {
    "sweep": run_sweep,
    "resume": resume,
    "report": write_report,
    "rerun": rerun,
    "export": export,
    "diagnose": diagnose,
    "devices": devices,
}


def _sweep_and_report(
    config: Config, directory: pathlib.Path, resume: bool = False, log: str | None = None
) -> SweepResult:
    for package, extra in {"xarray": "sweep", "matplotlib": "report", "plotly": "report"}.items():
        if importlib.util.find_spec(package) is None:
            raise MissingExtra("gdjax sweep", extra)
    _divide_cpu(config.devices)
    sys.path.insert(0, os.getcwd())  # a user's own module, as `python -m` would find it
    task = naming.load_task(config.task)
    if config.monitors is not None:
        choose("monitors", config.monitors, get_args(Monitors))
        task = task.with_monitors(*getattr(diagnostics, config.monitors)())
    factories = {n: naming.load_factory(n) for n in config.optimizer.split(",")}
    space, stopping = config.dimensions(), parse_rules(config.stopping or "")
    options = ("trials", "seeds", "steps", "method", "key", "width")
    chosen = {name: getattr(config, name) for name in options}
    made = [path for path in (directory, *directory.parents) if not path.exists()]
    chosen["progress"] = False if log == "-" else None  # both would be written to one place
    chosen["callbacks"] = [] if log is None else [log_lines(sys.stderr if log == "-" else log)]
    if not resume:
        checkpoint.prepare(directory, (RESULTS_FILE, CHECKPOINTS))
        config.write(directory)
    try:
        result = sweep(
            task, factories, space, stopping=stopping, directory=directory, resume=resume, **chosen
        )
    except GdjaxError:
        if not resume and not any(directory.glob(CHECKPOINTS)):
            (directory / CONFIG_FILE).unlink()  # nothing was begun
            with contextlib.suppress(OSError):
                for path in made:
                    path.rmdir()
        raise
    except KeyboardInterrupt:
        print(f"gdjax: stopped; `gdjax resume {directory}` goes on", file=sys.stderr)
        raise
    summary.print_summary(result)
    _write(result, directory)
    return result


def _divide_cpu(devices: int | None) -> None:
    """Make JAX see as many CPU devices: before it starts, as it does below in this process."""
    with contextlib.suppress(RuntimeError):
        jax.config.update("jax_num_cpu_devices", devices or _cores())


def _cores() -> int:
    """Those that this process may use, where the system tells."""
    usable = getattr(os, "sched_getaffinity", None)
    return len(usable(0)) if usable else os.cpu_count() or 1


def _write(result: SweepResult, directory: str | os.PathLike) -> None:
    figures = [path.name for path in report.write(result, directory)]
    summary.print_written(directory, [RESULTS_FILE, CONFIG_FILE, *figures])


def _new_directory(task: str) -> str:
    now = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    return f"runs/{task.replace(':', '-')}-{now}-{os.getpid()}"
