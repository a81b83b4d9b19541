"""What a narrow number type loses of a gradient."""

from typing import Any

import jax
import jax.numpy as jnp

from gdjax.monitoring import Monitor, Step

SCALE = 2.0**15
"""The largest power of two in float16."""


def underflow() -> Monitor:
    """A monitor of numbers of the gradient that were too small for the type of what computed them.

    ``underflow``: the share of the gradient's numbers that are 0, where they are not in the
    gradient of ``2**15`` times the loss. In float16 what is below 6e-8 is 0, also on the way back
    through the layers; :func:`gdjax.dynamic_loss_scale` is the remedy, and with it this is measured
    of the scaled loss. A look costs one gradient of the loss.

    Reference:
      Micikevicius et al., Mixed precision training (https://arxiv.org/abs/1710.03740), section 3.2.

    >>> import gdjax
    >>> task = gdjax.Task(
    ...     init=lambda key: jnp.array([1.0, 1e-3], jnp.float16),
    ...     loss=lambda params, batch, key: 1e-5 * jnp.sum(params**2) / 2,
    ...     batch=lambda key, step: None,
    ... ).with_monitors(underflow())
    >>> for optimizer in (gdjax.sgd(0.1), gdjax.dynamic_loss_scale(gdjax.sgd(0.1))):
    ...     print(gdjax.train(task, optimizer, steps=1, key=0).evaluation["underflow"])
    0.5
    0.0
    """
    return Monitor(_measure)


def _measure(step: Step, state: Any) -> tuple[dict[str, Any], Any]:
    scaled = jax.grad(lambda params: SCALE * step.loss_fn(params, step.batch))(step.params)
    pairs = zip(*map(jax.tree.leaves, (step.gradient, scaled)), strict=True)
    lost = [(x == 0) & (y != 0) & ~jnp.isnan(y) for x, y in pairs]
    size = sum(x.size for x in lost)
    return {"underflow": sum(map(jnp.sum, lost), start=jnp.zeros(())) / max(size, 1)}, state
