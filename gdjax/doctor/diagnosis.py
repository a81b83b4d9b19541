"""Which challenges of gradient descent a run meets, by what signs, and what helps."""

import dataclasses
import math
import warnings

import numpy as np
import optax

from gdjax.doctor import data, gradients, rates, settings, surfaces
from gdjax.doctor.case import Case, losses_of, refuse_lost, run
from gdjax.doctor.finding import Finding
from gdjax.errors import InvalidType, shown
from gdjax.ranges import Interval
from gdjax.sweep import SweepResult
from gdjax.sweep.arguments import number_within
from gdjax.task import Task

RULES = (*rates.RULES, *surfaces.RULES, *gradients.RULES, *data.RULES, *settings.RULES)
"""All rules, in the order in which their findings are told."""


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    """What :func:`diagnose` found; printed, a page for people.

    Args:
      findings: one for each sign that was found.
      looked_for: challenges that were looked for.
      not_told: challenges of which what was measured tells nothing.
      seeds: runs that were looked at.
      steps: updates in each.
      diverged: of those runs, how many end with a loss that is not finite.
      numbers: what each rule measured, whether it is a sign or not, by the rule's name, ``[seed]``.
    """

    findings: tuple[Finding, ...]
    looked_for: tuple[str, ...]
    not_told: tuple[str, ...]
    seeds: int
    steps: int
    diverged: int
    numbers: dict[str, np.ndarray] = dataclasses.field(compare=False, repr=False)

    @property
    def challenges(self) -> tuple[str, ...]:
        """Those that were found, each once."""
        return tuple(dict.fromkeys(finding.challenge for finding in self.findings))

    def __str__(self) -> str:
        found = [str(finding) for finding in self.findings] or ["nothing found"]
        about = f"of {self.seeds} runs of {self.steps} updates"
        about += f", of which {self.diverged} diverged" if self.diverged else ""
        looked = f"looked for: {', '.join(self.looked_for)}"
        untold = [f"not told by what was measured: {', '.join(self.not_told)}"]
        return "\n".join([*found, about, looked, *(untold if self.not_told else [])])


def diagnose(
    task: Task,
    optimizer: optax.GradientTransformation,
    steps: int = 400,
    seeds: int = 4,
    key: int = 0,
) -> Diagnosis:
    """Train for a while, with monitors and experiments, and tell which challenges are met.

    Beside the run as it is, others have 0.01 to 100 times its learning rate, or begin with a
    warm-up; nothing else differs. It is the updates that are multiplied: of optimizers behind
    which nothing may follow in a chain (:func:`gdjax.lookahead`, :func:`gdjax.schedule_free`)
    what is found about the learning rate and the start means little.

    All are trained side by side, :func:`gdjax.diagnostics.norms` looks at each update, and what
    costs more (units, noise, underflow, spectrum) at 32 updates of the unchanged run: together
    some ten times the work of the run alone, and as much to compile as two sweeps.

    Args:
      task: what is trained; monitors of its own are left out.
      optimizer: gdjax's or Optax's, with its learning rate or its schedule.
      steps: updates in a run, at least 32. The doctor knows no trouble that comes later.
      seeds: runs of each kind; a sign counts where enough of them show it.
      key: seed of all.

    Returns:
      The findings: each with its number, its threshold and where that comes from, the share of
      the seeds that show it, and code that helps. None where nothing is found.

    Raises:
      InvalidValue, InvalidType: before anything is compiled, what is not as it should be.
      InvalidValue: the loss of no seed is finite before the first update.

    >>> import gdjax
    >>> task = gdjax.problems.quadratic(3.0).task(spread=0.5)
    >>> gdjax.diagnose(task, gdjax.sgd(0.3), steps=64).challenges
    ()
    >>> print(gdjax.diagnose(task, gdjax.sgd(0.8), steps=64).findings[0].remedy)
    optimizer = gdjax.chain(optimizer, gdjax.scale(0.3))  # times the learning rate
    """
    if not isinstance(task, Task):
        raise InvalidType(f"diagnose: task must be a gdjax.Task, got {shown(task)}")
    if not isinstance(optimizer, optax.GradientTransformation):
        raise InvalidType(
            "diagnose: optimizer must be made, such as gdjax.adam(1e-3), got " + shown(optimizer)
        )
    steps = number_within("diagnose: steps", steps, Interval(32, math.inf, integer=True))
    seeds = number_within("diagnose: seeds", seeds, Interval(1, math.inf, integer=True))
    return examine(run(task, optimizer, steps, seeds, key))


