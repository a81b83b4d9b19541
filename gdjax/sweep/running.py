"""A sweep from its first segment, or from a checkpoint, to its results."""

import dataclasses
import functools
import hashlib
import importlib.metadata
import json
import os
import pathlib
import platform
import time
import warnings
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from gdjax.errors import InvalidValue
from gdjax.sweep import checkpoint, families, signals
from gdjax.sweep.callbacks import Audience, Callback
from gdjax.sweep.families import Family
from gdjax.sweep.keeper import Keeper, clear, differences, stored_identity
from gdjax.sweep.ledger import Ledger
from gdjax.sweep.loop import Loop
from gdjax.sweep.population import Device
from gdjax.sweep.results import RESULTS_FILE, SweepResult
from gdjax.sweep.rules import Rules
from gdjax.sweep.setup import Sweep
from gdjax.sweep.store import to_host
from gdjax.sweep.table import Spent
from gdjax.sweep.width import capacity

LONG = 30.0  # seconds, after which advice on speed is worth a warning
_WIDTH_OF = "width of "
_NO_BITS = "--xla_force_host_platform_device_count", "--xla_dump"  # flags that decide none
_version = functools.cache(importlib.metadata.version)  # reads files


def run(
    sweep: Sweep, rules: Rules, callbacks: Sequence[Callback], keeper: Keeper | None = None
) -> SweepResult:
    """Train, and write checkpoints where there is a keeper; goes on from one where there is any.

    Raises:
      KeyboardInterrupt: there is a keeper, and Ctrl-C or SIGTERM came; everything is saved.
    """
    began = time.perf_counter()
    ledger = sweep.ledger(rules.copies)
    parts = sweep.parts(ledger)
    before = keeper.load(ledger, parts) if keeper is not None and keeper.holds_any else 0.0

    def seconds() -> float:
        return before + time.perf_counter() - began

    def spent() -> Spent:
        steps = ledger.run_steps
        flops = 0.0
        if rules.count_flops:
            flops = sum(
                float(steps[part.trials].sum()) * part.executor.kind.flops for part in parts
            )
        return Spent(int(steps.sum()), flops, seconds())

    def save() -> bool:
        loop.drain()
        return keeper is not None and keeper.save(ledger, parts, seconds())

    def between(request: signals.Request) -> None:
        audience.tell("segment")
        if request.number is not None:
            saved = "all is saved" if save() else "what was made since the last checkpoint is lost"
            raise KeyboardInterrupt(
                f"stopped; {saved}, and sweep(..., resume=True) or `gdjax resume` goes on"
            )
        if keeper is not None and keeper.due():
            save()

    largest = max(kind.run_bytes for kind in sweep.kinds)
    seeds = sweep.options.seeds
    room = max(1, capacity(largest) // seeds)
    watched = bool(callbacks) or (keeper is not None and keeper.every == 0)
    audience = Audience(callbacks, sweep, ledger, seconds)
    with sweep.plan.reading:
        try:
            audience.tell("start")
            sweep.compile()
            compiled = time.perf_counter()
            audience.begin()
            loop = Loop(parts, ledger, rules, seeds, room, spent, each_segment=watched)
            if keeper is None:
                loop.run(lambda: audience.tell("segment"))
            else:
                save()
                with signals.requests() as request:
                    loop.run(lambda: between(request))
            ran = seconds()
        finally:
            audience.tell("end")
    times = {"compile_seconds": compiled - began, "run_seconds": ran - (compiled - began)}
    if advice := idle_cores(sweep.devices, os.cpu_count() or 1, times["run_seconds"]):
        warnings.warn(advice, stacklevel=2)
    return results(sweep, rules, ledger, times)


def idle_cores(devices: Sequence[Device], cores: int, seconds: float) -> str:
    """What to do where a long sweep had one device of a CPU with several cores; empty elsewhere.

    >>> idle_cores(jax.devices("cpu")[:1], cores=8, seconds=60.0)[:51]
    'all trials were on one device of a CPU with 8 cores'
    """
    if len(devices) > 1 or devices[0].platform != "cpu" or cores < 2 or seconds < LONG:
        return ""
    return (
        f"all trials were on one device of a CPU with {cores} cores; "
        f"jax.config.update('jax_num_cpu_devices', {cores}), before anything of JAX runs, divides "
        "it, and trials lie over all devices, which is mostly faster"
    )


def results(sweep: Sweep, rules: Rules, ledger: Ledger, times: dict[str, float]) -> SweepResult:
    """What the ledger holds, as a user gets it."""
    task, drawn = sweep.plan.task, sweep.drawn
    options = {name: getattr(sweep.options, name) for name in ("steps", "segment", "key")}
    return SweepResult(
        family=np.repeat([f.name for f in drawn], [f.trials for f in drawn]),
        settings=ledger.settings or families.columns(drawn),
        traces=ledger.traces,
        evaluations=ledger.evaluations,
        evaluation_steps=ledger.steps,
        status=ledger.status,
        diverged_at=ledger.diverged_at,
        reason=ledger.reason.astype(str),
        width=ledger.width,
        lost=ledger.lost,
        copied=ledger.lineage,
        attributes={
            "objective": task.objective,
            "mode": task.mode,
            "batch_size": task.batch_size,
            **environment(sweep.devices),
            **options,
            "stopping": rules.described,
            "widths": json.dumps([programs[0].shape.width for programs in sweep.programs]),
            "integers": json.dumps(sorted(_integers(drawn))),
            "tried_widths": json.dumps([[t._asdict() for t in tried] for tried in sweep.measured]),
            **times,
        },
        again=sweep.rerun,
    )


def run_and_save(
    sweep: Sweep,
    rules: Rules,
    callbacks: Sequence[Callback],
    directory: pathlib.Path,
    every: float | None,
) -> SweepResult:
    """The same in a directory: from its last checkpoint, to its results, or those themselves."""
    with checkpoint.locked(directory):
        if (directory / RESULTS_FILE).exists():
            return _finished(sweep, rules, directory)
        _keep_widths(sweep, stored_identity(directory))
        same = identity(sweep, rules)
        result = run(sweep, rules, callbacks, Keeper(directory, same, every))
        result.attributes["identity"] = json.dumps(same)
        try:
            result.save(directory)
        except Exception as error:
            error.add_note("nothing is lost: the measurements are this error's attribute `result`")
            vars(error)["result"] = result
            raise
        clear(directory)
    return result


def _finished(sweep: Sweep, rules: Rules, directory: pathlib.Path) -> SweepResult:
    """The results in a directory, which can be run again, where they are this sweep's."""
    result = SweepResult.load(directory)
    before = json.loads(result.attributes.get("identity", "{}"))
    _keep_widths(sweep, before)
    if found := differences(before, identity(sweep, rules)):
        raise InvalidValue(
            f"{directory} holds the results of another sweep, which SweepResult.load reads: {found}"
        )
    return dataclasses.replace(result, again=sweep.rerun)


def _keep_widths(sweep: Sweep, before: dict[str, str]) -> None:
    """Widths that were measured once are not measured again: they decide bits."""
    names = [_WIDTH_OF + family.name for family in sweep.drawn]
    if sweep.options.width == "measured" and before.keys() >= set(names):
        sweep.widths = [int(before[name]) for name in names]


def identity(sweep: Sweep, rules: Rules) -> dict[str, str]:
    """All that must be the same for a sweep to go on bit for bit, by what a user calls it."""
    facts = environment(sweep.devices)
    same = {name: facts[name] for name in ("gdjax", "jax", "optax")}
    same["jaxlib"] = _version("jaxlib")
    same["XLA_FLAGS"] = _flags(os.environ.get("XLA_FLAGS", ""))
    same["device"] = sweep.devices[0].device_kind
    same |= {
        name: str(getattr(sweep.options, name)) for name in ("steps", "segment", "seeds", "key")
    }
    same["stopping"] = rules.described
    same["families"] = ", ".join(f"{f.name} ({f.trials} trials)" for f in sweep.drawn)
    same["data of the task"] = _digest(sweep.data)
    for kind, programs in zip(sweep.kinds, sweep.programs, strict=True):
        name = kind.family.name
        same[f"hyperparameters of {name}"] = _digest(kind.family.individuals)
        if rules.copies:  # new settings come from it
            same[f"space of {name}"] = _digest(repr(kind.family.dimensions))
        same[_WIDTH_OF + name] = str(programs[0].shape.width)
        same[f"code of the task or of {name}"] = _digest(kind.code())
    return same


def environment(devices: Sequence[Device] | None = None) -> dict[str, str]:
    """Versions and devices, to stand beside every measurement."""
    devices = jax.devices() if devices is None else devices
    versions = {name: _version(name) for name in ("gdjax", "jax", "optax")}
    return {
        **versions,
        "python": platform.python_version(),
        "device": f"{len(devices)} x {devices[0].platform} ({devices[0].device_kind})",
    }


def _flags(flags: str) -> str:
    """Those by which programs of the same code may differ.

    >>> _flags("--xla_dump_to=here --xla_cpu_enable_fast_math=true")
    '--xla_cpu_enable_fast_math=true'
    """
    return " ".join(flag for flag in flags.split() if not flag.startswith(_NO_BITS)) or "none"


def _integers(drawn: list[Family]) -> set[str]:
    """Hyperparameters that are whole numbers, which a column with NaN does not show."""
    return {k for family in drawn for k, v in family.settings.items() if v.dtype.kind in "iu"}


def _digest(tree: Any) -> str:
    """Ten hexadecimal digits that differ where content does."""
    sha = hashlib.sha256()
    for leaf in jax.tree.leaves(tree):
        sha.update(leaf.encode() if isinstance(leaf, str) else to_host(leaf).tobytes())
    return sha.hexdigest()[:10]
