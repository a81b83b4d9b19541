"""Optax's own tests with gdjax's functions in the place of Optax's.

``python -m tests.swapped`` runs the test files that ship inside Optax's wheel, each function that
gdjax has too swapped for gdjax's, then those that failed once more as they are, and prints what
only gdjax fails. It ends in error unless ``.github/docs/from-optax.md`` explains all of it, and
nothing else.
"""

import fnmatch
import importlib
import inspect
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import optax
import optax.contrib
import pytest

import gdjax

PACKAGES = ("optax._src", "optax.contrib", "optax.schedules", "optax.transforms")
# Solvers with line search: gdjax has none, and they are half of the time.
LEFT_OUT = "not LBFGS and not linesearch and not Linesearch and not LineSearch"
PAGE = Path(__file__).parents[1] / ".github" / "docs" / "from-optax.md"
REPORT, SWAP = "GDJAX_SWAPPED_REPORT", "GDJAX_SWAPPED_SWAP"


def shared() -> list[str]:
    """Names of the functions that both libraries have, but for what gdjax took from Optax."""
    return [
        name
        for name in gdjax.__all__
        if inspect.isfunction(ours := getattr(gdjax, name))
        and callable(other := theirs(name))
        and ours is not other
    ]


def theirs(name: str) -> Any:
    """What Optax has under that name."""
    return (vars(optax.contrib) | vars(optax)).get(name)


def _modules() -> list[str]:
    """Every module of Optax that is no test, those of ``optax._src``, no package, included."""
    root = Path(optax.__path__[0])
    paths = [path.relative_to(root.parent).with_suffix("") for path in root.rglob("*.py")]
    names = [".".join(path.parts).removesuffix(".__init__") for path in paths]
    return [name for name in names if not name.endswith("_test")]


def swap() -> None:
    """Put gdjax's functions in the place of Optax's, in every module that has them."""
    modules = [optax, *map(importlib.import_module, _modules())]
    for name in shared():
        other, ours = theirs(name), getattr(gdjax, name)
        for module in modules:
            if vars(module).get(name) is other:
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
    workers = os.cpu_count() or 1
    with ThreadPoolExecutor(workers) as pool:
        parts = (["-k", LEFT_OUT, "--pyargs", *modules[i::workers]] for i in range(workers))
        runs = pool.map(lambda part: failures(True, *part), parts)
    swapped = {name: why for run in runs for name, why in run.items()}
    if not swapped:
        return {}
    again = {name.partition("::")[0] for name in swapped}
    names = " or ".join(sorted({name.rpartition("::")[2] for name in swapped}))
    modules = [module for module in modules if module.rpartition(".")[2] in again]
    alone = failures(False, "-k", names, "--pyargs", *modules)
    return {name: why for name, why in swapped.items() if name not in alone}


def _tests(package: str) -> list[str]:
    """Its test files; those that say most, and most often run longest, come first."""
    (path,) = importlib.import_module(package).__path__
    files = sorted(Path(path).glob("*_test.py"), key=lambda file: -file.stat().st_size)
    return [f"{package}.{file.stem}" for file in files]


def explained() -> dict[str, str]:
    """Why tests fail, by patterns of their names, as the page says."""
    table = PAGE.read_text().partition("## Optax's own tests")[2]
    rows = re.findall(r"^\| (`.+?`) \| (.+) \|$", table, re.MULTILINE)
    return {pattern: why for cell, why in rows for pattern in re.findall("`(.+?)`", cell)}


def disagreements(failed: Iterable[str], reasons: dict[str, str]) -> list[str]:
    """What fails without a reason, and reasons for which nothing fails, but for ``sometimes``."""
    names = set(failed)
    found = {pattern: set(fnmatch.filter(names, pattern)) for pattern in reasons}
    unknown = sorted(names.difference(*found.values()))
    idle = [p for p, why in reasons.items() if not found[p] and not why.startswith("sometimes")]
    return [f"no reason: {name}" for name in unknown] + [f"does not fail: {p}" for p in idle]


if __name__ == "__main__":
    failed = only_ours()
    for test, reason in sorted(failed.items()):
        print(f"{test}: {reason}")
    sys.exit("\n".join(disagreements(failed, explained())) or 0)
