"""A sweep that is ready to run: programs, rules, tables; and trials of it again."""

import functools
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

from gdjax.sweep import population
from gdjax.sweep.execution import Executor, Kind, Plan, Program
from gdjax.sweep.families import Family
from gdjax.sweep.ledger import Ledger
from gdjax.sweep.loop import Part
from gdjax.sweep.measuring import Timed, fastest
from gdjax.sweep.packing import pack
from gdjax.sweep.population import Device
from gdjax.sweep.results import Rerun
from gdjax.sweep.width import shapes
from gdjax.task import Task


class Options(NamedTuple):
    """Numbers that decide a sweep's bits."""

    steps: int
    segment: int  # steps between evaluations
    seeds: int
    key: int
    width: int | Literal["measured"] | None  # runs side by side; None: a default


class Sweep:
    """The families of a sweep on some devices.

    Args:
      task: what is trained.
      drawn: its families.
      options: numbers.
      devices: that share the work.
      widths: of each family's wide program, whatever ``options`` say.
      room: trials of a family that its programs are made for; as many as it has where None. With
        one number, sweeps of more and of fewer trials share their programs.
    """

    def __init__(
        self,
        task: Task,
        drawn: list[Family],
        options: Options,
        devices: Sequence[Device],
        widths: Sequence[int] | None = None,
        room: int | None = None,
    ):
        self.drawn, self.options, self.devices = drawn, options, list(devices)
        self.widths, self._room = widths, room
        mesh = population.make_mesh(tuple(devices))
        whole, rest = divmod(options.steps, options.segment)
        lengths = [options.segment] * whole + [rest] * bool(rest)
        copied = population.everywhere(mesh)
        task, key = jax.device_put((task, jax.random.key(options.key)), copied)
        self.plan = Plan(task, key, options.seeds, np.cumsum(lengths), mesh)
        self.kinds = [Kind(self.plan, family) for family in drawn]

    @functools.cached_property
    def programs(self) -> list[list[Program]]:
        """Of each family a wide one, and one for few trials if there is any."""
        asked = self.options.width
        if self.widths:
            chosen = self.widths
        elif asked == "measured":
            chosen = [table[0].width for table in self.measured]
        else:
            chosen = [asked] * len(self.drawn)
        return [self._make_programs(*each) for each in zip(self.kinds, chosen, strict=True)]

    @functools.cached_property
    def measured(self) -> list[list[Timed]]:
        """Of each family the widths that were tried, the best one first; none but on demand."""
        if self.widths or self.options.width != "measured":
            return [[] for _ in self.drawn]
        return [fastest(kind) for kind in self.kinds]

    def compile(self) -> None:
        """Compile what is needed in any case: of each family the wide program."""
        for programs in self.programs:
            programs[0].compiled  # noqa: B018

    def ledger(self) -> Ledger:
        """An empty one."""
        trials = sum(family.trials for family in self.drawn)
        return Ledger(trials, self.options.seeds, self.plan.steps, self.plan.task)

    def parts(self, ledger: Ledger) -> list[Part]:
        """All families, ready to be advanced; states are kept as long as ``ledger`` wants them."""
        parts, first = [], 0
        for kind, programs in zip(self.kinds, self.programs, strict=True):
            mine = slice(first, first + kind.family.trials)
            executor = Executor(kind, programs, lambda mine=mine: ledger.waiting[mine])
            parts.append(Part(executor, first))
            first = mine.stop
        return parts

    def rerun(self, trials: np.ndarray, widths: np.ndarray) -> list[Rerun]:
        """Trials again, each segment in the program that made it.

        Those of one family that the same programs made run side by side.

        Args:
          trials: their numbers in the sweep, ``int[n]``.
          widths: of the programs, ``int[n, evaluation]``, 0 for segments that were not made.
        """
        ledger = self.ledger()
        params: dict[int, Any] = {}
        for part in self.parts(ledger):
            mine = np.isin(trials, part.trials)
            for row in np.unique(widths[mine], axis=0):
                same = trials[mine & (widths == row).all(axis=1)]
                params |= self._rerun(part, same, row[row > 0], ledger)
        return [
            Rerun(
                params[trial],
                {name: values[trial] for name, values in ledger.traces.items()},
                {name: values[trial] for name, values in ledger.evaluations.items()},
            )
            for trial in trials.tolist()
        ]

    def _rerun(
        self, part: Part, trials: np.ndarray, widths: np.ndarray, ledger: Ledger
    ) -> dict[int, Any]:
        """Parameters at the end by trial; what is measured goes into the ledger."""
        params = {}
        for segment, width in enumerate(widths.tolist()):
            program = part.executor.program(width)
            now = np.full(len(trials), segment)
            for job in pack(trials - part.first, now, self.options.seeds, program.shape):
                flight = part.executor.dispatch(job, program)
                here = np.unique(job.trials[job.real])
                ledger.hand_out(here + part.first, width)
                ledger.collect(job, job.trials + part.first, flight.measured)
                if segment + 1 == len(widths):
                    params |= {i + part.first: part.executor.params(i) for i in here.tolist()}
        return params

    def _make_programs(self, kind: Kind, width: int | None) -> list[Program]:
        trials = self._room or kind.family.trials
        if self.widths:
            trials = max(trials, width or 0)  # a few of the trials that it was made for
        chosen = shapes(width, trials, self.options.seeds, self.devices, kind.run_bytes)
        return [Program(kind, shape) for shape in chosen]
