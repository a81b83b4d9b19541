"""Slices of quadratics, networks that are rescaled, and barriers by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax
from gdjax import diagnostics, draws

KEY = jax.random.key(0)
QUADRATIC = {"a": jnp.array([1.0, -2.0]), "b": [jnp.array(3.0), None]}


def quadratic(p):
    """``|a|**2 + 2 b**2``."""
    return jnp.sum(p["a"] ** 2) + 2 * p["b"][0] ** 2


def test_a_slice_of_a_quadratic_by_hand():
    along_a = {"a": jnp.array([1.0, 1.0]), "b": [jnp.array(0.0), None]}
    along_b = {"a": jnp.zeros(2), "b": [jnp.array(-1.0), None]}
    x, y = jnp.array([-1.0, 0.0, 2.0]), jnp.array([0.0, 1.0, 3.0, 4.0])
    found = diagnostics.loss_slice(quadratic, QUADRATIC, [along_a, along_b], [x, y], batch_size=5)
    expected = ((1 + x) ** 2 + (-2 + x) ** 2)[:, None] + (2 * (3 - y) ** 2)[None]
    np.testing.assert_array_equal(found.losses, expected)
    assert [axis.tolist() for axis in found.offsets] == [x.tolist(), y.tolist()]
    curve = diagnostics.loss_slice(quadratic, QUADRATIC, [along_a], [x])
    np.testing.assert_array_equal(curve.losses, expected[:, 0])
    cube = diagnostics.loss_slice(quadratic, QUADRATIC, [along_a, along_b, along_b], [x, y, x])
    assert cube.losses.shape == (3, 4, 3)


def test_a_slice_differentiates_and_vmaps():
    @jax.jit
    def losses(center):
        return diagnostics.loss_slice(lambda p: jnp.sum(p**3), center, [jnp.ones(2)], [X]).losses

    X = jnp.array([-1.0, 0.0, 2.0])
    centers = jnp.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    moved = centers[:, None] + X[None, :, None]
    np.testing.assert_allclose(jax.vmap(losses)(centers), jnp.sum(moved**3, axis=-1))
    np.testing.assert_allclose(jax.jacobian(losses)(centers[0]), 3 * moved[0] ** 2)


def test_each_filter_of_a_direction_is_as_long_as_that_of_the_parameters():
    params = {
        "dense": jnp.arange(6.0).reshape(2, 3),
        "kernel": jnp.arange(3 * 3 * 2 * 4.0).reshape(3, 3, 2, 4),
        "bias": jnp.ones(3),
        "scale": 2.0,
        "none": None,
    }
    found = diagnostics.filter_normalized_direction(params, KEY)
    assert jax.tree.map(jnp.shape, found) == jax.tree.map(jnp.shape, params)
    for name in ("dense", "kernel"):
        flat, expected = (
            np.asarray(x[name]).reshape(-1, x[name].shape[-1]) for x in (found, params)
        )
        np.testing.assert_allclose(np.linalg.norm(flat, axis=0), np.linalg.norm(expected, axis=0))
        assert np.abs(np.corrcoef(flat.ravel(), expected.ravel())[0, 1]) < 0.9
    assert not found["bias"].any()
    assert found["scale"] == 0
    slope = jax.grad(lambda w: jnp.sum(diagnostics.filter_normalized_direction(w, KEY)))
    assert jnp.isfinite(slope(jnp.zeros((2, 3)))).all()  # a filter of no length


def network(params, x):
    hidden = jax.nn.relu(x @ params["w1"] + params["b1"][None])
    return hidden @ params["w2"]


def test_rescaled_relu_layers_have_the_same_slice_where_filters_are_normalized():
    keys = jax.random.split(KEY, 4)
    x = jax.random.normal(keys[0], (16, 4))
    shapes = {"w1": (4, 8), "b1": (8,), "w2": (8, 2)}
    params = {
        name: jax.random.normal(key, shape)
        for key, (name, shape) in zip(keys[1:], shapes.items(), strict=True)
    }
    rescaled = {"w1": params["w1"] * 10, "b1": params["b1"] * 10, "w2": params["w2"] / 10}

    @jax.jit
    def losses(params, direction):
        return diagnostics.loss_slice(
            lambda p: jnp.mean(network(p, x) ** 2), params, [direction], [jnp.linspace(-1, 1, 11)]
        ).losses

    normalized, plain = (
        [losses(p, make(p)) for p in (params, rescaled)]
        for make in (
            lambda p: diagnostics.filter_normalized_direction(p, KEY),
            lambda p: draws.normal_like(KEY, p) | {"b1": jnp.zeros(8)},
        )
    )
    np.testing.assert_allclose(*normalized, rtol=1e-4)
    assert jnp.abs(plain[0] - plain[1]).max() > 1


def double_well(p):
    """Minima of 0 at -1 and of -0.3 near 1, a barrier between them."""
    return (p["x"] ** 2 - 1) ** 2 - 0.15 * (p["x"] + 1)


def test_the_barrier_of_a_double_well_by_hand():
    start, end = {"x": jnp.array(-1.0)}, {"x": jnp.array(1.0)}
    line = diagnostics.loss_line(double_well, start, end, points=5)
    assert line.fractions.tolist() == [0, 0.25, 0.5, 0.75, 1]
    # The linear part lies on the line between the ends, so (x**2 - 1)**2 is what is above it.
    np.testing.assert_allclose(line.losses, [0, 0.4875, 0.85, 0.3375, -0.3], atol=1e-6)
    np.testing.assert_allclose(line.barrier, 1.0, rtol=1e-6)
    height = jax.grad(lambda end: diagnostics.loss_line(double_well, start, end, 5).barrier)(end)
    assert jnp.isfinite(height["x"])


def test_there_is_no_barrier_in_a_convex_loss():
    starts = jax.random.normal(KEY, (10, 3))
    lines = jax.vmap(lambda p: diagnostics.loss_line(lambda q: jnp.sum(q**4), p, -2 * p, 8))(starts)
    np.testing.assert_array_equal(lines.barrier, 0)
    np.testing.assert_array_equal(lines.losses[:, 0], jnp.sum(starts**4, axis=1))
    np.testing.assert_array_equal(lines.losses[:, -1], jnp.sum((2 * starts) ** 4, axis=1))


def test_a_loss_that_is_not_finite_is_measured_as_such():
    line = diagnostics.loss_line(jnp.log, -1.0, 1.0, points=3)
    np.testing.assert_array_equal(line.losses, [np.nan, -np.inf, 0])
    assert np.isnan(line.barrier)


def test_bfloat16_is_measured_in_float32():
    params = jnp.ones(4, jnp.bfloat16)
    direction = jnp.full(4, 2.0**-12, jnp.bfloat16)  # bfloat16 would round it away
    found = diagnostics.loss_slice(jnp.sum, params, [direction], [jnp.array([0, 1], jnp.bfloat16)])
    assert found.losses.tolist() == [4, 4 + 2**-10]
    line = diagnostics.loss_line(jnp.sum, params, params + direction, points=2)
    made = diagnostics.filter_normalized_direction(jnp.ones((2, 2), jnp.bfloat16), KEY)
    assert {x.dtype for x in (*found, *line, made) if hasattr(x, "dtype")} == {jnp.dtype("float32")}


def test_bad_input():
    ones, slice_ = jnp.ones(2), diagnostics.loss_slice
    with pytest.raises(gdjax.InvalidValue, match=r"needs an array of at least two axes.*\(2,\)"):
        diagnostics.filter_normalized_direction({"b": ones}, KEY)
    with pytest.raises(gdjax.InvalidType, match="a random direction is not defined for complex"):
        diagnostics.filter_normalized_direction(jnp.ones((2, 2), jnp.complex64), KEY)
    with pytest.raises(gdjax.InvalidValue, match=r"2 directions and offsets of shapes \[\(3,\)\]"):
        slice_(jnp.sum, ones, [ones, ones], [jnp.zeros(3)])
    with pytest.raises(gdjax.InvalidValue, match=r"1 directions and offsets of shapes \[\(\)\]"):
        slice_(jnp.sum, ones, [ones], [0.0])
    with pytest.raises(gdjax.InvalidValue, match="needs parameters, got a tree without any"):
        slice_(jnp.sum, {"a": None}, [{"a": None}], [jnp.zeros(3)])
    with pytest.raises(
        gdjax.InvalidValue, match=r"a direction must be like .*\n.*\(2,\)\n.*\(3,\)"
    ):
        slice_(jnp.sum, ones, [jnp.ones(3)], [jnp.zeros(3)])
    with pytest.raises(gdjax.InvalidValue, match=r"must return a scalar, got shape \(2,\)"):
        slice_(lambda p: p, ones, [ones], [jnp.zeros(3)])
    with pytest.raises(gdjax.InvalidValue, match="must return a scalar, got tuple"):
        slice_(lambda p: (p[0], {}), ones, [ones], [jnp.zeros(3)])
    with pytest.raises(
        gdjax.InvalidValue, match="points must be a whole number of at least 2, got 1"
    ):
        diagnostics.loss_line(jnp.sum, ones, ones, points=1)
    with pytest.raises(gdjax.InvalidValue, match="the end must be like the parameters"):
        diagnostics.loss_line(jnp.sum, {"a": ones}, {"b": ones})
    for size in (0, 1.5):
        with pytest.raises(gdjax.InvalidValue, match=f"batch_size must be a whole.* got {size}"):
            slice_(jnp.sum, ones, [ones], [jnp.zeros(3)], batch_size=size)
