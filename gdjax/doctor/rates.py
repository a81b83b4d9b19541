"""Rules of the learning rate and of how a run starts.

The best evidence is an experiment: runs that differ in the learning rate, or in a warm-up, and in
nothing else. Where a saved run has none beside it, what it measured itself must do.
"""

import numpy as np

from gdjax.doctor.case import WARM_UP, Case, late
from gdjax.doctor.finding import HALF, rule

HIGH, LOW, START = "learning rate too high", "learning rate too low", "unstable start"
FIND = (
    "found = gdjax.find_learning_rate(task, gdjax.adam)\noptimizer = gdjax.adam(found.suggestion)"
)


def _scaled(case: Case, slower: bool) -> str:
    factor = _best(case, slower)
    if factor is None:
        factor = 0.1 if slower else 10.0
    return f"optimizer = gdjax.chain(optimizer, gdjax.scale({factor:g}))  # times the learning rate"


@rule(HIGH, 0.2, HALF, lambda case, _: _scaled(case, slower=True))
def misses_what_slower_runs_reach(case: Case) -> np.ndarray | None:
    """Share of the loss's fall with a lower learning rate that this one misses."""
    factor = _best(case, slower=True)
    return None if factor is None else case.missed(case.rates[factor])


@rule(LOW, 0.2, HALF, lambda case, _: _scaled(case, slower=False))
def misses_what_faster_runs_reach(case: Case) -> np.ndarray | None:
    """Share of the loss's fall with a higher learning rate that this one misses."""
    factor = _best(case, slower=False)
    return None if factor is None else case.missed(case.rates[factor])


@rule(
    HIGH,
    1.0,
    "of a quadratic: from 1 on an update raises the loss",
    lambda case, _: _scaled(case, slower=True),
)
def overshoots(case: Case) -> np.ndarray | None:
    """Curvature along the update over that at which it ends where it began.

    Only where the loss of the run ends no lower than it starts.
    """
    if case.rates or "overshoot" not in case.seen:
        return None
    fallen = case.end(case.loss) < case.start
    return np.where(fallen, np.nan, np.nanmedian(case.seen["overshoot"], axis=1))


@rule(HIGH, 0.01, "none should be", lambda case, _: FIND, share=0.25)
def diverges(case: Case) -> np.ndarray | None:
    """Share of the updates that is lost because the loss is not finite any more.

    Only where it was so once, and no run at a lower learning rate tells why: one that does not
    diverge, or one at a tenth of the rate, or less, that does.
    """
    lost = case.lost(case.loss)
    if min(case.rates, default=1.0) <= 0.1 or not lost.any():
        return None
    slower = [case.end(loss) for factor, loss in case.rates.items() if factor < 1]
    return np.where((lost < 1) & ~np.isfinite(slower).any(axis=0), lost, 0.0)


@rule(
    LOW,
    100.0,
    "about 1e-3 is usual (Karpathy, CS231n, https://cs231n.github.io/neural-networks-3/): 1e-5",
    lambda case, _: _scaled(case, slower=False),
)
def hardly_moves(case: Case) -> np.ndarray | None:
    """1e-3 over the norm of an update by that of the parameters.

    Only where gradients do not shrink.
    """
    if case.rates or not {"update_ratio", "gradient_norm"} <= case.seen.keys():
        return None
    norm = case.seen["gradient_norm"]
    if norm.shape[1] < 2:  # whether they shrink is not known
        return None
    shrunk = np.median(late(norm), axis=1) <= norm[:, 0] / 2  # both are 0 at a minimum
    ratio = np.median(case.seen["update_ratio"], axis=1)
    told = (ratio > 0) & ~shrunk  # ten times nothing is nothing
    return np.where(told, 1e-3 / np.where(told, ratio, 1.0), np.nan)


@rule(LOW, 1.0, "chosen: sound runs move", lambda case, _: FIND)
def stands_still(case: Case) -> np.ndarray | None:
    """Share of the updates that are 0, of those with a gradient that is not."""
    if not {"update_ratio", "gradient_norm"} <= case.seen.keys():
        return None
    pushed = case.seen["gradient_norm"] > 0
    still = pushed & (case.seen["update_ratio"] == 0)
    return still.sum(axis=1) / np.maximum(pushed.sum(axis=1), 1)


@rule(
    START,
    0.2,
    HALF,
    lambda case, _: (
        f"warm_up = gdjax.linear_schedule(0.0, 1.0, {max(1, round(WARM_UP * case.steps))})\n"
        "optimizer = gdjax.chain(optimizer, gdjax.scale_by_schedule(warm_up))"
    ),
)
def misses_what_a_warm_up_reaches(case: Case) -> np.ndarray | None:
    """Share of the loss's fall with a warm-up that is missed without one."""
    return None if case.warmed is None else case.missed(case.warmed)


def _best(case: Case, slower: bool) -> float | None:
    """The factor of the learning rate with the lowest loss, of those below or above 1."""
    factors = [factor for factor in case.rates if (factor < 1) == slower]
    return min(
        factors, key=lambda factor: case.end(case.rates[factor]).mean(dtype=float), default=None
    )


RULES = (
    misses_what_slower_runs_reach,
    misses_what_faster_runs_reach,
    misses_what_a_warm_up_reaches,
    overshoots,
    diverges,
    hardly_moves,
    stands_still,
)
