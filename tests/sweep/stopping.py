"""Stopping a sweep in this process, at a given decision."""

from gdjax.sweep import keeper
from gdjax.sweep.loop import Loop
from tests.sweep import killed


class Interrupted(Exception):
    """Instead of a kill, where a new process would cost much."""


def stop_at(monkeypatch, number, act):
    """Call ``act`` before the decision of that number is carried out."""
    original, count = Loop._advance, killed._at(number, act)

    def advance(self, *decided):
        count()
        original(self, *decided)

    monkeypatch.setattr(Loop, "_advance", advance)


def interrupt():
    raise Interrupted


def checkpoints(directory):
    return sorted(directory.glob(keeper.CHECKPOINTS))
