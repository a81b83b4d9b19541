"""Rules of the gradients' sizes: vanishing, exploding, corrupted."""

import numpy as np

from gdjax.doctor.case import JUMP, Case, early, late
from gdjax.doctor.finding import HALF, rule

VANISHING, EXPLODING, CORRUPTED = "vanishing gradients", "exploding gradients", "corrupted examples"


def _initialize(case: Case, number: float) -> str:
    return (
        "# of each layer, in Task.init; with ReLU units and residual connections\n"
        "weights = jax.nn.initializers.he_normal()(key, shape)"
    )


@rule(
    EXPLODING,
    JUMP,
    "clip at half to ten times the average norm (Pascanu et al., https://arxiv.org/abs/1211.5063, "
    "section 3.2)",
    lambda case, _: (
        "optimizer = gdjax.chain(gdjax.clip_by_global_norm("
        f"{np.nanmedian(early(case.seen['gradient_norm'], parts=10)):.2g}), optimizer)"
    ),
    share=0.25,
)
def spikes(case: Case) -> np.ndarray | None:
    """The greatest norm of a gradient over the median of those before, and of those after."""
    return case.jumps if "gradient_norm" in case.seen else None


@rule(
    EXPLODING,
    0.01,
    "none should be",
    lambda case, _: "optimizer = gdjax.apply_if_finite(optimizer, max_consecutive_errors=100)",
    share=0.25,
)
def diverges_at_any_rate(case: Case) -> np.ndarray | None:
    """Share of the updates that is lost because the loss is not finite any more.

    Only where it was so once, and at a tenth of the learning rate, or less, is lost as well.
    """
    slowest = min(case.rates, default=1.0)
    if slowest > 0.1:
        return None
    lost, still = case.lost(case.loss), case.lost(case.rates[slowest])
    return np.where((still > 0) & (lost < 1), lost, 0.0)


@rule(
    VANISHING,
    1e3,
    "five layers of logistic units, whose slope is at most 1/4: 4**5 "
    "(Glorot and Bengio, https://proceedings.mlr.press/v9/glorot10a.html)",
    _initialize,
)
def differs_by_layer(case: Case) -> np.ndarray | None:
    """The greatest norm of the gradient of a layer over the least, at the start of the run.

    Of layers that get any: parameters that the loss does not use are no challenge. Where norms
    jump the great ones are the challenge, not the small ones.
    """
    layers = [
        early(x, parts=16) for name, x in case.seen.items() if name.startswith("gradient_norm.")
    ]
    if len(layers) < 2:
        return None
    norms = np.median(np.stack(layers), axis=2)  # [layer, seed]
    ratio = norms.max(axis=0) / np.where(norms > 0, norms, np.inf).min(axis=0)
    return np.where((case.jumps >= JUMP) | np.isinf(ratio), np.nan, ratio)


@rule(VANISHING, 0.5, HALF, _initialize)
def units_are_dead(case: Case) -> np.ndarray | None:
    """Share of ReLU units that are 0 on all of a batch, late in the run."""
    return _late(case, "dead_units")


@rule(VANISHING, 0.5, HALF, _initialize)
def units_are_saturated(case: Case) -> np.ndarray | None:
    """Share of tanh and logistic units with less than a tenth of their slope, late in the run."""
    return _late(case, "saturated_units")


@rule(
    VANISHING,
    0.1,
    "chosen: in float32 there is none of it",
    lambda case, _: "optimizer = gdjax.dynamic_loss_scale(optimizer)",
)
def underflows(case: Case) -> np.ndarray | None:
    """Share of the gradient's numbers that float16 loses as too small, at the start.

    Later it is no sign: what is learned has a small gradient.
    """
    if "underflow" not in case.seen:
        return None
    return np.median(early(case.seen["underflow"], parts=16), axis=1)


@rule(
    CORRUPTED,
    10.0,
    "chosen: before training, examples of sound data differ by less than 3",
    lambda case, _: (
        "from gdjax.diagnostics.examples import example_gradient_norms\n"
        "batch = task.batch(key, 0)\n"
        "norms = example_gradient_norms(\n"
        "    lambda params, batch: task.loss(params, batch, key), task.init(key), batch\n"
        ")\n"
        "jax.numpy.argsort(-norms)  # look at the first of these examples of the batch"
    ),
)
def examples_stand_out(case: Case) -> np.ndarray | None:
    """The greatest norm of an example's gradient over the median, at the first look.

    Only where the loss has not made half of its fall by then: later most examples of sound data
    are learned, and what is left stands out as well. So it does where half of them have no
    gradient at all, as with a hinge loss.
    """
    if "example_norm_median" not in case.seen:
        return None
    most, usual = (case.seen[f"example_norm_{of}"][:, 0] for of in ("max", "median"))
    updates = max(1, case.steps // case.seen["example_norm_max"].shape[1])  # before the look
    learned = late(case.loss[:, :updates]).mean(axis=1) < (case.start + case.end(case.loss)) / 2
    return np.where((usual > 0) & ~learned, most / usual, np.nan)


def _late(case: Case, name: str) -> np.ndarray | None:
    return np.median(late(case.seen[name]), axis=1) if name in case.seen else None


RULES = (
    spikes,
    diverges_at_any_rate,
    differs_by_layer,
    units_are_dead,
    units_are_saturated,
    underflows,
    examples_stand_out,
)
