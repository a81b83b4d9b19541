"""Which dimension of a space is a number of the task, and what is told where none is."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax
from gdjax import InvalidType, InvalidValue, Task
from gdjax.ranges import NonNegative
from tests.sweep.networks import STEPS, TASK, cross_entropy, make, size, start

KEY = jax.random.key(0)


def test_an_argument_at_its_default_is_a_number_too():
    """Bound, or only written into the function's signature: the same trials."""

    def loss(params, batch, key, dropout=0.0, l2: NonNegative | None = None, **rest):
        return cross_entropy(params, batch, key, dropout, 0.0 if l2 is None else l2, 0.0)

    task = Task(TASK.init, loss, TASK.batch, TASK.evaluate)
    space = {"learning_rate": 0.1, "dropout": [0.0, 0.5], "l2": 0.1}
    bound, free = (gdjax.sweep(t, gdjax.adam, space, steps=STEPS) for t in (TASK, task))
    np.testing.assert_allclose(free.traces["loss"], bound.traces["loss"], rtol=1e-6)


def ambiguous(params, batch, key, l2, power):
    return l2 * power * jnp.sum(params["a"])


def branching(params, batch, key, l2):
    return jnp.sum(params["a"]) if l2 > 0 else jnp.sum(params["b"])


RATE = {"learning_rate": [0.1, 0.2]}
BAD = {
    r"dropout must be a number in \[0, 1\), got 1": ({"dropout": [0.5, 1.0]}, {}),
    r"l2 must be a number in \[0, inf\), got -1.0": ({"l2": gdjax.Uniform(-1.0, 0.0, 2)}, {}),
    r"the task, adam: no hyperparameter 'droput'; did you mean dropout": ({"droput": 0.5}, {}),
    "Valid: b1, .*evaluate.power, .*loss.dropout, loss.l2": ({"nothing": 0.5}, {}),
    "no hyperparameter 'x'": ({"x": 0.5}, {}),
    "no hyperparameter 'loss'": ({"loss": 0.5}, {}),
    "two of dropout, loss.dropout name one number": ({"dropout": 0.5, "loss.dropout": 0.5}, {}),
    "is a hyperparameter of lambda and a number of the task; write 'loss.l2' for the task's": (
        {"l2": 0.5},
        {"optimizer": lambda learning_rate, l2: gdjax.adam(learning_rate)},
    ),
    "'power' is ambiguous, write one of: loss.power, evaluate.power": (
        {"power": 2.0},
        {
            "task": Task(
                start,
                gdjax.bind(ambiguous, l2=1.0, power=2.0),
                TASK.batch,
                gdjax.bind(size, power=2.0),
            )
        },
    ),
    r"n must be a whole number that int32 holds, .* got 0.5": (
        {"n": [0, 0.5]},
        {"task": Task(gdjax.bind(lambda key, n: n * jnp.ones(3), n=3), TASK.loss, TASK.batch)},
    ),
    "n must be a whole number that int32 holds, .* got 3000000000": (
        {"n": [1, 3_000_000_000]},
        {"task": Task(gdjax.bind(lambda key, n: n * jnp.ones(3), n=3), TASK.loss, TASK.batch)},
    ),
}
BAD_TYPES = {
    "count is structural in Task.batch.* weigh with 0": (
        {"count": [1, 2]},
        {"task": Task(start, TASK.loss, lambda key, step, count=3: jnp.ones(count))},
    ),
    "n is structural in Task.batch": (
        {"n": [1, 2]},
        {"task": Task(start, TASK.loss, gdjax.Bound(lambda k, s, n: jnp.ones(n), {}, {"n": 3}))},
    ),
    "Task.loss cannot be traced": (
        {"l2": [0.0, 0.1]},
        {"task": Task(start, gdjax.bind(branching, l2=0.1), TASK.batch)},
    ),
}


def _refused(error, message, space, change):
    with pytest.raises(error, match=message):
        gdjax.sweep(**{"task": TASK, "optimizer": gdjax.adam, "space": RATE | space} | change)


@pytest.mark.parametrize("message", BAD)
def test_bad_values_are_told_before_anything_is_compiled(monkeypatch, message):
    monkeypatch.delattr(jax.stages.Lowered, "compile")
    _refused(InvalidValue, message, *BAD[message])


@pytest.mark.parametrize("message", BAD_TYPES)
def test_bad_types_are_told_before_anything_is_compiled(monkeypatch, message):
    monkeypatch.delattr(jax.stages.Lowered, "compile")
    _refused(InvalidType, message, *BAD_TYPES[message])


def test_the_dotted_name_is_the_tasks_where_a_factory_has_the_short_one():
    def factory(l2):
        return gdjax.sgd(l2)

    result = gdjax.sweep(TASK, factory, {"l2": [0.0, 0.1], "loss.l2": 0.5}, steps=1)
    assert result.settings["loss.l2"].tolist() == [0.5, 0.5]
    bound = gdjax.train(make(l2=0.5), gdjax.sgd(0.0), 1, jax.random.fold_in(KEY, 0))
    np.testing.assert_allclose(result.traces["loss"][:, 0], [bound.traces["loss"]] * 2, rtol=1e-5)
