"""Basins of a quartic, whose maximum separates them, and of a plane with four minima."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gdjax
from gdjax import diagnostics


def quartic(x):
    return x**4 - 5 * x**2 + 3 * x


LEFT, TOP, RIGHT = np.sort(np.roots([4, 0, -10, 3]).real)  # of its derivative
MINIMA = jnp.array([LEFT, RIGHT])
STARTS = jnp.linspace(-3, 3, 100_000)


def labels(make_optimizer, starts=STARTS, rates=(0.01,), steps=400):
    found = diagnostics.basins(quartic, make_optimizer, starts, rates, steps)
    return found, diagnostics.nearest_minimum(found.params, MINIMA, 1e-2)


def test_the_maximum_separates_the_basins_of_gradient_descent_with_small_steps():
    """All of 10**5 starts: below 1 / max |f''| = 1 / 98 on [-3, 3] the steps keep their order."""
    found, at = labels(gdjax.sgd)
    assert found.loss.shape == at.shape == (100_000, 1)
    assert not found.diverged.any()
    np.testing.assert_array_equal(at[:, 0], STARTS > TOP)
    np.testing.assert_allclose(found.loss[:, 0], quartic(MINIMA)[at[:, 0]], atol=1e-5)


def test_larger_rates_jump_between_basins_and_diverge():
    starts = STARTS[::100]
    found, at = labels(gdjax.sgd, starts, [0.01, 0.05, 0.09])
    crossed = (at >= 0) & (at != (starts > TOP)[:, None])
    assert crossed.any(axis=0).tolist() == [False, True, True]
    assert found.diverged.any(axis=0).tolist() == [False, False, True]
    # At 0.09 each step from |x| > 2.9 leads farther away: 0.09 |f'(x)| > 2 |x|.
    assert found.diverged[:, 2][jnp.abs(starts) > 2.9].all()
    # And 0.09 > 2 / f''(left) = 0.080, so that minimum repels; 2 / f''(right) = 0.154.
    assert set(np.unique(at[:, 2])) == {-1, 1}
    assert (at[found.diverged] == -1).all()


def test_momentum_carries_runs_over_the_maximum():
    starts = STARTS[::100]
    rolls = functools.partial(gdjax.sgd, momentum=0.9)
    found, at = labels(rolls, starts)
    assert not found.diverged.any()
    assert set(np.unique(at)) == {0, 1}
    assert 0.05 < jnp.mean(at[:, 0] != (starts > TOP)) < 0.95
    # Any number of the optimizer can take the place of the learning rate.
    _, both = labels(lambda momentum: gdjax.sgd(0.01, momentum=momentum), starts, [0.0, 0.9])
    np.testing.assert_array_equal(both[:, 0], starts > TOP)
    np.testing.assert_array_equal(both[:, 1], at[:, 0])


def test_an_end_is_what_a_loop_by_hand_finds_whatever_the_batch():
    starts = {"x": jnp.array([[0.3, -0.2], [1.0, 2.0], [-0.5, 0.1]]), "y": [jnp.arange(3.0)]}

    def loss(p):
        return jnp.sum(p["x"] ** 4) - jnp.sum(p["x"]) + (p["y"][0] - 1) ** 2

    rates = [0.01, 0.1]
    found = diagnostics.basins(loss, gdjax.adam, starts, rates, steps=3, batch_size=2)
    for i, j in np.ndindex(3, 2):
        params = jax.tree.map(lambda x, i=i: x[i], starts)
        optimizer = optax.adam(rates[j])
        state = optimizer.init(params)
        for _ in range(3):
            updates, state = optimizer.update(jax.grad(loss)(params), state, params)
            params = optax.apply_updates(params, updates)
        jax.tree.map(
            lambda x, y, i=i, j=j: np.testing.assert_allclose(x[i, j], y, atol=1e-5),
            found.params,
            params,
        )
        np.testing.assert_allclose(found.loss[i, j], loss(params), atol=1e-4)


def test_a_task_draws_the_same_batches_in_all_runs():
    task = gdjax.Task(
        init=lambda key: jnp.zeros(()),
        loss=lambda params, batch, key: (params - batch) ** 2,
        batch=lambda key, step: jax.random.normal(key),
    )
    starts = jnp.array([1.0, 1.0, 3.0])
    once, again, other = (
        diagnostics.basins(task, gdjax.sgd, starts, [0.1], 4, key=key) for key in (0, 0, 1)
    )
    assert once.params[0] == once.params[1] == again.params[0] != other.params[0]
    # Each step leaves 0.8 of the distance between two runs.
    np.testing.assert_allclose(once.params[2] - once.params[0], 2 * 0.8**4, rtol=1e-5)


def test_the_second_call_compiles_nothing():
    traced = []

    def loss(x):
        traced.append(x)
        return x**2

    for rate in (0.1, 0.2):
        diagnostics.basins(loss, gdjax.sgd, STARTS[:4], [rate], steps=2)
        if rate == 0.1:
            first = len(traced)
    assert len(traced) == first


def test_nearest_minimum_by_hand():
    minima = {"x": jnp.array([0.0, 1.0]), "y": jnp.array([[0.0, 0.0], [1.0, 1.0]])}
    x = jnp.array([[0.1, 1.0, 0.5, jnp.nan], [1.0, 3.0, 0.0, jnp.inf]])
    points = {"x": x, "y": jnp.stack([x, x], axis=-1)}
    found = diagnostics.nearest_minimum(points, minima, tolerance=0.5)
    assert found.tolist() == [[0, 1, -1, -1], [1, -1, 0, -1]]
    assert found.dtype == jnp.int32
    half = jax.tree.map(lambda x: x.astype(jnp.bfloat16), points)
    np.testing.assert_array_equal(diagnostics.nearest_minimum(half, minima, 0.5), found)


def test_minima_that_are_not_known_are_found():
    """``(x**2 - 1)**2 + (y**2 - 1)**2 + x / 8 + y / 16`` has four, each with a loss of its own."""

    def loss(p):
        return jnp.sum((p**2 - 1) ** 2) + p[0] / 8 + p[1] / 16

    starts = jax.random.uniform(jax.random.key(0), (200, 2), minval=-1.5, maxval=1.5)
    found = diagnostics.basins(loss, gdjax.sgd, starts, [0.05, 5.0], steps=200)
    ends = diagnostics.distinct_ends(found, tolerance=0.01)
    assert jnp.sign(ends).tolist() == [[-1, -1], [-1, 1], [1, -1], [1, 1]]  # by their loss
    assert jnp.abs(jax.vmap(jax.grad(loss))(ends)).max() < 1e-5
    at = diagnostics.nearest_minimum(found.params, ends, 0.01)
    assert (at[:, 1] == -1).all()
    assert found.diverged[:, 1].all()
    assert (at[:, 0] >= 0).all()
    first = diagnostics.distinct_ends(found, tolerance=0.01, most=2)
    np.testing.assert_array_equal(first, ends[:2])
    with pytest.raises(gdjax.InvalidValue, match="each run diverged; lower the learning rates"):
        diagnostics.distinct_ends(jax.tree.map(lambda x: x[:, 1:], found), tolerance=0.01)


def test_bad_input():
    with pytest.raises(gdjax.InvalidValue, match="basins: starts must hold arrays"):
        diagnostics.basins(quartic, gdjax.sgd, {"a": None}, [0.1], 2)
    with pytest.raises(gdjax.InvalidValue, match=r"basins: learning_rates must hold.*\(\)"):
        diagnostics.basins(quartic, gdjax.sgd, STARTS[:2], 0.1, 2)
    with pytest.raises(gdjax.InvalidType, match="make_optimizer must make a gdjax optimizer"):
        diagnostics.basins(quartic, optax.sgd, STARTS[:2], [0.1], 2)
    with pytest.raises(gdjax.InvalidValue, match="nearest_minimum: minima must hold arrays"):
        diagnostics.nearest_minimum(STARTS, jnp.ones(()), 0.1)
    for name, number in {"steps": -1, "batch_size": 0}.items():
        with pytest.raises(gdjax.InvalidValue, match=f"basins: {name} must be .* got {number}"):
            diagnostics.basins(quartic, gdjax.sgd, STARTS[:2], [0.1], **{"steps": 2, name: number})
    found = diagnostics.basins(quartic, gdjax.sgd, STARTS[:2], [0.1], 2)
    for numbers in ({"tolerance": -0.1}, {"tolerance": np.nan}, {"tolerance": 0.1, "most": 0}):
        with pytest.raises(gdjax.InvalidValue, match=r"distinct_ends: (tolerance|most) must be"):
            diagnostics.distinct_ends(found, **numbers)
    assert (diagnostics.nearest_minimum(STARTS[:9], STARTS[:9], -1e-9) == -1).all()
    assert (diagnostics.nearest_minimum(STARTS[:9], STARTS[:9], 0.0) == jnp.arange(9)).all()
