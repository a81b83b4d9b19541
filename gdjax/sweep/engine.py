"""Many runs as one program.

All of a run derives from the sweep's key, its trial and its seed. In one compiled program its
numbers depend neither on its slot nor on its neighbours, so ``rerun``, which executes the same
program at the same width, gives the same bits.
"""

import contextlib
import dataclasses
import importlib.metadata
import importlib.util
import numbers
import os
import platform
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from gdjax.errors import InvalidType, InvalidValue, MissingExtra, nearest
from gdjax.sweep import checkpoint, families
from gdjax.sweep.families import Factory, Family
from gdjax.sweep.loop import Loop
from gdjax.sweep.progress import Progress
from gdjax.sweep.results import RESERVED, RESULTS_FILE, SweepResult
from gdjax.sweep.rules import Rule, Rules, gather
from gdjax.sweep.setup import Options, Sweep
from gdjax.sweep.space import Method, Space
from gdjax.sweep.table import Spent
from gdjax.task import Task


def sweep(
    task: Task,
    optimizer: Factory | Mapping[str, Factory],
    space: Space | Mapping[str, Any],
    trials: int | None = None,
    seeds: int = 1,
    steps: int = 1000,
    method: Method | None = None,
    key: int = 0,
    stopping: Rule | Sequence[Rule] = (),
    width: int | None = None,
    segment: int | None = None,
    devices: Sequence[jax.Device] | None = None,
    directory: str | os.PathLike | None = None,
    progress: bool | None = None,
) -> SweepResult:
    """Train many settings of an optimizer at once, each with several seeds.

    Args:
      task: what is trained. Its functions are pure: what they read from outside is fixed when
        the program is first compiled.
      optimizer: makes an optimizer from the hyperparameters that its signature names, such as
        ``gdjax.adam``; or several such families by name, each of which takes the dimensions of
        the space that it names.
      space: by hyperparameter name a distribution (:class:`gdjax.LogUniform`, ...), a list of
        numbers to choose from, or one number.
      trials: how many settings a family draws; a grid knows by itself.
      seeds: runs of each setting. Seed ``s`` means the same initial parameters, batches and
        noise for every setting.
      steps: updates in a run.
      method: ``"grid"``, ``"random"`` or ``"sobol"``; see :meth:`gdjax.Space.draw`.
      key: seed of the whole sweep.
      stopping: rules that end trials early, such as :func:`gdjax.successive_halving`; at most
        one of them may be a scheduler. Trials run to their end where there is none.
      width: runs of a seed that are trained side by side; a default where None, by the device and
        the size of what is trained.
      segment: steps between evaluations; about a tenth of ``steps`` where None.
      devices: that share the work, all of one kind; all of JAX's default backend where None.
      directory: where to write the results; nothing is written where None.
      progress: show a progress bar; where None, on a terminal.

    Returns:
      All measurements. A run that diverges is a result, not an error.

    Raises:
      InvalidValue, InvalidType, MissingExtra: before anything is compiled.

    >>> import gdjax, jax.numpy as jnp
    >>> task = gdjax.Task(
    ...     init=lambda key: jnp.ones(()),
    ...     loss=lambda params, batch, key: 0.5 * params**2,
    ...     batch=lambda key, step: None,
    ... )
    >>> result = gdjax.sweep(task, gdjax.sgd, {"learning_rate": [0.5, 3.0]}, steps=2)
    >>> result.traces["loss"][:, 0]
    array([[0.5  , 0.125],
           [0.5  , 2.   ]], dtype=float32)
    >>> result.best().settings
    {'learning_rate': 0.5}
    """
    seeds, steps = _whole("seeds", seeds), _whole("steps", steps)
    trials, width, segment = (
        value if value is None else _whole(name, value)
        for name, value in {"trials": trials, "width": width, "segment": segment}.items()
    )
    key = _whole("key", key, low=0, high=2**32)
    if not isinstance(task, Task):
        raise InvalidType(f"task must be a gdjax.Task, got {task!r}")
    rules = gather(stopping, task.mode)
    space = space if isinstance(space, Space) else Space(space)
    drawn = families.draw(families.by_name(optimizer), space, method, trials, key)
    _check_names(space.dimensions, task.check())
    segment = min(segment or _default_segment(steps), steps)
    prepared = Sweep(task, drawn, Options(steps, segment, seeds, key, width), _devices(devices))
    if directory is None:
        return _run(prepared, rules, progress)
    return _run_and_save(prepared, rules, progress, directory)


