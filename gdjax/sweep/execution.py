"""Programs of one family, and its trials on the devices."""

import contextlib
import functools
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh

from gdjax.errors import InvalidType, telling
from gdjax.sweep import families, population
from gdjax.sweep.families import Family
from gdjax.sweep.feeding import Feed, fed
from gdjax.sweep.packing import Job, Shape
from gdjax.sweep.population import Chunks, Segments, Weights
from gdjax.sweep.store import Store, to_host
from gdjax.sweep.width import runs_paid
from gdjax.task import Task

COMPILING = 2e11
"""Floating-point operations in the time of compiling one more program: some seconds of a core."""
CALL = 5e10
"""Floating-point operations that one call may take: under a second of a core."""
TRACED = 1 << 24
"""Numbers of one metric that one call may bring."""
CPU_OPTIONS: Any = {"xla_backend_optimization_level": 2}
"""Of XLA: perceptrons train as fast as at level 3, its own, and compile in 0.7 to 0.8 of that."""


class Plan(NamedTuple):
    """What decides every bit of a sweep, apart from the families."""

    task: Task  # on all devices
    key: jax.Array  # on all devices
    seeds: int
    steps: np.ndarray  # int[evaluation]: updates made at each
    mesh: Mesh
    feed: Feed | None = None  # of the task's batches, where a stream gives them

    @property
    def lengths(self) -> np.ndarray:
        """Updates in each segment."""
        return np.diff(self.steps, prepend=0)

    @property
    def reading(self) -> contextlib.AbstractContextManager:
        """Inside of it jobs are fed."""
        return self.feed or contextlib.nullcontext()


class Kind:
    """What the programs of one family are made from: shapes and dtypes, and what follows from them.

    Args:
      plan: of the sweep.
      family: any of equal structure.
    """

    def __init__(self, plan: Plan, family: Family):
        self.plan, self.family = plan, family
        self.individual = jax.tree.map(lambda x: _shape(x, x.shape[1:]), family.individuals)
        if plan.feed is not None and plan.feed.apart:
            self.individual = self.individual._replace(batches=plan.feed.shapes)

    @functools.cached_property
    def run(self) -> Weights:
        """One run."""
        one = jax.tree.map(lambda x: _shape(x, (1, *x.shape)), self.individual)
        with self.telling():  # jitted, it remembers what it traced
            weights = population.begin.eval_shape(self.plan.task, self.plan.key, 0, one, width=1)
        return jax.tree.map(lambda x: _shape(x, x.shape[1:]), weights)

    @functools.cached_property
    def run_bytes(self) -> int:
        """Size of what training changes in one run."""
        return sum(int(x.size) * x.dtype.itemsize for x in jax.tree.leaves(self.run))

    @functools.cached_property
    def flops(self) -> float:
        """Floating-point operations of one update of one run, by XLA's count before it fuses."""
        with self.telling():
            return population.step_flops(*self._one_of_each())

    @property
    def signature(self) -> Any:
        """Equal where programs of equal shape are."""
        leaves, structure = jax.tree.flatten(self._one_of_each())
        return structure, tuple((x.shape, x.dtype) for x in leaves), int(self.plan.lengths.max())

    def code(self) -> str:
        """Text of all that decides a run's numbers."""
        with self.telling():
            return population.code(*self._one_of_each())

    @contextlib.contextmanager
    def telling(self) -> Iterator[None]:
        """Tell what only shows when all is traced together."""
        with telling(f"family {self.family.name!r} cannot be trained"):
            try:
                yield
            except jax.errors.UnexpectedTracerError:
                raise InvalidType(
                    f"family {self.family.name!r} hides a hyperparameter of the space in a "
                    "function that is not gdjax's, such as an Optax transformation or schedule "
                    "made from it; use gdjax's"
                ) from None

    def _one_of_each(self) -> tuple[Any, Any, Any, Weights]:
        """Task, key, individual and run, wherever they are."""
        anywhere = jax.tree.map(lambda x: _shape(x, x.shape), (self.plan.task, self.plan.key))
        return *anywhere, self.individual, self.run


