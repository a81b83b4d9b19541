"""What is read from the program of a loss, against one gradient for each example."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gdjax
from gdjax.diagnostics import layers

ROWS, X = 7, jax.random.normal(jax.random.key(1), (7, 5))
SEQUENCES = jax.random.normal(jax.random.key(2), (7, 6, 5))


def _params(*sizes):
    keys = jax.random.split(jax.random.key(0), len(sizes) - 1)
    return [
        {"w": jax.random.normal(k, (a, b)) / a**0.5, "b": jnp.full(b, 0.1), "gain": jnp.ones(b)}
        for k, a, b in zip(keys, sizes, sizes[1:], strict=False)
    ]


def _perceptron(params, x):
    *hidden, last = params
    for layer in hidden:
        x = jnp.tanh((x @ layer["w"] + layer["b"]) * layer["gain"])
    logits = x @ last["w"] + last["b"] + last["gain"]
    return optax.softmax_cross_entropy_with_integer_labels(logits, 1)


def _weights_first(params, x):
    for layer in params:
        x = jax.nn.relu(layer["w"].T @ x * layer["gain"] + layer["b"])
    return jnp.sum(x**2)


@jax.jit
def _layer(layer, x):
    return jax.nn.gelu((x @ layer["w"] + layer["b"][None]) * layer["gain"][None])


def _attention(params, x):  # [position, feature]
    for layer in params:
        x = jax.checkpoint(_layer)(layer, x)
    return jnp.sum((jax.nn.softmax(x @ x.T, axis=-1) @ x) ** 2)


def _linear(params, x):
    return (x @ params["w"] - 1) ** 2


def _in_batches(params, batch):
    for layer in params:
        batch = jax.nn.relu(batch @ layer["w"] + layer["b"][None]) * layer["gain"][None]
    return jnp.mean(jnp.sum(batch**2, axis=-1))


def _mean(one):
    return lambda params, batch: jnp.mean(jax.vmap(one, (None, 0))(params, batch))


CASES = {
    "perceptron": (_mean(_perceptron), _params(5, 4, 6, 3), X),
    "weights first": (_mean(_weights_first), _params(5, 4, 3), X),
    "sequences": (_mean(_attention), _params(5, 4, 3), SEQUENCES),  # gradients are smaller
    "wide sequences": (_mean(_attention), _params(5, 64, 3), SEQUENCES),  # pairs are
    "one output": (_mean(_linear), {"w": jnp.ones(5)}, X),
    "written for batches": (_in_batches, _params(5, 4, 3), X),
}


@pytest.mark.parametrize("case", CASES)
def test_norms_are_those_of_one_gradient_for_each_example(case):
    loss, params, batch = CASES[case]

    @jax.jit
    def both(params, batch):
        norms = layers.example_gradient_norms(lambda p: loss(p, batch), params, ROWS)
        each = jax.vmap(lambda x: jax.grad(loss)(params, x[None]))(batch)
        squares = [jnp.sum(g.reshape(ROWS, -1) ** 2, axis=1) for g in jax.tree.leaves(each)]
        return norms, sum(squares)

    norms, expected = both(params, batch)
    np.testing.assert_allclose(norms, expected, rtol=2e-5)


def test_no_gradient_of_a_matrix_is_made():
    loss, params, batch = CASES["perceptron"]
    norms = jax.jit(lambda p: layers.example_gradient_norms(lambda p: loss(p, batch), p, ROWS))
    text = norms.lower(params).as_text()
    assert "tensor<7x5x4xf32>" not in text
    assert "tensor<5x4xf32>" in text  # what it would be without the examples


@pytest.mark.parametrize(
    "loss",
    [
        lambda p, x: jnp.mean(jnp.tanh(x @ p["w"]) @ p["w"]),  # used twice
        lambda p, x: jnp.mean(x @ p["w"]) + jnp.sum(p["w"] ** 2),  # and not on examples
        lambda p, x: jnp.mean(x @ jnp.tanh(p["w"])),  # not as it is
        lambda p, x: jnp.mean(x),  # not at all
        lambda p, x: jnp.mean((x.T @ x) @ p["w"]),  # on what mixes examples
        lambda p, x: jnp.mean(jax.lax.map(lambda row: row @ p["w"], x)),  # in a loop
    ],
)
def test_where_layers_do_not_show_nothing_is_claimed(loss):
    params = {"w": jnp.ones((5, 5))}
    assert layers.example_gradient_norms(lambda p: loss(p, X), params, ROWS) is None


def test_batched_and_in_bfloat16():
    loss, params, batch = CASES["written for batches"]
    stacked = jax.tree.map(lambda x: jnp.stack([x, 2 * x]), params)

    @jax.jit
    def norms(params):
        return layers.example_gradient_norms(lambda p: loss(p, batch), params, ROWS)

    together = jax.jit(jax.vmap(norms))(stacked)
    alone = [norms(jax.tree.map(lambda x, i=i: x[i], stacked)) for i in range(2)]
    np.testing.assert_allclose(together, alone, rtol=1e-5)
    narrow = norms(jax.tree.map(lambda x: x.astype(jnp.bfloat16), params))
    assert narrow.dtype == jnp.float32
    np.testing.assert_allclose(narrow, alone[0], rtol=0.1)


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
