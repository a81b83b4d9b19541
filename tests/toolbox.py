"""The page of everything in the toolbox, made of the docstrings.

``python -m tests.toolbox`` writes ``.github/docs/toolbox.md``; a test holds the page to them.
"""

import inspect
import pathlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

import gdjax
from tests import discovery

PAGE = pathlib.Path(__file__).parents[1] / ".github" / "docs" / "toolbox.md"
TITLES = {"transformation": "Transformations", "optimizer": "Optimizers", "schedule": "Schedules"}


def page() -> str:
    """The whole page."""
    lines = [
        "# The toolbox",
        "",
        "Every public function, by family, with its arguments; `help(gdjax.adam)` tells the",
        "mathematics, ranges, state and paper. Made by `python -m tests.toolbox`.",
    ]
    for kind, title in TITLES.items():
        found = discovery.factories(kind)
        lines += ["", f"## {title}: {len(found)}", *_families(found.values())]
    lines += ["", "## Beside them", *_table(_others())]
    return "\n".join(lines) + "\n"


def _families(functions: Any) -> Iterator[str]:
    """A table for each module, under the first line of its docstring."""
    modules = sorted({f.__module__ for f in functions})
    for module in modules:
        summary = (inspect.getdoc(sys.modules[module]) or "").splitlines()[0]
        yield from ("", f"### {_plain(summary).rstrip('.')}")
        yield from _table(f for f in functions if f.__module__ == module)


def _table(functions: Any) -> Iterator[str]:
    yield from ("", "| name | what it does |", "| --- | --- |")
    for function in sorted(functions, key=lambda f: f.__name__):
        summary = (inspect.getdoc(function) or "").splitlines()[0].replace("|", "\\|")
        yield f"| `{_call(function)}` | {_plain(summary)} |"


def _call(function: Callable[..., Any]) -> str:
    parameters = inspect.signature(function).parameters
    return f"{function.__name__}({', '.join(parameters)})"


def _plain(text: str) -> str:
    """Sphinx's references as code."""
    return text.replace(":func:`gdjax.", "`").replace(":func:`", "`").replace("``", "`")


def _others() -> list[Callable[..., Any]]:
    found = {f for kind in TITLES for f in discovery.factories(kind).values()}
    functions = filter(inspect.isfunction, map(gdjax.__dict__.get, gdjax.__all__))
    return [f for f in functions if f.__module__.startswith("gdjax") and f not in found]


if __name__ == "__main__":
    PAGE.write_text(page())
