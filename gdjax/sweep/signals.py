"""Ctrl-C and SIGTERM: the first asks for a clean stop, the second stops at once."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Request:
    """Whether somebody has asked to stop, and by which signal."""

    number: int | None = None


@contextmanager
def requests() -> Iterator[Request]:
    """Note the first SIGINT or SIGTERM instead of acting on it; leave a second one to Python.

    Only the main thread can be told of signals: in another one, nothing changes. Nor does it for
    a signal that is ignored, as Ctrl-C is by what a script runs in the background.
    """
    request = Request()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def note(number: int, frame: FrameType | None) -> None:
        del frame
        request.number = number
        restore()

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    before = {number: old for number, old in before.items() if old is not signal.SIG_IGN}

    def restore() -> None:
        for number, handler in before.items():
            if handler is not None:  # None: one that Python did not set
                signal.signal(number, handler)

    for number in before:
        signal.signal(number, note)
    try:
        yield request
    finally:
        restore()
