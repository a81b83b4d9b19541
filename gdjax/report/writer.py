"""Writes a report: PNG figures and one page."""

import importlib.util
import os
import pathlib

from gdjax.errors import InvalidValue, MissingExtra
from gdjax.sweep import checkpoint
from gdjax.sweep.results import SweepResult


def write(result: SweepResult, directory: str | os.PathLike) -> list[pathlib.Path]:
    """Write figures (PNG) and ``report.html`` of a sweep into a directory.

    The figures are chosen by what the result holds: metrics against each hyperparameter that
    varies, learning curves, rungs where a scheduler stopped trials, the lineage where trials
    copied others, and parallel coordinates and a map of the objective where at least two
    hyperparameters vary. The page is interactive, one file, and works offline. Files of an
    earlier report with the same names are replaced, each at once; the same result makes the same
    files.

    Args:
      result: of a sweep.
      directory: made where it does not exist.

    Returns:
      The files, ``report.html`` first.

    Raises:
      MissingExtra: matplotlib or plotly is not installed; nothing is written.
      InvalidValue: the directory is a file or cannot be written to.
    """
    for package in ("matplotlib", "plotly"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtra("gdjax.report.write", "report")
    from gdjax.report import charts, contents, figures, page

    path = pathlib.Path(directory)
    prepared = contents.prepare(result)
    html = page.render(prepared, charts.draw(prepared))
    pictures = figures.draw(prepared)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with checkpoint.atomic(path / "report.html") as temporary:
            temporary.write_text(html, encoding="utf-8")
        for name, picture in pictures.items():
            with checkpoint.atomic(path / name) as temporary:
                temporary.write_bytes(picture)
    except OSError as error:
        raise InvalidValue(f"{path} cannot be written to: {error.strerror}") from None
    return [path / name for name in ("report.html", *pictures)]
