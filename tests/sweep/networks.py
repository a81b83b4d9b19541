"""A small network whose task has numbers to sweep."""

import jax
import jax.numpy as jnp

import gdjax
from gdjax import Task
from gdjax.ranges import Fraction, NonNegative

X = jax.random.normal(jax.random.key(1), (37, 6))
Y = jnp.arange(37) % 3
BATCH, HIDDEN, STEPS = 7, 8, 5


def start(key, scale=1.0):
    ones = jax.random.split(key)
    return {
        "a": scale * jax.random.normal(ones[0], (6, HIDDEN)),
        "b": scale * jax.random.normal(ones[1], (HIDDEN, 3)),
    }


def cross_entropy(params, batch, key, dropout: Fraction, l2: NonNegative, smoothing):
    """The mean over a batch, by the formulas of the papers."""
    hidden = jnp.tanh(batch["x"] @ params["a"])
    kept = jax.random.uniform(key, hidden.shape) < 1 - dropout
    logits = (hidden * kept / (1 - dropout)) @ params["b"]
    labels = (1 - smoothing) * jax.nn.one_hot(batch["y"], 3) + smoothing / 3
    losses = -(labels * jax.nn.log_softmax(logits)).sum(-1)
    return losses.mean() + l2 * sum(jnp.sum(x**2) for x in params.values())


def rows(key, step, x, y):
    chosen = jax.random.randint(key, (BATCH,), 0, len(y))
    return {"x": x[chosen], "y": y[chosen]}


def size(params, power=2.0):
    return {"size": sum(jnp.sum(jnp.abs(x) ** power) for x in params.values())}


def make(**numbers):
    loss = gdjax.bind(cross_entropy, **{"dropout": 0.0, "l2": 0.0, "smoothing": 0.0} | numbers)
    return Task(start, loss, gdjax.bind(rows, x=X, y=Y), size)


TASK = make()
