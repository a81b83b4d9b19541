"""The trials of an Optuna study: proposed by its sampler, told what came of them."""

import contextlib
import dataclasses
import importlib
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gdjax.errors import InvalidType, InvalidValue, MissingExtra, shown
from gdjax.sweep.distributions import Choice, Distribution, Integer, LogUniform
from gdjax.sweep.pareto import columns
from gdjax.sweep.results import SweepResult
from gdjax.sweep.space import Space, checked_value

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

MARK = "gdjax"  # user attribute of a trial: whose it is, in which batch, at which place in it
FAMILY = "family"  # the parameter that says which family a trial belongs to


@dataclasses.dataclass(frozen=True)
class Asked:
    """What one trial of a study is to train."""

    trial: "Trial | FrozenTrial"
    family: str
    settings: dict[str, int | float]
    reported: set[int]  # steps whose scores the study knows

    @property
    def number(self) -> int:
        """Of the trial in the study."""
        return self.trial.number


def check(study: Any, mode: str, by: Sequence[str] | None, objective: str) -> list[str]:
    """Names of the numbers that are told, one for each direction of the study.

    Args:
      study: an Optuna study.
      mode: whether less or more of the objective is better.
      by: what the user wants told; None: the objective.
      objective: of the task.

    Raises:
      MissingExtra, InvalidType, InvalidValue: no study, or one that goes another way.
    """
    if not isinstance(study, _optuna().Study):
        raise InvalidType(
            "study must be an Optuna study, such as optuna.create_study(direction="
            f"'{mode}imize'), got {shown(study)}"
        )
    names = [objective] if by is None else list(by)
    modes = ["max" if d.name == "MAXIMIZE" else "min" for d in study.directions]
    if len(modes) > 1 and by is None:
        raise InvalidValue(
            f"the study has {len(modes)} directions: say what it is to be told, such as "
            f"by=({objective!r}, 'steps')"
        )
    if len(modes) != len(names) or (len(modes) == 1 and names != [objective]):
        raise InvalidValue(
            f"the study has {len(modes)} directions, but by is {shown(names)}; a study of one "
            "direction is told the task's objective"
        )
    for name, found in zip(names, modes, strict=True):
        wanted = mode if name == objective else "min" if name == "loss" else found
        if found != wanted:
            raise InvalidValue(
                f"the study {found}imizes {name!r}, of which the task says that "
                f"{'more' if wanted == 'max' else 'less'} is better; make the study with "
                f"direction='{wanted}imize'"
            )
    return names


def enqueue(study: "Study", spaces: Mapping[str, Space]) -> None:
    """Put the points to try first in front, those of each family; once, however often called."""
    for name, space in spaces.items():
        for point in space.first:
            family = {FAMILY: name} if len(spaces) > 1 else {}
            study.enqueue_trial(family | point, skip_if_exists=True)


def marked(study: "Study", owner: str) -> dict[int, list["FrozenTrial"]]:
    """By batch the trials that an owner asked for, in the order of asking."""
    batches: dict[int, list[FrozenTrial]] = {}
    for trial in study.get_trials():
        mark = trial.user_attrs.get(MARK)
        if isinstance(mark, dict) and mark.get("owner") == owner:
            batches.setdefault(mark["batch"], []).append(trial)
    for trials in batches.values():
        trials.sort(key=lambda trial: trial.user_attrs[MARK]["place"])
    return batches


def unmarked(study: "Study") -> list["FrozenTrial"]:
    """Trials that run and have nothing yet: who asked for them was killed in that moment."""
    running = study.get_trials(states=(_optuna().trial.TrialState.RUNNING,))
    return [trial for trial in running if not trial.user_attrs and not trial.params]


def ask(
    study: "Study",
    spaces: Mapping[str, Space],
    owner: str,
    batch: int,
    size: int,
    known: Iterable["FrozenTrial"],
    lost: list["FrozenTrial"],
) -> list[Asked]:
    """Trials of a batch: those known already, and as many more as make up its size.

    Args:
      study: whose sampler proposes.
      spaces: of each family.
      owner: marks the trials.
      batch: its number, which marks them too.
      size: how many there are to be.
      known: trials of this batch, asked for before.
      lost: trials to take up before others are asked for; those that are taken up are removed.

    Raises:
      InvalidValue: a trial has a value outside of its distribution, as one that was enqueued may,
        or the study has other distributions; that trial is told as failed.
    """
    asked = []
    for frozen in known:
        reported = set(frozen.intermediate_values)
        if not frozen.state.is_finished():
            asked.append(_admit(study, _taken_up(study, frozen), spaces, reported))
            continue
        with contextlib.suppress(InvalidValue):  # it was refused when it was asked for
            asked.append(_propose(frozen, spaces, reported))
    while len(asked) < size:
        trial = _taken_up(study, lost.pop(0)) if lost else study.ask()
        # Marked first: what it has not got yet it gets when it is asked for again.
        trial.set_user_attr(MARK, {"owner": owner, "batch": batch, "place": len(asked)})
        asked.append(_admit(study, trial, spaces, set()))
    return asked


