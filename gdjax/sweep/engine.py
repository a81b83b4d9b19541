"""Many runs as one program.

All of a run derives from the sweep's key, its trial and its seed. In one compiled program its
numbers depend neither on its slot nor on its neighbours, so ``rerun``, which executes the same
program at the same width, gives the same bits.
"""

import dataclasses
import importlib.util
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

from gdjax.errors import InvalidType, InvalidValue, MissingExtra, nearest, shown, telling
from gdjax.ranges import Interval, whole
from gdjax.sweep import checkpoint, families, lineage, running
from gdjax.sweep.arguments import choose, number_within
from gdjax.sweep.callbacks import Callback, listeners
from gdjax.sweep.concatenation import check_numbers
from gdjax.sweep.families import Factory
from gdjax.sweep.keeper import CHECKPOINTS
from gdjax.sweep.lineage import Lineage
from gdjax.sweep.pbt import PopulationBasedTraining
from gdjax.sweep.population import Device
from gdjax.sweep.results import RESERVED, RESULTS_FILE, Rerun, SweepResult
from gdjax.sweep.rules import Rule, Rules, gather
from gdjax.sweep.setup import Options, Sweep, segment_steps
from gdjax.sweep.space import Method, Space
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
    width: int | Literal["measured"] | None = None,
    segment: int | None = None,
    devices: Sequence[Device] | None = None,
    directory: str | os.PathLike | None = None,
    resume: bool = False,
    checkpoint_seconds: float | None = None,
    progress: bool | None = None,
    callbacks: Callback | Sequence[Callback] = (),
) -> SweepResult:
    """Train many settings of an optimizer at once, each with several seeds.

    Args:
      task: what is trained. Its functions are pure: what they read from outside is fixed when
        the program is first compiled. The numbers in them may be dimensions of the space.
      optimizer: makes an optimizer from the hyperparameters that its signature names, such as
        ``gdjax.adam``; or several such families by name, each of which takes the dimensions of
        the space that it names.
      space: by hyperparameter name a distribution (:class:`gdjax.LogUniform`, ...), a list of
        numbers to choose from, or one number. What no factory names is a number of the task,
        whatever the family: one that :func:`gdjax.hyperparameters` lists (``"loss.dropout"``, or
        its end where only one ends so), or an argument of its functions at its default.
      trials: how many settings a family draws; a grid knows by itself.
      seeds: runs of each setting. Seed ``s`` means the same initial parameters, batches and
        noise for every setting.
      steps: updates in a run.
      method: ``"grid"``, ``"random"`` or ``"sobol"``; see :meth:`gdjax.Space.draw`.
      key: seed of the whole sweep.
      stopping: rules that end trials early, such as :func:`gdjax.successive_halving`; at most
        one of them may be a scheduler. Trials run to their end where there is none.
      width: runs of a seed that are trained side by side; a default where None, by the device and
        the size of what is trained; where ``"measured"``, the fastest of those that are tried
        before the sweep, each of which is compiled. Bits depend on it, and what is fastest on
        chance: to make the same again, give the number that ``result.attributes`` tells.
      segment: steps between evaluations; about a tenth of ``steps`` where None.
      devices: that share the work, all of one kind; all of JAX's default backend where None.
      directory: where to write checkpoints and the results; nothing is written where None. There,
        Ctrl-C and SIGTERM save everything before they end the sweep; a second one does not wait.
      resume: go on with the sweep in ``directory`` where it was when it was killed, and end with
        the bits that it would have ended with; start where there is none.
      checkpoint_seconds: between checkpoints; 0: after each segment; where None, as often as
        writing them takes no more than a fiftieth of the time.
      progress: show a progress bar; where None, on a terminal.
      callbacks: a function, or several, such as :func:`gdjax.log_lines`. Each is called with a
        :class:`gdjax.Snapshot` before compilation (event ``"start"``), between segments
        (``"segment"``) and whatever ends the sweep (``"end"``). It changes no result: rules such
        as :func:`gdjax.target` end a sweep early. One that raises an exception is told of by a
        warning, and is not called again.

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
    ready = prepare(
        task,
        optimizer,
        space,
        trials=trials,
        seeds=seeds,
        steps=steps,
        method=method,
        key=key,
        stopping=stopping,
        width=width,
        segment=segment,
        devices=devices,
        directory=directory,
        resume=resume,
        checkpoint_seconds=checkpoint_seconds,
        progress=progress,
        callbacks=callbacks,
    )
    ready.sweep.check_memory(ready.sweep.trials)
    if directory is None:
        return running.run(ready.sweep, ready.rules, ready.told)
    path = checkpoint.prepare(directory, () if resume else (RESULTS_FILE, CHECKPOINTS))
    return running.run_and_save(
        ready.sweep, ready.rules, ready.told, path, ready.checkpoint_seconds
    )


class Ready(NamedTuple):
    """What a user's arguments mean."""

    sweep: Sweep
    rules: Rules
    told: list[Callback]
    checkpoint_seconds: float | None


