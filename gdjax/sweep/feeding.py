"""What a stream gives, segment by segment, on the devices, read while they compute."""

import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import jax
import jax.experimental
import numpy as np
from jax.sharding import Mesh

from gdjax.errors import InvalidValue
from gdjax.stream import Stream, in_64_bits
from gdjax.sweep import population
from gdjax.sweep.packing import Job
from gdjax.sweep.population import Device
from gdjax.sweep.width import memory
from gdjax.task import Task

BLOCK = 1 << 27
"""Bytes that the batches of one segment take at most, where no segment is asked for."""
KEPT = 3  # blocks of a stream, at least: one that is used, one that is read, and the one before


class Feed:
    """The batches of a stream, in blocks of one segment; each is read while another is used.

    Args:
      stream: of a task.
      steps: ``int[evaluation]``, updates made at each.
      seeds: of the sweep.
      mesh: of its devices.
    """

    def __init__(self, stream: Stream, steps: np.ndarray, seeds: int, mesh: Mesh):
        self._stream, self._steps, self._seeds, self._mesh = stream, steps, seeds, mesh
        self._longest = int(np.diff(steps, prepend=0).max())
        size = self._longest * step_bytes(stream, 1, seeds)
        # ASHA comes back to segments that others have left behind; a run's own is never made twice.
        self._kept = KEPT if self.apart else max(KEPT, BLOCK // max(size, 1))
        self._reader = ThreadPoolExecutor(1, "gdjax-stream")  # alone touches what users made
        self._cursors: dict[tuple[int, ...], dict[int, Iterator[Any]]] = {}
        self._ahead: dict[tuple[int, ...], dict[int, Future]] = {}
        self._taken = threading.Lock()
        self._x64 = in_64_bits()

    def __enter__(self) -> None:
        """Belong to one run; another one waits, for what is kept is what one of them needs."""
        self._taken.acquire()

    def __exit__(self, *_: object) -> None:
        """Give up what was read, or could not be, and what was not yet begun to be read."""
        for blocks in self._ahead.values():
            for block in blocks.values():
                block.cancel()
        self._cursors, self._ahead = {}, {}
        self._taken.release()

    @property
    def apart(self) -> bool:
        """Whether each run has batches of its own."""
        return self._stream.per == "trial"

    @property
    def shapes(self) -> Any:
        """Shapes and dtypes of what :meth:`shared` gives, and of a run's part of :meth:`own`."""
        sharding = None if self.apart else population.everywhere(self._mesh)
        lead = () if self.apart else (len(self._streams),)
        return jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(
                (*lead, self._longest, *x.shape[2:]), x.dtype, sharding=sharding
            ),
            self._stream.first.batches,
        )

    def shared(self, segment: int) -> Any:
        """The batches of a segment, on all devices: leaves ``[stream, step, ...]``."""
        return self._get([()], segment, self._put_all)[0]

    def own(self, trials: np.ndarray, job: Job) -> Any:
        """The batches of each run in a job of one segment: leaves ``[chunk, run, step, ...]``.

        Args:
          trials: their numbers in the sweep, ``int[chunk, run]``.
          job: whose busy chunks are all at one segment.
        """
        seeds = np.broadcast_to(job.seed[:, None], trials.shape)
        runs = list(zip(trials.ravel().tolist(), seeds.ravel().tolist(), strict=True))
        different = list(dict.fromkeys(runs))
        read = self._get(different, int(job.segment[job.busy][0]), self._read)
        by_run = dict(zip(different, read, strict=True))
        stacked = _stack([by_run[run] for run in runs])
        in_place = jax.tree.map(lambda x: x.reshape(*trials.shape, *x.shape[1:]), stacked)
        return jax.device_put(in_place, population.over_chunks(self._mesh))

    @property
    def _streams(self) -> list[tuple[int, ...]]:
        """All that are shared, by what they get."""
        return [()] if self._stream.per == "sweep" else [(i,) for i in range(self._seeds)]

    def _get(self, streams: Sequence[tuple[int, ...]], segment: int, read: Callable) -> list[Any]:
        """Their blocks, which are read if they are not yet, and those after them begun."""
        for after in (segment, segment + 1):
            for who in streams if after < len(self._steps) else ():
                ahead = self._ahead.setdefault(who, {})
                # Taken out and put in again: the last one is the one that was used last.
                ahead[after] = ahead.pop(after, None) or self._reader.submit(
                    _in_mode, self._x64, read, who, after
                )
                if len(ahead) > self._kept:
                    ahead.pop(next(iter(ahead))).cancel()
        return [self._ahead[who][segment].result() for who in streams]

    def _put_all(self, _: tuple, segment: int) -> Any:
        """The blocks of all streams as one, on all devices."""
        blocks = _stack([self._read(who, segment) for who in self._streams])
        return jax.device_put(blocks, population.everywhere(self._mesh))

    def _read(self, who: tuple[int, ...], segment: int) -> Any:
        """The block of a stream: leaves ``[step, ...]``, filled up where the segment is shorter."""
        last, length = int(self._steps[segment]), self._longest
        first = int(np.append(0, self._steps)[segment])
        cursors = self._cursors.setdefault(who, {})
        batches = cursors.pop(first, None) or self._stream.read(who, first)
        read = list(itertools.islice(batches, last - first))
        cursors[last] = batches
        if len(cursors) > self._kept:
            del cursors[next(iter(cursors))]
        for number, batch in enumerate(read, first):
            self._check(batch, number)
        return _stack(read + read[-1:] * (length - len(read)))

    def _check(self, batch: Any, number: int) -> None:
        """Raise where it is not like the first batch."""
        known = jax.tree.map(lambda x: x[0, 0], self._stream.first.batches)
        if (found := _described(batch)) != (expected := _described(known)):
            raise InvalidValue(
                f"Stream: batch {number} is {found}, and the first one is {expected}; leave out "
                "a last batch that is not full, or fill it up"
            )