def diagnose_sweep(result: SweepResult, trial: int | None = None) -> Diagnosis:
    """Tell which challenges a trial of a sweep met, from what the sweep measured.

    Trials that differ from it in the learning rate alone are its experiments. What monitors of
    the task measured (``task.with_monitors(*gdjax.diagnostics.full())``) is evidence; without
    them little is told.

    Args:
      result: of :func:`gdjax.sweep`, or loaded.
      trial: its number; where None the best one, or the first that started.

    Raises:
      InvalidValue: there is no such trial, it never started, or the loss of none of its seeds is
        finite before the first update.
      InvalidType: the result is not of a sweep.

    >>> import gdjax
    >>> task = gdjax.problems.quadratic(3.0).task(spread=0.5)
    >>> rates = [0.001, 0.01, 0.1]
    >>> result = gdjax.sweep(task, gdjax.sgd, {"learning_rate": rates}, seeds=4, steps=64)
    >>> diagnose_sweep(result, trial=0).challenges
    ('learning rate too low',)
    """
    if not isinstance(result, SweepResult):
        raise InvalidType(f"diagnose_sweep takes the result of a sweep, got {shown(result)}")
    if trial is None:
        trial = next((i for i in result.ranking().tolist() if result.segments[i]), 0)
    trial = int(number_within("diagnose_sweep: trial", trial, Interval(0, math.inf, integer=True)))
    result.check_started(trial)
    made = int(result.segments[trial])
    steps = int(result.evaluation_steps[made - 1])
    losses = losses_of(result)
    refuse_lost(losses[trial])
    norms = result.evaluations.get("gradient_norm")
    others = {
        factor: other
        for other, factor in _other_rates(result, trial).items()
        if result.segments[other] >= made
    }
    return examine(
        Case(
            loss=losses[trial, :, :steps],
            seen={name: values[trial, :, :made] for name, values in result.evaluations.items()},
            rates={factor: losses[other, :, :steps] for factor, other in others.items()},
            norms={}
            if norms is None
            else {factor: norms[other, :, :made] for factor, other in others.items()},
            objective=result.attributes["objective"],
            mode=result.attributes["mode"],
            batch_size=result.attributes.get("batch_size", 0),
            sweep=result,
            trial=trial,
        )
    )


def examine(case: Case) -> Diagnosis:
    """Apply all rules."""
    findings, told, measured = [], set(), {}
    for rule in RULES:
        with np.errstate(all="ignore"), warnings.catch_warnings():  # of runs that diverged
            warnings.simplefilter("ignore", RuntimeWarning)
            numbers = rule.measure(case)
            if numbers is None:
                continue
            told.add(rule.challenge)
            measured[rule.name] = numbers
            if finding := rule.find(numbers, case):
                findings.append(finding)
    known = tuple(dict.fromkeys(rule.challenge for rule in RULES))
    return Diagnosis(
        findings=tuple(findings),
        looked_for=tuple(name for name in known if name in told),
        not_told=tuple(name for name in known if name not in told),
        seeds=case.seeds,
        steps=case.steps,
        diverged=int((~np.isfinite(case.loss[:, -1])).sum()),
        numbers=measured,
    )


def _other_rates(result: SweepResult, trial: int) -> dict[int, float]:
    """Trials that differ in the learning rate alone, and by which factor.

    None where trials copied others: there a trial had several.
    """
    rates = [name for name in result.settings if name.rpartition(".")[2] == "learning_rate"]
    if len(rates) != 1 or result.copied is not None:
        return {}
    with np.errstate(divide="ignore", invalid="ignore"):  # of a rate of 0 there is no factor
        factors = result.settings[rates[0]] / result.settings[rates[0]][trial]
    alike = result.family == result.family[trial]
    for name, values in result.settings.items():
        if name != rates[0]:
            alike &= (values == values[trial]) | (np.isnan(values) & np.isnan(values[trial]))
    alike &= np.isfinite(factors) & (factors != 1)
    return {int(other): float(factors[other]) for other in np.flatnonzero(alike)}
