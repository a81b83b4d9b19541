"""A sweep without training: a scheduler against scores that are made up.

It runs as the engine does: segments are dispatched up to ``ahead`` decisions before the oldest
is collected, and whoever diverged is known only then.
"""

import collections
from typing import NamedTuple

import numpy as np

from gdjax.sweep.table import Status, Table


class Outcome(NamedTuple):
    """What became of a made-up sweep."""

    advanced: list[list[int]]  # trials of each decision that advanced any
    done: list[int]  # segments of each trial
    status: list[Status]  # of each trial
    reasons: dict[int, str]  # of each trial that the scheduler stopped
    standing: int  # most trials at once between first and last segment


def constant(values, evaluations):
    """Scores that stay what they are, one a trial."""
    return np.repeat(np.array(values, float)[:, None], evaluations, axis=1)


def answer(scheduler, seen):
    """A decision as lists."""
    advance, stop, reasons, *_ = scheduler.decide(seen)
    return advance.tolist(), stop.tolist(), reasons


def table(scores, done, *, steps=None, pending=(), inactive=(), slots=4, capacity=None, **spent):
    """A table of what trials with ``scores`` show after ``done`` segments."""
    done = np.asarray(done)
    scores = np.array(scores, float)
    trials, evaluations = scores.shape
    flags = np.zeros((2, trials), bool)
    flags[0, list(pending)] = True
    flags[1, list(inactive)] = True
    scores[np.arange(evaluations) >= (done - flags[0])[:, None]] = np.nan
    return Table(
        steps=np.arange(1, evaluations + 1) if steps is None else np.asarray(steps),
        done=done,
        pending=flags[0],
        active=~flags[1] & (done < evaluations),
        scores=scores,
        slots=slots,
        capacity=trials if capacity is None else capacity,
        **spent,
    )


def simulate(
    scheduler, scores, *, steps=None, slots=4, capacity=None, ahead=2, needs=(), together=1
):
    """Run a scheduler to its end and check each decision; ``scores`` are ``[trial, evaluation]``.

    At +inf a trial diverges. Of ``needs``, segments made, none may be passed without a score.
    Up to ``together`` segments are one call, where the scheduler says that it need not be asked.
    """
    scores = np.asarray(scores, float)
    trials, evaluations = scores.shape
    done, collected = np.zeros(trials, int), np.zeros(trials, int)
    status = np.full(trials, Status.RUNNING)
    flight, advanced, reasons, standing = collections.deque(), [], {}, 0
    for _ in range(4 * trials * (evaluations + 1) + 10):
        # Who computes its last segment still runs: a scheduler has to see that it is the last.
        running = status == Status.RUNNING
        able = running & (done < evaluations)
        known = np.arange(evaluations) < collected[:, None]
        seen = Table(
            steps=np.arange(1, evaluations + 1) if steps is None else np.asarray(steps),
            done=done.copy(),
            pending=done > collected,
            active=running,
            scores=np.where(known, scores, np.nan),
            slots=slots,
            capacity=trials if capacity is None else capacity,
        )
        advance, stop, why, segments = scheduler.decide(seen)
        segments = min(segments, together)
        assert len(stop) == len(why)
        assert len(set(stop)) == len(stop)
        assert len(set(advance)) == len(advance)
        assert not set(stop) & set(advance)
        assert able[advance].all(), "a trial advanced that was stopped, diverged or at its end"
        assert able[stop].all()
        assert not seen.pending[stop].any()
        for trial in advance:
            if done[trial] in needs:
                assert seen.scores[trial, done[trial] - 1] < np.inf, "passed without a score"
        status[stop] = Status.STOPPED
        reasons |= dict(zip(stop.tolist(), why, strict=True))
        if len(advance):
            done[advance] += segments
            assert (done <= evaluations).all()
            advanced.append(advance.tolist())
            flight.append((advance, segments))
            between = (done > 0) & (done < evaluations) & (status == Status.RUNNING)
            standing = max(standing, np.count_nonzero(between))
        if flight and (len(flight) == ahead or not len(advance)):
            called, segments = flight.popleft()
            for _ in range(segments):
                done[called[status[called] == Status.DIVERGED]] -= 1  # they were handed out late
                landed = called[status[called] == Status.RUNNING]
                collected[landed] += 1
                lost = landed[np.isposinf(scores[landed, collected[landed] - 1])]
                status[lost] = Status.DIVERGED
                status[np.setdiff1d(landed[collected[landed] == evaluations], lost)] = Status.DONE
        elif not len(advance) and not len(stop):
            break
    else:
        raise AssertionError("the sweep does not end")
    assert not (status == Status.RUNNING).any(), "a trial was forgotten"
    return Outcome(advanced, done.tolist(), [Status(s) for s in status], reasons, standing)
