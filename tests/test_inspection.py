import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gdjax
from gdjax.errors import InvalidType, InvalidValue

RATE = "scale_by_learning_rate.learning_rate"


def halving(count):
    return 0.5**count


def _after(optimizer, steps):
    """The state after some steps."""
    state = optimizer.init(jnp.ones(2))
    for _ in range(steps):
        _, state = optimizer.update(jnp.ones(2), state, jnp.ones(2))
    return state


def test_names_and_values():
    found = gdjax.hyperparameters(gdjax.adamw(0.5, b1=0.25, weight_decay=2.0))
    assert found == {
        "scale_by_adam.b1": 0.25,
        "scale_by_adam.b2": np.float32(0.999),
        "scale_by_adam.eps": np.float32(1e-8),
        "scale_by_adam.eps_root": 0.0,
        "add_decayed_weights.weight_decay": 2.0,
        RATE: 0.5,
    }


@pytest.mark.parametrize(
    ("optimizer", "names"),
    [
        (gdjax.identity(), []),
        (gdjax.clip(1.0), ["clip.max_delta"]),
        (gdjax.chain(gdjax.clip(1.0), gdjax.chain(gdjax.scale(2.0))),
         ["clip.max_delta", "scale.step_size"]),
        (gdjax.chain(gdjax.scale(1.0), gdjax.clip(1.0), gdjax.scale(2.0)),
         ["0.scale.step_size", "clip.max_delta", "2.scale.step_size"]),
        (gdjax.chain(gdjax.chain(gdjax.clip(1.0), gdjax.scale(1.0)), gdjax.scale(2.0)),
         ["clip.max_delta", "0.1.scale.step_size", "1.scale.step_size"]),
        (gdjax.named_chain(("z", gdjax.clip(1.0)), ("a", gdjax.clip(1.0))),
         ["z.clip.max_delta", "a.clip.max_delta"]),
        (gdjax.named_chain(("a", gdjax.chain(gdjax.scale(1.0), gdjax.scale(2.0)))),
         ["a.0.scale.step_size", "a.1.scale.step_size"]),
        (gdjax.chain(optax.clip(1.0), gdjax.clip(1.0)), ["clip.max_delta"]),
    ],
    ids=["none", "one", "nested", "twice", "twice nested", "named", "named twice", "Optax"],
)  # fmt: skip
def test_names_are_dotted_and_unique(optimizer, names):
    assert list(gdjax.hyperparameters(optimizer)) == names


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_schedules_are_evaluated_at_the_states_step(steps):
    optimizer = gdjax.chain(gdjax.adam(halving, b1=lambda count: count / 8), gdjax.scale(2.0))
    found = gdjax.hyperparameters(optimizer, _after(optimizer, steps))
    assert float(found[RATE]) == 0.5**steps
    assert float(found["scale_by_adam.b1"]) == steps / 8
    assert float(found["scale.step_size"]) == 2.0


def test_schedules_are_returned_as_they_are_without_a_state():
    schedule = gdjax.hyperparameters(gdjax.sgd(halving))[RATE]
    assert schedule(2) == 0.25


def test_each_schedule_has_its_own_step():
    first, second = gdjax.scale(halving), gdjax.scale(halving)
    chained = gdjax.chain(first, second)
    found = gdjax.hyperparameters(chained, (_after(first, 1), _after(second, 2)))
    assert {k: float(v) for k, v in found.items()} == {
        "0.scale.step_size": 0.5,
        "1.scale.step_size": 0.25,
    }
    named = gdjax.named_chain(("z", first), ("a", gdjax.chain(gdjax.clip(1.0), second)))
    state = {"z": _after(first, 3), "a": (optax.EmptyState(), _after(second, 4))}
    found = gdjax.hyperparameters(named, state)
    assert float(found["z.scale.step_size"]) == 1 / 8
    assert float(found["a.scale.step_size"]) == 1 / 16


def test_the_state_of_another_optimizer_is_an_error():
    with pytest.raises(InvalidValue, match=f"no step count for the schedule {RATE}; pass the"):
        gdjax.hyperparameters(gdjax.adam(halving), gdjax.adam(0.5).init(jnp.ones(2)))


@pytest.mark.parametrize("name", ["b1", "scale_by_adam.b1"])
def test_replace_changes_one_value_and_nothing_else(name):
    optimizer = gdjax.adamw(0.5)
    changed = gdjax.replace(optimizer, **{name: 0.25})
    assert jax.tree.structure(changed) == jax.tree.structure(optimizer)
    expected = gdjax.hyperparameters(optimizer) | {"scale_by_adam.b1": 0.25}
    assert gdjax.hyperparameters(changed) == expected
    assert float(gdjax.hyperparameters(optimizer)["scale_by_adam.b1"]) != 0.25


