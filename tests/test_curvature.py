"""Curvature against dense Hessians, by NumPy, and at the edge of stability."""

import functools
import itertools

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.datasets import load_digits

import gdjax
from gdjax import curvature
from tests.runs import enable_x64

KEY = jax.random.key(0)


def of_matrix(matrix):
    """A loss on a tree of four leaves whose Hessian is a matrix."""
    size = len(matrix)
    split = [min(1, size), min(3, size)]

    def as_tree(vector):
        first, second, rest = jnp.split(vector, split)
        return {
            "a": first.reshape(first.shape),
            "b": [second, None],
            "c": (rest, jnp.zeros((0, 2))),
        }

    def loss(tree):
        vector = jax.flatten_util.ravel_pytree(tree)[0]
        return vector @ matrix @ vector / 2

    return loss, as_tree(jnp.zeros(size))


@functools.partial(jax.jit, static_argnums=1)
def extremes(matrix, iterations=32):
    loss, params = of_matrix(matrix)
    product = curvature.hessian_product(loss, params)
    return curvature.extreme_eigenvalues(product, params, KEY, iterations)


def symmetric(size, seed=0):
    x = np.random.default_rng(seed).normal(size=(size, size))
    return (x + x.T) / 2


MATRICES = {
    "one number": np.array([[-3.0]]),
    "zero": np.zeros((7, 7)),
    "identity": np.eye(7),
    "negative": -symmetric(7) @ symmetric(7),
    "of low rank": np.outer(np.arange(7), np.arange(7)),
    "with multiple eigenvalues": np.diag([2.0, 2.0, 2.0, -1.0, -1.0, 5.0, 5.0]),
    "small": 1e-12 * symmetric(7),
    "large": 1e12 * symmetric(7),
    "indefinite": symmetric(40),
    "ill-conditioned": np.diag(np.geomspace(1e-6, 1e3, 40)),
}


@pytest.mark.parametrize("name", MATRICES)
def test_as_many_iterations_as_parameters_find_both_ends(name):
    matrix = MATRICES[name]
    values = np.linalg.eigvalsh(matrix)
    scale = np.abs(values).max()
    found = extremes(matrix, 64)
    for pair, expected in zip(found, values[[0, -1]], strict=True):
        np.testing.assert_allclose(pair.value, expected, atol=1e-5 * scale)
        assert pair.residual <= 1e-5 * scale
        vector = jax.flatten_util.ravel_pytree(pair.vector)[0]
        np.testing.assert_allclose(np.linalg.norm(vector), 1, rtol=1e-5)
        np.testing.assert_allclose(matrix @ vector, expected * vector, atol=1e-4 * scale)


@pytest.mark.parametrize("iterations", [1, 5, 20])
def test_the_residual_bounds_the_error_and_is_that_of_the_vector(iterations):
    matrix = symmetric(60)
    values = np.linalg.eigvalsh(matrix)
    for pair in extremes(matrix, iterations):
        vector = np.asarray(jax.flatten_util.ravel_pytree(pair.vector)[0], float)
        residual = np.linalg.norm(matrix @ vector - float(pair.value) * vector)
        np.testing.assert_allclose(pair.residual, residual, rtol=1e-3)
        assert np.abs(values - float(pair.value)).min() <= residual


def network(sizes, key):
    shapes = itertools.pairwise(sizes)
    keys = jax.random.split(key, len(sizes))
    return [
        {"w": jax.random.normal(k, (m, n)) / m**0.5, "b": jnp.zeros(n)}
        for k, (m, n) in zip(keys, shapes, strict=False)
    ]


def squared_error(params, x, y):
    """Half the mean squared distance of a tanh network's outputs."""
    for layer in params[:-1]:
        x = jnp.tanh(x @ layer["w"] + layer["b"][None])
    outputs = x @ params[-1]["w"] + params[-1]["b"][None]
    return jnp.mean(jnp.sum((outputs - y) ** 2, axis=-1)) / 2


def digits():
    """500 images, pixels in [0, 1], and their classes as unit vectors."""
    x, y = load_digits(return_X_y=True)
    return jnp.asarray(x[:500] / 16, jnp.float32), jax.nn.one_hot(y[:500], 10)


