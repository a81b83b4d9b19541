"""A progress bar that tells how far a sweep is and what it has found."""

import sys
from typing import Any

import numpy as np

from gdjax.errors import MissingExtra


class Progress:
    """Counts runs as their steps are done, and keeps the best objective so far.

    Args:
      show: whether to draw a bar; where None, on a terminal that has tqdm.
      runs: how many runs there are.
      steps: steps of each run.
      objective: name of the metric that ranks.
      mode: whether less or more of it is better.
    """

    def __init__(self, show: bool | None, runs: int, steps: int, objective: str, mode: str):
        self._steps, self._objective = steps, objective
        self._better = np.max if mode == "max" else np.min
        self._best, self._done = np.nan, 0  # done in steps of single runs
        self._bar = _make_bar(show, runs)

    def begin(self) -> None:
        """Start the clock: what comes before is compilation."""
        if self._bar is not None:
            self._bar.reset()

    def update(self, run_steps: int, last: dict[str, np.ndarray]) -> None:
        """Add ``run_steps`` steps of single runs, and what was measured last on those runs."""
        self._done += run_steps
        values = np.append(last[self._objective], self._best)
        values = values[np.isfinite(values)]
        if values.size:
            self._best = self._better(values)
        if self._bar is not None:
            self._bar.set_postfix_str(f"best {self._objective} {self._best:.4g}", refresh=False)
            self._bar.update(self._done // self._steps - self._bar.n)

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
