"""When a run ends: the status of each, and where it diverged."""

import enum

import numpy as np


class Status(enum.IntEnum):
    """What became of a run."""

    RUNNING = 0
    DONE = 1
    STOPPED = 2
    DIVERGED = 3


def judge(loss: np.ndarray, finite: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Status, step of divergence (-1 where there is none) and reason of each finished run.

    A run has diverged where its loss, or a parameter at its end, is not finite.

    Args:
      loss: ``[trial, seed, step]``.
      finite: whether all parameters are finite at the end, ``[trial, seed]``.

    >>> loss = np.array([[[1.0, np.nan]], [[1.0, 0.5]], [[1.0, 0.5]]])
    >>> status, step, reason = judge(loss, finite=np.array([[False], [False], [True]]))
    >>> step.tolist(), reason.tolist()
    ([[1], [2], [-1]], [['loss is nan'], ['a parameter is not finite'], ['']])
    """
    bad = ~np.isfinite(loss)
    first = bad.argmax(axis=-1)
    value = np.take_along_axis(loss, first[..., None], axis=-1)[..., 0].astype(str)
    early, late = bad.any(axis=-1), ~bad.any(axis=-1) & ~finite
    reasons = [np.char.add("loss is ", value), "a parameter is not finite"]
    reason = np.select([early, late], reasons, "")
    diverged_at = np.select([early, late], [first, loss.shape[-1]], -1)
    status = np.where(early | late, Status.DIVERGED, Status.DONE).astype(np.int8)
    return status, diverged_at, reason
