"""What a sweep found: labelled arrays, a table, the best setting, files without pickle."""

import dataclasses
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gdjax.errors import InvalidType, InvalidValue, shown
from gdjax.sweep import ensembles, export, lineage, pareto, ranking
from gdjax.sweep.arguments import choose
from gdjax.sweep.ensembles import Top
from gdjax.sweep.lineage import Ancestor
from gdjax.sweep.measurements import Measurements
from gdjax.sweep.ranking import Best, Ranks

RESULTS_FILE = "results.nc"
RESERVED = frozenset(
    (
        "trial",
        "seed",
        "step",
        "evaluation_step",
        "family",
        "status",
        "diverged_at",
        "reason",
        "width",
        "lost",
        *lineage.RESERVED,
    )
)
"""Names in every result, which no hyperparameter and no metric may have."""


class Rerun(NamedTuple):
    """One trial again, bit-equal to what the sweep measured."""

    params: Any  # leaves [seed, ...]
    traces: dict[str, np.ndarray]  # [seed, step]
    evaluations: dict[str, np.ndarray]  # [seed, evaluation]


@dataclasses.dataclass
class SweepResult(Measurements):
    """All measurements of a sweep.

    A trial is one setting of one family; it is run once for each seed.

    Args:
      family: name of each trial's family, ``[trial]``.
      settings: each hyperparameter, ``[trial]``; NaN where a family does not have it. Where they
        changed on the way, those of the last segment.
      traces: the training loss and the loss's metrics, ``[trial, seed, step]``.
      evaluations: the task's metrics after each segment, ``[trial, seed, evaluation]``.
      evaluation_steps: updates made before each evaluation, ``[evaluation]``.
      status: a :class:`gdjax.sweep.table.Status` a run, ``[trial, seed]``.
      diverged_at: step at which a run diverged, ``[trial, seed]``; -1 where it did not.
      reason: why a run did not finish, ``[trial, seed]``; empty where it did.
      width: runs side by side in the program that made each segment, ``[trial, evaluation]``; 0
        where a trial did not come so far.
      lost: whether a scheduler stopped the trial because others did better, ``[trial]``.
      attributes: how it was made: objective, mode, batch size, steps, segment, key, rules,
        versions, device, ``compile_seconds`` and ``run_seconds``.
      copied: who went on from whom, where trials copied others (population-based training).
      again: runs trials again, given ``width`` and ``copied``; None where the result was loaded
        without its task.
    """

    again: Callable[..., list[Rerun]] | None = dataclasses.field(default=None, repr=False)

    def ranking(
        self, by: str | None = None, mode: Literal["min", "max"] | None = None
    ) -> np.ndarray:
        """Trials from best to worst by the mean over seeds.

        Those that a scheduler stopped, for others did better, stand behind the others, the longer
        they ran the further in front; last are those with a diverged seed.
        """
        return ranking.ranking(self, by, mode)

    def best(
        self,
        by: str | None = None,
        mode: Literal["min", "max"] | None = None,
        over: Literal["seed"] = "seed",
    ) -> Best:
        """The best trial by a metric's mean over seeds, and how sure it is that it is the best.

        Args:
          by: a metric; the task's objective where None.
          mode: whether less or more is better; needed for a metric that is neither the
            objective nor the loss.
          over: the dimension of the mean.

        Returns:
          Its settings, mean and spread; how many other trials came as far (were not stopped before
          it, for others did better); the probability that none of those is better, see
          :func:`gdjax.sweep.ranking.chances`; and how many of those have a difference from it that
          may be 0, by paired t-tests at 5 %. What one seed cannot tell is NaN.

        Raises:
          InvalidValue: an unknown metric, one without a mode, or every trial diverged.
        """
        return ranking.best(self, by, mode, over)

    def ranks(self, by: str | None = None, mode: Literal["min", "max"] | None = None) -> Ranks:
        """The ranking with mean, spread, standard error, probability and interval of each rank.

        ``pandas.DataFrame(result.ranks()._asdict())`` is a table of it.
        """
        return ranking.rank(self, by, mode)

    def lineage(self, trial: int) -> list[Ancestor]:
        """The segments that led to a trial's last state, the first one first."""
        self.check_trial(trial)
        made, steps = int(self.segments[trial]), self.evaluation_steps
        return lineage.ancestors(self.copied, self.settings, steps, trial, made)

    def pareto(
        self,
        by: Sequence[str] = ("loss", "steps"),
        modes: Sequence[Literal["min", "max"] | None] | None = None,
    ) -> np.ndarray:
        """The Pareto front: trials that no other one beats in several numbers at once, ``int[n]``.

        One beats another that it is as good as in all of them and better in one; equals do not
        beat each other. A trial with a diverged run is never on the front; one that was stopped
        may be, with what it measured. They stand in the order of the first number, best first.

        Args:
          by: metrics (means over seeds at a trial's end), hyperparameters, ``"steps"`` of a run.
          modes: of each ``"min"`` or ``"max"``: which is better. It may be None for ``"loss"``,
            ``"steps"`` and the task's objective, of which it is known.

        Raises:
          InvalidValue, InvalidType: an unknown name, or one without a mode.
        """
        return pareto.pareto(self, by, modes)

    def rerun(self, trial: int, until: Literal["end", "best"] = "end") -> Rerun:
        """Run one trial again, all its seeds, bit for bit as in the sweep.

        One that copied others goes along its :meth:`lineage`, and has the traces of that.

        Args:
          trial: its number.
          until: ``"best"`` goes no further than :meth:`best_evaluation`, for its parameters.

        Raises:
          InvalidValue: there is no such trial, it never started, or the result was loaded without
            its task.
        """
        self.check_started(trial)
        choose("until", until, ("end", "best"))
        made = self.best_evaluation(trial) + 1 if until == "best" else None
        return self._again(np.array([trial]), made)[0]

    def top(self, k: int, by: str | None = None, mode: Literal["min", "max"] | None = None) -> Top:
        """The best ``k`` trials and their parameters: they are run again, as by :meth:`rerun`.

        Args:
          k: how many, at least 1.
          by: the metric that ranks, as in :meth:`best`.
          mode: whether less or more of it is better.

        Returns:
          The trials, best first, and their parameters at their end, leaves ``[k, seed, ...]``.

        Raises:
          InvalidValue: fewer than ``k`` trials ended with a finite metric, or the result was
            loaded without its task.
        """
        by, mode = self.objective(by, mode)
        able = int(np.isfinite(self.final(by).mean(axis=1)).sum())
        if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or not 1 <= k <= able:
            raise InvalidValue(
                f"k must be a whole number from 1 to {able}, the trials that ended with a finite "
                f"{by} in every seed, got {shown(k)}"
            )
        trials = self.ranking(by, mode)[:k]
        params = [again.params for again in self._again(trials)]
        return Top(trials, jax.tree.map(lambda *x: jnp.stack(x), *params))

    def ensemble(
        self,
        k: int,
        predict: Callable[[Any, Any], Any],
        by: str | None = None,
        mode: Literal["min", "max"] | None = None,
    ) -> Callable[[Any], Any]:
        """A function of inputs: the mean of what the runs of the best ``k`` trials predict.

        Args:
          k: trials, each with all its seeds; see :meth:`top`.
          predict: ``predict(params, inputs) -> predictions`` of one run, a pure function or a
            binding of one. Let it return what may be averaged: probabilities, not classes.
          by: the metric that ranks, as in :meth:`best`.
          mode: whether less or more of it is better.

        Returns:
          A compiled function, itself a pytree whose leaves are all members' parameters.
        """
        _callable("predict", predict)
        return ensembles.ensemble(self.top(k, by, mode).params, predict)

    def weight_average(
        self,
        k: int,
        evaluate: Callable[[Any], dict[str, Any]] | None = None,
        by: str | None = None,
        mode: Literal["min", "max"] | None = None,
    ) -> Any:
        """Of each seed the mean of the parameters of the best ``k`` trials, leaves ``[seed, ...]``.

        A seed's runs start from the same parameters and see the same batches (unless a stream
        gives each its own), so that their mean can be a good model; that over seeds hardly ever is.

        Args:
          k: trials; see :meth:`top`.
          evaluate: ``evaluate(params) -> metrics``, such as the task's. Where given, from the best
            trial on each is taken into the mean only if that makes it no worse (a greedy soup);
            else all are (a uniform soup).
          by: the metric that ranks, and that ``evaluate`` returns, as in :meth:`best`.
          mode: whether less or more of it is better.

        Reference:
          Wortsman et al., Model soups (https://arxiv.org/abs/2203.05482), recipe 1.
        """
        if evaluate is None:
            return ensembles.uniform_soup(self.top(k, by, mode).params)
        _callable("evaluate", evaluate)
        cost = ensembles.cost_of(evaluate, *self.objective(by, mode))
        return ensembles.greedy_soup(self.top(k, by, mode).params, cost)

    def to_xarray(self) -> Any:
        """An ``xarray.Dataset`` with dimensions trial, seed, step and evaluation_step."""
        return export.xarray_of(self)

    def to_pandas(self) -> Any:
        """A tidy ``pandas.DataFrame``, one row a run: settings, final metrics, status."""
        return export.pandas_of(self)

    def to_csv(self, path: str | os.PathLike) -> pathlib.Path:
        """Write the table of :meth:`to_pandas` as CSV, whole or not at all; replaces a file.

        Raises:
          InvalidValue: it cannot be written.
        """
        return export.write_csv(self, path)

    def to_tensorboard(self, directory: str | os.PathLike) -> pathlib.Path:
        """Write event files for TensorBoard: settings for its HParams plugin, and scalars.

        A run of TensorBoard is a run of the sweep, in ``trial_007/seed_0`` of the directory (in
        ``trial_007`` where there is one seed), and a row of the HParams table is a trial, with the
        mean over its seeds. Scalars are what was measured at each evaluation; of what is measured
        at every step, the mean since the evaluation before.

        Raises:
          MissingExtra: tensorboardX is not installed.
          InvalidValue: the directory holds such an export, or cannot be written to.
        """
        return export.write_tensorboard(self, directory)

    def save(self, directory: str | os.PathLike) -> pathlib.Path:
        """Write ``results.nc`` (netCDF) into a directory, whole or not at all.

        Raises:
          InvalidValue: the directory holds a sweep already, or cannot be written to.
        """
        return export.write_netcdf(self, directory, RESULTS_FILE)

    @classmethod
    def load(cls, directory: str | os.PathLike) -> "SweepResult":
        """Read what :meth:`save` wrote.

        Raises:
          InvalidValue: the directory holds no sweep.
        """
        return cls(**export.read_netcdf(pathlib.Path(directory) / RESULTS_FILE))

    def _again(self, trials: np.ndarray, made: int | None = None) -> list[Rerun]:
        if self.again is None:
            raise InvalidValue(
                "this result was loaded without its task; give it back: "
                "gdjax.reconnect(result, task, optimizer).rerun(...)"
            )
        first = np.arange(self.width.shape[1]) < (self.width.shape[1] if made is None else made)
        return self.again(trials, np.where(first, self.width, 0), self.copied)


def _callable(name: str, value: Any) -> None:
    if not callable(value):
        raise InvalidType(f"{name} must be a function of parameters, got {shown(value)}")
