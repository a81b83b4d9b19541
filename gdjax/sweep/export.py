"""Measurements in the forms of other programs: xarray, pandas, CSV, TensorBoard."""

import json
import os
import pathlib
from typing import Any

import numpy as np

from gdjax.errors import InvalidValue, MissingExtra
from gdjax.interop import tensorboard
from gdjax.sweep import checkpoint
from gdjax.sweep.measurements import Measurements
from gdjax.sweep.table import Status


def xarray_of(measured: Measurements) -> Any:
    """An ``xarray.Dataset``."""
    xarray = _import("xarray", "SweepResult.to_xarray")
    runs = ("trial", "seed")
    variables: dict[str, tuple] = {
        n: ((*runs, "step"), values) for n, values in measured.traces.items()
    }
    for name, values in measured.evaluations.items():
        variables[name] = ((*runs, "evaluation_step"), values)
    flags = {status.name.lower(): int(status) for status in Status}
    variables["status"] = (runs, measured.status, {"flags": json.dumps(flags)})
    variables["diverged_at"] = (runs, measured.diverged_at, {"units": "step", "none": -1})
    variables["reason"] = (runs, measured.reason.astype(object))
    variables["lost"] = ("trial", measured.lost.astype(np.int8))
    variables["width"] = (("trial", "evaluation_step"), measured.width, {"units": "runs"})
    steps = np.arange(measured.attributes["steps"])
    units = {"units": "updates before the measurement"}
    coordinates = {
        "trial": np.arange(measured.trials),
        "seed": np.arange(measured.seeds),
        "step": ("step", steps, units),
        "evaluation_step": ("evaluation_step", measured.evaluation_steps, units),
        "family": ("trial", measured.family.astype(object)),
        **{name: ("trial", values) for name, values in measured.settings.items()},
    }
    attributes = {**measured.attributes, "hyperparameters": json.dumps(list(measured.settings))}
    return xarray.Dataset(variables, coordinates, attributes)


def pandas_of(measured: Measurements) -> Any:
    """A tidy ``pandas.DataFrame``, one row a run."""
    pandas = _import("pandas", "SweepResult.to_pandas")
    trial, seed = (index.ravel() for index in np.indices(measured.status.shape))
    columns = {"trial": trial, "seed": seed, "family": measured.family[trial]}
    columns |= {name: values[trial] for name, values in measured.settings.items()}
    names = (*measured.traces, *measured.evaluations)
    columns |= {name: measured.final(name).ravel() for name in names}
    columns["status"] = [Status(code).name.lower() for code in measured.status.ravel()]
    columns["diverged_at"] = measured.diverged_at.ravel()
    columns["reason"] = measured.reason.ravel()
    return pandas.DataFrame(columns)


def write_csv(measured: Measurements, path: str | os.PathLike) -> pathlib.Path:
    """The tidy table as a file."""
    table, path = pandas_of(measured), pathlib.Path(path)
    try:
        with checkpoint.atomic(path) as temporary:
            table.to_csv(temporary, index=False, lineterminator="\n", encoding="utf-8")
    except OSError as error:
        raise InvalidValue(f"{path} cannot be written: {error.strerror}") from None
    return path


def write_tensorboard(measured: Measurements, directory: str | os.PathLike) -> pathlib.Path:
    """Event files of TensorBoard: a group of runs for each trial that was started."""
    path, names = pathlib.Path(directory), [*measured.evaluations, *measured.traces]
    steps, segments = measured.evaluation_steps.tolist(), measured.segments
    # [evaluation, metric, trial, seed]
    values = np.array([[measured.at(n, i) for n in names] for i in range(len(steps))], float)

    def run(trial: int, seed: int) -> tensorboard.Run:
        settings = {n: float(v[trial]) for n, v in measured.settings.items()}
        made = values[: segments[trial], :, trial, seed].tolist()
        group = f"trial_{trial:0{len(str(measured.trials - 1))}}"
        return tensorboard.Run(
            directory=group if measured.seeds == 1 else f"{group}/seed_{seed}",
            group=group,
            hyperparameters={
                "family": str(measured.family[trial]),
                **{name: value for name, value in settings.items() if value == value},
            },
            scalars=[
                (step, dict(zip(names, metrics, strict=True)))
                for step, metrics in zip(steps, made, strict=False)
            ],
            failed=bool(measured.status[trial, seed] == Status.DIVERGED),
        )

    started = np.flatnonzero(segments).tolist()
    tensorboard.write(path, (run(i, seed) for i in started for seed in range(measured.seeds)))
    return path


def write_netcdf(measured: Measurements, directory: str | os.PathLike, name: str) -> pathlib.Path:
    """All measurements as one file, where there is none yet."""
    dataset = xarray_of(measured)
    _import("h5netcdf", "SweepResult.save")
    path = checkpoint.prepare(directory, (name,)) / name
    content = bytes(dataset.to_netcdf(engine="h5netcdf"))  # HDF5 crashes on a full disk
    try:
        with checkpoint.atomic(path, new=True) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        raise InvalidValue(f"{path} cannot be written: {error.strerror}") from None
    return path


def read_netcdf(path: pathlib.Path) -> dict[str, Any]:
    """The fields of the measurements in such a file."""
    if not path.is_file():
        raise InvalidValue(f"{path.parent} holds no sweep: there is no {path.name} in it")
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

    return {
        "family": data["family"].values.astype(str),
        "settings": {name: data[name].values for name in names},
        "traces": along("step"),
        "evaluations": {k: v for k, v in along("evaluation_step").items() if k != "width"},
        "evaluation_steps": data["evaluation_step"].values,
        "status": data["status"].values,
        "diverged_at": data["diverged_at"].values,
        "reason": data["reason"].values.astype(str),
        "width": data["width"].values,
        "lost": data["lost"].values.astype(bool),
        "attributes": attributes,
    }


def _import(module: str, feature: str) -> Any:
    try:
        return __import__(module)
    except ImportError:
        raise MissingExtra(feature, "sweep") from None
