"""Norms of the gradients of single examples, against one gradient for each."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gdjax.diagnostics.examples import example_gradient_norms, examples_in

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
        norms = example_gradient_norms(loss, params, batch)
        each = jax.vmap(lambda x: jax.grad(loss)(params, x[None]))(batch)
        squares = [jnp.sum(g.reshape(ROWS, -1) ** 2, axis=1) for g in jax.tree.leaves(each)]
        return norms, sum(squares)

    norms, expected = both(params, batch)
    np.testing.assert_allclose(norms, expected, rtol=2e-5)


def test_no_gradient_of_a_matrix_is_made():
    loss, params, batch = CASES["perceptron"]
    norms = jax.jit(lambda p: example_gradient_norms(loss, p, batch))
    text = norms.lower(params).as_text()
    assert "tensor<7x5x4xf32>" not in text
    assert "tensor<5x4xf32>" in text  # what it would be without the examples


@pytest.mark.parametrize(
    "loss",
    [
        lambda p, x: jnp.mean(jnp.tanh(x @ p["w"]) @ p["w"]),  # used twice
        lambda p, x: jnp.mean(x @ p["w"]) + jnp.sum(p["w"] ** 2),  # and not on examples
        lambda p, x: jnp.mean(x @ p["w"]) + jnp.sum(jax.nn.gelu(p["w"])),  # nor there
        lambda p, x: jnp.mean(x @ jnp.tanh(p["w"])),  # not as it is
        lambda p, x: jnp.mean(x),  # not at all
        lambda p, x: jnp.mean((x.T @ x) @ p["w"]),  # on what mixes examples
        lambda p, x: jnp.mean((jnp.eye(5) @ p["w"])[None] * x[..., None]),  # on none
        lambda p, x: jnp.mean(jax.lax.map(lambda row: row @ p["w"], x)),  # in a loop
    ],
)
def test_where_layers_do_not_show_nothing_is_claimed(loss):
    params = {"w": jnp.ones((5, 5))}
    for x in (X, X[:5]):  # as many examples as numbers in each
        assert example_gradient_norms(loss, params, x) is None


def _normalized(y):
    mean = jnp.mean(y, axis=0, keepdims=True)
    return (y - mean) / jnp.sqrt(jnp.mean((y - mean) ** 2, axis=0, keepdims=True) + 0.1)


@pytest.mark.parametrize(
    "mixed",
    [
        lambda y: jnp.mean(_normalized(y) ** 3),
        lambda y: jnp.sqrt(jnp.mean(y**2)),
        lambda y: jnp.max(y),
        lambda y: jax.nn.logsumexp(y),
        lambda y: jnp.mean(jax.nn.log_softmax(y @ y.T)),
        lambda y: jnp.mean(y.T @ y),
        lambda y: jnp.mean(y * jnp.cumsum(y, axis=0)),
        lambda y: jnp.mean(y * y[::-1]),
        lambda y: jnp.mean(y, axis=0) @ jnp.mean(y, axis=0),
    ],
)
def test_where_examples_mix_nothing_is_claimed(mixed):
    assert example_gradient_norms(lambda w, x: mixed(x @ w), jnp.eye(5), X) is None


@pytest.mark.parametrize(
    "layer",
    [
        lambda w, x: x @ jnp.broadcast_to(w[:, None], (5, 3)),
        lambda w, x: x @ jnp.broadcast_to(w[None], (5, 5)),
        lambda w, x: x + w[None, :1] * 2,
        lambda w, x: (jnp.sin(jnp.arange(35.0).reshape(7, 5)) * w[None])[None] + x[:, None],
    ],
)
def test_a_vector_that_is_repeated_or_not_on_examples_is_no_layer(layer):
    assert example_gradient_norms(lambda w, x: jnp.mean(layer(w, x)), jnp.ones(5), X) is None
    one = example_gradient_norms(lambda b, x: jnp.mean(x + b[None]), jnp.ones(1), X)
    assert one is None


def test_the_axis_of_examples_is_not_told_by_its_length():
    """Time goes first, and there are as many times as examples."""
    square = SEQUENCES[:6]

    def loss(w, x):
        return jnp.mean(jnp.tanh(jnp.swapaxes(x, 0, 1) @ w) ** 2)

    assert example_gradient_norms(loss, jnp.eye(5), square) is None


def test_a_weighted_sum_with_values_for_each_position():
    def loss(w, batch):
        x, weights = batch
        return weights @ jnp.mean((x * w[None, None]) ** 2, axis=(1, 2)) / jnp.sum(weights)

    weights = jnp.arange(7.0)
    norms = example_gradient_norms(loss, jnp.ones(5), (SEQUENCES, weights))
    gradients = 2 * np.sum(np.asarray(SEQUENCES, np.float64) ** 2, axis=1) / 30
    expected = np.sum((7 * gradients * weights[:, None] / 21) ** 2, axis=1)
    np.testing.assert_allclose(norms, expected, rtol=1e-5)


def test_complex_parameters_have_none():
    def loss(w, x):
        return jnp.mean(jnp.abs(x @ w) ** 2)

    assert example_gradient_norms(loss, jnp.eye(5, dtype=jnp.complex64), X) is None


def test_batched_and_in_bfloat16():
    loss, params, batch = CASES["written for batches"]
    stacked = jax.tree.map(lambda x: jnp.stack([x, 2 * x]), params)

    @jax.jit
    def norms(params):
        return example_gradient_norms(loss, params, batch)

    together = jax.jit(jax.vmap(norms))(stacked)
    alone = [norms(jax.tree.map(lambda x, i=i: x[i], stacked)) for i in range(2)]
    np.testing.assert_allclose(together, alone, rtol=1e-5)
    narrow = norms(jax.tree.map(lambda x: x.astype(jnp.bfloat16), params))
    assert narrow.dtype == jnp.float32
    np.testing.assert_allclose(narrow, alone[0], rtol=0.1)


def test_how_many_examples_a_batch_has():
    assert examples_in((jnp.ones((4, 2)), jnp.ones(4))) == 4
    assert examples_in((jnp.ones((4, 2)), jnp.ones(3))) == 0
    assert examples_in((jnp.ones((4, 2)), jnp.ones(()))) == 0
