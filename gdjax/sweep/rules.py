"""The rules of one sweep: a scheduler, and what stops trials besides."""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

from gdjax.errors import InvalidType, InvalidValue, shown
from gdjax.sweep.halving import run_all
from gdjax.sweep.stoppers import Budget, Target
from gdjax.sweep.table import Scheduler, Stopper

Rule = Scheduler | Stopper


class Rules(NamedTuple):
    """What decides who advances."""

    scheduler: Scheduler
    stoppers: tuple[Stopper, ...]
    described: str  # as they were given; the same in another process

    @property
    def wait(self) -> bool:
        """Whether every score must be known before the next decision."""
        return bool(self.stoppers) or not getattr(self.scheduler, "lags", False)

    @property
    def copies(self) -> bool:
        """Whether trials may go on from others' states."""
        return getattr(self.scheduler, "copies", False)

    @property
    def count_flops(self) -> bool:
        """Whether any of them asks for the operations spent."""
        return any(isinstance(s, Budget) and s.flops is not None for s in self.stoppers)


def gather(stopping: Rule | Sequence[Rule] | None, mode: str) -> Rules:
    """Rules from what a user gives; without a scheduler all trials run to their end.

    Raises:
      InvalidType: what is no rule.
      InvalidValue: two schedulers.
    """
    given: list[Any] = list(stopping) if isinstance(stopping, (list, tuple)) else [stopping]
    schedulers, stoppers = [], []
    for rule in given:
        if rule is None:
            continue
        if isinstance(rule, type) or not (hasattr(rule, "decide") or hasattr(rule, "stops")):
            raise InvalidType(
                "stopping takes rules such as gdjax.successive_halving() or gdjax.plateau(100), "
                f"one or a list of them, got {shown(rule)}"
            )
        (schedulers if hasattr(rule, "decide") else stoppers).append(rule)
    if len(schedulers) > 1:
        raise InvalidValue(
            f"one rule says who advances, got {len(schedulers)}: {', '.join(map(repr, schedulers))}"
        )
    scheduler = schedulers[0] if schedulers else run_all()
    rules = (scheduler, *stoppers)
    described = ", ".join(map(_described, rules))
    if isinstance(mode, str) and mode == "max":  # rules see numbers of which less is better
        stoppers = [
            dataclasses.replace(s, value=-s.value) if isinstance(s, Target) else s for s in stoppers
        ]
    return Rules(scheduler, tuple(stoppers), described)


def _described(rule: Any) -> str:
    """Name and numbers of a rule, without what another process would tell differently."""
    if dataclasses.is_dataclass(rule):
        return repr(rule)
    own = getattr(rule, "__dict__", {})
    plain = {k: v for k, v in own.items() if isinstance(v, (bool, int, float, str))}
    return f"{type(rule).__name__}({', '.join(f'{k}={v!r}' for k, v in plain.items())})"
