"""Several segments that nobody waits for are one call of a program."""

import pytest

import gdjax
from gdjax.sweep import execution, loop
from tests.sweep.comparing import check_same


@pytest.mark.parametrize(("seconds", "calls"), [(0.0, [1] * 8), (1e9, [1, 1, 6])])
def test_how_many_segments_are_a_call_changes_no_bit(noisy, monkeypatch, seconds, calls):
    """One until it is known how long they take, which is when the second is handed out."""
    made = []

    def dispatch(self, job, program):
        made.append(job.segments)
        return original(self, job, program)

    original = execution.Executor.dispatch
    monkeypatch.setattr(loop, "SECONDS", seconds)
    monkeypatch.setattr(execution.Executor, "dispatch", dispatch)
    space = {"learning_rate": [0.1, 0.2, 1e30]}
    result = gdjax.sweep(noisy, gdjax.sgd, space, steps=15, segment=2, seeds=2)
    assert made == calls
    watched = []
    again = gdjax.sweep(
        noisy, gdjax.sgd, space, steps=15, segment=2, seeds=2, callbacks=watched.append
    )
    check_same(result, again)
    assert made[len(calls) :] == [1] * 8
