"""Whatever JAX can batch is swept through a factory that makes it from numbers."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax
from gdjax import Task


@pytest.fixture(scope="module")
def layered() -> Task:
    return Task(
        init=lambda key: {"body": jnp.ones(3), "head": jnp.ones(2)},
        loss=lambda params, batch, key: sum(jnp.sum(x**2) for x in jax.tree.leaves(params)) / 2,
        batch=lambda key, step: None,
        evaluate=lambda params: {f"{name}_at": x[0] for name, x in params.items()},
        objective="body_at",
    )


def _each_alone(task, factory, result):
    """Every trial of a sweep agrees with a run of its own."""
    steps = result.traces["loss"].shape[-1]
    key = jax.random.fold_in(jax.random.key(0), 0)
    for trial in range(result.trials):
        values = {name: column[trial].item() for name, column in result.settings.items()}
        run = gdjax.train(task, factory(**values), steps, key)
        np.testing.assert_allclose(
            result.traces["loss"][trial, 0], run.traces["loss"], rtol=1e-6, err_msg=str(values)
        )


def test_learning_rates_by_layer(layered):
    labels = {"body": "body", "head": "head"}

    def factory(body, head):
        return gdjax.partition({"body": gdjax.sgd(body), "head": gdjax.sgd(head)}, labels)

    result = gdjax.sweep(layered, factory, {"body": [0.0, 0.5], "head": [0.0, 0.25]}, steps=1)
    final = [result.final(name)[:, 0].tolist() for name in ("body_at", "head_at")]
    assert final == [[1, 1, 0.5, 0.5], [1, 0.75, 1, 0.75]]


def test_whole_schedules(layered):
    def factory(peak, warmup):
        return gdjax.adamw(gdjax.warmup_cosine_decay_schedule(0.0, peak, warmup, 20))

    space = {"peak": [0.1, 0.2], "warmup": gdjax.Integer(1, 4)}
    result = gdjax.sweep(layered, factory, space, steps=6)
    assert len(np.unique(result.traces["loss"][:, 0, -1])) == result.trials
    _each_alone(layered, factory, result)


@pytest.mark.parametrize("make", [jax.random.key, jax.random.PRNGKey, lambda seed: seed])
def test_keys_of_noise(layered, make):
    def factory(noise_seed):
        return gdjax.chain(gdjax.add_noise(0.1, 0.5, key=make(noise_seed)), gdjax.sgd(0.1))

    result = gdjax.sweep(layered, factory, {"noise_seed": [0, 1, 2]}, steps=4)
    assert len(np.unique(result.traces["loss"][:, 0, -1])) == 3
    _each_alone(layered, factory, result)
    np.testing.assert_array_equal(result.rerun(1).traces["loss"], result.traces["loss"][1])


def test_rows_of_a_table(layered):
    betas = jnp.array([[0.9, 0.99], [0.5, 0.999], [0.0, 0.9]])

    def factory(row):
        return gdjax.adam(0.1, b1=betas[row, 0], b2=betas[row, 1])

    result = gdjax.sweep(layered, factory, {"row": gdjax.Integer(0, 2)}, steps=4)
    _each_alone(layered, factory, result)


def test_points_to_try_first_are_the_first_trials_of_each_family(layered):
    space = gdjax.Space(
        {"learning_rate": gdjax.LogUniform(1e-3, 1.0), "momentum": gdjax.Uniform(0, 0.99)},
        first=[{"momentum": 0.5}, {"learning_rate": 0.25, "momentum": 0.9}],
    )
    families = {"sgd": gdjax.sgd, "adam": gdjax.adam}
    result = gdjax.sweep(layered, families, space, trials=4, steps=1)
    assert "momentum" not in inspect.signature(gdjax.adam).parameters
    assert result.settings["momentum"][:2].tolist() == [0.5, 0.9]
    assert result.settings["learning_rate"][1] == 0.25
    assert result.family[4] == "adam"
    assert result.settings["learning_rate"][4] == 0.25  # the only point that names one of Adam's
