import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdjax import decompositions, matrices
from tests import runs


def semidefinite(values, complex_numbers=False):
    """A matrix with these eigenvalues."""
    random = np.random.default_rng(0)
    x = random.standard_normal((len(values),) * 2)
    if complex_numbers:
        x = x + 1j * random.standard_normal(x.shape)
    q = np.linalg.qr(x)[0]
    return q @ np.diag(values) @ q.conj().T


@pytest.mark.parametrize("complex_numbers", [False, True])
@pytest.mark.parametrize("order", [2, 4, 6])
def test_inverse_roots_undo_the_matrix(order, complex_numbers):
    with runs.enable_x64(True):
        a = semidefinite([9.0, 4.0, 1.0, 0.25], complex_numbers)
        root = decompositions.ridged_power(jnp.asarray(a), -1 / order, 0.0)
        np.testing.assert_allclose(
            np.linalg.matrix_power(root, order) @ a, np.eye(4), rtol=0, atol=1e-12
        )


def test_the_ridge_is_relative_to_the_mean_eigenvalue():
    # Mean 2, ridge 1: diag(4, 1, 4) to the power -1/2.
    power = decompositions.ridged_power(jnp.diag(jnp.array([3.0, 0.0, 3.0])), -0.5, 0.5)
    np.testing.assert_allclose(power, np.diag([0.5, 1.0, 0.5]), rtol=1e-6)


def test_the_power_of_nothing_is_nothing():
    zeros = jnp.zeros((2, 3, 3))
    derivative = jax.jacobian(decompositions.ridged_power)(zeros, -0.25, 0.5)
    assert not decompositions.ridged_power(zeros, -0.25, 0.5).any()
    assert not derivative.any()


