"""How much worse a model is on what it was not trained on, and whether that grows."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gdjax import trees
from gdjax.errors import InvalidValue


class Generalization(NamedTuple):
    """What :func:`generalization_gap` finds, at each evaluation."""

    gap: jax.Array  # [..., evaluation]: the held-out loss less the training loss
    slope: jax.Array  # [..., evaluation]: of the gap, per update; NaN where too few came before
    rise: jax.Array  # [..., evaluation]: of the held-out loss, relative to its least so far


def generalization_gap(
    training_loss: Any, heldout_loss: Any, steps: Any, window: int = 5
) -> Generalization:
    """The gap between held-out and training loss, its slope, and the rise of the held-out loss.

    ``gap = heldout_loss - training_loss``, its slope is that of least squares through the last
    ``window`` evaluations, and ``rise = heldout_loss / min(heldout_loss so far) - 1``. A gap that
    grows is no harm as long as the held-out loss falls. A run overfits from where that rises.

    Args:
      training_loss: of the examples that are trained on, without dropout and penalties,
        ``[..., evaluation]``.
      heldout_loss: of other examples, ``[..., evaluation]``; above 0 if the rise is to mean
        anything.
      steps: updates before each evaluation, ``[evaluation]``: a result's ``evaluation_steps``.
      window: how many evaluations, at least 2.

    Raises:
      InvalidValue: shapes that do not fit, or too small a window.

    Reference:
      Prechelt, "Early stopping - but when?", 1998, section 2: ``rise`` is the generalization loss
      there, in percent; the criterion ``GL_5`` stops where it is above 5.

    >>> training, heldout = [2.0, 0.5, 0.25], [2.0, 1.0, 1.5]
    >>> found = generalization_gap(training, heldout, steps=[2, 4, 6], window=2)
    >>> found.gap.tolist(), found.slope.tolist(), found.rise.tolist()
    ([0.0, 0.5, 1.25], [nan, 0.25, 0.375], [0.0, 0.0, 0.5])
    """
    training, heldout, steps = trees.widen(
        [jnp.asarray(x) for x in (training_loss, heldout_loss, steps)]
    )
    fits = training.shape == heldout.shape and training.shape[-1:] == steps.shape != ()
    if not fits or window < 2:
        raise InvalidValue(
            "generalization_gap needs losses of one shape [..., evaluation], steps of shape "
            f"[evaluation] and a window of at least 2, got shapes {training.shape}, "
            f"{heldout.shape} and {steps.shape}, {window=}"
        )
    gap = heldout - training
    places = jnp.arange(len(steps))[:, None] - jnp.arange(window)[None, :]  # [evaluation, window]
    times = steps[places] - steps[places].mean(axis=-1, keepdims=True)
    weights = times / jnp.sum(times**2, axis=-1, keepdims=True)
    slope = jnp.einsum("ew,...ew->...e", weights, gap[..., places], precision="highest")
    rise = heldout / jax.lax.cummin(heldout, axis=heldout.ndim - 1) - 1
    return Generalization(gap, jnp.where(places[:, -1] >= 0, slope, jnp.nan), rise)
