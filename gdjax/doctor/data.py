"""Rules of the data: overfitting, the size of batches."""

import numpy as np

from gdjax.diagnostics import noise_scale
from gdjax.doctor.case import JUMP, Case, early, late
from gdjax.doctor.finding import HALF, rule

OVERFITTING, SMALL, LARGE = "overfitting", "batch too small", "batch too large"
CRITICAL = (
    "chosen: the noise scale predicts the critical batch within some factor (McCandlish et al., "
    "https://arxiv.org/abs/1812.06162), and changes along a run"
)


@rule(
    OVERFITTING,
    0.1,
    HALF,
    lambda case, back: (
        f"result = gdjax.train(task, optimizer, {case.steps}, key=0, "
        f"segment={max(1, case.steps // 32)}, keep_best=True)"
    ),
)
def turns_back(case: Case) -> np.ndarray | None:
    """By how much the objective ends worse than at its best, in shares of its way there.

    Of its way back, where that is longer. Only where it is more than the objective's own noise,
    of which the best of many looks is the luckiest, and the training loss has fallen since.
    """
    if case.objective not in case.seen or case.seen[case.objective].shape[1] < 4:
        return None
    values = case.seen[case.objective].astype(float)  # of whole numbers and truths too
    costs = -values if case.mode == "max" else values
    best = costs.min(axis=1)
    back = np.median(late(costs, parts=8), axis=1) - best
    way = np.maximum(costs[:, 0] - best, back)
    noise = np.median(np.abs(np.diff(costs, n=2, axis=1)), axis=1)  # 1.65 standard deviations
    updates = (costs.argmin(axis=1) + 1) * case.steps // costs.shape[1]  # at the best
    window = max(1, case.steps // 10)
    then = [loss[max(0, n - window) : n].mean() for loss, n in zip(case.loss, updates, strict=True)]
    turned = (back > 2 * noise) & (case.end(case.loss) <= then)
    return np.where(turned, back / way, np.nan)


@rule(
    SMALL,
    20.0,
    CRITICAL,
    lambda case, ratio: f"optimizer = gdjax.multi_steps(optimizer, every_k={_whole(ratio)})",
)
def noise_over_batch(case: Case) -> np.ndarray | None:
    """The gradient's noise scale over the batch size."""
    scale = _noise_scale(case, parts=1)
    return None if scale is None else scale / case.batch_size


@rule(
    LARGE,
    10.0,
    CRITICAL,
    lambda case, ratio: f"batch_size = {max(1, round(case.batch_size / ratio))}  # of the task",
)
def batch_over_noise(case: Case) -> np.ndarray | None:
    """The batch size over the gradient's noise scale, early in the run."""
    scale = _noise_scale(case, parts=4)
    return None if scale is None else case.batch_size / np.maximum(scale, 1e-30)


def _whole(ratio: float) -> int:
    """Batches in one; some, where the ratio is not known but for being large."""
    return round(min(ratio, 100.0))


def _noise_scale(case: Case, parts: int) -> np.ndarray | None:  # [seed], in examples
    if not case.batch_size or "gradient_variance" not in case.seen:
        return None
    variance, signal = (early(case.seen[f"gradient_{of}"], parts) for of in ("variance", "signal"))
    if variance.shape[1] < 2:
        return None
    noisy = np.isfinite(variance).all(axis=1) & (variance.sum(axis=1) > 0) & (case.jumps < JUMP)
    return np.where(noisy, np.asarray(noise_scale(variance, signal).value), np.nan)


RULES = (turns_back, noise_over_batch, batch_over_noise)
