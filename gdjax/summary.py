"""What the command prints about a sweep."""

import contextlib
import os
import pathlib

import jax
import numpy as np

from gdjax.errors import InvalidValue
from gdjax.sweep import SweepResult
from gdjax.sweep.running import environment
from gdjax.sweep.table import Status

ROWS = 5  # of the table of best trials


def print_summary(result: SweepResult) -> None:
    """How long it took, and the best trials."""
    facts = result.attributes
    runs = result.status.size
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
    with contextlib.suppress(InvalidValue):  # there is none
        best = result.best()
        if best.peers and best.probability == best.probability:
            print(
                f"trial {best.trial} is the best of {best.peers + 1} with a probability of "
                f"{best.probability:.0%}; {best.rivals:.0f} others may be as good (paired t-tests "
                "over seeds, 5 %)"
            )
    ended = [(Status.STOPPED, "stopped early")] if (result.status == Status.STOPPED).any() else []
    for status, word in [(Status.DIVERGED, "diverged"), *ended]:
        print(f"{word}: {int(np.sum(result.status == status))} of {runs} runs")


def _row(result: SweepResult, trial: int, metrics: list[str]) -> list[str]:
    values = [result.settings[name][trial] for name in result.settings]
    cells = ["-" if np.isnan(value) else f"{value:.4g}" for value in values]
    for name in metrics:
        final = result.final(name)[trial]
        spread = f" ± {final.std(ddof=1):.2g}" if result.seeds > 1 else ""
        cells.append(f"{final.mean():.4g}{spread}")
    diverged = int(np.sum(result.status[trial] == Status.DIVERGED))
    return [str(trial), str(result.family[trial]), *cells, f"{diverged}/{result.seeds}"]


def print_written(directory: str | os.PathLike, names: list[str]) -> None:
    """Which of these files are there."""
    print(
        f"in {directory}: {', '.join(n for n in names if (pathlib.Path(directory) / n).exists())}"
    )


def print_devices() -> None:
    """What JAX finds to run on."""
    for name, value in environment().items():
        print(f"{name:8} {value}")
    print(f"{'cores':8} {os.cpu_count()}")
    for device in jax.devices():
        memory = (device.memory_stats() or {}).get("bytes_limit")
        size = f", {memory / 2**30:.1f} GiB" if memory else ""
        print(f"{'':8} {device.id}: {device.platform} {device.device_kind}{size}")