@pytest.mark.parametrize("sizes", [(4, 3), (4, 16, 12, 3), (16, 16, 10)])
def test_networks_of_up_to_500_parameters(sizes):
    params = network(sizes, KEY)
    flat, as_tree = jax.flatten_util.ravel_pytree(params)
    assert flat.size <= 500
    x, y = digits()
    loss = functools.partial(squared_error, x=x[:, 20 : 20 + sizes[0]], y=y[:, : sizes[-1]])
    values = np.linalg.eigvalsh(jax.jit(jax.hessian(lambda flat: loss(as_tree(flat))))(flat))

    @jax.jit
    def measure(params):
        product = curvature.hessian_product(loss, params)
        return curvature.extreme_eigenvalues(product, params, KEY, 64)

    found = measure(params)
    assert len(sizes) == 2 or values[0] < -1e-3
    np.testing.assert_allclose(found.smallest.value, values[0], atol=1e-4)
    np.testing.assert_allclose(found.largest.value, values[-1], atol=1e-4)


def test_many_starts_in_one_program():
    """The saddle of x**4 / 4 - x**2 / 2 + y**2 in between its two minima."""

    def loss(p):
        return p[0] ** 4 / 4 - p[0] ** 2 / 2 + p[1] ** 2

    @jax.jit
    @jax.vmap
    def smallest(start):
        product = curvature.hessian_product(loss, start)
        return curvature.extreme_eigenvalues(product, start, KEY).smallest.value

    x = jnp.linspace(-1, 1, 9)
    expected = np.minimum(3 * x**2 - 1, 2)
    found = smallest(jnp.stack([x, jnp.ones(9)], axis=1))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_bfloat16_is_measured_in_float32():
    matrix = symmetric(10)
    loss, params = of_matrix(jnp.asarray(matrix, jnp.float32))
    half = jax.tree.map(lambda x: x.astype(jnp.bfloat16), params)
    product = curvature.hessian_product(loss, half)
    found = curvature.extreme_eigenvalues(product, half, KEY)
    np.testing.assert_allclose(found.largest.value, np.linalg.eigvalsh(matrix)[-1], rtol=1e-5)
    assert {x.dtype for x in jax.tree.leaves(found)} == {jnp.dtype("float32")}
    assert curvature.along(curvature.quadratic_form(loss, half), half).dtype == jnp.float32


def test_the_curvature_along_a_direction():
    matrix = symmetric(10)
    loss, params = of_matrix(jnp.asarray(matrix, jnp.float32))
    form = curvature.quadratic_form(loss, params)
    direction = jax.tree.map(lambda x: x + 2.0, params)
    vector = np.full(10, 2.0)
    expected = vector @ matrix @ vector / (vector @ vector)
    np.testing.assert_allclose(curvature.along(form, direction), expected, rtol=1e-5)
    assert curvature.along(form, params) == 0
    of_scale = jax.grad(lambda s: curvature.along(form, jax.tree.map(lambda x: s * x, params)))
    assert of_scale(1.0) == 0  # finite also where a gradient vanishes


def test_the_trace_lies_within_its_error():
    matrix = symmetric(30)
    loss, params = of_matrix(jnp.asarray(matrix, jnp.float32))
    form = curvature.quadratic_form(loss, params)
    estimate = curvature.trace(form, params, KEY, samples=400)
    spread = np.sqrt(2 * (np.sum(matrix**2) - np.sum(np.diag(matrix) ** 2)))  # of v . A v
    np.testing.assert_allclose(estimate.error, spread / 20, rtol=0.15)
    assert abs(estimate.value - np.trace(matrix)) < 3 * estimate.error
    assert np.isnan(curvature.trace(form, params, KEY, samples=1).error)


def test_bad_input():
    product = curvature.hessian_product(jnp.sum, jnp.ones(2))
    with pytest.raises(gdjax.InvalidValue, match="got 0 iterations and 2 parameters"):
        curvature.extreme_eigenvalues(product, jnp.ones(2), KEY, iterations=0)
    with pytest.raises(gdjax.InvalidValue, match="got 32 iterations and 0 parameters"):
        curvature.extreme_eigenvalues(product, {"a": None, "b": jnp.ones((0, 2))}, KEY)
    form = curvature.quadratic_form(jnp.sum, jnp.ones(2))
    with pytest.raises(gdjax.InvalidValue, match="at least one sample, got 0"):
        curvature.trace(form, jnp.ones(2), KEY, samples=0)
    with pytest.raises(gdjax.InvalidType, match="a Hessian is not defined for complex numbers"):
        curvature.hessian_product(lambda x: jnp.sum(jnp.abs(x)), jnp.ones(2, jnp.complex64))
    with pytest.raises(gdjax.InvalidType, match="a Hessian is not defined for complex numbers"):
        curvature.quadratic_form(lambda x: jnp.sum(jnp.abs(x)), jnp.ones(2, jnp.complex64))

    def wrong(params):
        raise TypeError("no such argument")

    with pytest.raises(gdjax.InvalidType, match=r"take v -> v \. H v, such as quadratic_form"):
        curvature.trace(product, jnp.ones(2), KEY)
    vector_valued = curvature.quadratic_form(lambda x: x**2, jnp.ones(2))
    with pytest.raises(gdjax.InvalidType, match="of a loss that is one number"):
        curvature.along(vector_valued, jnp.ones(2))
    form = curvature.quadratic_form(wrong, jnp.ones(2))
    with pytest.raises(TypeError, match="no such argument"):
        form(jnp.ones(2))


