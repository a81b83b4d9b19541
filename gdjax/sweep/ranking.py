"""Which trial is best, and how sure that is, by how its seeds differ.

Seed ``s`` means the same initial parameters and batches for every setting, so trials are compared
seed by seed: what a seed does to all of them alike says nothing about which is better.
"""

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import numpy as np

from gdjax.errors import InvalidValue, shown
from gdjax.sweep.measurements import Measurements

Mode = Literal["min", "max"] | None

DRAWS = 2000
"""Times that means are drawn: a probability of a half is then known to 0.011, others better."""
LEVEL = 0.95
"""How sure an interval is."""


class Best(NamedTuple):
    """The best trial, and how sure that is."""

    trial: int
    family: str
    settings: dict[str, float]
    by: str  # the metric that ranks
    mean: float  # over seeds
    spread: float  # standard deviation over seeds; NaN for one seed
    peers: int  # other trials that came as far: those that it is compared with
    probability: float  # that none of them is better; NaN for one seed
    rivals: float  # of them, those that may be as good, at 95 %; NaN for one seed


class Ranks(NamedTuple):
    """All trials from best to worst, and how sure their ranks are: see :func:`rank`."""

    trial: np.ndarray  # int[rank]
    mean: np.ndarray  # [rank] over seeds; NaN where one diverged, as all that follows
    spread: np.ndarray  # [rank] standard deviation over seeds; NaN for one seed, as what follows
    standard_error: np.ndarray  # [rank] of the mean
    probability: np.ndarray  # [rank] that no other trial is better; NaN where others did better
    low: np.ndarray  # [rank] of the 95 % interval of the rank, from 1
    high: np.ndarray  # [rank]


def ranking(measured: Measurements, by: str | None, mode: Mode) -> np.ndarray:
    """Trials from best to worst by the mean over seeds, ``int[trial]``."""
    by, mode = measured.objective(by, mode)
    return _order(_cost(measured.final(by).astype(float), mode), _tier(measured))


@np.errstate(over="ignore", invalid="ignore")  # squares of float64 near its end
def best(measured: Measurements, by: str | None, mode: Mode, over: str) -> Best:
    """The best trial."""
    if over != "seed":
        raise InvalidValue(f"over must be 'seed', the dimension of a mean, got {shown(over)}")
    by, mode = measured.objective(by, mode)
    final, tier = measured.final(by).astype(float), _tier(measured)
    cost = _cost(final, mode)
    trial = int(_order(cost, tier)[0])
    values = final[trial]
    if not np.isfinite(values.mean()):
        raise InvalidValue(
            f"there is no best trial: each was stopped before it was measured, or has a run "
            f"that diverged or whose {by} is not finite; smaller learning rates may help"
        )
    level = np.flatnonzero((tier == tier[trial]) & np.isfinite(cost.mean(axis=1)))
    place = int(np.searchsorted(level, trial))
    return Best(
        trial=trial,
        family=str(measured.family[trial]),
        settings={
            k: float(v[trial]) for k, v in measured.settings.items() if not np.isnan(v[trial])
        },
        by=by,
        mean=float(values.mean()),
        spread=float(_spread(values)),
        peers=len(level) - 1,
        probability=float(chances(cost[level])[place]),
        rivals=rivals(cost[level], place),
    )


@np.errstate(over="ignore", invalid="ignore")
def rank(measured: Measurements, by: str | None, mode: Mode) -> Ranks:
    """The ranking with its uncertainty.

    Means are drawn from what the seeds leave possible, :func:`chances` says how; a trial's rank in
    each draw makes its interval. Those that a scheduler stopped are compared with those that it
    stopped at the same step; how they would have ended is not known, so neither is whether one of
    them would have been the best.
    """
    by, mode = measured.objective(by, mode)
    final, tier = measured.final(by).astype(float), _tier(measured)
    cost = _cost(final, mode)
    order = _order(cost, tier)
    known = np.flatnonzero(np.isfinite(cost[order].mean(axis=1)))  # int[n]: places
    probability, low, high = np.full((3, len(order)), np.nan)
    for level in np.unique(tier[order[known]]).tolist():
        here = known[tier[order[known]] == level]  # one behind the other
        if level == 0:
            probability[here] = chances(cost[order[here]])
        low[here], high[here] = here[0] + intervals(cost[order[here]])
    spread = _spread(final[order])
    error = spread / np.sqrt(measured.seeds)
    return Ranks(order, final[order].mean(axis=1), spread, error, probability, low, high)