def test_replace_takes_several_names_at_once():
    changed = gdjax.replace(gdjax.adam(0.5), learning_rate=1, b2=0.5)
    assert repr(changed) == repr(gdjax.adam(1.0, b2=0.5))


def test_replace_reaches_init():
    changed = gdjax.replace(gdjax.adagrad(0.5), initial_accumulator_value=2.0)
    state = changed.init(jnp.zeros(2))
    chex.assert_trees_all_equal(state[0].sum_of_squares, np.array([2.0, 2.0]))


@pytest.mark.parametrize(
    "optimizer",
    [
        gdjax.chain(gdjax.scale(1.0), gdjax.clip(1.0), gdjax.chain(gdjax.scale(2.0))),
        gdjax.named_chain(("z", gdjax.adam(0.5)), ("a", gdjax.adam(0.25))),
        gdjax.chain(gdjax.adagrad(0.5), gdjax.adagrad(0.25)),
        gdjax.chain(gdjax.scale(1.0), gdjax.scale(gdjax.linear_schedule(1.0, 0.5, 4))),
    ],
    ids=["twice", "named", "with init", "beside a schedule"],
)
def test_every_listed_name_can_be_replaced(optimizer):
    before = gdjax.hyperparameters(optimizer)
    for name in (name for name, value in before.items() if not callable(value)):
        changed = gdjax.replace(optimizer, **{name: 0.125})
        assert str(gdjax.hyperparameters(changed)) == str(before | {name: np.float32(0.125)})


def test_replace_reaches_the_constants_of_a_schedule():
    optimizer = gdjax.sgd(gdjax.cosine_decay_schedule(1.0, 10))
    for name in ("init_value", "learning_rate.init_value", f"{RATE}.init_value"):
        changed = gdjax.replace(optimizer, **{name: 0.5, "decay_steps": 20.0})
        assert jax.tree.structure(changed) == jax.tree.structure(optimizer)
        schedule = gdjax.hyperparameters(changed)[RATE]
        assert repr(schedule) == repr(gdjax.cosine_decay_schedule(0.5, 20))
        assert [x.dtype for x in jax.tree.leaves(changed)] == [
            x.dtype for x in jax.tree.leaves(optimizer)
        ]


def test_replace_keeps_the_compiled_program():
    traces = []
    step = jax.jit(lambda o: traces.append(0) or o.update(jnp.ones(2), o.init(jnp.ones(2)))[0])
    optimizer = gdjax.sgd(0.5)
    values = [0.25, 2, np.float64(4), jnp.asarray(8.0), jnp.bfloat16(16)]
    for value in values:
        changed = gdjax.replace(optimizer, learning_rate=value)
        chex.assert_trees_all_equal(step(changed), np.full(2, -float(value)))
    assert len(traces) == 1


def test_replace_broadcasts_over_a_batch():
    batch = jax.vmap(gdjax.sgd)(jnp.array([0.5, 0.25]))
    alike = gdjax.replace(batch, learning_rate=2.0)
    chex.assert_trees_all_equal(gdjax.hyperparameters(alike)[RATE], np.array([2.0, 2.0]))
    unlike = gdjax.replace(batch, learning_rate=np.array([2.0, 4.0]))
    chex.assert_trees_all_equal(gdjax.hyperparameters(unlike)[RATE], np.array([2.0, 4.0]))
    assert jax.tree.structure(unlike) == jax.tree.structure(batch)


def test_replace_takes_tracers():
    optimizer = gdjax.sgd(1.0)

    def loss(rate):
        changed = gdjax.replace(optimizer, learning_rate=rate)
        return changed.update(jnp.array(3.0), changed.init(jnp.array(0.0)))[0]

    assert float(jax.grad(loss)(0.5)) == -3.0
    chex.assert_trees_all_equal(jax.vmap(loss)(jnp.array([1.0, 2.0])), np.array([-3.0, -6.0]))


