from math import sqrt

import chex
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax

ROUNDING = 1e-6
# As for Adam in test_adam.py: with b1 = 1/2, b2 = 3/4 the debiased fast average is 4, 4, then 8,
# -16/3; that of squares 16, 16, then 64, 64.
GRADIENTS = [jnp.array([4.0, 4.0]), jnp.array([10.0, -10.0])]


def _check_updates(seen, updates):
    expected = [np.array(u, np.float32) for u in updates]
    chex.assert_trees_all_close([u for u, _ in seen], expected, rtol=ROUNDING)


def _with_changing_decay(pair, **decays):
    first, state = pair.update(GRADIENTS[0][:1], pair.init(jnp.zeros(1)))
    return [(first, state), gdjax.replace(pair, **decays).update(GRADIENTS[1][:1], state)]


@pytest.mark.parametrize(
    ("hyperparameters", "denominators"),
    [
        ({"eps": 0.0}, [4, 8]),
        ({"eps": 2.0}, [6, 10]),
        ({"eps": 0.0, "eps_root": 105.0}, [11, 13]),  # 16 + 105 = 11^2, 64 + 105 = 13^2
    ],
    ids=["plain", "eps", "eps_root"],
)
def test_scale_by_ademamix_by_hand(run, hyperparameters, denominators):
    seen = run(gdjax.scale_by_ademamix(0.5, 0.75, 0.75, alpha=2.0, **hyperparameters), GRADIENTS)
    # m2 = g / 4; then 3/4 + 10/4, 3/4 - 10/4
    one, two = denominators
    _check_updates(seen, [[(4 + 2) / one] * 2, [(8 + 6.5) / two, (-16 / 3 - 3.5) / two]])
    state = seen[1][1]
    assert (state.m1.tolist(), state.m2.tolist()) == ([6.0, -4.0], [3.25, -1.75])
    assert state.nu.tolist() == [28.0, 28.0]
    assert (float(state.m1_weight), float(state.nu_weight)) == (3 / 4, 7 / 16)
    assert int(state.count) == 2


def test_scale_by_ademamix_with_changing_decay_by_hand():
    # m1 = 3/4 2 + 1/4 10, m2 = 1/2 1 + 1/2 10, nu = 1/2 4 + 1/2 100; both weights 5/8
    pair = gdjax.scale_by_ademamix(0.5, 0.75, 0.75, alpha=2.0, eps=0.0)
    seen = _with_changing_decay(pair, b1=0.75, b2=0.5, b3=0.5)
    _check_updates(seen, [[6 / 4], [(4 / (5 / 8) + 2 * 5.5) / sqrt(52 / (5 / 8))]])


def test_scale_by_ademamix_mu_dtype_by_hand(run):
    """Of both averages, and not of the squares, as which Optax starts them."""
    pair = gdjax.scale_by_ademamix(0.5, 0.75, 0.5, alpha=1.0, eps=0.0, mu_dtype=jnp.bfloat16)
    fine = 2 + 2**-7  # half of it is not a bfloat16: the averages are stored as 1
    (first, state), (second, last) = run(pair, [jnp.array([fine]), jnp.array([2.0])])
    _check_updates([(first, None)], [[1.5]])
    for average in (state.m1, state.m2):
        chex.assert_trees_all_equal(average, jnp.array([1.0], jnp.bfloat16), strict=True)
    assert last.nu.dtype == second.dtype == jnp.float32
    root = sqrt((3 / 16 * fine**2 + 1 / 4 * 4) / (7 / 16))
    _check_updates([(second, None)], [[(1.5 / (3 / 4) + 1.5) / root]])


def test_ademamix_mu_dtype_by_hand(run):
    # The fast average is 2, debiased 4, the slow one 2; root 4: 1.5
    pair = gdjax.ademamix(0.5, 0.5, 0.75, 0.5, 1.0, eps=0.0, mu_dtype=jnp.bfloat16)
    gradients = [jnp.array([4.0]), jnp.array([4.0])]
    seen = run(pair, gradients, jnp.zeros(1))
    # 3, debiased 4, and 3; root 4
    _check_updates(seen, [[-0.5 * 6 / 4], [-0.5 * 7 / 4]])
    assert seen[1][1][0].m2.dtype == jnp.bfloat16


@pytest.mark.parametrize(
    ("hyperparameters", "denominators"),
    [
        ({"eps": 0.0}, [4, 8]),
        ({"eps": 2.0}, [6, 10]),
        ({"eps": 0.0, "eps_root": 105.0}, [11, 13]),
    ],
    ids=["plain", "eps", "eps_root"],
)
def test_scale_by_simplified_ademamix_by_hand(run, hyperparameters, denominators):
    pair = gdjax.scale_by_simplified_ademamix(0.5, 0.75, alpha=2.0, **hyperparameters)
    seen = run(pair, GRADIENTS)
    # m = 4; then 2 + 10, 2 - 10
    one, two = denominators
    _check_updates(seen, [[(4 + 8) / one] * 2, [(12 + 20) / two, (-8 - 20) / two]])
    state = seen[1][1]
    assert (state.m.tolist(), state.n.tolist()) == ([12.0, -8.0], [28.0, 28.0])
    assert (float(state.n_weight), int(state.t)) == (7 / 16, 2)


def test_scale_by_simplified_ademamix_with_changing_decay_by_hand():
    # m = 3/4 4 + 10, n = 1/2 4 + 1/2 100, its weight 1/2 1/4 + 1/2
    pair = gdjax.scale_by_simplified_ademamix(0.5, 0.75, eps=0.0)
    seen = _with_changing_decay(pair, b1=0.75, b2=0.5)
    _check_updates(seen, [[4 / 4], [13 / sqrt(52 / (5 / 8))]])