def report(asked: Sequence[Asked], scores: np.ndarray, steps: np.ndarray) -> None:
    """Tell a study of one direction the scores that it does not know yet.

    Args:
      asked: its trials.
      scores: ``[trial, evaluation]``; what is not finite is not told.
      steps: updates made at each evaluation.
    """
    for one, row in zip(asked, scores, strict=True):
        for score, step in zip(row.tolist(), steps.tolist(), strict=True):
            if math.isfinite(score) and step not in one.reported:
                one.trial.report(score, step)
                one.reported.add(step)


def scores(result: SweepResult) -> np.ndarray:
    """The objective at each evaluation, mean over seeds, ``[trial, evaluation]``."""
    evaluations = range(len(result.evaluation_steps))
    values = np.stack([result.at(result.attributes["objective"], i) for i in evaluations], axis=2)
    with np.errstate(invalid="ignore"):  # inf - inf is no score
        return values.mean(axis=1, dtype=float)


def tell(study: "Study", asked: Sequence[Asked], result: SweepResult, names: list[str]) -> bool:
    """Tell what came of those that the study does not know to be finished.

    A trial that a scheduler stopped is pruned; one with a run that diverged, or without a finite
    number, has failed.

    Args:
      study: of the trials.
      asked: the trials.
      result: of them, in this order.
      names: of the numbers that are told.

    Returns:
      Whether the sampler has more to propose.
    """
    states = _optuna().trial.TrialState
    running = {trial.number for trial in study.get_trials(deepcopy=False, states=(states.RUNNING,))}
    more = True
    for i, (one, values) in enumerate(zip(asked, columns(result, names).tolist(), strict=True)):
        if one.number not in running:
            continue
        if reason := _reason(result, i):
            one.trial.set_user_attr("reason", reason)
        if not all(map(math.isfinite, values)):
            more &= _finish(study, one.number, None, states.FAIL)
        elif result.lost[i]:
            more &= _finish(study, one.number, None, states.PRUNED)
        else:
            more &= _finish(study, one.number, values, None)
    return more


def abandon(study: "Study", owner: str) -> None:
    """Tell an owner's trials that still run as failed."""
    state = _optuna().trial.TrialState.FAIL
    for trials in marked(study, owner).values():
        for trial in trials:
            if not trial.state.is_finished():
                _finish(study, trial.number, None, state)


def _admit(
    study: "Study", trial: "Trial", spaces: Mapping[str, Space], reported: set[int]
) -> Asked:
    """What a trial that runs is to train; one that is refused has failed."""
    try:
        return _propose(trial, spaces, reported)
    except InvalidValue:
        _finish(study, trial.number, None, _optuna().trial.TrialState.FAIL)
        raise


def _propose(
    trial: "Trial | FrozenTrial", spaces: Mapping[str, Space], reported: set[int]
) -> Asked:
    """What a trial is to train; what it has been given already stays."""
    names = list(spaces)
    try:
        family = names[0] if len(names) == 1 else trial.suggest_categorical(FAMILY, names)
        dimensions = spaces[family].dimensions
        settings = {name: _suggest(trial, name, d) for name, d in dimensions.items()}
    except ValueError as error:
        raise InvalidValue(f"trial {trial.number} of the study: {error}") from error
    return Asked(trial, family, settings, reported)


def _suggest(trial: "Trial | FrozenTrial", name: str, distribution: Distribution) -> int | float:
    if isinstance(distribution, Choice):
        value: Any = trial.suggest_categorical(name, list(dict.fromkeys(distribution.values)))
        return checked_value({name: distribution}, name, value)
    low, high = distribution.low, distribution.high
    if isinstance(distribution, Integer):
        value = trial.suggest_int(name, int(low), int(high))
    else:
        log = isinstance(distribution, LogUniform)
        value = trial.suggest_float(name, low, high, log=log)
    inside = min(max(value, low), high)
    if math.isclose(value, inside):  # a sampler works on logarithms, whose rounding may lead out
        return inside
    return checked_value({name: distribution}, name, value)


def _taken_up(study: "Study", trial: "FrozenTrial") -> "Trial":
    """A trial that runs, as whoever asked for it had it."""
    return _optuna().Trial(study, trial._trial_id)


def _finish(study: "Study", number: int, values: list[float] | None, state: Any) -> bool:
    """Tell one; whether the sampler has more to propose."""
    try:
        study.tell(number, values, state)
    except RuntimeError:  # `Study.stop`, by which a sampler says that it has no more
        running = _optuna().trial.TrialState.RUNNING
        if number in {trial.number for trial in study.get_trials(False, (running,))}:
            raise
        return False
    return True


def _reason(result: SweepResult, trial: int) -> str:
    runs = zip(result.reason[trial].tolist(), result.diverged_at[trial].tolist(), strict=True)
    return "; ".join(dict.fromkeys(f"{r} at step {s}" if s >= 0 else r for r, s in runs if r))


def _optuna() -> Any:
    try:
        return importlib.import_module("optuna")
    except ImportError:
        raise MissingExtra("gdjax.interop.optuna", "optuna") from None