def test_an_ambiguous_name_lists_what_it_may_mean():
    optimizer = gdjax.chain(gdjax.scale_by_adam(), gdjax.scale_by_rms())
    with pytest.raises(InvalidValue) as error:
        gdjax.replace(optimizer, eps=1.0)
    assert (
        str(error.value) == "'eps' is ambiguous, write one of: scale_by_adam.eps, scale_by_rms.eps"
    )


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [("learning_rte", "learning_rate"), ("eps_rot", "eps_root"), ("scale_by_adam.b3", "b1")],
)
def test_an_unknown_name_comes_with_the_nearest(wrong, meant):
    with pytest.raises(InvalidValue) as error:
        gdjax.replace(gdjax.adam(0.5), **{wrong: 1.0})
    message = str(error.value)
    assert message.startswith(f"no hyperparameter {wrong!r}: did you mean ")
    assert meant in message.split("?")[0]
    assert "Valid: scale_by_adam.b1, scale_by_adam.b2, " in message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learning_rate": -1.0}, r"learning_rate must be a number in \[0, inf\), got -1.0"),
        ({"b1": 1.0}, r"scale_by_adam: b1 must be a number in \[0, 1\), got 1.0"),
        ({"eps": np.nan}, r"eps must be .*got nan"),
        ({"learning_rate": np.ones(2)}, r"learning_rate: expected .*shape \(\), got shape \(2,\)"),
    ],
)
def test_replace_holds_values_to_range_and_shape(changes, message):
    with pytest.raises(InvalidValue, match=message):
        gdjax.replace(gdjax.adam(0.5), **changes)


def test_replace_does_not_round_to_whole_numbers():
    optimizer = gdjax.sgd(gdjax.cosine_decay_schedule(1.0, 10))
    with pytest.raises(InvalidValue, match=r"decay_steps.* whole number.*got 10\.5"):
        gdjax.replace(optimizer, decay_steps=10.5)


@pytest.mark.parametrize("value", ["fast", None, halving, gdjax.cosine_decay_schedule(1.0, 10)])
def test_replace_takes_numbers_only(value):
    with pytest.raises((InvalidType, InvalidValue), match="learning_rate"):
        gdjax.replace(gdjax.sgd(0.5), learning_rate=value)


@pytest.fixture(scope="module")
def task():
    """Numbers in every function; a whole optimizer, data and a key in one of them."""

    def loss(params, batch, key, l2, inner, x, seed):
        return l2 * jnp.sum(params**2)

    leaves = {"l2": 0.5, "inner": gdjax.adagrad(0.25), "x": np.ones(3), "seed": jax.random.key(0)}
    return gdjax.Task(
        init=gdjax.bind(lambda key, init: init * jnp.ones(2), init=1.0),
        loss=gdjax.Bound(loss, leaves),
        batch=gdjax.bind(lambda key, step, size: size, size=3),
        value_and_grad=gdjax.bind(gdjax.spsa, sigma=0.125),
    )


def test_numbers_of_a_task(task):
    assert gdjax.hyperparameters(task) == {
        "init.init": 1.0,
        "loss.l2": 0.5,
        "loss.inner.links.0.initial_accumulator_value": np.float32(0.1),
        "loss.inner.links.0.eps": np.float32(1e-7),
        "loss.inner.links.1.learning_rate": 0.25,
        "batch.size": 3,
        "value_and_grad.sigma": 0.125,
    }


@pytest.mark.parametrize("name", ["l2", "loss.l2"])
def test_replace_in_a_task(task, name):
    changed = gdjax.replace(task, **{name: 2, "init": 4, "sigma": 0.25})
    assert jax.tree.structure(changed) == jax.tree.structure(task)
    assert changed.loss(jnp.ones(2), None, None) == 4.0
    chex.assert_trees_all_equal(changed.init(None), np.full(2, 4.0, np.float32))
    expected = {"loss.l2": 2.0, "init.init": 4.0, "value_and_grad.sigma": 0.25}
    assert gdjax.hyperparameters(changed) == gdjax.hyperparameters(task) | expected
    assert changed.loss.leaves["x"] is task.loss.leaves["x"]


def test_replace_reaches_both_halves_of_an_optimizer_in_a_task(task):
    changed = gdjax.replace(task, initial_accumulator_value=2.0).loss.leaves["inner"]
    assert repr(changed) == repr(gdjax.adagrad(0.25, initial_accumulator_value=2.0))
    chex.assert_trees_all_equal(changed.init(jnp.zeros(2))[0].sum_of_squares, np.full(2, 2.0))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x": 1.0}, "no hyperparameter 'x': .*Valid: batch.size, init.init, "),
        ({"sigma": 0.0}, r"spsa: sigma must be a number in \(0, inf\), got 0.0"),
        ({"size": 3.5}, r"size must be a whole number that int32 holds, .* got 3.5"),
        (
            {"size": np.int64(2**40)},
            "size must be a whole number that int32 holds, .* got 1099511627776",
        ),
        ({"l2": -(10**400)}, "l2 must be a number that float32 holds, as it is bound, got -1000"),
        ({"l2": 1e39}, "l2 must be a number that float32 holds, as it is bound, got 1e[+]39"),
        ({"l2": np.ones(2)}, r"l2: expected .*shape \(\), got shape \(2,\)"),
    ],
)
def test_replace_holds_the_numbers_of_a_task_to_their_kind(task, changes, message):
    with pytest.raises(InvalidValue, match=message):
        gdjax.replace(task, **changes)
