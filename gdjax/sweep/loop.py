"""The loop of a sweep: decide on the host, advance on the devices, write down."""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np

from gdjax.errors import shown, telling
from gdjax.sweep import families
from gdjax.sweep.execution import Executor, Flight
from gdjax.sweep.ledger import Ledger
from gdjax.sweep.packing import distinct, pack
from gdjax.sweep.rules import Rules
from gdjax.sweep.table import Copies, Spent, Table

SECONDS = 0.5
"""That a call may take, so that checkpoints, Ctrl-C and the bar need not wait for long."""


class Part(NamedTuple):
    """The trials of one family among those of the sweep."""

    executor: Executor

    @property
    def first(self) -> int:
        """The number that its first trial has in the sweep."""
        return self.executor.first

    @property
    def trials(self) -> range:
        """Their numbers in the sweep."""
        return range(self.first, self.first + self.executor.kind.family.trials)

    def holds(self, trials: np.ndarray) -> np.ndarray:
        """Which of ``trials`` are of the family, ``bool[n]``."""
        return (trials >= self.trials.start) & (trials < self.trials.stop)

    def equip(self, settings: Mapping[str, np.ndarray]) -> None:
        """Go on with other settings, ``[trial of the sweep]`` by name."""
        mine = slice(self.trials.start, self.trials.stop)
        self.executor.equip({name: values[mine] for name, values in settings.items()})


class Loop:
    """Advances trials until the rules have no more to do.

    A job is handed to the devices before the last one's measurements are read, so that the host
    works while they do. Schedulers that wait for scores themselves (``lags``) are asked at once;
    other rules see all measurements first, as all do where a narrower program may be worth it.
    Neither depends on how fast a device is, nor on when a checkpoint is written.

    Args:
      parts: all families.
      ledger: where everything is written down.
      rules: say who advances and who stops.
      seeds: runs of each trial.
      capacity: trials that may stand between their first and last segment.
      spent: what has been used up so far.
      each_segment: whether to come back to the host after each segment, as stoppers need in any
        case; where not, several that are little work are one call.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        ledger: Ledger,
        rules: Rules,
        seeds: int,
        capacity: int,
        spent: Callable[[], Spent],
        each_segment: bool,
    ):
        self.parts, self.ledger = parts, ledger
        self._each_segment = each_segment
        self._rules, self._seeds, self._capacity, self._spent = rules, seeds, capacity, spent
        shapes = [part.executor.programs[0].shape for part in parts]
        # The same on up to eight devices, so that what ASHA decides is.
        self._slots = min(s.width * max(1, max(8, s.devices) // seeds) for s in shapes)
        # How many trials are left decides on the program, and so on bits: all must be known then.
        # It is so only where a segment takes so long that the host's work does not count.
        self._narrows = any(part.executor.may_narrow for part in parts)
        self._flights: deque[tuple[Part, Flight, float]] = deque()
        self._pace: dict[str, float] = {}  # seconds for a segment, by family
        self._collected = 0.0  # when

    def run(self, between: Callable[[], None]) -> None:
        """Go on to the end; ``between`` is called after each decision."""
        while True:
            trials, segments = self._decide()
            if trials.size:
                self._advance(trials, segments)
            elif self._flights:
                self._collect()
            else:
                break
            if self._rules.wait or self._narrows:
                self.drain()
            between()

    def drain(self) -> None:
        """Wait for all that is computing."""
        while self._flights:
            self._collect()

    def _table(self) -> Table:
        return self.ledger.table(self._slots, self._capacity, self._spent())

    def _decide(self) -> tuple[np.ndarray, int]:
        for stopper in self._rules.stoppers:
            table = self._table()
            with telling(f"the rule {shown(stopper)} cannot say who stops"):
                stopped = stopper.stops(table)
            self.ledger.stop(*stopped)
        table, scheduler = self._table(), self._rules.scheduler
        with telling(f"the rule {shown(scheduler)} cannot say who advances"):
            decision = scheduler.decide(table)
        self.ledger.stop(decision.stop, decision.reasons, lost=True)
        if decision.copies is not None and decision.copies.children.size:
            self._copy(decision.copies)
        alone = not self._rules.stoppers and not self._narrows and not self._each_segment
        return decision.advance, decision.segments if alone else 1

    def _copy(self, copies: Copies) -> None:
        self.drain()
        for part in self.parts:
            mine = part.holds(copies.children)
            children, parents = copies.children[mine], copies.parents[mine]
            if not children.size:
                continue
            now = self.ledger.settings
            settings = families.accepted(
                part.executor.kind.family,
                {name: values[mine] for name, values in copies.settings.items()},
                {name: values[parents] for name, values in now.items()},
            )
            self.ledger.copy(Copies(children, parents, settings))
            part.executor.copy(children - part.first, parents - part.first)
            part.equip(self.ledger.settings)

    def _advance(self, trials: np.ndarray, segments: int) -> None:
        for part in self.parts:
            mine = trials[part.holds(trials)]
            if not mine.size:
                continue
            made = self.ledger.made[mine]
            steps = self.ledger.steps[-1] - self.ledger.begins[made.min()]
            used = distinct(self.ledger.width[part.trials]) if self._narrows else ()
            program = part.executor.choose(len(mine), int(steps), used)
            together = min(segments, program.segments, self._in_a_call(part))
            fed = part.executor.kind.plan.feed is not None  # a call gets the batches of a segment
            local, shape = mine - part.first, program.shape
            for job in pack(local, made, self._seeds, shape, together, in_step=fed):
                flight = part.executor.dispatch(job, program)
                handed = distinct(job.trials[job.real]) + part.first
                self.ledger.hand_out(handed, program.shape.width, together)
                self._flights.append((part, flight, time.perf_counter()))
                if len(self._flights) > 1:
                    self._collect()

    def _in_a_call(self, part: Part) -> int:
        """Segments that take no longer than a call should; one as long as that is not known.

        What XLA counts leaves out how often a loop in the task runs, so the clock has its say too.
        """
        pace = self._pace.get(part.executor.kind.family.name)
        return 1 if pace is None else max(1, int(SECONDS / pace))

    def _collect(self) -> None:
        part, flight, handed = self._flights.popleft()
        jax.block_until_ready(flight.measured)
        began, self._collected = max(handed, self._collected), time.perf_counter()
        pace = (self._collected - began) / flight.job.segments
        self._pace[part.executor.kind.family.name] = max(pace, 1e-9)
        self.ledger.collect(flight.job, flight.job.trials + part.first, flight.measured)
