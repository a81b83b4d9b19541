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
    length: int = 50,
    hidden: int = 64,
    batch_size: int = 32,
    recurrent_scale: float = 1.0,
    rectified: bool = False,
) -> Task:
    """The adding problem: the sum of two numbers, marked in a long sequence, at its end.

    ``h[t] = tanh(x[t] @ inputs + h[t - 1] @ recurrent + b)``

    Each step brings a number in [0, 1) and a mark, which is 1 at one step of the first half and
    at one of the second, else 0. A new batch is drawn at every step; 1000 sequences, drawn once,
    are held out. An Elman network with tanh; its last state predicts the sum linearly. Half the
    mean squared error. LeCun's initialization of inputs and output; the recurrent matrix is
    orthogonal times ``recurrent_scale``.

    Over ``length`` steps the gradient is multiplied by that scale as often, and by the slopes of
    tanh: well below 1 it vanishes, well above 1 it explodes. A rectified network has ReLU in the
    place of tanh and the identity in that of the orthogonal matrix: no slope holds its gradients.

    Args:
      length: of the sequences, at least 2.
      hidden: size of the state.
      batch_size: sequences in a mini-batch.
      recurrent_scale: of the recurrent matrix; a leaf, which a sweep may vary.
      rectified: ReLU and the identity, for tanh and an orthogonal matrix.

    Returns:
      A task that evaluates ``heldout_loss`` (half the mean squared error), its objective: 1/12
      where the prediction is always 1.

    Raises:
      InvalidValue: a size is too small, or the scale is below 0.

    Reference:
      Hochreiter and Schmidhuber, Long short-term memory, 1997, section 5.4, with numbers and marks
      as in Le et al., A simple way to initialize recurrent networks of rectified linear units
      (https://arxiv.org/abs/1504.00941), section 4.1, whose network is the rectified one, but for
      the initialization of its inputs and output.
    """
    check_sizes("adding", length=length, hidden=hidden, batch_size=batch_size)
    if length < 2:
        raise InvalidValue(f"adding: length must be at least 2, got {length}")
    heldout = _draw(jax.random.key(0), 0, length, HELD_OUT)
    return Task(
        init=bind(_init, hidden=hidden, recurrent_scale=recurrent_scale, rectified=rectified),
        loss=bind(_loss, rectified=rectified),
        batch=Bound(_draw, structure={"length": length, "batch_size": batch_size}),
        evaluate=Bound(_evaluate, {"data": heldout}, {"rectified": rectified}),
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


def _init(
    key: jax.Array, hidden: Size, recurrent_scale: NonNegative, rectified: bool
) -> dict[str, jax.Array]:
    inputs, recurrent, output = jax.random.split(key, 3)
    lecun, orthogonal = jax.nn.initializers.lecun_normal(), jax.nn.initializers.orthogonal()
    matrix = jnp.eye(hidden) if rectified else orthogonal(recurrent, (hidden, hidden))
    return {
        "inputs": lecun(inputs, (2, hidden)),
        "recurrent": recurrent_scale * matrix,
        "b": jnp.zeros(hidden),
        "output": lecun(output, (hidden, 1)),
        "output_b": jnp.zeros(1),
    }


def _outputs(params: dict[str, jax.Array], x: jax.Array, rectified: bool) -> jax.Array:
    unit = jax.nn.relu if rectified else jnp.tanh

    def step(h: jax.Array, x: jax.Array) -> tuple[jax.Array, None]:
        h = unit(x @ params["inputs"] + h @ params["recurrent"] + params["b"][None])
        return h, None  # [sequence, hidden]

    start = jnp.zeros((len(x), len(params["b"])))
    last = jax.lax.scan(step, start, x.swapaxes(0, 1))[0]
    return (last @ params["output"] + params["output_b"][None])[:, 0]


def _loss(params: Any, batch: Any, key: Any, rectified: bool) -> jax.Array:
    return optax.l2_loss(_outputs(params, batch["x"], rectified), batch["y"]).mean()


def _evaluate(params: Any, data: Any, rectified: bool) -> dict[str, jax.Array]:
    return {"heldout_loss": _loss(params, data, None, rectified)}