@jax.custom_vjp
def cube(x):
    return x**3


cube.defvjp(lambda x: (x**3, x), lambda x, slope: (3 * x**2 * slope,))


@jax.custom_vjp
def clipped(x):
    """A gradient that is clipped remembers nothing: forward mode is refused late."""
    return x


clipped.defvjp(lambda x: (x, None), lambda _, slope: (jnp.clip(slope, -1.5, 1.5),))


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (lambda x: jnp.sum(cube(x)), 6 + 12),
        (lambda x: jnp.sum(clipped(x) ** 2) / 2, 1),
        (lambda x: jax.lax.scan(lambda s, y: (s + clipped(y) ** 2 / 2, None), 0.0, x)[0], 1),
    ],
)
def test_a_loss_that_has_a_derivative_in_reverse_mode_alone(loss, expected):
    form = curvature.quadratic_form(loss, jnp.array([1.0, 2.0]))
    for call in (form, jax.jit(form)):
        assert call(jnp.ones(2)) == expected
    assert jax.jit(jax.vmap(form))(jnp.ones((1, 2))) == expected


@pytest.mark.parametrize("factor", [1e-5, 1.0, 1e3])
def test_a_form_in_float16_neither_loses_small_vectors_nor_overflows(factor):
    def loss(x):
        return jnp.sum(x.astype(jnp.float16) ** 2) / 2

    vector = jnp.full(100_000, factor)
    form = curvature.quadratic_form(loss, jnp.zeros(100_000))
    np.testing.assert_allclose(form(vector), 1e5 * factor**2, rtol=2e-3)
    assert form(0 * vector) == 0


def test_gradient_descent_at_the_edge_of_stability():
    """Full batches, learning rate 0.2: the sharpness stays at 2 / 0.2 at 16 of 16 checkpoints.

    Cohen et al., "Gradient descent on neural networks typically occurs at the edge of stability",
    https://arxiv.org/abs/2103.00065, figure 1, on digits.
    """
    learning_rate = 0.2
    x, y = digits()
    loss = functools.partial(squared_error, x=x, y=y)

    def step(params, _):
        value, slope = jax.value_and_grad(loss)(params)
        return jax.tree.map(lambda p, g: p - learning_rate * g, params, slope), value

    def checkpoint(params, _):
        params, losses = jax.lax.scan(step, params, length=200)
        product = curvature.hessian_product(loss, params)
        largest = curvature.extreme_eigenvalues(product, params, KEY, iterations=24).largest
        return params, (largest.value, largest.residual, losses[-1])

    start = network((64, 16, 10), KEY)
    _, (sharpness, residuals, losses) = jax.jit(
        lambda start: jax.lax.scan(checkpoint, start, length=40)
    )(start)
    late = slice(-16, None)
    assert losses[0] > 2 * losses[-1]  # it learns all the same
    np.testing.assert_allclose(sharpness[late] * learning_rate / 2, 1, atol=0.02)
    assert residuals[late].max() < 0.01 * sharpness[late].min()


@pytest.mark.parametrize("other", [jnp.float32, jnp.bfloat16, jnp.float64])
def test_narrow_parameters_where_wide_numbers_are_enabled(other):
    with enable_x64(True):
        params = {"x": jnp.ones(2, jnp.float32), "y": jnp.ones((), other)}

        def loss(params):
            return jnp.sum(params["x"] ** 2) + 2 * params["y"] ** 2

        product = curvature.hessian_product(loss, params)
        ends = curvature.extreme_eigenvalues(product, params, jax.random.key(0), iterations=3)
        np.testing.assert_allclose([ends.smallest.value, ends.largest.value], [2.0, 4.0], rtol=1e-5)
        assert ends.largest.vector["x"].dtype == jnp.float32
        form = curvature.quadratic_form(loss, params)
        assert curvature.trace(form, params, jax.random.key(0)).value == 8
