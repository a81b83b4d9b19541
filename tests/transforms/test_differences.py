from math import sqrt

import chex
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gdjax
from gdjax.transforms import ScaleByAdanState

ROUNDING = 1e-6


@pytest.mark.parametrize(
    ("eps", "eps_root", "denominators"),
    [
        (0.0, 0.0, [4, sqrt(33.25 * 16 / 7), sqrt(5.25 * 16 / 7)]),
        (2.0, 9.0, [5 + 2, sqrt(33.25 * 16 / 7 + 9) + 2, sqrt(5.25 * 16 / 7 + 9) + 2]),
    ],
)
def test_scale_by_adan_by_hand(run, eps, eps_root, denominators):
    gradients = [jnp.array([4.0, 4.0]), jnp.array([8.0, 0.0])]
    seen = run(gdjax.scale_by_adan(0.5, 0.75, 0.75, eps, eps_root), gradients)
    # Differences 0, then 4, -4. m = 4 / 2; then 1 + 4, 1. v = 0; then 4 / 4, -4 / 4.
    # n = 16 / 4; then 3 + (8 + 3)^2 / 4, 3 + (0 - 3)^2 / 4.
    states = [
        ScaleByAdanState([2, 2], [0, 0], [4, 4], [4, 4], 1, 1 / 2, 1 / 4, 1 / 4),
        ScaleByAdanState([5, 1], [1, -1], [33.25, 5.25], [8, 0], 2, 3 / 4, 7 / 16, 7 / 16),
    ]
    for (_, state), expected in zip(seen, states, strict=True):
        assert [np.asarray(x).tolist() for x in state] == list(expected)
    first, up, down = denominators
    updates = [
        [4 / first] * 2,
        [(5 / (3 / 4) + 3 / 4 * 16 / 7) / up, (1 / (3 / 4) - 3 / 4 * 16 / 7) / down],
    ]
    for (u, _), expected in zip(seen, updates, strict=True):
        chex.assert_trees_all_close(u, np.array(expected, np.float32), rtol=ROUNDING)


def steps_of_adan(gradients, beta1, beta2, beta3, eps):
    """Algorithm 1 of the paper in its letters, its averages debiased as in its authors' code."""
    m = v = n = np.zeros(3)
    for k, g in enumerate(gradients, start=1):
        d = g - gradients[max(k - 2, 0)]
        m = (1 - beta1) * m + beta1 * g
        v = (1 - beta2) * v + beta2 * d
        n = (1 - beta3) * n + beta3 * (g + (1 - beta2) * d) ** 2
        m_hat, v_hat, n_hat = (
            x / (1 - (1 - beta) ** k) for x, beta in ((m, beta1), (v, beta2), (n, beta3))
        )
        yield (m_hat + (1 - beta2) * v_hat) / (np.sqrt(n_hat) + eps)


def six_gradients():
    random = np.random.default_rng(0)
    return [random.standard_normal(3).astype(np.float32) for _ in range(6)]


def test_scale_by_adan_of_the_paper(run):
    """Optax weighs differences by ``1 - b2``."""
    expected = list(steps_of_adan(six_gradients(), 0.02, 0.08, 0.01, 1e-8))
    ours = [u for u, _ in run(gdjax.scale_by_adan(), six_gradients())]
    np.testing.assert_allclose(ours, expected, rtol=2e-6)
    theirs = [u for u, _ in run(optax.scale_by_adan(), six_gradients())]
    assert np.abs(np.subtract(theirs, expected)).max() > 0.1


def test_adan_of_the_paper(run):
    """With decay as AdamW's, which the authors call ``no_prox``."""
    params = np.float32([0.5, -1.0, 2.0])
    steps = steps_of_adan(six_gradients(), 0.02, 0.08, 0.01, 1e-8)
    expected = [-0.5 * (u + 0.25 * params) for u in steps]
    arguments = {"learning_rate": 0.5, "eps_root": 0.0, "weight_decay": 0.25}
    ours = [u for u, _ in run(gdjax.adan(**arguments), six_gradients(), params)]
    np.testing.assert_allclose(ours, expected, rtol=2e-6, atol=1e-7)
    theirs = [u for u, _ in run(optax.adan(**arguments), six_gradients(), params)]
    assert np.abs(np.subtract(theirs, expected)).max() > 0.1


def test_scale_by_optimistic_gradient_by_hand(run):
    gradients = [jnp.array([4.0, -2.0]), jnp.array([6.0, -8.0])]
    seen = run(gdjax.scale_by_optimistic_gradient(alpha=2.0, beta=0.5), gradients)
    # 2 g; then 12 + 2 / 2, -16 - 6 / 2
    assert [u.tolist() for u, _ in seen] == [[8.0, -4.0], [13.0, -19.0]]
    assert [bool(state.is_initial_step) for _, state in seen] == [False, False]
    chex.assert_trees_all_equal([state.previous_gradient for _, state in seen], gradients)


def test_correct_by_mars_by_hand(run):
    gradients = [jnp.array([4.0, -2.0]), jnp.array([6.0, -8.0])]
    seen = run(gdjax.correct_by_mars(b1=0.75, gamma=0.5), gradients)
    # the factor is 1/2 (3/4) / (1/4) = 3/2: g; then 6 + 3/2 2, -8 - 3/2 6
    assert [u.tolist() for u, _ in seen] == [[4.0, -2.0], [9.0, -17.0]]
    chex.assert_trees_all_equal([state.previous_gradient for _, state in seen], gradients)
    assert [int(state.count) for _, state in seen] == [1, 2]
