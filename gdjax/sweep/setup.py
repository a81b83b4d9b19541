"""A sweep that is ready to run: programs, rules, tables; and trials of it again."""

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

from gdjax.stream import Stream
from gdjax.sweep import families, feeding, population
from gdjax.sweep.execution import Executor, Kind, Plan, Program
from gdjax.sweep.families import Family
from gdjax.sweep.feeding import Feed
from gdjax.sweep.ledger import Ledger
from gdjax.sweep.lineage import Lineage, segments_made
from gdjax.sweep.loop import Part
from gdjax.sweep.measuring import Timed, fastest
from gdjax.sweep.packing import Job, pack
from gdjax.sweep.population import Device
from gdjax.sweep.results import Rerun
from gdjax.sweep.table import Copies, Population
from gdjax.sweep.width import check_memory, shapes
from gdjax.task import Task


class Options(NamedTuple):
    """Numbers that decide a sweep's bits."""

    steps: int
    segment: int  # steps between evaluations
    seeds: int
    key: int
    width: int | Literal["measured"] | None  # runs side by side; None: a default


def segment_steps(
    task: Task,
    drawn: Sequence[Family],
    seeds: int,
    steps: int,
    asked: int | None,
    devices: list[Device],
) -> int:
    """Steps between evaluations: as asked for, else about a tenth of ``steps``.

    Then it is a divisor of it where there is one near, which is one program less; and less than
    that where a stream's batches would be too large a block.

    Raises:
      InvalidValue: so many batches of a stream do not fit a device.
    """
    near = range(-(-steps // 10), steps // 5 + 1)
    default = next((n for n in near if steps % n == 0), -(-steps // 10))
    if not isinstance(task.batch, Stream):
        return min(asked or default, steps)
    size = feeding.step_bytes(task.batch, sum(family.trials for family in drawn), seeds)
    segment = min(asked or feeding.longest(size, default), steps)
    feeding.check_blocks(size, segment, devices)
    return segment


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
        widths: Sequence[int | None] | None = None,
        room: int | None = None,
    ):
        self.drawn, self.options, self.devices = drawn, options, list(devices)
        self.widths, self._room = widths, room
        mesh = population.make_mesh(tuple(devices))
        whole, rest = divmod(options.steps, options.segment)
        lengths = [options.segment] * whole + [rest] * bool(rest)
        copied = population.everywhere(mesh)
        self.task, steps, feed = task, np.cumsum(lengths), None  # the task as it was given
        if isinstance(task.batch, Stream):
            feed = Feed(task.batch, steps, options.seeds, mesh)
            task = dataclasses.replace(task, batch=task.batch.first)
        task, key = jax.device_put((task, jax.random.key(options.key)), copied)
        self.data = task  # on the devices, of a stream its first batch: what must not change
        if feed is not None:
            task = population.with_batches(task, batches=None if feed.apart else feed.shapes)
        self.plan = Plan(task, key, options.seeds, steps, mesh, feed)
        self.kinds = [Kind(self.plan, family) for family in drawn]

    @property
    def trials(self) -> int:
        """How many there are in all families."""
        return sum(family.trials for family in self.drawn)

    def check_memory(self, trials: int) -> None:
        """Raise where the measurements of as many trials do not fit into the machine."""
        each_step, _ = self._measures
        check_memory(trials, self.options.seeds, self.options.steps, len(each_step))

    @functools.cached_property
    def _measures(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Dtypes of what each step measures and of what an evaluation does, by name."""
        return self.task.measured(*(family.optimizer for family in self.drawn))

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

    def ledger(self, copies: bool = False) -> Ledger:
        """An empty one, of trials that may copy others or not."""
        population = Population(
            family=np.repeat([f.name for f in self.drawn], [f.trials for f in self.drawn]),
            settings=families.columns(self.drawn),
            dimensions={family.name: dict(family.dimensions) for family in self.drawn},
            diverged=np.zeros(self.trials, bool),
            key=self.options.key,
        )
        plan, shown = self.plan, population if copies else None
        return Ledger(self.trials, plan.seeds, plan.steps, self.task, shown, self._measures)

    def parts(self, ledger: Ledger) -> list[Part]:
        """All families, ready to be advanced; states are kept as long as ``ledger`` wants them."""
        parts, first = [], 0
        for kind, programs in zip(self.kinds, self.programs, strict=True):
            mine = slice(first, first + kind.family.trials)
            executor = Executor(kind, programs, first, lambda mine=mine: ledger.waiting[mine])
            parts.append(Part(executor))
            first = mine.stop
        return parts

    def rerun(
        self, trials: np.ndarray, widths: np.ndarray, lineage: Lineage | None = None
    ) -> list[Rerun]:
        """Trials again, each segment in the program that made it, from their first ancestors on.

        Those of one family that the same programs made run side by side.

        Args:
          trials: their numbers in the sweep, ``int[n]``.
          widths: of the programs, ``int[trial, evaluation]``, 0 for segments that were not made.
          lineage: of the sweep, where trials copied others.
        """
        ledger, made = self.ledger(), segments_made(widths).tolist()
        paths = {
            trial: [trial] * made[trial] if lineage is None else lineage.places(trial, made[trial])
            for trial in trials.tolist()
        }
        params: dict[int, Any] = {}
        with self.plan.reading:
            for part in self.parts(ledger):
                mine = [paths[trial] for trial in trials[part.holds(trials)].tolist()]
                for segment in range(max(map(len, mine), default=0)):
                    places = np.unique([path[segment] for path in mine if len(path) > segment])
                    if lineage is not None:
                        _go_on(part, ledger, lineage, segment, places)
                    for job in self._make(part, ledger, places, segment, widths[:, segment]):
                        here = np.unique(job.trials[job.real]).tolist()
                        ends = [i for i in here if made[i + part.first] == segment + 1]
                        params |= {i + part.first: part.executor.params(i) for i in ends}
        return [self._told(path, params[trial], ledger) for trial, path in paths.items()]

    def _make(
        self, part: Part, ledger: Ledger, trials: np.ndarray, segment: int, widths: np.ndarray
    ) -> Iterator[Job]:
        """Make a segment of some trials of a family, each in the program of its width.

        Yields while a job's states are at hand.
        """
        for width in np.unique(widths[trials]).tolist():
            program, same = part.executor.program(width), trials[widths[trials] == width]
            now = np.full(len(same), segment)
            for job in pack(same - part.first, now, self.options.seeds, program.shape):
                flight = part.executor.dispatch(job, program)
                ledger.hand_out(np.unique(job.trials[job.real]) + part.first, width)
                ledger.collect(job, job.trials + part.first, flight.measured)
                yield job

    def _told(self, path: list[int], params: Any, ledger: Ledger) -> Rerun:
        """What was measured along the places in which a trial's segments were made."""
        rest = len(self.plan.steps) - len(path)
        at_evaluation = np.array(path + path[-1:] * rest)
        at_step = np.repeat(at_evaluation, self.plan.lengths)
        return Rerun(
            params,
            {name: _along(at_step, values) for name, values in ledger.traces.items()},
            {name: _along(at_evaluation, values) for name, values in ledger.evaluations.items()},
        )

    def _make_programs(self, kind: Kind, width: int | None) -> list[Program]:
        trials = self._room or kind.family.trials
        if self.widths:
            trials = max(trials, width or 0)  # a few of the trials that it was made for
        chosen = shapes(width, trials, self.options.seeds, self.devices, kind.run_bytes)
        return [Program(kind, shape) for shape in chosen]


def _go_on(part: Part, ledger: Ledger, lineage: Lineage, segment: int, trials: np.ndarray) -> None:
    """What happened to some trials before a segment: copies of others, and new settings."""
    parents = lineage.parent[trials, segment]
    moved = parents != trials
    if moved.any():
        children, parents = trials[moved], parents[moved]
        ledger.copy(Copies(children, parents, {}))
        part.executor.copy(children - part.first, parents - part.first)
    part.equip({name: values[:, segment] for name, values in lineage.settings.items()})


def _along(path: np.ndarray, values: np.ndarray) -> np.ndarray:  # [seed, n]
    """Of ``values``, ``[trial, seed, n]``, at each place what stands in that trial's row."""
    return values[path, :, np.arange(len(path))].T
