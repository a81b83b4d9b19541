"""What has been measured so far, on the host: one row a trial."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gdjax.sweep import lineage
from gdjax.sweep.packing import Job, distinct
from gdjax.sweep.population import Segments
from gdjax.sweep.table import Copies, Population, Spent, Status, Table, mean_of_finite
from gdjax.task import Task

_KEPT = ("status", "diverged_at", "measured", "width", "scores", "lost")


class Ledger:
    """Measurements and status of all runs.

    Args:
      trials: how many.
      seeds: runs of each.
      steps: updates made at each evaluation, ``int[evaluation]``.
      task: says what is measured, and which is better.
      population: of the trials at the start, where they may copy others.
      measured: dtypes of what is measured at each step and each evaluation; the task's own if None.
    """

    def __init__(
        self,
        trials: int,
        seeds: int,
        steps: np.ndarray,
        task: Task,
        population: Population | None = None,
        measured: tuple[dict[str, Any], dict[str, Any]] | None = None,
    ):
        runs = (trials, seeds)
        self.steps, self._objective = steps, task.objective
        self._sign = -1 if task.mode == "max" else 1
        self.begins = np.concatenate([[0], steps[:-1]])  # updates made before each segment
        traces, evaluation = measured or task.measured()

        def blank(kinds: dict[str, Any], length: int) -> dict[str, np.ndarray]:
            return {k: np.full((*runs, length), np.nan, _wide_dtype(v)) for k, v in kinds.items()}

        self.traces = blank(traces, steps[-1])
        self.evaluations = blank(evaluation, len(steps))
        self.status = np.full(runs, Status.RUNNING, np.int8)
        self.diverged_at = np.full(runs, -1)
        self.reason = np.full(runs, "", object)
        self.made = np.zeros(trials, int)  # segments handed out
        self.measured = np.zeros(trials, int)  # segments collected
        self.width = np.zeros((trials, len(steps)), int)  # of the program that made each segment
        self.lost = np.zeros(trials, bool)
        self.scores = np.full((trials, len(steps)), np.nan)
        self._population, self.lineage = population, None
        if population is not None:
            self.lineage = lineage.start(population.settings, seeds, len(steps))

    @property
    def active(self) -> np.ndarray:
        """Trials that may go on, ``bool[trial]``."""
        return (self.status == Status.RUNNING).any(axis=1) & (self.made < len(self.steps))

    @property
    def waiting(self) -> np.ndarray:
        """Trials whose state is still wanted, ``bool[trial]``."""
        unfinished = self.measured < len(self.steps)
        return (self.status == Status.RUNNING).any(axis=1) & unfinished & (self.made > 0)

    @property
    def run_steps(self) -> np.ndarray:
        """Updates made, summed over the runs of each trial, ``int[trial]``."""
        steps = np.append(0, self.steps)[self.measured]
        if self.lineage is not None:  # in the place of a trial that had diverged some are missing
            known = np.arange(len(self.steps)) < self.measured[:, None]
            steps = (known & (self.width > 0)) @ (self.steps - self.begins)
        return steps * self.status.shape[1]

    @property
    def progress(self) -> float:
        """How much is done, of all that there may be to do, in [0, 1]."""
        running = (self.status == Status.RUNNING).any(axis=1)
        part = np.append(0, self.steps)[self.measured] / self.steps[-1]
        return float(np.where(running, part, 1.0).mean())

    @property
    def best(self) -> float:
        """The lowest score so far; inf where there is none."""
        return float(np.fmin.reduce(self.scores, axis=None, initial=np.inf))

    @property
    def settings(self) -> dict[str, np.ndarray]:
        """Those of each trial now, ``[trial]`` by name; empty where none ever change."""
        return {} if self.lineage is None else self.lineage.current()

    def arrays(self) -> dict[str, np.ndarray]:
        """All that a file must keep, while nothing is computing."""
        own = {name: getattr(self, name) for name in _KEPT}
        own["reason"] = self.reason.astype(str)
        if self.lineage is not None:
            own |= self.lineage.arrays()
        own |= {f"trace/{name}": values for name, values in self.traces.items()}
        return own | {f"evaluation/{name}": values for name, values in self.evaluations.items()}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Take over what :meth:`arrays` returned."""
        for name in _KEPT:
            setattr(self, name, arrays[name])
        self.made = self.measured.copy()
        self.reason = arrays["reason"].astype(object)
        if self.lineage is not None:
            self.lineage.restore(arrays)
        self.traces = {name: arrays[f"trace/{name}"] for name in self.traces}
        self.evaluations = {name: arrays[f"evaluation/{name}"] for name in self.evaluations}

    def table(self, slots: int, capacity: int, spent: Spent) -> Table:
        """What the rules see."""
        return Table(
            steps=self.steps,
            done=self.made.copy(),
            pending=self.made > self.measured,
            active=self.active,
            scores=self.scores,
            slots=slots,
            capacity=capacity,
            spent=spent,
            population=self._current_population(),
        )

    def _current_population(self) -> Population | None:
        if self._population is None:
            return None
        diverged = (self.status == Status.DIVERGED).all(axis=1)
        return self._population._replace(settings=self.settings, diverged=diverged)

    def stop(self, trials: np.ndarray, reasons: list[str], lost: bool = False) -> None:
        """Trials that go no further; their runs that diverged stay so.

        Args:
          trials: ``int[n]``.
          reasons: of each.
          lost: whether it is because others did better.
        """
        self.lost[trials] |= lost
        for trial, reason in zip(trials.tolist(), reasons, strict=True):
            running = self.status[trial] == Status.RUNNING
            self.status[trial, running] = Status.STOPPED
            self.reason[trial, running] = reason

    def copy(self, copies: Copies) -> None:
        """Trials that go on from others' states; who had diverged lives again."""
        children, parents = copies.children, copies.parents
        if not children.size:
            return
        (segment,) = np.unique(self.measured[parents]).tolist()
        if self.lineage is not None:
            self.lineage.record(copies, segment, self.diverged_at, self.reason)
        self.status[children] = Status.RUNNING  # as are all runs of whom another copies
        self.diverged_at[children], self.reason[children] = -1, ""
        self.made[children] = self.measured[children] = segment

    def hand_out(self, trials: np.ndarray, width: int, segments: int = 1) -> None:
        """Count more segments of each trial as made, by a program of this width."""
        for _ in range(segments):
            self.width[trials, self.made[trials]] = width
            self.made[trials] += 1

    def collect(self, job: Job, trials: np.ndarray, measured: Segments) -> None:
        """Write down what a job measured on ``trials``, ``int[chunk, run]``."""
        measured = Segments(*jax.tree.map(np.asarray, tuple(measured)))
        for number in range(job.segments):
            one = jax.tree.map(lambda x, number=number: x[:, number], measured)
            self._collect_next(job, trials, job.segment + number, one)

    def _collect_next(
        self, job: Job, trials: np.ndarray, segment: np.ndarray, measured: Segments
    ) -> None:
        """The next segment of each chunk, ``int[chunk]``; of ``measured`` what is of it."""
        # Who was handed out before it was known that all its runs had diverged made no segment:
        # so the result is the same however soon that was known.
        over = ~(self.status == Status.RUNNING).any(axis=1)
        late = distinct(trials[job.real & over[trials]])
        self.made[late] -= 1
        self.width[late, self.made[late]] = 0
        chunk, place = np.nonzero(job.real & ~over[trials])
        runs = trials[chunk, place], job.seed[chunk]
        traces, evaluation = measured.traces, measured.evaluation
        for number in distinct(segment[chunk]).tolist():  # few; one but for an ASHA
            mine = segment[chunk] == number
            at = chunk[mine], place[mine]
            self._collect(
                number,
                (runs[0][mine], runs[1][mine]),
                {k: _wide(v[at[0], :, at[1]]) for k, v in traces.items()},
                {k: _wide(v[at]) for k, v in evaluation.items()},
                np.asarray(measured.finite)[at],
            )

    def _collect(
        self,
        number: int,  # of the segment
        runs: tuple[np.ndarray, np.ndarray],  # trial and seed, int[n] each
        traces: dict[str, np.ndarray],  # [n, step]
        evaluation: dict[str, np.ndarray],  # [n]
        finite: np.ndarray,  # bool[n]
    ) -> None:
        first, last = self.begins[number], self.steps[number]
        length = last - first
        running = self.status[runs] == Status.RUNNING
        diverged, since, reason = judge(traces["loss"][:, :length], finite)
        last_good = np.where(running, since, -1)[:, None]
        for name, values in traces.items():
            values = values[:, :length]
            if (last_good < length).any():  # mostly none is
                values = np.where(np.arange(length) > last_good, np.nan, values)
            self.traces[name][(*runs, slice(first, last))] = values
        for name, values in evaluation.items():
            values = np.where(diverged | ~running, np.nan, values)
            self.evaluations[name][(*runs, number)] = values
        fallen = tuple(index[diverged & running] for index in runs)
        self.status[fallen] = Status.DIVERGED
        self.diverged_at[fallen] = first + since[diverged & running]
        self.reason[fallen] = reason[diverged & running]
        trials = distinct(runs[0])
        self.measured[trials] = number + 1
        self._score(trials, number)
        if number + 1 == len(self.steps):
            done = self.status[trials]
            self.status[trials] = np.where(done == Status.RUNNING, Status.DONE, done)

    def _score(self, trials: np.ndarray, number: int) -> None:
        with np.errstate(invalid="ignore", over="ignore"):  # inf - inf is no score
            if self._objective in self.evaluations:
                values = self.evaluations[self._objective][trials, :, number]
            else:
                steps = slice(self.begins[number], self.steps[number])
                values = mean_of_finite(self.traces[self._objective][trials, :, steps])
            # What a run measured in the segment in which it diverged is no score.
            values = np.where(self.status[trials] == Status.DIVERGED, np.nan, values)
            score = self._sign * values.mean(axis=1, dtype=float)
        self.scores[trials, number] = np.where(np.isfinite(score), score, np.inf)


