"""The width at which a family's runs are trained fastest, found by trying.

The search begins at the default width and goes up as long as that pays, or else down. Each width
is timed against the best so far, in turns, in the very program that would train.
"""

import time
from typing import Any, NamedTuple

import jax
import numpy as np

from gdjax.sweep import population
from gdjax.sweep.execution import Kind, Program
from gdjax.sweep.feeding import fed
from gdjax.sweep.packing import pack
from gdjax.sweep.population import Chunks
from gdjax.sweep.store import Store
from gdjax.sweep.width import candidates, default_width, memory, shapes

ROUNDS = 7  # of which the median counts
SECONDS = 0.1  # of a call that is timed, at least; shorter ones are mostly noise
BUSY = 2  # chunks on each device, at least, so that they drive each other out of the caches
BETTER = 1.03  # times as fast: neighbours are alike, and less may be noise


class Timed(NamedTuple):
    """What was measured of one width."""

    width: int
    speed: float  # with all trials of the family, times that of the default width
    compile_seconds: float


def fastest(kind: Kind) -> list[Timed]:
    """All widths that were tried, the best one first; measured once for equal programs."""
    key = (kind.signature, kind.family.trials, kind.plan.seeds, kind.plan.mesh)
    if key not in _measured:
        _measured[key] = _search(kind)
    return _measured[key]


_measured: dict[Any, list[Timed]] = {}


def _search(kind: Kind) -> list[Timed]:
    sizes = kind.family.trials, kind.plan.seeds, list(kind.plan.mesh.devices.flat)
    widths = candidates(*sizes)
    start = widths.index(default_width(*sizes, kind.run_bytes))
    first = best = _Candidate(kind, widths[start])
    others = []
    for direction in (widths[start + 1 :], widths[:start][::-1]):
        for width in direction:
            other = _Candidate(kind, width)
            if not other.fits:
                break
            others.append(other)
            ratio = _times_as_fast(other, best)
            other.speed = ratio * best.speed
            if ratio < BETTER:
                break
            best = other
        if best is not first:
            break
    tried = sorted([first, *others], key=lambda c: c is not best)
    return [Timed(c.width, c.speed, c.compile_seconds) for c in tried]


class _Candidate:
    """The wide program of one width, and trials that it can be timed with."""

    def __init__(self, kind: Kind, width: int):
        plan, trials = kind.plan, kind.family.trials
        self._plan, self._devices = plan, list(plan.mesh.devices.flat)
        (self._shape, *_) = shapes(width, trials, plan.seeds, self._devices, kind.run_bytes)
        began = time.perf_counter()
        program = Program(kind, self._shape)
        self._compiled, self._segments = program.compiled, program.segments
        self.width, self.compile_seconds = width, time.perf_counter() - began
        self.speed = 1.0
        (job, *_) = pack(np.arange(trials), np.zeros(trials, int), plan.seeds, self._shape)
        self._task, batches = fed(plan.task, plan.feed, job.trials, job)
        self._job, seed = job, job.seed[:, None]
        individuals = jax.tree.map(lambda x: x[job.trials], kind.family.individuals)
        weights = Store(kind.run, trials, plan.seeds).take(job.trials, seed)
        spread = population.over_chunks(plan.mesh)
        individuals, self._weights = jax.device_put((individuals, weights), spread)
        self._individuals = individuals._replace(batches=batches)
        # On each device: what all trials need, and what is timed of it.
        self._needed = -(-(-(-trials // width) * plan.seeds) // len(self._devices))
        self._chunks, self._updates = min(self._needed, self._shape.chunks), 1

    @property
    def fits(self) -> bool:
        """Whether a device's memory holds all that XLA, where it tells, says the program needs."""
        sizes = self._compiled.memory_analysis()
        if sizes is None:
            return True
        needed = sizes.argument_size_in_bytes + sizes.output_size_in_bytes
        needed += sizes.temp_size_in_bytes - sizes.alias_size_in_bytes
        return needed <= memory(self._devices)

    def prepare(self) -> None:
        """Start the runs, and choose chunks and updates that are long enough to be timed."""
        self.seconds(begun=False)
        enough = SECONDS / (self.seconds() / self._needed)
        some = min(BUSY, self._chunks)
        self._updates = int(np.clip(enough / some, 1, self._plan.lengths.max()))
        self._chunks = int(np.clip(np.ceil(enough / self._updates), some, self._chunks))

    def seconds(self, begun: bool = True) -> float:
        """For one update of all trials."""
        place = np.arange(self._shape.places) % self._shape.chunks  # on its device
        updates = np.where(self._job.busy & (place < self._chunks), self._updates, 0)
        lengths = np.zeros((len(updates), self._segments), int)
        lengths[:, 0] = updates
        numbers: Any = (x.astype(np.int32) for x in (self._job.seed, updates * begun, lengths))
        arguments = Chunks(*numbers), self._individuals, self._weights
        began = time.perf_counter()
        self._weights, _ = jax.block_until_ready(
            self._compiled(self._task, self._plan.key, *arguments)
        )
        return (time.perf_counter() - began) / self._updates * self._needed / self._chunks


def _times_as_fast(one: _Candidate, other: _Candidate) -> float:
    """How many times as fast one is as the other, timed in turns."""
    one.prepare()
    other.prepare()
    return float(np.median([other.seconds() / one.seconds() for _ in range(ROUNDS)]))
