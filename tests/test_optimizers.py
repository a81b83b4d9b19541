import inspect

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gdjax

PARAMS = {"w": jnp.array([[1.0, -0.5], [0.25, 2.0]]), "b": jnp.array([0.5, -1.5])}
# Optax debiases by 1 - b**count, which loses digits to cancellation; gdjax does not.
CANCELLATION = 1e-4


def _loss(params):
    return sum(jnp.sum(x**4) for x in jax.tree.leaves(params)) / 4


def _train(optimizer, params):
    """Parameters after four steps on the loss."""

    def step(carry, _):
        params, state = carry
        updates, state = optimizer.update(jax.grad(_loss)(params), state, params)
        return (optax.apply_updates(params, updates), state), None

    return jax.lax.scan(step, (params, optimizer.init(params)), length=4)[0][0]


train = jax.jit(_train)


def _alike(name, *args, **kwargs):
    return pytest.param(name, args, kwargs, id=" ".join([name, str(len(args)), *kwargs]))


@pytest.mark.parametrize(
    ("name", "args", "kwargs"),
    [
        _alike("sgd", 0.1),
        _alike("sgd", 0.1, 0.5),
        _alike("sgd", 0.1, 0.5, True),
        _alike("sgd", 0.1, 0.5, accumulator_dtype=jnp.bfloat16),
        _alike("adagrad", 0.1),
        _alike("adagrad", 0.1, 1.0, 0.5),
        _alike("rmsprop", 0.1),
        _alike("rmsprop", 0.1, 0.5, 0.25, 1.0, eps_in_sqrt=False, bias_correction=True),
        _alike("rmsprop", 0.1, centered=True, momentum=0.5, eps=0.125),
        _alike("rmsprop", 0.1, momentum=0.5, nesterov=True),
        _alike("adam", 0.1),
        _alike("adam", 0.1, 0.5, 0.75, 0.25, 0.125, nesterov=True),
        _alike("nadam", 0.1, 0.5, 0.75),
        _alike("adamw", 0.1, weight_decay=0.5, nesterov=True),
        _alike("adamw", 0.1, weight_decay=0.5, mask={"w": True, "b": False}),
        _alike("adamw", 0.1, mask=lambda p: jax.tree.map(lambda x: x.ndim > 1, p)),
        _alike("amsgrad", 0.1, 0.5, 0.75),
        _alike("adam", optax.linear_schedule(0.1, 0.0, 4)),
    ],
)
def test_values_are_optaxs(name, args, kwargs):
    ours = train(getattr(gdjax, name)(*args, **kwargs), PARAMS)
    theirs = jax.jit(_train, static_argnums=0)(getattr(optax, name)(*args, **kwargs), PARAMS)
    chex.assert_trees_all_close(ours, theirs, rtol=CANCELLATION)
    assert float(_loss(ours)) < float(_loss(PARAMS))


@pytest.mark.parametrize("name", ["sgd", "adagrad", "rmsprop", "adam", "adamw", "amsgrad"])
def test_arguments_are_optaxs(name):
    ours, theirs = (
        [(p.name, p.kind, p.default) for p in inspect.signature(f).parameters.values()]
        for f in (getattr(gdjax, name), getattr(optax, name))
    )
    assert ours[: len(theirs)] == theirs  # older ones of Optax have fewer


@pytest.mark.parametrize(
    ("optimizer", "composition"),
    [
        (gdjax.sgd(0.5), "chain(identity(), scale_by_learning_rate(learning_rate=0.5))"),
        (
            gdjax.sgd(0.5, 0.25, nesterov=True),
            "chain(trace(decay=0.25, nesterov=True), scale_by_learning_rate(learning_rate=0.5))",
        ),
        (
            gdjax.rmsprop(0.5, 0.25, 0.5, centered=True, momentum=0.75),
            "chain(scale_by_stddev(decay=0.25, eps=0.5, initial_scale=0.0), "
            "scale_by_learning_rate(learning_rate=0.5), trace(decay=0.75))",
        ),
        (
            gdjax.adamw(0.5, 0.25, 0.75, 0.125, weight_decay=0.25, mask=False),
            "chain(scale_by_adam(b1=0.25, b2=0.75, eps=0.125, eps_root=0.0), "
            "add_decayed_weights(weight_decay=0.25, mask=False), "
            "scale_by_learning_rate(learning_rate=0.5))",
        ),
    ],
)
def test_an_optimizer_is_a_composition(optimizer, composition):
    assert repr(optimizer) == composition


def test_nadam_is_adam_with_nesterovs_momentum():
    assert repr(gdjax.nadam(0.5, 0.25)) == repr(gdjax.adam(0.5, 0.25, nesterov=True))


# Everything that JAX does to an array it does to an optimizer