def judge(loss: np.ndarray, finite: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which runs have diverged at the end of a segment, since which of its steps, and why.

    A run has diverged where a parameter is not finite, or none of the segment's losses is: a
    single one that is not may be a batch that the optimizer skips.

    Args:
      loss: ``[run, step]``.
      finite: whether all parameters are, ``bool[run]``.

    >>> loss = np.array([[1.0, np.nan], [1.0, 0.5], [1.0, np.nan]])
    >>> diverged, since, reason = judge(loss, finite=np.array([False, False, True]))
    >>> diverged.tolist(), since.tolist(), reason.tolist()
    ([True, True, False], [1, 2, 2], ['loss is nan', 'a parameter is not finite', ''])
    """
    good = np.isfinite(loss)
    diverged = ~finite | ~good.any(axis=1)
    steps = loss.shape[1]
    if not diverged.any():  # as mostly
        return diverged, np.full(len(loss), steps), np.full(len(loss), "", object)
    after_last_good = np.where(good.any(axis=1), steps - good[:, ::-1].argmax(axis=1), 0)
    since = np.where(diverged, after_last_good, steps)
    reason = np.where(diverged, "a parameter is not finite", "").astype(object)
    for run in np.flatnonzero(diverged & (since < steps)).tolist():
        reason[run] = f"loss is {loss[run, since[run]]}"
    return diverged, since, reason


def _wide(x: Any) -> np.ndarray:
    return np.asarray(x).astype(_wide_dtype(x.dtype), copy=False)


def _wide_dtype(dtype: Any) -> Any:
    """float32 for narrower floats, float64 for what is no float: both are exact.

    Files know no bfloat16, and whole numbers have no NaN for what was not measured.
    """
    if not jnp.issubdtype(dtype, jnp.floating):
        return np.float64
    return np.float32 if jnp.finfo(dtype).bits < 32 else dtype
