"""Which trial stands where: chunks of trials of one seed and one step."""

from typing import NamedTuple

import numpy as np


class Shape(NamedTuple):
    """What one program holds."""

    devices: int
    chunks: int  # on each device
    width: int  # runs in a chunk

    @property
    def places(self) -> int:
        """Chunks on all devices."""
        return self.devices * self.chunks


class Job(NamedTuple):
    """What one call of a program does, chunk by chunk."""

    trials: np.ndarray  # int[chunk, run]; what fills up a chunk repeats its last trial
    real: np.ndarray  # bool[chunk, run]: which are not filling
    seed: np.ndarray  # int[chunk]
    segment: np.ndarray  # int[chunk]: which segment of its trials it makes first, from 0 on
    segments: int = 1  # how many each makes

    def continues(self, other: "Job") -> bool:
        """Whether each run stands where it stood in ``other``, and goes on from there."""
        return (
            self.trials.shape == other.trials.shape
            and np.array_equal(self.real, other.real)
            and np.array_equal(self.trials, other.trials)
            and np.array_equal(self.seed, other.seed)
            and np.array_equal(self.segment[self.busy], other.segment[self.busy] + other.segments)
        )

    @property
    def busy(self) -> np.ndarray:
        """Which chunks hold anything, ``bool[chunk]``."""
        return self.real[:, 0]


def pack(
    trials: np.ndarray,
    segment: np.ndarray,
    seeds: int,
    shape: Shape,
    segments: int = 1,
    in_step: bool = False,
) -> list[Job]:
    """Jobs that make more segments of each trial, with all its seeds in one job.

    Args:
      trials: ``int[n]``, each once.
      segment: the first segment that each is to make, ``int[n]``.
      seeds: runs of each trial.
      shape: of the program; it holds at least one chunk for each seed.
      segments: how many each is to make.
      in_step: whether all chunks of a job are to be at one segment.

    >>> (job,) = pack(np.array([4, 5, 6]), np.array([0, 0, 2]), seeds=1, shape=Shape(2, 1, 2))
    >>> job.trials.tolist(), job.segment.tolist()
    ([[4, 5], [6, 6]], [0, 2])
    """
    order = np.lexsort((trials, segment))
    trials, segment = trials[order], segment[order]
    ends = np.flatnonzero(np.diff(segment)) + 1  # where another segment begins
    alike = [
        [group[i : i + shape.width] for i in range(0, len(group), shape.width)]
        for group in np.split(np.arange(len(trials)), ends)
    ]
    fit = shape.places // seeds
    calls = [
        blocks[first : first + fit]
        for blocks in (alike if in_step else [[block for blocks in alike for block in blocks]])
        for first in range(0, len(blocks), fit)
    ]
    jobs = []
    for call in calls:
        chosen = [block for block in call for _ in range(seeds)]
        job = Job(
            np.full((shape.places, shape.width), trials[chosen[0][0]]),
            np.zeros((shape.places, shape.width), bool),
            np.zeros(shape.places, int),
            np.zeros(shape.places, int),
            segments,
        )
        for i, block in enumerate(chosen):
            at = i % shape.devices * shape.chunks + i // shape.devices  # all devices alike busy
            job.trials[at] = trials[block[-1]]
            job.trials[at, : len(block)] = trials[block]
            job.real[at, : len(block)] = True
            job.seed[at], job.segment[at] = i % seeds, segment[block[0]]
        jobs.append(job)
    return jobs


def distinct(numbers: np.ndarray) -> np.ndarray:
    """Each of some whole numbers once, in order, as ``np.unique`` has them.

    Many times as fast, as long as none of them is large.

    >>> distinct(np.array([[3, 1], [1, 3]]))
    array([1, 3])
    """
    return np.flatnonzero(np.bincount(numbers.ravel()))
