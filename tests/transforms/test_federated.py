import jax.numpy as jnp
import numpy as np
import pytest

import gdjax

# Steps of two clients, whose means are 4 and -2, then 8 and 0.
CLIENTS = [jnp.array([[3.0, -4.0], [5.0, 0.0]]), jnp.array([[8.0, 1.0], [8.0, -1.0]])]


def _updates(seen):
    return [u.tolist() for u, _ in seen]


@pytest.mark.parametrize(
    ("b2", "additive", "squares"),
    [
        # 9 and the means' squares 16, then 0
        (1.0, False, [9 + 16.0, 9 + 16.0]),
        # 3/4 * 9 + 1/4 * 16, then 3/4 of that
        (0.75, False, [10.75, 8.0625]),
        # 9 < 16 grows by 1/4 * 16; then nothing changes it by nothing
        (0.75, True, [13.0, 13.0]),
    ],
)
def test_scale_by_server_moments_by_hand(run, b2, additive, squares):
    pair = gdjax.scale_by_server_moments(0.5, b2, 3.0, additive)
    seen = run(pair, [jnp.array([4.0]), jnp.array([0.0])])
    for (updates, state), nu, mu in zip(seen, squares, (2.0, 1.0), strict=True):
        assert (state.mu.tolist(), state.nu.tolist()) == ([mu], [nu])
        np.testing.assert_allclose(updates, [mu / (nu**0.5 + 3)], rtol=1e-6)


def test_fedavg_by_hand(run):
    params = jnp.zeros(2)
    assert _updates(run(gdjax.fedavg(), CLIENTS, params)) == [[4.0, -2.0], [8.0, 0.0]]
    # Half of the means; of the second and half of the first
    seen = run(gdjax.fedavg(0.5, 0.5), CLIENTS, params)
    assert _updates(seen) == [[2.0, -1.0], [5.0, -0.5]]


def test_fedadagrad_by_hand(run):
    # 9 + 16, 9 + 4; then 25 + 64, 13 + 0; mu = 2, -1, then 5, -1/2
    seen = run(gdjax.fedadagrad(2.0, 0.5, 3.0), CLIENTS, jnp.zeros(2))
    roots = np.sqrt([[25, 13], [89, 13]]) + 3
    expected = 2 * np.array([[2, -1], [5, -0.5]]) / roots
    np.testing.assert_allclose(_updates(seen), expected, rtol=1e-6)


def test_fedadam_by_hand(run):
    # (9 + 16) / 2, (9 + 4) / 2; then (12.5 + 64) / 2, 6.5 / 2
    seen = run(gdjax.fedadam(2.0, 0.5, 0.5, 3.0), CLIENTS, jnp.zeros(2))
    roots = np.sqrt([[12.5, 6.5], [38.25, 3.25]]) + 3
    expected = 2 * np.array([[2, -1], [5, -0.5]]) / roots
    np.testing.assert_allclose(_updates(seen), expected, rtol=1e-6)


def test_fedyogi_by_hand(run):
    # 9 + 16 / 2, 9 - 4 / 2; then 17 + 64 / 2, 7
    seen = run(gdjax.fedyogi(2.0, 0.5, 0.5, 3.0), CLIENTS, jnp.zeros(2))
    roots = np.sqrt([[17, 7], [49, 7]]) + 3
    expected = 2 * np.array([[2, -1], [5, -0.5]]) / roots
    np.testing.assert_allclose(_updates(seen), expected, rtol=1e-6)


@pytest.mark.parametrize("name", ["fedadagrad", "fedadam", "fedyogi"])
def test_the_server_is_the_papers_algorithm_2(name):
    """Written from the paper, with clients that descend on their own quadratics."""
    eta, beta_1, beta_2, tau, local_rate, local_steps = 0.3, 0.8, 0.95, 0.01, 0.1, 3
    decays = {} if name == "fedadagrad" else {"b2": beta_2}
    pair = getattr(gdjax, name)(eta, b1=beta_1, tau=tau, **decays)
    minima = np.random.default_rng(0).normal(size=(4, 3))  # [client, coordinate]

    def clients(x):
        local = np.repeat(x[None], len(minima), axis=0)
        for _ in range(local_steps):
            local = local - local_rate * (local - minima)
        return local - x

    x, m, v = np.array([2.0, -1.0, 0.5]), np.zeros(3), np.full(3, tau**2)
    ours, state = jnp.asarray(x), pair.init(jnp.asarray(x))
    for _ in range(20):
        updates, state = pair.update(jnp.asarray(clients(np.asarray(ours))), state, ours)
        ours = gdjax.apply_updates(ours, updates)
        delta = np.sum(clients(x), axis=0) / len(minima)
        m = beta_1 * m + (1 - beta_1) * delta
        if name == "fedadagrad":
            v = v + delta**2
        elif name == "fedyogi":
            v = v - (1 - beta_2) * delta**2 * np.sign(v - delta**2)
        else:
            v = beta_2 * v + (1 - beta_2) * delta**2
        x = x + eta * m / (np.sqrt(v) + tau)
        np.testing.assert_allclose(ours, x, rtol=1e-4, atol=1e-5)
