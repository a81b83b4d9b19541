"""A recurrent network that must remember: where gradients vanish or explode."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from gdjax.binding import Bound, bind
from gdjax.errors import InvalidValue
from gdjax.problems.data import check_sizes
from gdjax.ranges import NonNegative, Size
from gdjax.task import Task

HELD_OUT = 1000  # sequences


def adding(
    length: int = 50, hidden: int = 64, batch_size: int = 32, recurrent_scale: float = 1.0
) -> Task:
    """The adding problem: the sum of two numbers, marked in a long sequence, at its end.

    ``h[t] = tanh(x[t] @ inputs + h[t - 1] @ recurrent + b)``

    Each step brings a number in [0, 1) and a mark, which is 1 at one step of the first half and
    at one of the second, else 0. A new batch is drawn at every step; 1000 sequences, drawn once,
    are held out. An Elman network with tanh; its last state predicts the sum linearly. Half the
    mean squared error. LeCun's initialization of inputs and output; the recurrent matrix is
    orthogonal times ``recurrent_scale``.

    Over ``length`` steps the gradient is multiplied by that scale as often, and by the slopes of
    tanh: well below 1 it vanishes, well above 1 it explodes.

    Args:
      length: of the sequences, at least 2.
      hidden: size of the state.
      batch_size: sequences in a mini-batch.
      recurrent_scale: of the recurrent matrix; a leaf, which a sweep may vary.

    Returns:
      A task that evaluates ``heldout_loss`` (half the mean squared error), its objective: 1/12
      where the prediction is always 1.

    Raises:
      InvalidValue: a size is too small, or the scale is below 0.

    Reference:
      Hochreiter and Schmidhuber, Long short-term memory, 1997, section 5.4, with numbers and marks
      as in Le et al. (https://arxiv.org/abs/1504.00941), section 4.1.
    """
    check_sizes("adding", length=length, hidden=hidden, batch_size=batch_size)
    if length < 2:
        raise InvalidValue(f"adding: length must be at least 2, got {length}")
    heldout = _draw(jax.random.key(0), 0, length, HELD_OUT)
    return Task(
        init=bind(_init, hidden=hidden, recurrent_scale=recurrent_scale),
        loss=_loss,
        batch=Bound(_draw, structure={"length": length, "batch_size": batch_size}),
        evaluate=Bound(_evaluate, {"data": heldout}),
        objective="heldout_loss",
    )


def _draw(key: jax.Array, step: Any, length: int, batch_size: int) -> dict[str, jax.Array]:
    number_key, first_key, second_key = jax.random.split(key, 3)
    numbers = jax.random.uniform(number_key, (batch_size, length))
    half = length // 2
    first = jax.random.randint(first_key, (batch_size, 1), 0, half)
    second = jax.random.randint(second_key, (batch_size, 1), half, length)
    steps = jnp.arange(length)[None]
    marks = ((steps == first) | (steps == second)).astype(numbers.dtype)
    return {"x": jnp.stack([numbers, marks], axis=-1), "y": jnp.sum(numbers * marks, axis=1)}


def _init(key: jax.Array, hidden: Size, recurrent_scale: NonNegative) -> dict[str, jax.Array]:
    inputs, recurrent, output = jax.random.split(key, 3)
    lecun, orthogonal = jax.nn.initializers.lecun_normal(), jax.nn.initializers.orthogonal()
    return {
        "inputs": lecun(inputs, (2, hidden)),
        "recurrent": recurrent_scale * orthogonal(recurrent, (hidden, hidden)),
        "b": jnp.zeros(hidden),
        "output": lecun(output, (hidden, 1)),
        "output_b": jnp.zeros(1),
    }


def _outputs(params: dict[str, jax.Array], x: jax.Array) -> jax.Array:
    def step(h: jax.Array, x: jax.Array) -> tuple[jax.Array, None]:
        h = jnp.tanh(x @ params["inputs"] + h @ params["recurrent"] + params["b"][None])
        return h, None  # [sequence, hidden]

    start = jnp.zeros((len(x), len(params["b"])))
    last = jax.lax.scan(step, start, x.swapaxes(0, 1))[0]
    return (last @ params["output"] + params["output_b"][None])[:, 0]


def _loss(params: Any, batch: Any, key: Any) -> jax.Array:
    return optax.l2_loss(_outputs(params, batch["x"]), batch["y"]).mean()


def _evaluate(params: Any, data: Any) -> dict[str, jax.Array]:
    return {"heldout_loss": _loss(params, data, None)}