def prepare(
    task: Task,
    optimizer: Factory | Mapping[str, Factory],
    space: Space | Mapping[str, Any],
    trials: int | None,
    seeds: int,
    steps: int,
    method: Method | None,
    key: int,
    stopping: Rule | Sequence[Rule],
    width: int | Literal["measured"] | None,
    segment: int | None,
    devices: Sequence[Device] | None,
    directory: str | os.PathLike | None,
    resume: bool,
    checkpoint_seconds: float | None,
    progress: bool | None,
    callbacks: Callback | Sequence[Callback],
) -> Ready:
    """A sweep that is ready to run; see :func:`sweep` for the arguments.

    Nothing is compiled or written. Whether the measurements fit into memory is left to whoever
    knows how many trials are to be run.

    Raises:
      InvalidValue, InvalidType, MissingExtra: any of them is not what it should be.
    """
    # A program counts seeds and steps in 32 bits.
    seeds, steps = whole("seeds", seeds, high=2**31), whole("steps", steps, high=2**31)
    trials, segment = (
        value if value is None else whole(name, value)
        for name, value in {"trials": trials, "segment": segment}.items()
    )
    width = _width(width)
    key = whole("key", key, low=0, high=2**32)
    if not isinstance(task, Task):
        raise InvalidType(f"task must be a gdjax.Task, got {shown(task)}")
    task.check_parts()
    rules, told = gather(stopping, task.mode), listeners(callbacks, progress)
    space = space if isinstance(space, Space) else Space(space)
    with telling("an optimizer cannot be made"):
        lowest = {name: d.quantile(np.zeros(1)).item() for name, d in space.dimensions.items()}
        task, makers = families.makers(task, families.by_name(optimizer), lowest)
        drawn = families.draw(makers, space, method, trials, key)
    if isinstance(rules.scheduler, PopulationBasedTraining):
        rules.scheduler.check(space.dimensions)
    _check_names(space.dimensions, task.check(*(family.optimizer for family in drawn)))
    for package in ("xarray", "h5netcdf"):
        if directory is not None and importlib.util.find_spec(package) is None:
            raise MissingExtra("sweep(directory=...)", "sweep")
    if not isinstance(directory, (str, os.PathLike, type(None))):
        raise InvalidType(f"directory must be a path, got {shown(directory)}")
    if not isinstance(resume, bool):
        raise InvalidType(f"resume must be True or False, got {shown(resume)}")
    if resume and directory is None:
        raise InvalidValue("resume=True needs directory: the one of the sweep that is to go on")
    if checkpoint_seconds is not None:
        checkpoint_seconds = number_within(
            "checkpoint_seconds", checkpoint_seconds, Interval(0, math.inf)
        )
    where = _devices(devices)
    segment = segment_steps(task, drawn, seeds, steps, segment, where)
    prepared = Sweep(task, drawn, Options(steps, segment, seeds, key, width), where)
    return Ready(prepared, rules, told, checkpoint_seconds)


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
    if not isinstance(task, Task):
        raise InvalidType(f"task must be a gdjax.Task, got {shown(task)}")
    check_numbers(result, task)
    factories = families.by_name(optimizer)
    for name in dict.fromkeys(result.family.tolist()):
        if name not in factories:
            raise InvalidValue(f"the sweep has a family {name!r}; {nearest(name, factories)}")
    some = {name: values[~np.isnan(values)][0] for name, values in result.settings.items()}
    task, makers = families.makers(task, factories, some)
    integers = json.loads(result.attributes["integers"])
    again = []
    for name in dict.fromkeys(result.family.tolist()):
        rows = {k: v[result.family == name] for k, v in result.settings.items()}
        settings = {
            k: v.astype(np.int64) if k in integers else v
            for k, v in rows.items()
            if not np.isnan(v).any()
        }
        again.append(families.make(name, makers[name], settings))
    numbers = {name: result.attributes[name] for name in ("steps", "segment", "key")}
    options = Options(seeds=result.seeds, width=None, **numbers)
    widths = json.loads(result.attributes["widths"])
    sweep = Sweep(task, again, options, _devices(None), widths)
    sweep.check_memory(sweep.trials)
    # The sweep numbers its trials family by family; those of a concatenated result are mixed.
    order = np.concatenate([np.flatnonzero(result.family == family.name) for family in again])
    place = np.argsort(order)

    def rerun(trials: np.ndarray, widths: np.ndarray, copied: Lineage | None = None) -> list[Rerun]:
        copied = None if copied is None else lineage.take(copied, order)
        return sweep.rerun(place[trials], widths[order], copied)

    return dataclasses.replace(result, again=rerun)


def _width(width: Any) -> int | Literal["measured"] | None:
    if isinstance(width, str):
        choose("width", width, ("measured",))
        return "measured"
    return None if width is None else whole("width", width)


def _devices(devices: Sequence[Device] | None) -> list[Device]:
    if not isinstance(devices, (list, tuple, type(None))):
        raise InvalidType(f"devices must be a list of some of jax.devices(), got {shown(devices)}")
    chosen = list(jax.devices() if devices is None else devices)
    if not chosen or not all(isinstance(device, jax.Device) for device in chosen):
        raise InvalidType(f"devices must be some of jax.devices(), got {shown(devices)}")
    if len({device.platform for device in chosen}) > 1 or len(set(chosen)) < len(chosen):
        raise InvalidValue(f"devices must be different ones of one kind, got {chosen}")
    return chosen


def _check_names(hyperparameters: Iterable[str], metrics: set[str]) -> None:
    """Hyperparameters and metrics stand side by side in a result."""
    for name in (*hyperparameters, *metrics):
        if name in RESERVED:
            raise InvalidValue(f"{name!r} is a column of every result; give yours another name")
    for name in metrics & set(hyperparameters):
        raise InvalidValue(f"{name!r} is both a hyperparameter and a metric; rename one")
