"""When a run ends: the status of each, and where it diverged."""

import enum

import numpy as np


class Status(enum.IntEnum):
    """What became of a run."""

    RUNNING = 0
    DONE = 1
    STOPPED = 2
    DIVERGED = 3


def judge(
    loss: np.ndarray, evaluations: dict[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Status, step of divergence (-1 where there is none) and reason of each finished run.

    A run has diverged where its loss, or the last evaluation of its parameters, is not finite.

    Args:
      loss: ``[trial, seed, step]``.
      evaluations: by name ``[trial, seed, evaluation]``.

    >>> status, step, reason = judge(np.array([[[1.0, np.nan]], [[1.0, 0.5]]]), {})
    >>> step.tolist(), reason.tolist()
    ([[1], [-1]], [['loss is nan'], ['']])
    """
    bad = ~np.isfinite(loss)
    first = bad.argmax(axis=-1)
    value = np.take_along_axis(loss, first[..., None], axis=-1)[..., 0].astype(str)
    diverged_at = np.where(bad.any(axis=-1), first, -1)
    reason = np.where(diverged_at >= 0, np.char.add("loss is ", value), "")
    for name, values in evaluations.items():
        late = (diverged_at < 0) & ~np.isfinite(values[..., -1])
        diverged_at = np.where(late, loss.shape[-1], diverged_at)
        reason = np.where(late, f"{name} is not finite", reason)
    status = np.where(diverged_at >= 0, Status.DIVERGED, Status.DONE).astype(np.int8)
    return status, diverged_at, reason
