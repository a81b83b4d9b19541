"""Rules of the shape of the loss: ill-conditioning, local minima, saddle points."""

import numpy as np

from gdjax.doctor.case import JUMP, Case, early, late
from gdjax.doctor.finding import HALF, rule

ILL, MINIMA, SADDLE = "ill-conditioning", "local minima", "saddle point"


@rule(
    ILL,
    100.0,
    "gradient descent at its greatest stable rate needs half as many updates to divide the "
    "distance along the gradient by e (Nocedal and Wright, Numerical optimization, section 3.3)",
    lambda case, _: "optimizer = gdjax.adam(gdjax.find_learning_rate(task, gdjax.adam).suggestion)",
)
def curves_elsewhere(case: Case) -> np.ndarray | None:
    """Sharpness over the curvature along the gradient, late in the run.

    Only where gradients do not vanish.
    """
    if not {"sharpness", "gradient_curvature", "gradient_norm"} <= case.seen.keys():
        return None
    along = np.abs(np.median(late(case.seen["gradient_curvature"]), axis=1))
    sharpness = np.median(late(case.seen["sharpness"]), axis=1)
    norm = np.median(late(case.seen["gradient_norm"], parts=8), axis=1)
    before = np.median(late(case.seen["gradient_norm"], parts=4), axis=1)
    vanish = norm <= before / 2
    return np.where(vanish, np.nan, sharpness / np.maximum(along, 1e-30))


@rule(
    MINIMA,
    0.1,
    "chosen: a tenth of the fall",
    lambda case, _: (
        f"result = gdjax.sweep(task, lambda rate: gdjax.chain(optimizer, gdjax.scale(rate)), "
        f'{{"rate": 1.0}}, seeds=32, steps={case.steps})\n'
        'best = result.final("loss").min()  # of 32 starts'
    ),
    share=0.25,
)
def ends_above_the_best(case: Case) -> np.ndarray | None:
    """By how much the loss ends above that of the best seed, in shares of its fall.

    Only where gradients have vanished, not jumped, and no curvature is negative; runs that
    diverged do not count.
    """
    if case.seeds < 2 or "gradient_norm" not in case.seen:
        return None
    end, norm = case.end(case.loss), case.seen["gradient_norm"]
    first, last = (np.median(x, axis=1) for x in (early(norm, parts=16), late(norm)))
    moving = ~(last <= 1e-2 * first) | (case.jumps >= JUMP)  # it diverged, or others look small
    if "lowest_curvature" in case.seen:
        moving |= np.median(late(relative_curvature(case)), axis=1) < -0.1
    fall = np.maximum(case.start - end.min(), 1e-30)
    return np.where(moving, np.nan, (end - end.min()) / fall)


@rule(
    SADDLE,
    0.1,
    HALF,
    lambda case, _: (
        "optimizer = gdjax.chain(gdjax.add_noise(eta=0.01, gamma=0.55, key=0), optimizer)"
    ),
)
def curves_down(case: Case) -> np.ndarray | None:
    """The lowest curvature, negative, over the greatest, late in the run.

    Only where the loss stays.
    """
    if "lowest_curvature" not in case.seen:
        return None
    loss, last = late(case.loss, parts=4), late(case.loss, parts=8)
    before = loss[:, : loss.shape[1] - last.shape[1]].mean(axis=1)
    scale = np.maximum(np.abs(before), np.abs(case.start - before))
    stays = before - last.mean(axis=1) <= 1e-2 * scale
    return np.where(stays, -np.median(late(relative_curvature(case)), axis=1), np.nan)


def relative_curvature(case: Case) -> np.ndarray:  # [seed, look]
    """The lowest curvature over the size of the greatest."""
    size = np.maximum(np.abs(case.seen["sharpness"]), np.abs(case.seen["lowest_curvature"]))
    return case.seen["lowest_curvature"] / np.maximum(size, 1e-30)


RULES = (curves_elsewhere, ends_above_the_best, curves_down)
