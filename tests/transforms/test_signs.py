import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gdjax


def test_scale_by_sign_by_hand(run):
    seen = run(gdjax.scale_by_sign(), [jnp.array([4.0, -0.5]), jnp.array([0.0, 1e-30])])
    chex.assert_trees_all_equal([u.tolist() for u, _ in seen], [[1.0, -1.0], [0.0, 1.0]])


def test_the_sign_of_a_complex_number_is_its_direction(run):
    # |3 + 4i| = 5; a square of 1e-30 would be 0 in float32
    gradient = jnp.array([3 + 4j, -2j, 0j, 1e-30j])
    ((updates, _),) = run(gdjax.scale_by_sign(), [gradient])
    chex.assert_trees_all_close(updates, np.array([0.6 + 0.8j, -1j, 0j, 1j], np.complex64))


def test_the_direction_of_a_complex_number_has_a_derivative(run):
    def imaginary(x):
        ((updates, _),) = run(gdjax.scale_by_sign(), [jnp.stack([3 + 1j * x, 0 * 1j * x])])
        return jnp.sum(updates.imag)

    # d/dx x / sqrt(9 + x^2) = 9 / 125 at x = 4; at 0 there is none, and it is finite
    derivative = jax.grad(imaginary)(4.0)
    chex.assert_trees_all_close(derivative, np.float32(9 / 125), rtol=1e-6)


def test_scale_by_lion_by_hand(run):
    # m = g / 4: 1, -1; then 3 / 4 m + g / 4: 0.75 + 0.5, -0.75 + 0.125. The sign of g / 2; then
    # of m / 2 + g / 2: 0.5 + 1 and -0.5 + 0.25, which goes on against the gradient.
    gradients = [jnp.array([4.0, -4.0]), jnp.array([2.0, 0.5])]
    expected = [
        (np.array([1.0, -1.0]), optax.ScaleByLionState(np.array(1), np.array([1.0, -1.0]))),
        (np.array([1.0, -1.0]), optax.ScaleByLionState(np.array(2), np.array([1.25, -0.625]))),
    ]
    chex.assert_trees_all_equal(run(gdjax.scale_by_lion(0.5, 0.75), gradients), expected)


def test_modes_of_scale_by_lion_by_hand(run):
    # mixtures of half the gradient: 2, -0.25 and 0
    gradients = [jnp.array([4.0, -0.5, 0.0])]
    ((smooth, _),) = run(gdjax.scale_by_lion(0.5, mode="smooth", smooth_beta=0.5), gradients)
    np.testing.assert_allclose(smooth, np.tanh([1.0, -0.125, 0.0]), rtol=1e-6)
    ((refined, _),) = run(gdjax.scale_by_lion(0.5, mode="refined"), gradients)
    assert refined.tolist() == [1.0, -0.25, 0.0]
    with pytest.raises(gdjax.InvalidValue, match="scale_by_lion: mode must be one of 'hard'"):
        gdjax.scale_by_lion(mode="soft")


def test_the_smooth_sign_has_its_derivative_at_0(run):
    def smooth(g):
        pair = gdjax.scale_by_lion(0.5, mode="smooth", smooth_beta=2.0)
        return run(pair, [g])[0][0]

    assert jax.grad(smooth)(0.0) == 1.0  # of tanh(2 * g / 2)


def test_signum_by_hand(run):
    # m = g / 4: 1, -1, 0; then 3 / 4 m + g / 4: 0.75 - 0.5 and -0.75 + 1, which has turned
    gradients = [jnp.array([4.0, -4.0, 0.0]), jnp.array([-2.0, 4.0, 0.0])]
    seen = run(gdjax.signum(0.5, 0.75), gradients)
    assert [u.tolist() for u, _ in seen] == [[-0.5, 0.5, 0.0], [-0.5, -0.5, 0.0]]
    assert seen[-1][1][0].ema.tolist() == [0.25, 0.25, 0.0]
