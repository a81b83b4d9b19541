"""What monitors see, and that they change nothing."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax
from gdjax import Monitor, Task, bind
from gdjax.sweep import execution
from tests.runs import assert_equal
from tests.sweep.stopping import Interrupted, checkpoints, interrupt, stop_at


def _loss(params, batch, key, l2):
    noise = jax.random.normal(key, (3,))
    return jnp.sum((params - batch - noise) ** 2) + l2 * jnp.sum(params**2)


def _batch(key, step):
    return jax.random.normal(key, (3,)) + step


def _everything(step, state):
    again, gradient = jax.value_and_grad(step.loss_fn)(step.params, step.batch)
    return {
        "count": step.number,
        "loss_seen": step.loss,
        "loss_again": again,
        "gradient": step.gradient[0],
        "gradient_again": gradient[0],
        "last": step.last_gradient[0],
        "params": step.params[0],
        "update": step.updates[0],
        "rate_now": gdjax.hyperparameters(step.optimizer, step.state)[
            "scale_by_learning_rate.learning_rate"
        ],
        "looks": state,
    }, state + 1


PLAIN = Task(lambda key: jnp.ones(3), bind(_loss, l2=0.1), _batch)
WATCHED = PLAIN.with_monitors(Monitor(_everything, init=lambda params: jnp.zeros((), jnp.int32)))


def _descend(rate=0.1):
    return gdjax.sgd(gdjax.linear_schedule(rate, 0.0, 10), momentum=0.5)


@pytest.fixture(scope="module")
def at_every_update():
    return gdjax.train(WATCHED, _descend(), steps=6, key=3, segment=1)


def test_a_monitor_sees_the_update_as_it_is_made(at_every_update):
    seen = at_every_update.evaluations
    assert seen["count"].tolist() == list(range(6))
    assert seen["looks"].tolist() == list(range(6))
    np.testing.assert_array_equal(seen["loss_seen"], at_every_update.traces["loss"])
    np.testing.assert_allclose(seen["loss_again"], seen["loss_seen"], rtol=1e-6)
    np.testing.assert_allclose(seen["gradient_again"], seen["gradient"], rtol=1e-6)
    np.testing.assert_array_equal(seen["last"][1:], seen["gradient"][:-1])
    assert seen["last"][0] == 0
    np.testing.assert_allclose(
        seen["params"][1:], (seen["params"] + seen["update"])[:-1], rtol=1e-6
    )
    np.testing.assert_allclose(seen["rate_now"], 0.1 * (1 - np.arange(6) / 10), rtol=1e-6)


@pytest.mark.parametrize(("segment", "looked_at"), [(2, [1, 3, 5]), (4, [3, 5]), (None, [5])])
def test_only_the_last_update_of_a_segment_is_looked_at(at_every_update, segment, looked_at):
    result = gdjax.train(WATCHED, _descend(), steps=6, key=3, segment=segment)
    assert (result.evaluation_steps - 1).tolist() == looked_at
    for name, values in result.evaluations.items():
        expected = at_every_update.evaluations[name][np.array(looked_at)]
        if name == "looks":  # of its own state: how often it has looked
            expected = np.arange(len(looked_at))
        np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-6, err_msg=name)


def test_training_is_the_same_without(at_every_update):
    plain = gdjax.train(PLAIN, _descend(), steps=6, key=3)
    np.testing.assert_allclose(plain.traces["loss"], at_every_update.traces["loss"], rtol=1e-6)
    np.testing.assert_allclose(plain.params, at_every_update.params, rtol=1e-6)
    assert plain.evaluations == {}


def test_a_sweep_measures_what_train_does_and_again_the_same_bits():
    space = {"rate": [0.1, 0.3], "l2": [0.0, 0.1]}
    options = {"steps": 6, "segment": 2, "seeds": 2, "key": 7}
    result = gdjax.sweep(WATCHED, _descend, space, **options)
    assert result.evaluations["count"][3, 1].tolist() == [1, 3, 5]
    for trial in range(4):
        task = gdjax.replace(WATCHED, l2=result.settings["l2"][trial])
        rate = result.settings["rate"][trial]
        for seed in range(2):
            key = jax.random.fold_in(jax.random.key(7), seed)
            alone = gdjax.train(task, _descend(rate), 6, key, segment=2).evaluations
            for name, values in alone.items():
                measured = result.evaluations[name][trial, seed]
                np.testing.assert_allclose(measured, values, rtol=1e-5, atol=1e-6, err_msg=name)
    assert_equal(result.rerun(2).evaluations, {k: v[2] for k, v in result.evaluations.items()})


def test_a_stopped_sweep_remembers_what_its_monitors_did(tmp_path, monkeypatch):
    """What they remember is saved with what is trained."""
    space, options = {"rate": [0.1, 0.3]}, {"steps": 6, "segment": 2}
    whole = gdjax.sweep(WATCHED, _descend, space, **options)
    with monkeypatch.context() as patch:
        patch.setattr(execution, "CALL", 0)  # each segment is a call
        stop_at(patch, 2, interrupt)
        with pytest.raises(Interrupted):
            gdjax.sweep(
                WATCHED, _descend, space, **options, directory=tmp_path, checkpoint_seconds=0
            )
    assert checkpoints(tmp_path)
    resumed = gdjax.sweep(WATCHED, _descend, space, **options, directory=tmp_path, resume=True)
    assert resumed.evaluations["looks"][0, 0].tolist() == [0, 1, 2]
    assert_equal(resumed.evaluations, whole.evaluations)


def test_derivatives_pass_monitors_by():
    """One whose own derivative is not finite spoils none."""

    def root(step, state):
        return {"root": jnp.sqrt(jnp.sum(step.params * 0.0)) + jnp.sum(step.updates)}, state

    def final(rate, task):
        return jnp.sum(gdjax.train(task, gdjax.sgd(rate), 4, 0, segment=2).params)

    plain, watched = (
        jax.grad(final)(0.1, task) for task in (PLAIN, PLAIN.with_monitors(Monitor(root)))
    )
    assert np.isfinite(plain)
    np.testing.assert_allclose(watched, plain, rtol=1e-5)


def test_monitors_are_vmapped_over_optimizers():
    train = jax.jit(
        jax.vmap(lambda optimizer: gdjax.train(WATCHED, optimizer, 4, 0, segment=2).evaluations)
    )
    measured = train(jax.vmap(_descend)(jnp.array([0.1, 0.2])))
    assert measured["rate_now"].shape == (2, 2)
    assert measured["count"].tolist() == [[1, 3], [1, 3]]


def test_what_is_no_monitor_is_refused():
    with pytest.raises(gdjax.InvalidType, match=r"takes gdjax.Monitor objects, got \[.*put \*"):
        PLAIN.with_monitors([Monitor(_everything)])
    task = PLAIN.with_monitors(Monitor(lambda step, state: {"a": step.loss}))
    with pytest.raises(
        gdjax.InvalidType, match="must return \\(dict of what it measured, state\\)"
    ):
        gdjax.train(task, gdjax.sgd(0.1), 2, 0)
    for state in ((), {"count": 0}):  # from init, from the look before
        growing = Monitor(lambda step, state: ({}, {"last": state}), init=lambda params, s=state: s)
        with pytest.raises(gdjax.InvalidType, match="must have the structure of the one that it"):
            gdjax.train(PLAIN.with_monitors(growing), gdjax.sgd(0.1), 2, 0)
    twice = Monitor(lambda step, state: ({"a": step.loss}, state))
    with pytest.raises(gdjax.InvalidValue, match="two monitors measure 'a'"):
        gdjax.train(PLAIN.with_monitors(twice, twice), gdjax.sgd(0.1), 2, 0)
    named = PLAIN.with_monitors(Monitor(lambda step, state: ({"loss": step.loss}, state)))
    with pytest.raises(gdjax.InvalidValue, match="a monitor and the task both measure 'loss'"):
        gdjax.sweep(named, gdjax.sgd, {"learning_rate": [0.1]}, steps=2)
    evaluated = dataclasses.replace(
        PLAIN.with_monitors(twice), evaluate=lambda params: {"a": params[0]}
    )
    with pytest.raises(gdjax.InvalidValue, match="a monitor and the task both measure 'a'"):
        gdjax.train(evaluated, gdjax.sgd(0.1), 2, 0)
    wide = PLAIN.with_monitors(Monitor(lambda step, state: ({"g": step.gradient}, state)))
    with pytest.raises(gdjax.InvalidValue, match="g must be a scalar, got shape \\(3,\\)"):
        gdjax.sweep(wide, gdjax.sgd, {"learning_rate": [0.1]}, steps=2)
    with pytest.raises(gdjax.InvalidValue, match="needs an update for them to look at"):
        gdjax.train(WATCHED, _descend(), 0, 0)
    with pytest.raises(
        gdjax.InvalidValue, match="segment must be a whole number of at least 1, got 0"
    ):
        gdjax.train(WATCHED, _descend(), 2, 0, segment=0)
