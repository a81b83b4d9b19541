import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdjax import Bound, InvalidType, InvalidValue, Task, bind


def loss(params, batch, key, l2=0.0):
    return jnp.sum((params - batch) ** 2) + l2 * jnp.sum(params**2)


PARTS = {
    "init": lambda key: jnp.ones(2),
    "loss": loss,
    "batch": lambda key, step: jnp.zeros(2),
}


def test_functions_become_bindings_and_their_numbers_leaves():
    task = Task(**(PARTS | {"loss": bind(loss, l2=0.5)}))
    assert isinstance(task.init, Bound)
    assert jax.tree.leaves(task) == [np.float32(0.5)]
    other = Task(**(PARTS | {"loss": bind(loss, l2=0.25)}))
    assert jax.tree.structure(task) == jax.tree.structure(other)
    value = jax.grad(lambda task: task.loss(jnp.ones(2), jnp.zeros(2), None))(task)
    assert jax.tree.leaves(value) == [2.0]


def test_a_right_task_passes():
    Task(**PARTS).check()
    metrics = Task(**(PARTS | {"loss": lambda p, b, k: (jnp.sum(p), {"size": jnp.sum(p)})}))
    metrics.check()
    Task(**PARTS, evaluate=lambda p: {"a": p[0]}, objective="a", mode="max").check()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"init": 3}, InvalidType, "Task.init must be a function, got 3"),
        ({"loss": lambda p, b, k: p}, InvalidValue, r"loss must be a scalar, got shape \(2,\)"),
        ({"loss": lambda p, b, k: 1j * jnp.sum(p)}, InvalidType, "a real number, got complex64"),
        ({"loss": lambda p, b, k: None}, InvalidValue, "loss must be a scalar, got shape NoneType"),
        ({"loss": lambda p, b, k: (p[0], {}, 1)}, InvalidType, "got 3 values"),
        ({"loss": lambda p, b, k: (p[0], {"a/b": p[0]})}, InvalidValue, "'a/b' is no name"),
        ({"init": lambda key: jnp.arange(2)}, InvalidType, "dtype int32, which has no gradient"),
        ({"init": lambda key: {"f": jnp.sin}}, InvalidType, "Task.init cannot be traced"),
        ({"batch": bind(lambda k, s, n: jnp.ones(n), n=2)}, InvalidType, "batch cannot be traced"),
        (
            {"loss": lambda p, b, k: b["x"]},
            InvalidType,
            r"loss cannot be traced: .* \(test_task.py",
        ),
        (
            {"loss": lambda p, b, k: {}["x"]},
            InvalidType,
            "Task.loss cannot be traced: KeyError: 'x'",
        ),
        ({"loss": lambda p, b, k: (p[0], {"m": k})}, InvalidType, "m must be a number, got key"),
        ({"loss": lambda p, b, k: (p[0], {"m" * 101: p[0]})}, InvalidValue, "is no name of a metr"),
        ({"loss": lambda p, b, k: (p[0], {"a\nb": p[0]})}, InvalidValue, "is no name of a metric"),
        ({"objective": ["loss"]}, InvalidType, r"Task.objective must be a name, got \['loss'\]"),
        ({"loss": Bound(loss, {"l2": "text"})}, InvalidType, "the task's data cannot be read: "),
        ({"evaluate": "x"}, InvalidType, "Task.evaluate must be a function, got 'x'"),
        ({"loss": lambda p, b, k: (p[0], 1.0)}, InvalidType, "metrics as a dict"),
        ({"loss": lambda p, b, k: (p[0], {"loss": p[0]})}, InvalidValue, "leave 'loss' out"),
        ({"loss": lambda p, b, k: (p[0], {"m": p})}, InvalidValue, "m must be a scalar"),
        ({"loss": lambda p, b, k: (p[0], {"m": p[0] * 1j})}, InvalidValue, "m is complex"),
        ({"evaluate": lambda p: p[0]}, InvalidType, "Task.evaluate must return metrics as a dict"),
        ({"evaluate": lambda p: {"a": p}}, InvalidValue, "Task.evaluate: a must be a scalar"),
        ({"evaluate": lambda p: {"loss": p[0]}}, InvalidValue, "both return 'loss'"),
        ({"objective": "acc"}, InvalidValue, "'acc', which is not measured; choose one of loss"),
        ({"mode": "best"}, InvalidValue, "mode must be 'min' or 'max', got 'best'"),
        (
            {"batch": lambda k, s: jnp.array([jnp.nan])},
            InvalidValue,
            "first batch.* NaN in 1",
        ),
        (
            {"loss": Bound(loss, {"l2": np.array([1.0, np.nan])})},
            InvalidValue,
            r"the task's data\.loss\.l2 holds NaN in 1",
        ),
    ],
)
def test_a_wrong_task_is_told(change, error, message):
    with pytest.raises(error, match=message):
        Task(**(PARTS | change)).check()


def test_what_a_users_own_function_raises_is_the_cause():
    cause = ZeroDivisionError("of what the user computes")

    def broken(params, batch, key):
        raise cause

    with pytest.raises(InvalidType, match=r"ZeroDivisionError: of what the user") as caught:
        Task(**(PARTS | {"loss": broken})).check()
    assert caught.value.__cause__ is cause
