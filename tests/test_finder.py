import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax
from gdjax.sweep import running


def quadratic(curvatures):
    """Half the sum of curvature times square, from ones."""
    return gdjax.Task(
        init=lambda key: jnp.ones(len(curvatures)),
        loss=lambda params, batch, key: jnp.asarray(curvatures) @ params**2 / 2,
        batch=lambda key, step: None,
    )


def valley(offset=0.0, best=0.1, sign=1):
    """A task whose score after 20 updates is 1 + 2 d**2, d decades from the best rate.

    The gradient is taken to be -1, so that the parameter is the rate times the number of updates.
    """

    def loss(params, batch, key):
        return offset + 1 + 2 * jnp.log10(params / (20 * best)) ** 2

    def value_and_grad(loss, has_aux):
        return lambda params, key=None: (loss(params), -jnp.ones(()))

    return gdjax.Task(
        init=lambda key: jnp.full((), 1e-12),
        loss=loss,
        batch=lambda key, step: None,
        evaluate=lambda params: {"score": sign * loss(params, None, None)},
        objective="score",
        mode="min" if sign == 1 else "max",
        value_and_grad=value_and_grad,
    )


def find(task, optimizer=gdjax.sgd, **arguments):
    return gdjax.find_learning_rate(task, optimizer, **{"seeds": 1, "steps": 20} | arguments)


def test_gradient_descent_is_workable_up_to_two_over_the_greatest_curvature():
    found = find(quadratic([1.0, 10.0]), low=1e-2, high=1.0, per_decade=20, steps=200)
    following = found.rates[found.rates > found.high][0]
    assert found.high < 2 / 10 < following
    assert found.low <= found.suggestion <= found.high


def test_a_line_through_four_points():
    x, y = np.stack([np.ones(4), np.arange(1.0, 5.0)], axis=1), np.array([2.0, 3.8, 5.9, 7.8])
    task = gdjax.Task(
        init=lambda key: jnp.zeros(2),
        loss=lambda params, batch, key: (
            jnp.mean((jnp.asarray(x) @ params - jnp.asarray(y)) ** 2) / 2
        ),
        batch=lambda key, step: None,
    )
    edge = 2 / np.linalg.eigvalsh(x.T @ x / 4)[-1]
    found = find(task, low=1e-2, high=1.0, per_decade=20, steps=200)
    assert found.high < edge < found.rates[found.rates > found.high][0]
    params = gdjax.train(task, gdjax.sgd(found.suggestion), 1000, 0).params
    np.testing.assert_allclose(params, np.linalg.lstsq(x, y)[0], atol=1e-4)


@pytest.mark.parametrize("task", [valley(), valley(-10.0), valley(sign=-1)])
def test_the_suggestion_by_hand(task):
    """As good as the best are its two neighbours; four on each side where a score is -9."""
    found = find(task, low=1e-4, horizon=80)
    np.testing.assert_allclose(found.suggestion, 0.1 * np.sqrt(20 / 80), rtol=1e-6)
    assert (found.objective, found.mode) == ("score", task.mode)
    assert found.scores.shape == found.losses.shape == (21, 1)
    d = np.log10(found.rates / 0.1)
    cost = found.scores[:, 0] if task.mode == "min" else -found.scores[:, 0]
    np.testing.assert_allclose(cost - 2 * d**2, cost.min(), rtol=1e-4)


@pytest.mark.parametrize(("best", "ends"), [(1e-8, (1e-10, 10)), (1e2, (1e-6, 1e4))])
def test_the_rates_are_widened_where_the_best_lies_at_an_end(best, ends):
    found = find(valley(best=best), horizon=20)
    np.testing.assert_allclose(found.rates[[0, -1]], ends)
    np.testing.assert_allclose(np.diff(np.log10(found.rates)), 0.25)
    np.testing.assert_allclose(found.suggestion, best, rtol=1e-5)


def test_two_rates_are_enough():
    found = find(valley(), low=0.09, high=0.11, per_decade=1)
    assert found.rates.size > 2  # the best of two lies at an end
    assert {0.09, 0.11} <= {round(rate, 6) for rate in found.rates.tolist()}


@pytest.mark.parametrize(
    ("curvatures", "message"),
    [
        ([0.0, 0.0], "at no rate from 1e-10 to 1e\\+04 does the loss end below the 0 of its start"),
        ([1e30, 1e30], "at no rate from 1e-10 to 10 does the loss end below the 1e\\+30 of its"),
        ([np.nan, 1.0], "the loss is nan before the first update; look at Task.init"),
    ],
)
def test_where_no_rate_works_an_error_says_so(curvatures, message):
    with pytest.raises(gdjax.InvalidValue, match=message):
        find(quadratic(jnp.asarray(curvatures)), per_decade=1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"low": 0.0}, "low must be a number in \\(0, inf\\), got 0.0"),
        ({"low": 1.0, "high": 1.0}, "high must be a number in \\(1, inf\\), got 1.0"),
        ({"per_decade": 0}, "per_decade must be a whole number in \\[1, inf\\), got 0"),
        ({"steps": 9}, "steps must be a whole number in \\[10, inf\\), got 9"),
        ({"horizon": 19}, "horizon must be a whole number in \\[20, inf\\), got 19"),
        ({"seeds": 0}, "seeds must be a whole number of at least 1"),
        ({"key": -1}, "key must be a whole number of at least 0"),
        ({"task": quadratic}, "task must be a gdjax.Task"),
        ({"optimizer": lambda rate: gdjax.sgd(rate)}, "must be a function of learning_rate"),
        ({"optimizer": {"sgd": gdjax.sgd}}, "must be a function of learning_rate"),
        ({"optimizer": gdjax.sgd(0.1)}, "must be a function of learning_rate"),
        ({"optimizer": lambda learning_rate, b1: gdjax.adam(learning_rate, b1)}, "needs b1"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_compiled(arguments, message, monkeypatch):
    monkeypatch.setattr(running, "run", None)
    with pytest.raises((gdjax.InvalidValue, gdjax.InvalidType), match=message):
        find(**{"task": quadratic([1.0])} | arguments)


def test_batches_of_a_stream_and_parameters_in_bfloat16_by_an_estimator():
    batches = np.random.default_rng(0).normal(size=(40, 4, 2)).astype(np.float32)
    task = gdjax.Task(
        init=lambda key: jax.random.normal(key, (2,), jnp.bfloat16),
        loss=lambda params, batch, key: jnp.mean((params.astype(jnp.float32)[None] - batch) ** 2),
        batch=gdjax.Stream(list(batches)),
        value_and_grad=gdjax.spsa,
    )
    kept = [batches.copy(), jax.tree.map(np.array, task.batch.first.batches)]
    found, again, other = (find(task, low=1e-3, seeds=2, key=key) for key in (0, 0, 1))
    assert found.low <= found.suggestion <= found.high
    for name in ("rates", "losses", "scores"):
        np.testing.assert_array_equal(getattr(found, name), getattr(again, name))
    assert found.suggestion == again.suggestion
    assert not np.array_equal(found.losses, other.losses, equal_nan=True)
    np.testing.assert_array_equal(batches, kept[0])
    np.testing.assert_array_equal(jax.tree.leaves(task.batch.first.batches)[0], kept[1])


def test_the_result_reads_well_and_cannot_be_changed():
    found = gdjax.LearningRates(0.1, 0.01, 1.0, 20, 80, "loss", "min", 2.0, *np.ones((3, 1)))
    assert repr(found) == (
        "LearningRates(suggestion=0.1, low=0.01, high=1.0, steps=20, horizon=80, objective='loss')"
    )
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.suggestion = 0.2