class Program:
    """What advances a family's trials; compiled when it is first used.

    Two sweeps of equal structure, shapes and width share it, by JAX's own cache.

    Args:
      kind: of its runs.
      shape: how many runs it advances.
    """

    def __init__(self, kind: Kind, shape: Shape):
        self.kind, self.shape = kind, shape

    @property
    def segments(self) -> int:
        """Segments that one call makes at most: several where one is little work."""
        lengths = self.kind.plan.lengths
        if self.kind.plan.feed is not None:
            return 1  # whose batches are there
        updates = self.shape.places * self.shape.width * int(lengths.max())
        most = min(CALL / (updates * max(self.kind.flops, 1.0)), TRACED / updates)
        return int(np.clip(most, 1, len(lengths)))

    @functools.cached_property
    def compiled(self) -> jax.stages.Compiled:
        """What is called."""
        on_cpu = population.on_cpu(self.kind.plan.mesh)
        return self.lowered.compile(CPU_OPTIONS if on_cpu else None)

    @functools.cached_property
    def lowered(self) -> jax.stages.Lowered:
        """The program before it is compiled."""
        plan = self.kind.plan
        places = (self.shape.places, self.shape.width)
        spread = population.over_chunks(plan.mesh)

        def on_chunks(x: Any, lead: tuple[int, ...] = places) -> jax.ShapeDtypeStruct:
            return jax.ShapeDtypeStruct((*lead, *x.shape), x.dtype, sharding=spread)

        individuals = jax.tree.map(on_chunks, self.kind.individual)
        weights = jax.tree.map(on_chunks, self.kind.run)
        sizes = {"width": self.shape.width, "segment": int(plan.lengths.max())}
        with self.kind.telling():
            number: Any = on_chunks(jax.ShapeDtypeStruct((), np.int32), places[:1])
            lengths: Any = on_chunks(jax.ShapeDtypeStruct((self.segments,), np.int32), places[:1])
            chunks = Chunks(number, number, lengths)
            arguments = (plan.task, plan.key, chunks, individuals, weights)
            return population.advance.lower(*arguments, **sizes, mesh=plan.mesh)


class Flight(NamedTuple):
    """A job that was handed to the devices."""

    job: Job
    individuals: Any
    weights: Weights  # on the devices, when it is done
    measured: Segments


