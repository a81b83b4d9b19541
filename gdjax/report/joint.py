"""The objective over several hyperparameters at once."""

import dataclasses

import numpy as np

from gdjax.report.scales import Scale

CELLS = 2500  # a grid with more is shown as points
BEYOND = 0.15  # where, beyond the end of the objective's axis, trials that diverged are


@dataclasses.dataclass(frozen=True)
class Map:
    """The objective over the two hyperparameters of a family that tell most about it.

    Where the trials are a grid there are ``cells``, each the best mean over seeds of its trials:
    infinite where all of them diverged, NaN where there is none.
    """

    family: int
    x: str
    y: str
    trials: np.ndarray  # [point] in the result, where there are no cells
    x_values: np.ndarray  # of the columns, or of each of ``trials``
    y_values: np.ndarray  # of the rows, or of each of ``trials``
    cells: np.ndarray | None  # [y, x]


@dataclasses.dataclass(frozen=True)
class Parallels:
    """Each trial of a family as a line through parallel axes, the objective's last.

    Positions are 0 at one end of an axis and 1 at the other.
    """

    family: int
    labels: list[str]  # [axis]
    positions: np.ndarray  # [line, axis]
    ticks: list[tuple[np.ndarray, list[str]]]  # [axis] positions and texts
    shade: np.ndarray  # [line] position on the objective's axis; NaN where diverged


def objective_map(
    family: int,
    trials: np.ndarray,
    settings: dict[str, np.ndarray],
    objective: np.ndarray,
    mode: str,
    shown: np.ndarray,
) -> Map:
    """Choose two hyperparameters and arrange the objective over them.

    Args:
      family: index of the family.
      trials: its trials in the result.
      settings: its hyperparameters that vary, ``[trial]``.
      objective: mean over seeds, ``[trial]``; NaN where one diverged.
      mode: whether less (``"min"``) or more (``"max"``) is better.
      shown: which trials are shown where they are points, ``[trial]``.
    """
    sign = 1 if mode == "min" else -1
    cost = np.nan_to_num(sign * objective, nan=np.inf)
    names = list(settings)
    telling = sorted(names, key=lambda name: -_importance(settings[name], cost))[:2]
    x, y = sorted(telling, key=names.index)
    x_values, column = np.unique(settings[x], return_inverse=True)
    y_values, row = np.unique(settings[y], return_inverse=True)
    size = len(x_values) * len(y_values)
    occupied = len(np.unique(row * len(x_values) + column))
    if size > CELLS or occupied < 0.8 * size:
        return Map(family, x, y, trials[shown], settings[x][shown], settings[y][shown], None)
    cells = np.full((len(y_values), len(x_values)), np.nan)
    np.fmin.at(cells, (row, column), cost)
    return Map(family, x, y, trials, x_values, y_values, sign * cells)


def parallels(
    family: int,
    axes: list[tuple[Scale, np.ndarray]],
    objective: tuple[Scale, np.ndarray],
    mode: str,
) -> Parallels:
    """Lay the trials of a family through the axes of its hyperparameters and the objective.

    Args:
      family: index of the family.
      axes: scale and values ``[trial]`` of each hyperparameter.
      objective: scale and means over seeds, NaN where one diverged.
      mode: whether less (``"min"``) or more (``"max"``) is better.
    """
    shade = objective[0].unit(objective[1])
    lost = 1 + BEYOND if mode == "min" else -BEYOND
    columns = [scale.unit(values) for scale, values in axes]
    columns.append(np.where(np.isnan(shade), lost, shade))
    ticks = []
    for scale, _ in [*axes, objective]:
        values, texts = scale.inner_ticks()
        ticks.append((scale.unit(values), texts))
    if np.isnan(shade).any():
        ticks[-1] = (np.append(ticks[-1][0], lost), [*ticks[-1][1], "diverged"])
    labels = [scale.label for scale, _ in [*axes, objective]]
    return Parallels(family, labels, np.stack(columns, axis=1), ticks, shade)


def _importance(values: np.ndarray, cost: np.ndarray) -> float:
    """Share of the variance of the objective's ranks that lies between groups of values.

    >>> cost = np.asarray([1.0, 2.0, 3.0, np.inf])
    >>> _importance(np.asarray([0, 0, 1, 1]), cost), _importance(np.asarray([0, 1, 1, 0]), cost)
    (0.8, 0.0)
    """
    _, ranks, sizes = np.unique(cost, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(sizes) - sizes / 2)[ranks]  # ties share the middle
    distinct, group = np.unique(values, return_inverse=True)
    group = group * min(8, len(distinct)) // len(distinct)
    counts = np.bincount(group)
    means = np.bincount(group, ranks) / counts
    total = ((ranks - ranks.mean()) ** 2).sum()
    return float((counts * (means - ranks.mean()) ** 2).sum() / total) if total > 0 else 0.0
