"""A progress bar that tells how far a sweep is and what it has found."""

import sys
from typing import Any

import numpy as np

from gdjax.errors import MissingExtra
from gdjax.sweep.ledger import Ledger
from gdjax.sweep.table import Status
from gdjax.task import Task


class Progress:
    """Tells from the ledger how many runs have ended, and the best objective so far.

    Args:
      show: whether to draw a bar; where None, on a terminal that has tqdm.
      ledger: of the sweep.
      task: says what is told, and which is better.
    """

    def __init__(self, show: bool | None, ledger: Ledger, task: Task):
        self._ledger, self._objective = ledger, task.objective
        self._sign = -1 if task.mode == "max" else 1
        self._bar = _make_bar(show, int(ledger.status.size))

    def begin(self) -> None:
        """Start the clock: what comes before is compilation."""
        if self._bar is not None:
            self._bar.reset()

    def update(self) -> None:
        """Look at the ledger again."""
        if self._bar is None:
            return
        ledger = self._ledger
        counts = np.bincount(ledger.status.ravel(), minlength=len(Status))
        told = [f"{n} {s.name.lower()}" for s, n in zip(Status, counts, strict=True) if n]
        if np.isfinite(ledger.best):
            told.append(f"best {self._objective} {self._sign * ledger.best:.4g}")
        self._bar.set_postfix_str(", ".join(told), refresh=False)
        self._bar.n = round(float(ledger.progress) * ledger.status.size)
        self._bar.update(0)

    def close(self) -> None:
        """Leave the bar as it is."""
        if self._bar is not None:
            self._bar.close()


def _make_bar(show: bool | None, runs: int) -> Any:
    if show is False or (show is None and not sys.stderr.isatty()):
        return None
    try:
        from tqdm import tqdm
    except ImportError:
        if show is None:
            return None
        raise MissingExtra("sweep(progress=True)", "sweep") from None
    return tqdm(total=runs, desc="sweep", unit=" runs", mininterval=0.2, smoothing=0)
