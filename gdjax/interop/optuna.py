"""Optuna's samplers propose what a sweep trains, batch by batch."""

import contextlib
import json
import os
import pathlib
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gdjax.errors import InvalidValue, shown, telling
from gdjax.interop import studies
from gdjax.interop.studies import Asked
from gdjax.ranges import whole
from gdjax.stream import Stream
from gdjax.sweep import checkpoint, families, running
from gdjax.sweep.callbacks import Callback
from gdjax.sweep.concatenation import concatenate, take
from gdjax.sweep.distributions import Choice
from gdjax.sweep.engine import Ready, prepare
from gdjax.sweep.families import Factory, Maker
from gdjax.sweep.keeper import CHECKPOINTS
from gdjax.sweep.pareto import STEPS, check_names
from gdjax.sweep.population import Device
from gdjax.sweep.results import RESULTS_FILE, SweepResult
from gdjax.sweep.rules import Rule
from gdjax.sweep.setup import Sweep
from gdjax.sweep.space import Space
from gdjax.task import Task

if TYPE_CHECKING:
    from optuna import Study

STUDY_FILE = "study.json"
BATCHES = "batch-"


def optimize(
    study: "Study",
    task: Task,
    optimizer: Factory | Mapping[str, Factory],
    space: Space | Mapping[str, Any],
    trials: int,
    batch: int = 16,
    by: Sequence[str] | None = None,
    seeds: int = 1,
    steps: int = 1000,
    key: int = 0,
    stopping: Rule | Sequence[Rule] = (),
    width: int | None = None,
    segment: int | None = None,
    devices: Sequence[Device] | None = None,
    directory: str | os.PathLike | None = None,
    resume: bool = False,
    checkpoint_seconds: float | None = None,
    progress: bool | None = None,
    callbacks: Callback | Sequence[Callback] = (),
) -> SweepResult:
    """Train what an Optuna study asks for, a batch of trials as one sweep.

    A batch is asked for, trained in the programs of the first one, and told: scores as soon as
    segments are made, the objective's mean over seeds at the end. A trial that a scheduler stopped
    is pruned; one that diverged has failed, with a user attribute ``reason``. The study's pruner is
    not asked: ``stopping`` says who goes on.

    The dimensions of the space are the study's parameters, by their names. Where there are several
    families, the parameter ``family`` says which of them a trial belongs to, and it has those
    dimensions alone that this family names. Points to try first are enqueued, and what
    ``study.enqueue_trial`` enqueued is trained first.

    Proposals of a batch do not know of each other's scores: ``TPESampler(constant_liar=True)``,
    Optuna 5's default, keeps them apart, and ``group=True`` models for each family what families
    share.

    Args:
      study: with any sampler and storage. Its direction is the task's mode.
      task: what is trained.
      optimizer: a factory, or families by name, as for :func:`gdjax.sweep`.
      space: distributions by name. Those of few values are categorical for a sampler.
      trials: how many to train: by this call or, with ``directory``, in it altogether.
      batch: trials that are asked for and trained at once.
      by: what a study of several directions is told, in their order: metrics, hyperparameters,
        ``"steps"``. Such a study knows no scores before the end.
      seeds: runs of each trial.
      steps: updates in a run.
      key: seed of the initial parameters, batches and noise, the same for all trials. What is
        proposed depends on the sampler's own seed.
      stopping: rules that end trials early, in each batch by themselves. Not one by which trials
        go on from others' states: a study knows one setting of each trial.
      width: as for :func:`gdjax.sweep`, but not ``"measured"``: it is the same for all batches.
      segment: steps between scores.
      devices: as for :func:`gdjax.sweep`.
      directory: where to keep each batch with its checkpoints, and the results.
      resume: go on with what is in ``directory``, where the study is in a storage that has
        outlived the process. Trials that were asked for are trained and told, each once, with the
        bits that they would have had. Samplers keep the state of their random numbers in
        no storage: it is drawn anew, so later proposals are others than without the interruption.
        Nobody else may resume such a study at the same time.
      checkpoint_seconds: as for :func:`gdjax.sweep`.
      progress: show a progress bar for each batch; where None, on a terminal.
      callbacks: as for :func:`gdjax.sweep`. Each batch is a sweep of its own to them, its trials
        numbered family by family.

    Returns:
      All batches as one result, its trials in the order in which they were asked for;
      ``attributes["study_trials"]`` has their numbers in the study.

    Raises:
      MissingExtra, InvalidType, InvalidValue: before a trial is asked for, but for a trial that
        was enqueued outside of the space, which fails. Without a directory, whatever ends a
        batch early, its trials fail.

    Reference:
      Akiba et al., Optuna: a next-generation hyperparameter optimization framework
      (https://arxiv.org/abs/1907.10902).

    >>> import gdjax, optuna, jax.numpy as jnp
    >>> task = gdjax.Task(
    ...     init=lambda key: jnp.ones(()),
    ...     loss=lambda params, batch, key: 0.5 * params**2,
    ...     batch=lambda key, step: None,
    ... )
    >>> study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0))
    >>> study.enqueue_trial({"learning_rate": 1.0})
    >>> rates = {"learning_rate": gdjax.LogUniform(0.01, 1.0)}
    >>> result = optimize(study, task, gdjax.sgd, rates, trials=6, batch=3, steps=2, segment=1)
    >>> study.best_params == result.best().settings == {"learning_rate": 1.0}
    True
    """
    trials, batch = whole("trials", trials), whole("batch", batch)
    if isinstance(width, str):
        raise InvalidValue(
            f"width must be a whole number or None, got {shown(width)}; a sweep with "
            "width='measured' tells in result.attributes which one is the fastest"
        )
    space = space if isinstance(space, Space) else Space(space)
    extremes = _extremes(space)
    ready = prepare(
        task,
        optimizer,
        Space(space.dimensions, extremes),
        trials=len(extremes),
        seeds=seeds,
        steps=steps,
        method="random",
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
    if ready.rules.copies:
        raise InvalidValue(
            f"optimize cannot tell a study of {ready.rules.described}, by which trials go on from "
            "others' states with new settings; use gdjax.sweep, or other rules"
        )
    if isinstance(task.batch, Stream) and task.batch.per == "trial":
        raise InvalidValue("optimize numbers trials anew in each batch; give the stream per='seed'")
    ready.sweep.check_memory(trials)
    if by is not None:
        by = check_names(by, [*task.check(), *space.dimensions, STEPS])
    told = studies.check(study, task.mode, by, task.objective)
    makers = {family.name: family.maker for family in ready.sweep.drawn}
    search = Search(study, makers, families.restricted(makers, space), ready, told)
    with _place(directory, resume, study) as (owner, path), _finishing(study, owner, path):
        lost = studies.unmarked(study) if resume else []
        return _search(search, owner, trials, batch, lost, path)


class Search(NamedTuple):
    """What is the same for all batches."""

    study: "Study"
    makers: Mapping[str, Maker]
    spaces: Mapping[str, Space]  # of each family
    ready: Ready  # a sweep of any trials
    names: list[str]  # of the numbers that the study is told


def _search(
    search: Search,
    owner: str,
    trials: int,
    batch: int,
    lost: list[Any],
    directory: pathlib.Path | None,
) -> SweepResult:
    study = search.study
    known = studies.marked(study, owner)
    if known:
        study.sampler.reseed_rng()  # else one with a seed would propose the first trials again
    elif directory is not None and any(directory.glob(f"{BATCHES}*")):
        raise InvalidValue(f"the study has none of the trials whose results are in {directory}")
    studies.enqueue(study, search.spaces)
    room = -(-batch // len(search.spaces))  # of a family, so that few places stay empty
    results: list[SweepResult] = []
    numbers: list[int] = []
    more = True
    while more and (len(numbers) < trials or len(results) in known):
        number, left = len(results), trials - len(numbers)
        path = None if directory is None else directory / f"{BATCHES}{number:04d}"
        begun = path is not None and path.exists()
        size = 0 if begun else min(batch, left)
        asked = studies.ask(study, search.spaces, owner, number, size, known.get(number, ()), lost)
        results.append(_train(search, asked, room, path))
        numbers += [one.number for one in asked]
        if len(search.names) == 1:
            studies.report(asked, studies.scores(results[-1]), results[-1].evaluation_steps)
        more = studies.tell(study, asked, results[-1], search.names)
    result = concatenate(results)
    result.attributes |= {"study": study.study_name, "study_trials": json.dumps(numbers)}
    if directory is not None:
        (directory / RESULTS_FILE).unlink(missing_ok=True)  # that of fewer trials
        result.save(directory)
    return result


def _train(
    search: Search, asked: Sequence[Asked], room: int, directory: pathlib.Path | None
) -> SweepResult:
    """One batch, its trials in the order of ``asked``."""
    drawn, order = [], []
    for name, own in search.spaces.items():
        mine = [i for i, one in enumerate(asked) if one.family == name]
        order += mine
        settings = {
            dimension: np.asarray(
                [asked[i].settings[dimension] for i in mine],
                distribution.quantile(np.zeros(0)).dtype,
            )
            for dimension, distribution in own.dimensions.items()
        }
        if mine:
            with telling("an optimizer cannot be made"):
                drawn.append(families.make(name, search.makers[name], settings))
    template, rules, told, every = search.ready
    sweep = Sweep(template.task, drawn, template.options, template.devices, room=room)
    if len(search.names) == 1:
        there, steps = [asked[i] for i in order], sweep.plan.steps
        told = [lambda snapshot: studies.report(there, snapshot.scores, steps), *told]
    if directory is None:
        result = running.run(sweep, rules, told)
    else:
        path = checkpoint.prepare(directory, ())
        result = running.run_and_save(sweep, rules, told, path, every)
    return take(result, np.argsort(order))


def _extremes(space: Space) -> list[dict[str, Any]]:
    """Points with the ends of each distribution, and all values of each choice."""
    choices = [d.size for d in space.dimensions.values() if isinstance(d, Choice)]
    unit = np.linspace(0, np.nextafter(1, 0), min(max([3, *choices]), 256))
    columns = {name: d.quantile(unit).tolist() for name, d in space.dimensions.items()}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


@contextlib.contextmanager
def _place(
    directory: str | os.PathLike | None, resume: bool, study: "Study"
) -> Iterator[tuple[str, pathlib.Path | None]]:
    """What marks the trials of this call, and the directory where they are kept, locked."""
    if directory is None:
        yield uuid.uuid4().hex, None
        return
    file = pathlib.Path(directory) / STUDY_FILE
    taken = () if resume and file.exists() else (STUDY_FILE, RESULTS_FILE, CHECKPOINTS)
    path = checkpoint.prepare(directory, taken)
    with checkpoint.locked(path):
        if not file.exists():
            text = json.dumps({"study": study.study_name, "owner": uuid.uuid4().hex})
            with checkpoint.atomic(file) as temporary:
                temporary.write_text(text)
        kept = json.loads(file.read_text())
        if kept["study"] != study.study_name:
            raise InvalidValue(
                f"{path} holds trials of the study {kept['study']!r}, not of {study.study_name!r}; "
                "load that from its storage: optuna.load_study(study_name=..., storage=...)"
            )
        yield kept["owner"], path


@contextlib.contextmanager
def _finishing(study: "Study", owner: str, path: pathlib.Path | None) -> Iterator[None]:
    """Whatever ends a search early, no trial without a directory runs on in the study."""
    try:
        yield
    except BaseException as error:
        if path is None:
            studies.abandon(study, owner)
        else:
            error.add_note("optimize(..., resume=True), with the same study, goes on")
        raise