def chances(cost: np.ndarray) -> np.ndarray:
    """How probable it is for each trial that no other one is better, ``[trial]``.

    By 2000 draws of all means from the multivariate t distribution around those measured, with
    ``seeds - 1`` degrees of freedom and the covariance of the trials over seeds divided by their
    number. The difference of any two trials then has exactly the distribution of the paired
    t-test: two seeds say little (a bootstrap, which can draw only three samples from them, would
    be sure of far too much), and what moves all trials alike cancels. Trials that tie share.

    Args:
      cost: finite, less is better, ``[trial, seed]``; NaN comes back for one seed.

    Reference:
      Gelman et al., Bayesian Data Analysis, 3rd edition, section 3.6 (a multivariate t posterior;
      here with the degrees of freedom of each difference, as there are more trials than seeds);
      Salanti et al. (2011), https://doi.org/10.1016/j.jclinepi.2010.03.016 (probabilities of
      ranks from such draws).

    >>> chances(np.array([[1.0, 2.0], [1.0, 2.0], [5.0, 6.0]]))
    array([0.5, 0.5, 0. ])
    """
    if cost.shape[1] == 1:
        return np.full(len(cost), np.nan)
    distinct, which, count = _distinct(cost)
    total = sum(
        np.bincount(means.argmin(axis=1), minlength=len(count)) for means in _draws(distinct)
    )
    return (total / DRAWS / count)[which]


def intervals(cost: np.ndarray) -> np.ndarray:
    """The 95 % interval of each trial's rank, from 1, ``[2, trial]``: in the draws of ``chances``.

    >>> intervals(np.array([[1.0, 2.0], [5.0, 6.0]]))
    array([[1., 2.],
           [1., 2.]])
    """
    if cost.shape[1] == 1:
        return np.full((2, len(cost)), np.nan)
    distinct, which, count = _distinct(cost)
    first = np.empty((DRAWS, len(count)), np.int32)  # rank of the first of those that are equal
    begin = 0
    for means in _draws(distinct):
        order = means.argsort(axis=1)
        before = count[order].cumsum(axis=1, dtype=np.int32) - count[order]
        np.put_along_axis(first[begin : begin + len(means)], order, 1 + before, axis=1)
        begin += len(means)
    ends = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    low, high = np.quantile(first, ends, axis=0, method="inverted_cdf").astype(float)
    return np.stack([low, high + count - 1])[:, which]


def rivals(cost: np.ndarray, place: int) -> float:
    """Other trials whose difference from one of them may be 0: by paired t-tests, two-sided, 5 %.

    Args:
      cost: finite, ``[trial, seed]``; NaN comes back for one seed.
      place: of the one among them.

    >>> rivals(np.array([[1.0, 2.0], [1.1, 2.2], [5.0, 6.0]]), 0)
    1.0
    """
    from scipy import special  # slow to import, and comes with JAX

    seeds = cost.shape[1]
    if seeds == 1:
        return float("nan")
    difference = np.delete(cost, place, axis=0) - cost[place]
    error = _spread(difference) / np.sqrt(seeds)
    allowed = special.stdtrit(seeds - 1, (1 + LEVEL) / 2) * error
    return float(np.count_nonzero(np.abs(difference.mean(axis=1)) <= allowed))


def _draws(cost: np.ndarray) -> Iterator[np.ndarray]:
    """Blocks of draws of all trials' means, ``[draw, trial]``, ``DRAWS`` in all, always the same.

    A mean is off by ``sum_s z_s (cost_s - mean) / sqrt(seeds * chi2)`` with normal ``z`` and
    ``chi2`` of ``seeds - 1`` degrees of freedom, both the same for all trials: of the difference
    of two this is its standard error times Student's t.
    """
    seeds = cost.shape[1]
    generator = np.random.default_rng(0)
    normal = generator.standard_normal((DRAWS, seeds))
    weights = normal / np.sqrt(seeds * generator.chisquare(seeds - 1, DRAWS))[:, None]
    mean = cost.mean(axis=1)
    off = cost - mean[:, None]
    size = max(1, (1 << 22) // len(cost))  # some megabytes
    for begin in range(0, DRAWS, size):
        yield mean + weights[begin : begin + size] @ off.T


def _distinct(cost: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows that differ, which of them each row is, and how often each is there.

    Trials whose runs are all alike, as with an accuracy of 1, have the same mean in every draw.
    """
    distinct, which, count = np.unique(cost, axis=0, return_inverse=True, return_counts=True)
    return distinct, which.reshape(-1), count.astype(np.int32)


def _cost(values: np.ndarray, mode: Any) -> np.ndarray:
    """Numbers of which less is better."""
    return -values if mode == "max" else values


def _tier(measured: Measurements) -> np.ndarray:
    """0 for trials that ended by themselves; more, the sooner a scheduler stopped them."""
    return np.where(measured.lost, 1 + measured.width.shape[1] - measured.segments, 0)


def _order(cost: np.ndarray, tier: np.ndarray) -> np.ndarray:
    mean = cost.mean(axis=1)
    return np.lexsort((mean, tier, np.isnan(mean)))  # stable; the last key is the first to decide


def _spread(values: np.ndarray) -> np.ndarray:
    """Standard deviation over seeds; NaN for one."""
    if values.shape[-1] == 1:
        return np.full(values.shape[:-1], np.nan)
    return values.std(axis=-1, ddof=1)
