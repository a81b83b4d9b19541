"""Optax's own tests with gdjax's functions in the place of Optax's.

``python -m tests.swapped`` runs the test files that ship inside Optax's wheel, each function that
gdjax has too swapped for gdjax's, then those that failed once more as they are, and prints what
only gdjax fails. ``.github/docs/from-optax.md`` gives the reasons.
"""

import importlib
import inspect
import json
import os
import pkgutil
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import optax
import optax.contrib
import pytest

import gdjax

PACKAGES = ("optax._src", "optax.contrib", "optax.schedules", "optax.transforms")
# Solvers with line search: gdjax has none, and they are half of the time.
LEFT_OUT = "not LBFGS and not linesearch and not Linesearch and not LineSearch"
REPORT, SWAP = "GDJAX_SWAPPED_REPORT", "GDJAX_SWAPPED_SWAP"


def shared() -> list[str]:
    """Names of the functions that both libraries have, but for what gdjax took from Optax."""
    return [
        name
        for name in gdjax.__all__
        if inspect.isfunction(ours := getattr(gdjax, name))
        and inspect.isfunction(theirs := _optax(name))
        and ours is not theirs
    ]


def _optax(name: str) -> object:
    return (vars(optax.contrib) | vars(optax)).get(name)


def _modules() -> list[str]:
    """Every module of Optax that is no test."""
    found = pkgutil.walk_packages(optax.__path__, "optax.", onerror=lambda _: None)
    return [module.name for module in found if not module.name.endswith("_test")]


def swap() -> None:
    """Put gdjax's functions in the place of Optax's, in every module that has them."""
    modules = [optax, *map(importlib.import_module, _modules())]
    for name in shared():
        theirs, ours = _optax(name), getattr(gdjax, name)
        for module in modules:
            if vars(module).get(name) is theirs:
                setattr(module, name, ours)


def pytest_configure(config: pytest.Config) -> None:
    """As a plugin of pytest: swap before the tests are imported."""
    if os.environ.get(SWAP):
        swap()
    config.stash[_FAILED] = {}


_FAILED = pytest.StashKey[dict[str, str]]()
_uncollected: dict[str, str] = {}


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    """Remember each test that fails, also in a part of it, and the last line of why."""
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        item.config.stash[_FAILED][_name(item)] = _why(report)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Remember each file that cannot be collected, too."""
    if report.failed:
        file = re.search(r"(\w+_test)\.py", report.longreprtext)
        _uncollected[f"{file[1] if file else report.nodeid}::collection"] = _why(report)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write them where the caller asked for."""
    Path(os.environ[REPORT]).write_text(json.dumps(_uncollected | session.config.stash[_FAILED]))


def _why(report: Any) -> str:
    """The first line of the error."""
    lines = str(report.longrepr).strip().splitlines()
    errors = [line for line in lines if line.startswith("E ")]
    return (errors or lines)[0].removeprefix("E").strip()


def _name(item: pytest.Item) -> str:
    return f"{item.path.stem}::{item.nodeid.partition('::')[2]}"


def failures(swapped: bool, *arguments: str) -> dict[str, str]:
    """Names of the tests that fail in a process of their own, with reasons."""
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory) / "failed.json"
        environment = os.environ | {REPORT: str(report), SWAP: "1" if swapped else ""}
        options = ["-q", "--continue-on-collection-errors", "-p", "tests.swapped"]
        options += ["-p", "no:cacheprovider", "-p", "no:xdist"]
        command = [sys.executable, "-m", "pytest", *options, "-c", os.devnull, *arguments]
        root = Path(__file__).parents[1]
        environment["PYTHONPATH"] = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])
        run = subprocess.run(
            command, env=environment, cwd=directory, capture_output=True, text=True, check=False
        )
        if run.returncode > 1:  # neither passed nor failed
            raise RuntimeError(f"{run.stdout}\n{run.stderr}")
        return json.loads(report.read_text())


def only_ours() -> dict[str, str]:
    """Tests that fail with gdjax's functions and pass with Optax's own."""
    modules = [name for package in PACKAGES for name in _tests(package)]
    swapped = failures(True, "-k", LEFT_OUT, "--pyargs", *modules)
    if not swapped:
        return {}
    again = {name.partition("::")[0] for name in swapped}
    names = " or ".join(sorted({name.rpartition("::")[2] for name in swapped}))
    modules = [module for module in modules if module.rpartition(".")[2] in again]
    alone = failures(False, "-k", names, "--pyargs", *modules)
    return {name: why for name, why in swapped.items() if name not in alone}


def _tests(package: str) -> list[str]:
    path = importlib.import_module(package).__path__
    found = pkgutil.iter_modules(path, f"{package}.")
    return [module.name for module in found if module.name.endswith("_test")]


if __name__ == "__main__":
    for test, reason in sorted(only_ours().items()):
        print(f"{test}: {reason}")
