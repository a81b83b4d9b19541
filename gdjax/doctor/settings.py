"""Rules of how settings were chosen, where the run is a trial of a sweep."""

from typing import Any

import numpy as np

from gdjax.doctor.case import Case
from gdjax.doctor.finding import rule

SETTINGS = "unvalidated settings"


def _edges(case: Case) -> dict[str, float]:
    """Hyperparameters of which the trial has the least or the greatest value of a grid.

    Of several that are drawn at random one may be at its end by chance: there each value is
    another. Beyond 0 there is nothing for most.
    """
    if case.sweep is None:
        return {}
    settings, family = case.sweep.settings, case.sweep.family
    rows = (family == family[case.trial]) & (case.sweep.segments > 0)
    tried = {name: np.unique(values[rows & ~np.isnan(values)]) for name, values in settings.items()}
    tried = {name: values for name, values in tried.items() if values.size > 2}
    return {
        name: settings[name][case.trial]
        for name, values in tried.items()
        if settings[name][case.trial] in values[[0, -1]]
        and settings[name][case.trial] != 0
        and (values.size < rows.sum() or len(tried) == 1)
    }


def _wider(case: Case) -> str:
    return "\n".join(
        f"space[{name!r}] = {around(name, value)}" for name, value in _edges(case).items()
    )


def around(name: str, value: Any) -> str:
    """A dimension with room on both sides of a value."""
    if isinstance(value, np.integer) and value > 0:
        return f"gdjax.Integer({max(1, value // 4)}, {value * 4})"
    if value < 0:
        return f"gdjax.Uniform({value - 1:.2g}, {value + 1:.2g})"
    if 0.5 <= value < 1 and not name.endswith("learning_rate"):  # a decay: 1 is out of its range
        return f"[{1 - 2 * (1 - value):.6g}, {value:.6g}, {1 - (1 - value) / 10:.6g}]"
    return f"gdjax.LogUniform({value / 30:.2g}, {value * 30:.2g})"


@rule(SETTINGS, 1.0, "none should be: the best may lie beyond", lambda case, _: _wider(case))
def lies_at_the_edge(case: Case) -> np.ndarray | None:
    """Hyperparameters of the best trial at an end of the grid that was tried."""
    if case.sweep is None or case.sweep.copied is not None:  # there settings change on the way
        return None
    if case.trial != case.sweep.ranking()[0]:
        return None
    ends = case.sweep.final(case.objective).mean(axis=1)
    if (ends == ends[case.trial]).sum() != 1:  # it diverged, or is the first of several best
        return None
    return np.full(case.seeds, float(len(_edges(case))))


@rule(
    SETTINGS,
    1.0,
    "two or more tell by how much chance moves a result",
    lambda case, _: "result = gdjax.sweep(task, optimizer, space, seeds=4)",
)
def has_one_seed(case: Case) -> np.ndarray | None:
    """One over the number of seeds of a setting."""
    if case.sweep is None or case.sweep.trials < 2:
        return None
    return np.full(case.seeds, 1 / case.seeds)


RULES = (lies_at_the_edge, has_one_seed)