@pytest.mark.parametrize(
    "values", [[4.0, 1.0, 0.5], [2.0, 2.0, 1.0], [3.0, 3.0, 3.0], [2.0, 2.0 + 1e-9, 1.0]]
)
def test_derivatives_of_a_power_where_eigenvalues_are_equal(values):
    with runs.enable_x64(True):
        a, change = jnp.asarray(semidefinite(values)), jnp.asarray(semidefinite([1.0, 0.3, -0.5]))

        def along(t):
            return decompositions.ridged_power(a + t * change, -0.25 + 0.1 * t, 0.1 + 0.2 * t)

        def central(h):
            return (along(h) - along(-h)) / (2 * h)

        expected = (4 * central(5e-4) - central(1e-3)) / 3
        np.testing.assert_allclose(jax.jacfwd(along)(0.0), expected, rtol=1e-8, atol=1e-9)
        np.testing.assert_allclose(jax.jacrev(along)(0.0), expected, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("function", [decompositions.eigenbasis, decompositions.orthonormalize])
def test_derivatives_of_a_basis(function):
    with runs.enable_x64(True):
        a = jnp.asarray(semidefinite([5.0, 3.0, 1.0]))
        change = jnp.asarray(semidefinite([1.0, 0.3, -0.5]))

        def along(t):
            return function(a + t * change) ** 2  # whatever the signs

        expected = (along(1e-5) - along(-1e-5)) / 2e-5
        np.testing.assert_allclose(jax.jacfwd(along)(0.0), expected, rtol=1e-7, atol=1e-9)
        np.testing.assert_allclose(jax.jacrev(along)(0.0), expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("function", [decompositions.eigenbasis, decompositions.orthonormalize])
def test_derivatives_of_an_arbitrary_basis_are_0(function):
    derivative = jax.jacobian(function)(jnp.zeros((3, 3)))
    assert not derivative.any()


def test_orthogonal_iteration_finds_the_eigenvectors():
    with runs.enable_x64(True):
        a, basis = jnp.asarray(semidefinite([1.0, 8.0, 64.0])), jnp.eye(3)
        for _ in range(12):
            basis, _ = decompositions.refine_basis(a, basis)
        expected = np.linalg.eigh(a)[1][:, ::-1]
        np.testing.assert_allclose(np.abs(basis), np.abs(expected), rtol=0, atol=1e-9)


def test_orthogonal_iteration_sorts_the_columns_first():
    basis, order = decompositions.refine_basis(jnp.diag(jnp.array([1.0, 9.0, 4.0])), jnp.eye(3))
    assert order.tolist() == [1, 2, 0]
    assert jnp.abs(basis).T.tolist() == [[0, 1, 0], [0, 0, 1], [1, 0, 0]]


def test_decompositions_of_nothing():
    for function in (decompositions.eigenbasis, decompositions.orthonormalize):
        assert function(jnp.zeros((2, 0, 0))).shape == (2, 0, 0)
        assert function(jnp.zeros((0, 3, 3))).shape == (0, 3, 3)


def test_map_matrices_of_nothing():
    assert matrices.map_matrices(lambda x: (x, x), {"a": ()}, outputs=2) == ({"a": ()}, {"a": ()})


def test_map_matrices_calls_once_a_shape_and_keeps_places():
    seen = []

    def double(x, y):
        seen.append(x.shape)
        return 2 * x, x.sum((-1, -2), keepdims=True) + y

    def some(*shape):
        return jnp.arange(float(np.prod(shape))).reshape(shape)

    tree = {"a": some(2, 3), "b": [some(4, 5, 2, 3), some(3, 2)], "c": some(2, 3), "d": ()}
    ones = jax.tree.map(lambda x: jnp.ones((*x.shape[:-2], 1, 1)), tree)
    doubled, sums = matrices.map_matrices(double, tree, ones, outputs=2)
    assert sorted(seen) == [(1, 3, 2), (22, 2, 3)]
    runs.assert_equal(doubled, jax.tree.map(lambda x: 2 * x, tree))
    runs.assert_close(
        sums, jax.tree.map(lambda x: 1 + x.sum((-1, -2), keepdims=True), tree), rtol=1e-6
    )


def _power(x):
    return decompositions.ridged_power(x, -0.5, 0.1)


@pytest.mark.parametrize(
    "function",
    [
        decompositions.eigenbasis,
        decompositions.orthonormalize,
        decompositions._spectral_norm,
        _power,
        jax.grad(lambda x: jnp.sum(_power(x) ** 2)),
        jax.grad(lambda x: jnp.sum(decompositions.eigenbasis(x) ** 4)),
    ],
)
def test_lapack_gets_one_matrix_at_a_time(function):
    """Calls for more of them, made by ``vmap`` most often, can wait for each other forever."""
    random = np.random.default_rng(0)
    stacks = jnp.asarray(random.standard_normal((2, 3, 5, 4, 4)), jnp.float32)
    stacks = stacks @ stacks.mT
    many = jax.jit(jax.vmap(jax.vmap(function)))
    program = many.lower(stacks).as_text()
    calls = [line for line in program.splitlines() if "custom_call @lapack" in line]
    assert calls
    assert all(re.search(r": \(tensor<4x4xf32>", line) for line in calls)
    expected = [[[function(x) for x in stack] for stack in stacks_] for stacks_ in stacks]
    runs.assert_close(many(stacks), jnp.array(expected), rtol=1e-5, atol=1e-6)


def test_second_derivatives_of_a_power():
    with runs.enable_x64(True):
        a = jnp.asarray(semidefinite([4.0, 1.0, 0.5]))

        def trace(x):
            return jnp.trace(decompositions.ridged_power(x, -1.0, 0.0))

        along = jax.vmap(jax.hessian(lambda t, b: trace(b + t * b)), (None, 0))  # trace(1/b)/(1+t)
        expected = [2 * trace(a), 2 * trace(2 * a)]
        np.testing.assert_allclose(along(0.0, jnp.stack([a, 2 * a])), expected, rtol=1e-10)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_axes_of_arrays_as_rows(axis):
    random = np.random.default_rng(0)
    x = random.standard_normal((2, 3, 4)) + 1j * random.standard_normal((2, 3, 4))
    matrix = random.standard_normal((x.shape[axis],) * 2)
    rows = np.moveaxis(x, axis, 0).reshape(x.shape[axis], -1)
    moment = matrices.second_moment(jnp.asarray(x), axis)
    np.testing.assert_allclose(moment, rows @ rows.conj().T, rtol=1e-5, atol=1e-5)
    product = np.moveaxis(np.asarray(matrices.multiply_axis(matrix, jnp.asarray(x), axis)), axis, 0)
    np.testing.assert_allclose(product.reshape(rows.shape), matrix @ rows, rtol=1e-5, atol=1e-5)
