"""Callbacks: functions that are told how a sweep goes on, and can do it no harm."""

import inspect
import sys
import traceback
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from gdjax.errors import InvalidType, shown
from gdjax.sweep import snapshots
from gdjax.sweep.ledger import Ledger
from gdjax.sweep.progress import bar
from gdjax.sweep.setup import Sweep
from gdjax.sweep.snapshots import Snapshot

Callback = Callable[[Snapshot], Any]


def listeners(
    callbacks: Callback | Sequence[Callback] | None, progress: bool | None
) -> list[Callback]:
    """Those who are told: what a user gives (one, several or none), and the bar where one is shown.

    Raises:
      InvalidType: what is no function of one argument.
      MissingExtra: there must be a bar, and there is no tqdm.
    """
    several = isinstance(callbacks, (list, tuple))
    given: list[Any] = list(callbacks) if several else [callbacks]
    given = [callback for callback in given if callback is not None]
    for callback in given:
        if not _takes_one(callback):
            raise InvalidType(
                "callbacks takes functions of one argument, a gdjax.Snapshot, one or a list of "
                f"them, got {shown(callback)}"
            )
    return [*bar(progress), *given]


class Audience:
    """Those who are told how a sweep goes on; who raises an exception is told no more.

    Args:
      callbacks: called in their order, with one snapshot.
      sweep: what it is about.
      ledger: of the sweep.
      seconds: since its start.
    """

    def __init__(
        self,
        callbacks: Iterable[Callback],
        sweep: Sweep,
        ledger: Ledger,
        seconds: Callable[[], float],
    ):
        self._callbacks = list(callbacks)
        self._sweep, self._ledger, self._seconds = sweep, ledger, seconds
        self._origin: snapshots.Origin | None = None

    def begin(self) -> None:
        """Measure the pace from now on: what comes before is compilation."""
        self._origin = snapshots.origin(self._ledger, self._seconds())

    def tell(self, event: str) -> None:
        """Call them all."""
        if not self._callbacks:
            return
        task, seconds = self._sweep.plan.task, self._seconds()
        snapshot = snapshots.take(
            event, self._sweep.drawn, self._ledger, task, seconds, self._origin
        )
        self._callbacks = [each for each in self._callbacks if _called(each, snapshot)]


def _called(callback: Callback, snapshot: Snapshot) -> bool:
    """Whether that went well; KeyboardInterrupt and SystemExit pass."""
    try:
        callback(snapshot)
    except Exception:
        message = (
            f"the callback {shown(callback)} raised an exception and is not called again; the "
            f"sweep goes on:\n{traceback.format_exc()}"
        )
        try:
            warnings.warn(message, stacklevel=2)
        except UserWarning:  # where warnings are errors: this one must not be
            print(message, file=sys.stderr)
        return False
    return True


def _takes_one(callback: Any) -> bool:
    if not callable(callback) or isinstance(callback, type):
        return False  # a class would only be made, and thrown away
    if inspect.iscoroutinefunction(callback):
        return False
    try:
        inspect.signature(callback).bind(None)
    except TypeError:
        return False
    except Exception:  # a function of C's, which has no signature, or whatever a foreign one does
        return True
    return True
