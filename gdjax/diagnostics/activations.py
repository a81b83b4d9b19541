"""Units of a network that pass no gradient: dead and saturated ones."""

from typing import Any

import jax.numpy as jnp

from gdjax.diagnostics import layers
from gdjax.monitoring import Monitor, Step


def units() -> Monitor:
    """A monitor of units that learn nothing from a batch, found in the program of the loss.

    - ``dead_units``: share of the ReLU units that are 0 on all of the batch, so that no gradient
      reaches what feeds them;
    - ``saturated_units``: share of the outputs of tanh and logistic units at which the slope is
      less than a tenth of its largest, ``1 - y**2 < 0.1`` and ``4 y (1 - y) < 0.1``.

    Each is measured where there are such units, and of each of their layers in the order of
    execution as well, as in ``dead_units.0``. :func:`gdjax.diagnostics.layers.units` says which
    are seen. They cost no other forward pass: a compiler finds that it is the step's own.

    >>> import gdjax
    >>> def loss(params, batch, key):
    ...     return jnp.sum(jnp.maximum(jnp.ones((2, 1)) @ params, 0))
    >>> task = gdjax.Task(
    ...     init=lambda key: jnp.array([[1.0, -1.0, -2.0, 3.0]]),
    ...     loss=loss,
    ...     batch=lambda key, step: None,
    ... ).with_monitors(units())
    >>> gdjax.train(task, gdjax.sgd(0.1), steps=1, key=0).evaluation
    {'dead_units': Array(0.5, dtype=float32)}
    """
    return Monitor(_measure)


def _measure(step: Step, state: Any) -> tuple[dict[str, Any], Any]:
    measured = {}
    found = layers.units(lambda params: step.loss_fn(params, step.batch), step.params)
    for name, of in (
        ("dead_units", [_dead(x.outputs) for x in found if x.kind == "relu"]),
        ("saturated_units", [_saturated(x) for x in found if x.kind != "relu"]),
    ):
        if of:
            count = sum(x.size for x in of)
            measured[name] = sum(jnp.sum(x) for x in of) / count
        if len(of) > 1:
            measured |= {f"{name}.{i}": jnp.mean(x) for i, x in enumerate(of)}
    return measured, state


def _dead(outputs: Any) -> Any:  # bool[unit]
    return (outputs == 0).all(axis=tuple(range(outputs.ndim - 1)))


def _saturated(layer: layers.Units) -> Any:  # bool[example, ..., unit]
    y = layer.outputs
    slope = 1 - y**2 if layer.kind == "tanh" else 4 * y * (1 - y)
    return slope < 0.1
