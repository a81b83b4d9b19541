"""What half precision loses of a gradient."""

import re
from typing import Any

import jax
import jax.numpy as jnp

from gdjax import subtrees
from gdjax.monitoring import Monitor, Step
from gdjax.transforms.loss_scaling import DynamicLossScaleState

SCALE = 2.0**15
"""The largest power of two in float16, which a loss may be itself."""


def underflow() -> Monitor:
    """A monitor of the numbers of the gradient that a scale of the loss would keep from being 0.

    ``underflow``: the share of them that are 0, where they are not in the gradient of ``2**15``
    times the loss. What is less than 3e-8 is 0 in float16, also on the way back through the layers;
    :func:`gdjax.dynamic_loss_scale` is the remedy. What that scale does not keep either is not
    counted. A look costs one gradient.

    Measured only where the loss computes in float16, without a loss scale: bfloat16 has the range
    of float32. The gradient must be that of ``jax.value_and_grad``, not an estimator's.

    Reference:
      Micikevicius et al., Mixed precision training (https://arxiv.org/abs/1710.03740), section 3.2.

    >>> import gdjax
    >>> task = gdjax.Task(
    ...     init=lambda key: jnp.array([1.0, 1e-3], jnp.float16),
    ...     loss=lambda params, batch, key: 1e-5 * jnp.sum(params**2) / 2,
    ...     batch=lambda key, step: None,
    ... ).with_monitors(underflow())
    >>> gdjax.train(task, gdjax.sgd(0.1), steps=1, key=0).evaluation["underflow"].item()
    0.5
    """
    return Monitor(_measure)


def _measure(step: Step, state: Any) -> tuple[dict[str, Any], Any]:
    program = str(jax.make_jaxpr(step.loss_fn)(step.params, step.batch))
    if not re.search(r"\bf16\[", program) or subtrees.every(DynamicLossScaleState, step.state):
        return {}, state
    scaled = jax.grad(lambda params: SCALE * step.loss_fn(params, step.batch))(step.params)
    pairs = zip(*map(jax.tree.leaves, (step.gradient, scaled)), strict=True)
    lost = [(x == 0) & (y != 0) & ~jnp.isnan(y) for x, y in pairs]
    size = sum(x.size for x in lost)
    return {"underflow": sum(map(jnp.sum, lost), start=jnp.zeros(())) / max(size, 1)}, state