def reconnect(
    result: SweepResult, task: Task, optimizer: Factory | Mapping[str, Factory]
) -> SweepResult:
    """Give a loaded result its task and optimizers again, so that ``rerun`` works; compiles.

    The bits are the sweep's where gdjax, JAX and the kind of device are the sweep's.

    Args:
      result: what :meth:`SweepResult.load` returned.
      task: the task of the sweep.
      optimizer: the factory of the sweep, or its families by name.
    """
    factories = families.by_name(optimizer)
    again = []
    for name in dict.fromkeys(result.family.tolist()):
        if name not in factories:
            raise InvalidValue(f"the sweep has a family {name!r}; {nearest(name, factories)}")
        rows = {k: v[result.family == name] for k, v in result.settings.items()}
        settings = {k: v for k, v in rows.items() if not np.isnan(v).any()}
        again.append(families.make(name, factories[name], settings))
    numbers = {name: result.attributes[name] for name in ("steps", "segment", "key")}
    options = Options(seeds=result.seeds, width=int(result.width.max()), **numbers)
    sweep = Sweep(task, again, options, _devices(None))
    return dataclasses.replace(result, again=sweep.rerun)


def environment() -> dict[str, str]:
    """Versions and device, to stand beside every measurement."""
    device = jax.devices()[0]
    versions = {name: importlib.metadata.version(name) for name in ("gdjax", "jax", "optax")}
    return {
        **versions,
        "python": platform.python_version(),
        "device": f"{len(jax.devices())} x {device.platform} ({device.device_kind})",
    }


def _run_and_save(
    sweep: Sweep, rules: Rules, progress: bool | None, directory: str | os.PathLike
) -> SweepResult:
    for package in ("xarray", "h5netcdf"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtra("sweep(directory=...)", "sweep")
    checkpoint.prepare(directory, RESULTS_FILE)
    try:
        result = _run(sweep, rules, progress)
    except BaseException:
        with contextlib.suppress(OSError):
            os.rmdir(directory)  # where it is empty
        raise
    try:
        result.save(directory)
    except InvalidValue as error:
        error.add_note("nothing is lost: the measurements are this error's attribute `result`")
        vars(error)["result"] = result
        raise
    return result


def _run(sweep: Sweep, rules: Rules, show_progress: bool | None) -> SweepResult:
    task = sweep.plan.task
    ledger = sweep.ledger()
    progress = Progress(show_progress, ledger, task.objective, -1 if task.mode == "max" else 1)
    began = time.perf_counter()
    sweep.compile()
    compiled = time.perf_counter()
    progress.begin()

    def spent() -> Spent:
        return Spent(ledger.run_steps, 0.0, time.perf_counter() - began)

    loop = Loop(sweep.parts(ledger), ledger, rules, sweep.options.seeds, len(ledger.made), spent)
    loop.run(progress.update)
    ended = time.perf_counter()
    progress.close()
    drawn = sweep.drawn
    names = dict.fromkeys(name for family in drawn for name in family.settings)
    options = {name: getattr(sweep.options, name) for name in ("steps", "segment", "key")}
    return SweepResult(
        family=np.repeat([f.name for f in drawn], [f.trials for f in drawn]),
        settings={name: np.concatenate([_column(f, name) for f in drawn]) for name in names},
        traces=ledger.traces,
        evaluations=ledger.evaluations,
        evaluation_steps=ledger.steps,
        status=ledger.status,
        diverged_at=ledger.diverged_at,
        reason=ledger.reason.astype(str),
        width=ledger.width,
        attributes={
            "objective": task.objective,
            "mode": task.mode,
            **environment(),
            **options,
            "stopping": repr(rules),
            "compile_seconds": compiled - began,
            "run_seconds": ended - compiled,
        },
        again=sweep.rerun,
    )


def _devices(devices: Sequence[jax.Device] | None) -> list[jax.Device]:
    chosen = list(jax.devices() if devices is None else devices)
    if not chosen or not all(isinstance(device, jax.Device) for device in chosen):
        raise InvalidType(f"devices must be some of jax.devices(), got {devices!r}")
    if len({device.platform for device in chosen}) > 1 or len(set(chosen)) < len(chosen):
        raise InvalidValue(f"devices must be different ones of one kind, got {chosen}")
    return chosen


def _whole(name: str, value: Any, low: int = 1, high: int | None = None) -> int:
    """A whole number, Python's or NumPy's."""
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not whole or int(value) < low or (high is not None and int(value) >= high):
        below = "" if high is None else f" and below {high}"
        raise InvalidValue(f"{name} must be a whole number of at least {low}{below}, got {value!r}")
    return int(value)


def _check_names(hyperparameters: Iterable[str], metrics: set[str]) -> None:
    """Hyperparameters and metrics stand side by side in a result."""
    for name in (*hyperparameters, *metrics):
        if name in RESERVED:
            raise InvalidValue(f"{name!r} is a column of every result; give yours another name")
    for name in metrics & set(hyperparameters):
        raise InvalidValue(f"{name!r} is both a hyperparameter and a metric; rename one")


def _column(family: Family, name: str) -> np.ndarray:
    """A hyperparameter's value in each trial of a family, NaN where the family has none."""
    return family.settings.get(name, np.full(family.trials, np.nan))


def _default_segment(steps: int) -> int:
    """About a tenth of ``steps``, a divisor of it where there is one near: one program less."""
    near = range(-(-steps // 10), steps // 5 + 1)
    return next((n for n in near if steps % n == 0), -(-steps // 10))
