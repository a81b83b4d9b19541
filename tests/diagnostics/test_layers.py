"""What is read from the program of a loss."""

import jax
import jax.numpy as jnp
import numpy as np

import gdjax
from gdjax.diagnostics import layers

X = jax.random.normal(jax.random.key(1), (7, 5))


def test_units_are_found_by_what_they_compute():
    def loss(w):
        h = jax.nn.relu(X @ w)
        h = jax.nn.gelu(h @ w)  # a tanh that is no unit
        h = jax.nn.silu(h)
        h = jax.jit(jax.nn.sigmoid)(h @ w)
        h = jnp.maximum(jnp.tanh(h), 0)
        return jnp.sum(jnp.maximum(1 - h[:, 0], 0)) + jax.nn.logsumexp(h)  # nor is a hinge

    found = layers.units(loss, jnp.ones((5, 5)))
    assert [unit.kind for unit in found] == ["relu", "logistic", "tanh", "relu"]
    np.testing.assert_array_equal(found[0].outputs, jax.nn.relu(X @ jnp.ones((5, 5))))


def test_a_variance_is_no_layer_of_units():
    def loss(w):
        x = jnp.ones((2, 3, 5)) @ w
        mean = x.mean(axis=-1)
        variance = jnp.maximum(0.0, jnp.mean(x**2, axis=-1) - mean**2)  # as Flax has it
        return jnp.sum(jax.nn.relu((x - mean[..., None]) / (1 + variance[..., None])))

    assert [unit.outputs.shape for unit in layers.units(loss, jnp.ones((5, 5)))] == [(2, 3, 5)]


def _share_of(kind, rate):
    def loss(params, batch, key):
        return jnp.sum({"relu": jax.nn.relu, "tanh": jnp.tanh}[kind](batch @ params))

    task = gdjax.Task(
        init=lambda key: jnp.array([[1.0, -1.0, 5.0, 0.0]]),
        loss=loss,
        batch=lambda key, step: jnp.array([[1.0], [0.2]]),
    ).with_monitors(gdjax.diagnostics.units())
    return gdjax.train(task, gdjax.sgd(rate), 1, 0).evaluation


def test_dead_and_saturated_units_by_hand():
    assert _share_of("relu", 0.1) == {"dead_units": 0.5}  # -1 and 0 on both examples
    # tanh has a slope below 0.1 from 1.82 on: of 1, 0.2, -1, -0.2, 5, 1, 0, 0 that is 5
    assert _share_of("tanh", 0.1) == {"saturated_units": 0.125}


def test_units_cost_no_second_forward_pass():
    task = gdjax.problems.digits(hidden=(32, 32))
    flops = [
        jax.jit(lambda o, t=t: gdjax.train(t, o, 1, 0))
        .lower(gdjax.sgd(0.1))
        .compile()
        .cost_analysis()["flops"]
        for t in (task, task.with_monitors(gdjax.diagnostics.units()))
    ]
    forward = 2 * 64 * (64 * 32 + 32 * 32 + 32 * 10)  # of a batch of 64
    assert flops[1] - flops[0] < 0.1 * forward
