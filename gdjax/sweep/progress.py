"""A progress bar that tells how far a sweep is and what it has found."""

import sys
from collections.abc import Callable
from typing import Any

from gdjax.errors import InvalidType, MissingExtra, shown
from gdjax.sweep.snapshots import Snapshot

_FORMAT = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} runs [{elapsed}{postfix}]"


def bar(show: bool | None) -> list[Callable[[Snapshot], None]]:
    """A callback that draws a bar, if one is wanted.

    Args:
      show: whether to draw it; where None, on a terminal that has tqdm.

    Raises:
      InvalidType: ``show`` is something else.
      MissingExtra: there must be one, and there is no tqdm.
    """
    if show is not None and not isinstance(show, bool):
        raise InvalidType(f"progress must be True, False or None, got {shown(show)}")
    if show is False or (show is None and not sys.stderr.isatty()):
        return []
    try:
        from tqdm import tqdm
    except ImportError:
        if show is None:
            return []
        raise MissingExtra("sweep(progress=True)", "sweep") from None
    drawn: list[Any] = []

    def draw(snapshot: Snapshot) -> None:
        runs = snapshot.status.size
        if snapshot.event == "start":
            drawn[:] = [tqdm(total=runs, desc="sweep", mininterval=0.2, bar_format=_FORMAT)]
        drawn[0].set_postfix_str(", ".join(_told(snapshot, tqdm)), refresh=False)
        drawn[0].n = round(snapshot.progress * runs)
        drawn[0].update(0)
        if snapshot.event == "end":
            drawn[0].close()

    return [draw]


def _told(snapshot: Snapshot, tqdm: Any) -> list[str]:
    counts = {name: getattr(snapshot, name) for name in ("running", "done", "stopped", "diverged")}
    told = [f"{count} {name}" for name, count in counts.items() if count]
    if snapshot.best is not None:
        told.append(f"best {snapshot.objective} {snapshot.best.score:.4g}")
    if snapshot.steps_per_second is not None:
        told.append(f"{snapshot.steps_per_second:.3g} steps/s")
    if snapshot.seconds_left is not None and snapshot.running:
        told.append(f"{tqdm.format_interval(snapshot.seconds_left)} left")
    return told