def fed(task: Task, feed: Feed | None, trials: np.ndarray, job: Job) -> tuple[Task, Any]:
    """The task and each run's own batches for a job, as a stream gives the one or the other.

    Args:
      task: of the plan.
      feed: of its batches, where a stream gives them.
      trials: of the job by their numbers in the sweep, ``int[chunk, run]``.
      job: whose busy chunks are all at one segment.
    """
    if feed is None:
        return task, None
    if feed.apart:
        return task, feed.own(trials, job)
    segment = int(job.segment[job.busy][0])
    return population.with_batches(task, batches=feed.shared(segment)), None


def step_bytes(stream: Stream, trials: int, seeds: int) -> int:
    """Size of the batches of one step in all of a sweep's streams."""
    streams = {"sweep": 1, "seed": seeds, "trial": trials * seeds}[stream.per]
    return streams * sum(leaf.nbytes for leaf in jax.tree.leaves(stream.first.batches))


def longest(step_bytes: int, steps: int) -> int:
    """Of ``steps`` as many as have batches that are no large block."""
    return min(steps, max(1, BLOCK // max(step_bytes, 1)))


def check_blocks(step_bytes: int, segment: int, devices: list[Device]) -> None:
    """Raise where a device cannot hold the blocks of segments that are kept."""
    needed, there = KEPT * segment * step_bytes, memory(devices)
    if needed > there:
        raise InvalidValue(
            f"the batches of {KEPT} segments of {segment} steps take {needed / 2**30:.3g} GiB, and "
            f"a device has {there / 2**30:.3g}; take a shorter segment"
        )


def _in_mode(x64: bool, read: Callable, who: tuple[int, ...], segment: int) -> Any:
    """Read under ``jax.enable_x64`` as where the sweep was made, which holds in one thread only."""
    home: Any = jax if hasattr(jax, "enable_x64") else jax.experimental
    with home.enable_x64(x64):
        return read(who, segment)


def _stack(trees: Sequence[Any]) -> Any:
    return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)


def _described(batch: Any) -> str:
    """Structure, shapes and dtypes."""
    return str(jax.tree.map(lambda x: f"{x.dtype}{list(x.shape)}", batch)).replace("'", "")
