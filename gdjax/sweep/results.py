"""What a sweep found: labelled arrays, a table, the best setting, files without pickle."""

import dataclasses
import json
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from gdjax.errors import InvalidValue, MissingExtra, nearest
from gdjax.sweep import checkpoint, pareto
from gdjax.sweep.ledger import mean_of_finite
from gdjax.sweep.table import Status

RESULTS_FILE = "results.nc"
RESERVED = frozenset(("trial", "seed", "step", "evaluation_step", "family", "status", "width"))
RESERVED |= {"diverged_at", "reason", "lost"}
"""Names in every result, which no hyperparameter and no metric may have."""


class Best(NamedTuple):
    """The best trial, and how sure that is."""

    trial: int
    family: str
    settings: dict[str, float]
    by: str  # the metric that ranks
    mean: float  # over seeds
    spread: float  # standard deviation over seeds; NaN for one seed


class Rerun(NamedTuple):
    """One trial again, bit-equal to what the sweep measured."""

    params: Any  # leaves [seed, ...]
    traces: dict[str, np.ndarray]  # [seed, step]
    evaluations: dict[str, np.ndarray]  # [seed, evaluation]


@dataclasses.dataclass
class SweepResult:
    """All measurements of a sweep.

    A trial is one setting of one family; it is run once for each seed.

    Args:
      family: name of each trial's family, ``[trial]``.
      settings: each hyperparameter, ``[trial]``; NaN where a family does not have it.
      traces: the training loss and the loss's metrics, ``[trial, seed, step]``.
      evaluations: the task's metrics after each segment, ``[trial, seed, evaluation]``.
      evaluation_steps: updates made before each evaluation, ``[evaluation]``.
      status: a :class:`gdjax.sweep.stopping.Status` a run, ``[trial, seed]``.
      diverged_at: step at which a run diverged, ``[trial, seed]``; -1 where it did not.
      reason: why a run did not finish, ``[trial, seed]``; empty where it did.
      width: runs side by side in the program that made each segment, ``[trial, evaluation]``; 0
        where a trial did not come so far.
      lost: whether a scheduler stopped the trial because others did better, ``[trial]``.
      attributes: how it was made: objective, mode, steps, segment, key, rules, versions, device,
        ``compile_seconds`` and ``run_seconds``.
      again: runs a trial again, given its widths; None where the result was loaded without its
        task.
    """

    family: np.ndarray
    settings: dict[str, np.ndarray]
    traces: dict[str, np.ndarray]
    evaluations: dict[str, np.ndarray]
    evaluation_steps: np.ndarray
    status: np.ndarray
    diverged_at: np.ndarray
    reason: np.ndarray
    width: np.ndarray
    lost: np.ndarray
    attributes: dict[str, Any]
    again: Callable[[int, np.ndarray], Rerun] | None = dataclasses.field(default=None, repr=False)

    @property
    def trials(self) -> int:
        """Number of trials."""
        return self.status.shape[0]

    @property
    def seeds(self) -> int:
        """Runs of each trial."""
        return self.status.shape[1]

    def final(self, name: str) -> np.ndarray:
        """A metric where each trial ended, ``[trial, seed]``: NaN where a run diverged.

        The last evaluation; for what is measured at every step, the mean over the steps of the
        last segment at which it is finite.
        """
        made = np.count_nonzero(self.width, axis=1)
        if name in self.evaluations:
            last = np.maximum(made - 1, 0)[:, None, None]
            values = np.take_along_axis(self.evaluations[name], last, axis=2)[..., 0]
        elif name in self.traces:
            values = np.full(self.status.shape, np.nan)
            begins = np.append(0, self.evaluation_steps)
            for count in np.unique(made[made > 0]).tolist():
                steps = slice(begins[count - 1], begins[count])
                values[made == count] = mean_of_finite(self.traces[name][made == count, :, steps])
        else:
            raise InvalidValue(
                f"no metric {name!r}: {nearest(name, [*self.traces, *self.evaluations])}"
            )
        usable = np.isfinite(values) & (self.status != Status.DIVERGED)
        return np.where(usable, values, np.nan)

    def ranking(
        self, by: str | None = None, mode: Literal["min", "max"] | None = None
    ) -> np.ndarray:
        """Trials from best to worst by the mean over seeds.

        Those that a scheduler stopped, for others did better, stand behind the others, the longer
        they ran the further in front; last are those with a diverged seed.
        """
        by, mode = self._objective(by, mode)
        means = self.final(by).mean(axis=1)
        made = np.where(self.lost, np.count_nonzero(self.width, axis=1), 0)
        order = (-means if mode == "max" else means, -made, self.lost, np.isnan(means))
        return np.lexsort(order)  # stable; the last key is the first to decide

    def best(self, by: str | None = None, mode: Literal["min", "max"] | None = None) -> Best:
        """The best trial by a metric's mean over seeds.

        Args:
          by: a metric; the task's objective where None.
          mode: whether less or more is better; needed for a metric that is neither the
            objective nor the loss.

        Raises:
          InvalidValue: an unknown metric, one without a mode, or every trial diverged.
        """
        by, mode = self._objective(by, mode)
        trial = int(self.ranking(by, mode)[0])
        values = self.final(by)[trial]
        if np.isnan(values.mean()):
            raise InvalidValue(
                f"there is no best trial: each was stopped before it was measured, or has a run "
                f"that diverged or whose {by} is not finite; smaller learning rates may help"
            )
        spread = float(values.std(ddof=1)) if self.seeds > 1 else float("nan")
        settings = {k: float(v[trial]) for k, v in self.settings.items() if not np.isnan(v[trial])}
        return Best(trial, str(self.family[trial]), settings, by, float(values.mean()), spread)

    def pareto(
        self,
        by: Sequence[str] = ("loss", "steps"),
        modes: Sequence[Literal["min", "max"] | None] | None = None,
    ) -> np.ndarray:
        """The Pareto front, ``int[n]``; see :func:`gdjax.sweep.pareto.pareto`."""
        return pareto.pareto(self, by, modes)

    def rerun(self, trial: int) -> Rerun:
        """Run one trial again, all its seeds, bit for bit as in the sweep.

        Raises:
          InvalidValue: there is no such trial, it never started, or the result was loaded without
            its task.
        """
        if not 0 <= trial < self.trials:
            raise InvalidValue(f"there is no trial {trial}; they are 0 to {self.trials - 1}")
        if self.again is None:
            raise InvalidValue(
                "this result was loaded without its task; give it back: "
                "gdjax.reconnect(result, task, optimizer).rerun(...)"
            )
        if not self.width[trial].any():
            raise InvalidValue(
                f"trial {trial} was stopped before its first segment ({self.reason[trial, 0]})"
            )
        return self.again(trial, self.width[trial])

    def to_xarray(self) -> Any:
        """An ``xarray.Dataset`` with dimensions trial, seed, step and evaluation_step."""
        xarray = _import("xarray", "SweepResult.to_xarray")
        runs = ("trial", "seed")
        variables: dict[str, tuple] = {
            n: ((*runs, "step"), values) for n, values in self.traces.items()
        }
        for name, values in self.evaluations.items():
            variables[name] = ((*runs, "evaluation_step"), values)
        variables["status"] = (runs, self.status, {"flags": json.dumps(_flags())})
        variables["diverged_at"] = (runs, self.diverged_at, {"units": "step", "none": -1})
        variables["reason"] = (runs, self.reason.astype(object))
        variables["lost"] = ("trial", self.lost.astype(np.int8))
        variables["width"] = (("trial", "evaluation_step"), self.width, {"units": "runs"})
        steps = np.arange(self.attributes["steps"])
        coordinates = {
            "trial": np.arange(self.trials),
            "seed": np.arange(self.seeds),
            "step": ("step", steps, {"units": "updates before the measurement"}),
            "evaluation_step": (
                "evaluation_step",
                self.evaluation_steps,
                {"units": "updates before the measurement"},
            ),
            "family": ("trial", self.family.astype(object)),
            **{name: ("trial", values) for name, values in self.settings.items()},
        }
        attributes = {**self.attributes, "hyperparameters": json.dumps(list(self.settings))}
        return xarray.Dataset(variables, coordinates, attributes)

    def to_pandas(self) -> Any:
        """A tidy ``pandas.DataFrame``, one row a run: settings, final metrics, status."""
        pandas = _import("pandas", "SweepResult.to_pandas")
        trial, seed = (index.ravel() for index in np.indices(self.status.shape))
        columns = {"trial": trial, "seed": seed, "family": self.family[trial]}
        columns |= {name: values[trial] for name, values in self.settings.items()}
        columns |= {n: self.final(n).ravel() for n in (*self.traces, *self.evaluations)}
        columns["status"] = [Status(code).name.lower() for code in self.status.ravel()]
        columns["diverged_at"] = self.diverged_at.ravel()
        columns["reason"] = self.reason.ravel()
        return pandas.DataFrame(columns)

    def save(self, directory: str | os.PathLike) -> pathlib.Path:
        """Write ``results.nc`` (netCDF) into a directory, whole or not at all.

        Raises:
          InvalidValue: the directory holds a sweep already, or cannot be written to.
        """
        dataset = self.to_xarray()
        _import("h5netcdf", "SweepResult.save")
        path = checkpoint.prepare(directory, (RESULTS_FILE,)) / RESULTS_FILE
        content = bytes(dataset.to_netcdf(engine="h5netcdf"))  # HDF5 crashes on a full disk
        try:
            with checkpoint.atomic(path, new=True) as temporary:
                temporary.write_bytes(content)
        except OSError as error:
            raise InvalidValue(f"{path} cannot be written: {error.strerror}") from None
        return path

    @classmethod
    def load(cls, directory: str | os.PathLike) -> "SweepResult":
        """Read what :meth:`save` wrote.

        Raises:
          InvalidValue: the directory holds no sweep.
        """
        path = pathlib.Path(directory) / RESULTS_FILE
        if not path.is_file():
            raise InvalidValue(f"{directory} holds no sweep: there is no {RESULTS_FILE} in it")
        xarray = _import("xarray", "SweepResult.load")
        _import("h5netcdf", "SweepResult.load")
        try:
            with xarray.open_dataset(path, engine="h5netcdf") as file:
                data = file.load()
        except OSError as error:
            raise InvalidValue(f"{path} cannot be read: {error}") from None
        if "hyperparameters" not in data.attrs:
            raise InvalidValue(f"{path} was not written by a gdjax sweep")
        attributes = {k: getattr(v, "item", lambda v=v: v)() for k, v in data.attrs.items()}
        names = json.loads(attributes.pop("hyperparameters"))

        def along(dimension: str) -> dict[str, np.ndarray]:
            return {str(k): v.values for k, v in data.items() if dimension in v.dims}

        return cls(
            family=data["family"].values.astype(str),
            settings={name: data[name].values for name in names},
            traces=along("step"),
            evaluations={k: v for k, v in along("evaluation_step").items() if k != "width"},
            evaluation_steps=data["evaluation_step"].values,
            status=data["status"].values,
            diverged_at=data["diverged_at"].values,
            reason=data["reason"].values.astype(str),
            width=data["width"].values,
            lost=data["lost"].values.astype(bool),
            attributes=attributes,
        )

    def _objective(self, by: str | None, mode: Any) -> tuple[str, Any]:
        objective: str = self.attributes["objective"]
        known: dict[str, Any] = {"loss": "min", objective: self.attributes["mode"]}
        by = objective if by is None else by
        if mode not in (None, "min", "max"):
            raise InvalidValue(f"mode must be 'min' or 'max', got {mode!r}")
        if mode is None and by not in known:
            self.final(by)  # an unknown metric is told first
            raise InvalidValue(f"say which is better of {by!r}: mode='min' or mode='max'")
        return by, mode or known[by]


def _flags() -> dict[str, int]:
    return {status.name.lower(): int(status) for status in Status}


def _import(module: str, feature: str) -> Any:
    try:
        return __import__(module)
    except ImportError:
        raise MissingExtra(feature, "sweep") from None
