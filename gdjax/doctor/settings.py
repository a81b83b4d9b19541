"""Rules of how settings were chosen, where the run is a trial of a sweep."""

import numpy as np

from gdjax.doctor.case import Case
from gdjax.doctor.rule import rule

SETTINGS = "unvalidated settings"


def _edges(case: Case) -> dict[str, float]:
    """Hyperparameters of which the trial has the least or the greatest value of a grid.

    Of several that are drawn at random one may be at its end by chance: there each value is
    another.
    """
    if case.sweep is None:
        return {}
    settings, rows = case.sweep.settings, case.sweep.family == case.sweep.family[case.trial]
    tried = {name: np.unique(values[rows]) for name, values in settings.items()}
    tried = {name: values for name, values in tried.items() if values.size > 2}
    return {
        name: settings[name][case.trial]
        for name, values in tried.items()
        if settings[name][case.trial] in values[[0, -1]]
        and (values.size < rows.sum() or len(tried) == 1)
    }


def _wider(case: Case) -> str:
    return "\n".join(
        f"space[{name!r}] = gdjax.LogUniform({value / 30:.2g}, {value * 30:.2g})"
        if value > 0
        else f"space[{name!r}] = gdjax.Uniform({value - 1:.2g}, {value + 1:.2g})"
        for name, value in _edges(case).items()
    )


@rule(SETTINGS, 1.0, "none should be: the best may lie beyond", lambda case, _: _wider(case))
def lies_at_the_edge(case: Case) -> np.ndarray | None:
    """Hyperparameters of the best trial at an end of the grid that was tried."""
    if case.sweep is None or case.trial != case.sweep.ranking()[0]:
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