class Executor:
    """Trials of one family: the programs that advance them, and where their states are.

    A trial's state is on the devices, in a flight, as long as the next job has the same runs in
    the same places; else in the store.

    Args:
      kind: of its runs.
      programs: a wide one, and one for few trials, if there is any.
      first: the number that its first trial has in the sweep.
      waiting: whose states are still wanted, ``bool[trial]``.
    """

    def __init__(
        self,
        kind: Kind,
        programs: list[Program],
        first: int,
        waiting: Callable[[], np.ndarray],
    ):
        self.kind, self.programs, self.first = kind, programs, first
        self.store = Store(kind.run, kind.family.trials, kind.plan.seeds)
        self._individuals = kind.family.individuals
        self._plan, self._waiting = kind.plan, waiting
        self._aloft: list[Flight] = []

    def choose(self, trials: int, steps: int, used: Collection[int]) -> Program:
        """The cheaper program for as many trials with up to so many steps before them.

        It depends on nothing that another machine, or the same one resumed, would see otherwise:
        ``used`` are the widths of the programs that have advanced trials, and so are compiled.
        """
        seeds, wide = self._plan.seeds, self.programs[0]
        best = min(self.programs, key=lambda p: runs_paid(trials, seeds, p.shape))
        saved = runs_paid(trials, seeds, wide.shape) - runs_paid(trials, seeds, best.shape)
        new = best.shape.width not in used
        worth = saved > 0 and (not new or saved * steps * self.kind.flops > COMPILING)
        return best if worth else wide

    @property
    def may_narrow(self) -> bool:
        """Whether :meth:`choose` can choose another program than the wide one."""
        return self.choose(1, int(self._plan.steps[-1]), ()) is not self.programs[0]

    def program(self, width: int) -> Program:
        """The one of a width."""
        (found,) = (p for p in self.programs if p.shape.width == width)
        return found

    def dispatch(self, job: Job, program: Program) -> Flight:
        """Hand a job to the devices, without waiting for it."""
        # First of all, for it may fail: before any state is given away.
        task, batches = fed(self._plan.task, self._plan.feed, job.trials + self.first, job)
        before = next((f for f in self._aloft if job.continues(f.job)), None)
        if before is not None:
            self._forget(before)  # its weights are given away
            individuals, weights = before.individuals, before.weights
        else:
            for flight in [f for f in self._aloft if np.isin(f.job.trials, job.trials).any()]:
                self._land(flight)
            individuals = jax.tree.map(lambda x: x[job.trials], self._individuals)
            weights = self.store.take(job.trials, job.seed[:, None], job.busy[:, None])
            spread = population.over_chunks(self._plan.mesh)
            individuals, weights = jax.device_put((individuals, weights), spread)
        begins = np.append(0, self._plan.steps)[job.segment]
        numbers: Any = (
            x.astype(np.int32) for x in (job.seed, begins, self._lengths(job, program.segments))
        )
        individuals = individuals._replace(batches=batches)
        weights, measured = program.compiled(
            task, self._plan.key, Chunks(*numbers), individuals, weights
        )
        flight = Flight(job, individuals, weights, measured)
        self._aloft.append(flight)
        while len(self._aloft) > 2:  # one computes while another is prepared or read
            self._land(self._aloft[0])
        return flight

    def _lengths(self, job: Job, most: int) -> np.ndarray:
        """Updates of each segment that a job makes, ``int[chunk, segment]``; 0 of the others."""
        number = np.arange(most)
        made = job.busy[:, None] & (number < job.segments)
        segment = np.where(made, job.segment[:, None] + number, 0)
        return np.where(made, self._plan.lengths[segment], 0)

    def land(self) -> None:
        """Bring all states that are still wanted to the store."""
        for flight in list(self._aloft):
            self._land(flight)

    def copy(self, children: np.ndarray, parents: np.ndarray) -> None:
        """Let trials go on from the states that others have now, ``int[n]`` each."""
        self.land()
        self.store.copy(children, parents)

    def equip(self, settings: Mapping[str, np.ndarray]) -> None:
        """Go on with other settings, ``[trial of the family]`` by name.

        They may differ from those before only where :meth:`copy` has just been.
        """
        self._individuals = families.remake(self.kind.family, settings)

    def params(self, trial: int) -> Any:
        """Parameters of a trial whose state is on the devices, ``[seed, ...]``."""
        (flight,) = (f for f in self._aloft if trial in f.job.trials[f.job.real])
        chunk, place = np.nonzero(flight.job.real & (flight.job.trials == trial))
        order = np.argsort(flight.job.seed[chunk])
        return jax.tree.map(lambda x: x[chunk[order], place[order]], flight.weights.params)

    def _forget(self, flight: Flight) -> None:
        self._aloft = [f for f in self._aloft if f is not flight]  # arrays have no one equality

    def _land(self, flight: Flight) -> None:
        self._forget(flight)
        waiting = self._waiting()
        self.store.keep(waiting)
        chunk, place = np.nonzero(flight.job.real & waiting[flight.job.trials])
        weights = jax.tree.map(lambda x: to_host(x)[chunk, place], flight.weights)
        self.store.put(flight.job.trials[chunk, place], flight.job.seed[chunk], weights)


def _shape(x: Any, shape: tuple[int, ...]) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, x.dtype)
