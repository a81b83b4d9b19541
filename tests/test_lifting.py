"""``gdjax.lift`` by hand: leaves, schedules, inner transformations, errors."""

import functools

import jax
import jax.numpy as jnp
import optax
import pytest

import gdjax
from gdjax.errors import InvalidType, InvalidValue

adam = gdjax.lift(optax.adam)


def test_the_call_is_that_of_the_factory():
    pair = adam(0.5, b1=0.25, nesterov=True)
    assert repr(pair).startswith("adam(learning_rate=0.5, b1=0.25, b2=0.999, eps=1e-08")
    assert repr(pair).endswith("eps_root=0.0, nesterov=True)")
    assert gdjax.hyperparameters(pair)["adam.b1"] == 0.25
    assert adam.__doc__ == optax.adam.__doc__
    with pytest.raises(InvalidType, match=r"adam\(learning_rate, b1.*: missing"):
        adam()


def test_structures_are_equal_and_replace_keeps_them():
    one, other = adam(0.5), gdjax.lift(optax.adam)(1)
    assert jax.tree.structure(one) == jax.tree.structure(other)
    assert repr(gdjax.replace(one, learning_rate=1.0)) == repr(other)
    assert jax.tree.structure(one) != jax.tree.structure(gdjax.lift(optax.adamax)(0.5))


def halving(step_size, power=1):
    return optax.scale(step_size * 0.5**power)


def test_two_steps_by_hand():
    init, update = gdjax.lift(halving)(0.5, power=2)
    state = init(jnp.zeros(2))
    for _ in range(2):
        updates, state = update(jnp.array([8.0, -16.0]), state)
        assert updates.tolist() == [1.0, -2.0]  # times 0.5 / 4


def test_a_partial_and_positional_arguments():
    pair = gdjax.lift(functools.partial(optax.sgd, momentum=0.5))(0.25)
    assert repr(pair) == "sgd(learning_rate=0.25, momentum=0.5)"
    links = gdjax.lift(optax.chain)(gdjax.scale(2.0), optax.scale(3.0))
    assert gdjax.hyperparameters(links) == {"scale.step_size": 2.0}
    assert links.update(jnp.ones(()), links.init(jnp.ones(())))[0] == 6.0


def test_optax_gets_the_schedule_where_its_annotation_takes_one():
    down = gdjax.linear_schedule(1.0, 0.0, 4)
    pair = gdjax.lift(optax.sgd)(down)
    state = pair.init(jnp.ones(()))
    assert jax.tree.structure(state) == jax.tree.structure(optax.sgd(down).init(jnp.ones(())))
    assert pair.update(jnp.ones(()), pair.update(jnp.ones(()), state)[1])[0] == -0.75
    assert gdjax.hyperparameters(pair)["sgd.learning_rate.init_value"] == 1.0


def test_elsewhere_it_gets_the_value_at_each_step():
    pair = gdjax.lift(optax.clip)(gdjax.linear_schedule(1.0, 0.0, 4))
    state = pair.init(jnp.ones(()))
    for expected in (1.0, 0.75, 0.5):
        assert gdjax.hyperparameters(pair, state) == {"clip.max_delta": expected}
        updates, state = pair.update(jnp.full((), 8.0), state)
        assert updates == expected
    assert repr(gdjax.lift(optax.clip)(lambda count: 1.0)).startswith("clip(max_delta=")


def test_transformations_keep_their_leaves():
    inner = gdjax.adagrad(0.1, eps=gdjax.linear_schedule(0.5, 0.0, 2))
    pair = gdjax.lift(optax.contrib.mechanize, static="num_betas")(inner)
    state = pair.init(jnp.ones(2))
    names = gdjax.hyperparameters(pair, state)
    assert names["scale_by_rss.initial_accumulator_value"] == jnp.float32(0.1)
    assert names["scale_by_rss.eps"] == 0.5
    changed = gdjax.replace(pair, initial_accumulator_value=0.25)
    assert changed.init.leaves["base_optimizer"].init(jnp.ones(())) != inner.init(jnp.ones(()))


def test_a_pair_of_optax_is_structure():
    inner = optax.sgd(0.1)
    one, other = (gdjax.lift(optax.apply_if_finite)(inner, n) for n in (1, 2))
    assert jax.tree.structure(one) == jax.tree.structure(other)


def branches(learning_rate, steps=3, kind="fast"):
    def update(updates, state, params=None):
        return (updates if steps > 2 else -updates), state

    if learning_rate == 0:
        return optax.set_to_zero()
    return optax.GradientTransformation(lambda params: (), update)


def test_an_argument_that_is_decided_upon_is_named():
    with pytest.raises(InvalidType, match=r"value of 'learning_rate'.*static=\('learning_rate',\)"):
        gdjax.lift(branches)(0.1)
    pair = gdjax.lift(branches, static=["learning_rate"])(0.1)
    assert pair.update(jnp.ones(()), ()) == (1.0, ())  # not traced: it has a value
    with pytest.raises(InvalidType, match=r"branches decides.*value of 'steps'.*\('steps',\)"):
        jax.jit(pair.update)(jnp.ones(()), ())
    pair = gdjax.lift(branches, static=("learning_rate", "steps"))(0.1, steps=2)
    assert jax.jit(pair.update)(jnp.ones(()), ()) == (-1.0, ())


@pytest.mark.parametrize("steps", [jnp.ones(()), jnp.arange(3)])
def test_structure_does_not_sweep(steps):
    factory = gdjax.lift(branches, static=("learning_rate", "steps"))
    with pytest.raises(InvalidType, match=r"branches: steps is structural.*make each a family"):
        factory(0.1, steps=steps)
    with pytest.raises(InvalidType, match=r"steps is structural.*a traced float32"):
        jax.vmap(lambda steps: factory(0.1, steps=steps))(jnp.arange(3.0))
    with pytest.raises(InvalidType, match=r"kind is structural.*pass a Python str"):
        gdjax.lift(branches, static="learning_rate")(0.1, kind=steps)


def test_other_errors_stay_what_they_are():
    pair = gdjax.lift(optax.add_decayed_weights)(0.1)
    with pytest.raises(ValueError, match="params"):
        jax.jit(pair.update)(jnp.ones(()), pair.init(jnp.ones(())))


@pytest.mark.parametrize("thing", [optax.sgd(0.1), gdjax.sgd(0.1), None, 3, int])
def test_only_factories_are_lifted(thing):
    with pytest.raises(InvalidType, match="lift takes a function that makes transformations"):
        gdjax.lift(thing)


def test_static_names_arguments():
    with pytest.raises(InvalidValue, match=r"no argument 'nestrov' .*did you mean nesterov"):
        gdjax.lift(optax.adam, static="nestrov")


def test_a_factory_returns_a_pair():
    with pytest.raises(InvalidType, match=r"must return an \(init, update\) pair, got <optax"):
        gdjax.lift(optax.MultiSteps)(optax.sgd(0.1), 2)


def test_narrow_updates_stay_narrow():
    pair = gdjax.lift(optax.adam)(jnp.float32(0.5))
    params = jnp.ones(3, jnp.bfloat16)
    state = pair.init(params)
    updates, new = pair.update(params, state, params)
    assert updates.dtype == jnp.bfloat16
    assert jax.tree.map(jnp.result_type, new) == jax.tree.map(jnp.result_type, state)
    assert jnp.isfinite(updates).all()  # 1 - 0.999 is 0 in bfloat16