def test_256_adams_train_as_one_program():
    learning_rates = jnp.logspace(-4, 0, 256)
    optimizers = jax.vmap(gdjax.adam)(learning_rates)
    assert jax.tree.structure(optimizers) == jax.tree.structure(gdjax.adam(0.1))
    assert {leaf.shape for leaf in jax.tree.leaves(optimizers)} == {(256,)}
    trained = jax.jit(jax.vmap(_train, in_axes=(0, None)))(optimizers, PARAMS)
    for i in (0, 100, 255):
        alone = train(gdjax.adam(learning_rates[i]), PARAMS)
        chex.assert_trees_all_close(jax.tree.map(lambda x, i=i: x[i], trained), alone, rtol=1e-6)
    assert np.unique(trained["b"][:, 0]).size > 250


def test_a_new_value_is_no_new_program():
    traces = []

    @jax.jit
    def counted(optimizer, params):
        traces.append(optimizer)
        return _train(optimizer, params)

    results = [
        counted(gdjax.adamw(rate, b1=b1, weight_decay=decay), PARAMS)
        for rate, b1, decay in [(0.1, 0.9, 0.0), (1, 0.5, 0.5), (np.float64(0.25), 0, 1)]
    ]
    assert len(traces) == 1
    losses = [float(_loss(params)) for params in results]
    assert len(set(losses)) == 3


def test_a_run_has_a_derivative_with_respect_to_its_optimizer():
    # On x**2 / 2 from 1, three steps end at x = (1 - r)**3; the loss falls with -3 x (1 - r)**2
    def run(optimizer):
        def step(carry, _):
            x, state = carry
            updates, state = optimizer.update(x, state)
            return (x + updates, state), None

        x = jnp.array(1.0)
        return 0.5 * jax.lax.scan(step, (x, optimizer.init(x)), length=3)[0][0] ** 2

    gradient = jax.grad(run)(gdjax.sgd(0.5))
    assert isinstance(gradient, gdjax.GradientTransformation)
    (slope,) = gdjax.hyperparameters(gradient).values()
    assert float(slope) == -3 * 0.125 * 0.25


def test_the_derivative_reaches_every_hyperparameter():
    gradient = jax.jit(jax.grad(lambda o: _loss(_train(o, PARAMS))))(
        gdjax.adamw(0.1, weight_decay=0.1)
    )
    slopes = gdjax.hyperparameters(gradient)
    assert len(slopes) == 6
    chex.assert_tree_all_finite(slopes)
    assert all(slope != 0 for slope in slopes.values())


def test_optimizers_stack_mix_and_cross_jit():
    optimizers = gdjax.adam(0.25), gdjax.adam(0.75, b1=0.5)
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *optimizers)
    chex.assert_trees_all_equal(
        gdjax.hyperparameters(stacked)["scale_by_adam.b1"], np.array([0.9, 0.5], np.float32)
    )
    mean = jax.jit(lambda a, b: jax.tree.map(lambda x, y: (x + y) / 2, a, b))(*optimizers)
    assert isinstance(mean, gdjax.GradientTransformation)
    assert float(gdjax.hyperparameters(mean)["scale_by_learning_rate.learning_rate"]) == 0.5


def test_a_mask_tree_shares_the_program():
    def masked(rate):
        return gdjax.adamw(rate, weight_decay=0.5, mask={"w": True, "b": False})

    before = train._cache_size()
    for rate in (0.1, 0.2, 0.4):
        train(masked(rate), PARAMS)
    assert train._cache_size() - before <= 1


# Optax's tools on states


@pytest.mark.parametrize("name", ["mu", "nu"])
def test_optax_finds_state_fields_by_name(name):
    state = gdjax.adamw(0.1).init(PARAMS)
    chex.assert_trees_all_equal(optax.tree.get(state, name), jax.tree.map(jnp.zeros_like, PARAMS))
    changed = optax.tree.set(state, **{name: jax.tree.map(jnp.ones_like, PARAMS)})
    chex.assert_trees_all_equal(getattr(changed[0], name)["b"], np.ones(2))


@pytest.mark.parametrize(
    "optimizer",
    [gdjax.adam(0.1), gdjax.adam(lambda count: 0.1 / (count + 1)), gdjax.amsgrad(0.1)],
    ids=["adam", "scheduled", "amsgrad"],
)
def test_optax_maps_over_what_is_like_the_parameters(optimizer):
    state = optimizer.init(PARAMS)
    mapped = optax.tree_utils.tree_map_params(optimizer, lambda x: x + 1, state)
    for name in ("mu", "nu"):
        chex.assert_trees_all_equal(
            optax.tree.get(mapped, name), jax.tree.map(jnp.ones_like, PARAMS)
        )
    assert float(optax.tree.get(mapped, "mu_weight")) == 0.0
