"""The same steps with gdjax's optimizer and with Optax's, driven by other libraries."""

import chex
import equinox as eqx
import jax
import jax.numpy as jnp
import optax
import pytest
from flax import nnx
from flax.training.train_state import TrainState

import gdjax

X = jnp.linspace(-1.0, 1.0, 24).reshape(8, 3)
Y = jnp.sin(3 * X.sum(axis=1, keepdims=True))
STEPS = 4
PAIRS = [
    pytest.param(gdjax.adam(0.05), optax.adam(0.05), id="adam"),
    pytest.param(gdjax.sgd(0.05, 0.5), optax.sgd(0.05, 0.5), id="sgd"),
    pytest.param(
        gdjax.chain(gdjax.clip_by_global_norm(1.0), gdjax.adamw(0.05)),
        optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(0.05)),
        id="clipped adamw",
    ),
]


def _falls_alike(ours, theirs):
    """Losses fall, and are equal but for rounding; so are the parameters."""
    losses, params = ours
    assert float(losses[-1]) < float(losses[0])
    chex.assert_trees_all_close((losses, params), theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_flax_nnx_optimizer(ours, theirs):
    @nnx.jit
    def step(model, optimizer):
        loss, gradients = nnx.value_and_grad(lambda m: jnp.mean((m(X) - Y) ** 2))(model)
        optimizer.update(model, gradients)
        return loss

    def train(tx):
        model = nnx.Linear(3, 1, rngs=nnx.Rngs(0))
        optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
        losses = [step(model, optimizer) for _ in range(STEPS)]
        return losses, nnx.to_pure_dict(nnx.state(model, nnx.Param))

    _falls_alike(train(ours), train(theirs))


@pytest.mark.parametrize("make", [gdjax.shampoo, gdjax.soap, gdjax.sm3], ids=lambda f: f.__name__)
def test_flax_nnx_optimizer_with_containers_in_the_state(make):
    """Flax hands back a mapping where the state held a tuple, a list or a dict for each array."""

    @nnx.jit
    def step(model, optimizer):
        gradients = nnx.grad(lambda m: jnp.mean((m(X) - Y) ** 2))(model)
        optimizer.update(model, gradients)

    model = nnx.Linear(3, 1, rngs=nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, make(0.05), wrt=nnx.Param)
    params = nnx.to_pure_dict(nnx.state(model, nnx.Param))
    state = make(0.05).init(params)
    for _ in range(STEPS):
        step(model, optimizer)
        gradients = jax.grad(lambda p: jnp.mean((X @ p["kernel"] + p["bias"][None] - Y) ** 2))(
            params
        )
        updates, state = make(0.05).update(gradients, state, params)
        params = gdjax.apply_updates(params, updates)
    trained = nnx.to_pure_dict(nnx.state(model, nnx.Param))
    chex.assert_trees_all_close(trained, params, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_flax_train_state(ours, theirs):
    def apply(params, x):
        return x @ params["kernel"] + params["bias"]

    @jax.jit
    def step(state):
        loss, gradients = jax.value_and_grad(
            lambda params: jnp.mean((state.apply_fn(params, X) - Y) ** 2)
        )(state.params)
        return state.apply_gradients(grads=gradients), loss

    def train(tx):
        params = {"kernel": jnp.full((3, 1), 0.5), "bias": jnp.zeros((1, 1))}
        state, losses = TrainState.create(apply_fn=apply, params=params, tx=tx), []
        for _ in range(STEPS):
            state, loss = step(state)
            losses.append(loss)
        assert int(state.step) == STEPS
        return losses, state.params

    _falls_alike(train(ours), train(theirs))


def _loss(model):
    return jnp.mean((jax.vmap(model)(X) - Y) ** 2)


@eqx.filter_jit
def _train_equinox(optimizer, model):
    state, losses = optimizer.init(eqx.filter(model, eqx.is_array)), []
    for _ in range(STEPS):
        loss, gradients = eqx.filter_value_and_grad(_loss)(model)
        updates, state = optimizer.update(gradients, state, eqx.filter(model, eqx.is_array))
        model = eqx.apply_updates(model, updates)
        losses.append(loss)
    return losses, eqx.filter(model, eqx.is_array)


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_equinox_model(ours, theirs):
    model = eqx.nn.MLP(3, 1, 4, depth=1, key=jax.random.key(0))
    _falls_alike(_train_equinox(ours, model), _train_equinox(theirs, model))


def test_equinox_takes_an_optimizer_as_data():
    model = eqx.nn.MLP(3, 1, 4, depth=1, key=jax.random.key(0))
    optimizers = eqx.filter_vmap(gdjax.adam)(jnp.array([0.01, 0.05]))
    losses, _ = eqx.filter_vmap(_train_equinox, in_axes=(0, None))(optimizers, model)
    alone, _ = _train_equinox(gdjax.adam(0.05), model)
    chex.assert_trees_all_close([loss[1] for loss in losses], alone, rtol=1e-5)
