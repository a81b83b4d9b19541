"""Optimizers for which Optax, or an older one, has nothing to compare."""

import chex
import jax.numpy as jnp
import numpy as np

import gdjax

ROUNDING = 2e-6
# With b1 = 1/2, b2 = 3/4 Adam's steps for 4 then 10 are 1, 1, for 4 then -10 they are 1, -2/3.
DECAYS = {"b1": 0.5, "b2": 0.75, "eps": 0.0}


def _check(seen, expected):
    updates = [np.array(u, np.float32) for u in expected]
    chex.assert_trees_all_close([u for u, _ in seen], updates, rtol=ROUNDING)


def test_yogi_by_hand(run):
    # As Yogi's from 0, to which 1e-6 of the first square 4 is little
    seen = run(gdjax.yogi(0.5, **DECAYS), [jnp.array([4.0]), jnp.array([10.0])])
    _check(seen, [[-0.5], [-0.5 * 8 / (29 * 16 / 7) ** 0.5]])


def test_optimistic_adam_v2_by_hand(run):
    gradients = [jnp.array([4.0, 4.0]), jnp.array([10.0, -10.0])]
    seen = run(gdjax.optimistic_adam_v2(0.5, **DECAYS, beta=2.0, nesterov=False), gradients)
    # 1, 1; then 1 + 2 (1 - 1), -2/3 + 2 (-2/3 - 1)
    _check(seen, [[-0.5, -0.5], [-0.5, 2.0]])


def test_mars_adamw_by_hand(run):
    # Gradients 4, then 8 corrected to 8 + 1/2 (8 - 4) = 10, then 20 to 26, of which 10 stay
    pair = gdjax.mars_adamw(0.5, **DECAYS, weight_decay=0.25, gamma=0.5, max_norm=10.0)
    gradients = [jnp.array([4.0]), jnp.array([8.0]), jnp.array([20.0])]
    seen = run(pair, gradients, jnp.array([8.0]))
    # 1 + 8/4; then mu = 3 + 5, its weight 7/8, nu = 21 + 25, its weight 37/64
    third = 8 / (7 / 8) / (46 * 64 / 37) ** 0.5
    _check(seen, [[-1.5], [-1.5], [-0.5 * (third + 2)]])


def test_mars_adamw_is_the_papers_algorithm(run):
    """Algorithm 2 with line 4 of the approximate form, in NumPy, x_0 = x_1."""
    rate, beta_1, beta_2, eps, decay, gamma = 0.1, 0.75, 0.875, 1e-3, 0.2, 0.3
    rng = np.random.default_rng(0)
    gradients, x = rng.normal(size=(6, 3)), np.array([1.0, -2.0, 0.5])
    pair = gdjax.mars_adamw(rate, beta_1, beta_2, eps, decay, None, gamma)
    seen = run(pair, [jnp.asarray(g) for g in gradients], jnp.asarray(x))
    m, v, last = np.zeros(3), np.zeros(3), gradients[0]
    for t, (g, (updates, _)) in enumerate(zip(gradients, seen, strict=True), 1):
        c = g + gamma * beta_1 / (1 - beta_1) * (g - last)
        c = c / max(1, np.linalg.norm(c))
        m = beta_1 * m + (1 - beta_1) * c
        v = beta_2 * v + (1 - beta_2) * c**2
        step = m / (1 - beta_1**t) / (np.sqrt(v / (1 - beta_2**t)) + eps) + decay * x
        np.testing.assert_allclose(updates, -rate * step, rtol=1e-5)
        last = g


def test_cautious_adamw_by_hand(run):
    # Both agree: 2 / (2 + 1) of 1, 1; then of the steps 1 and 2/3 the first: 2 / (1 + 1)
    gradients = [jnp.array([4.0, 4.0]), jnp.array([10.0, -1.0])]
    pair = gdjax.cautious_adamw(0.5, **DECAYS, weight_decay=0.5)
    seen = run(pair, gradients, jnp.array([2.0, 0.0]))
    _check(seen, [[-0.5 * (2 / 3 + 1), -1 / 3], [-0.5 * (1 + 1), 0.0]])
