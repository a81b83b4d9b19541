"""The command ``gdjax``: arguments to a sweep to a report.

Arguments are parsed by tyro: it takes them from typed functions, so there is no second
description of them, and like argparse it exits with 2 and one message on a wrong one.
"""

import dataclasses
import datetime
import importlib
import inspect
import json
import os
import pathlib
import sys
from collections.abc import Callable
from typing import Annotated, Any

import jax
import numpy as np

from gdjax import optimizers, problems, report
from gdjax.errors import GdjaxError, InvalidValue, MissingExtra, nearest
from gdjax.sweep import Choice, Integer, LogUniform, SweepResult, Uniform, checkpoint, sweep
from gdjax.sweep.engine import environment
from gdjax.sweep.space import Method
from gdjax.sweep.stopping import Status
from gdjax.task import Task

CONFIG_FILE = "config.json"
SHOWN = 5  # rows of the table of best trials


@dataclasses.dataclass(frozen=True)
class SweepConfig:
    """Everything that decides a sweep: what ``config.json`` holds."""

    task: str
    optimizer: str = "adam"
    learning_rate: str = "log:1e-4:1:64"
    weight_decay: str | None = None
    set: tuple[str, ...] = ()
    trials: int | None = None
    method: Method | None = None
    seeds: int = 4
    steps: int = 500
    key: int = 0
    width: int | None = None


def main(arguments: list[str] | None = None) -> None:
    """Run the command; a wrong argument is one message and exit status 2."""
    try:
        try:
            import tyro
        except ImportError:
            raise MissingExtra("the command gdjax", "cli") from None
        app = tyro.extras.SubcommandApp()
        app.command(_sweep(tyro), name="sweep")
        for command in (rerun, write_report, devices):
            app.command(_positional(tyro, command), name=command.__name__.replace("write_", ""))
        app.cli(prog="gdjax", description=__doc__.splitlines()[0], args=arguments)
    except GdjaxError as error:
        print(f"gdjax: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
