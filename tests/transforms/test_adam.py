"""Decay rates are powers of two, so that averages are exact and can be checked for equality."""

from math import sqrt

import chex
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax
from gdjax.transforms import ScaleByAdamState, ScaleByAmsgradState

ROUNDING = 1e-6  # of a root and two divisions in float32
# With b1 = 1/2, b2 = 3/4 the weights are 1/2, 3/4 and 1/4, 7/16. For the gradients of each
# element, 4 then 10 and 4 then -10:
GRADIENTS = [jnp.array([4.0, 4.0]), jnp.array([10.0, -10.0])]
MU = [[2.0, 2.0], [1 + 5.0, 1 - 5.0]]  # debiased: 4, 4, then 8, -16/3
NU = [[4.0, 4.0], [3 + 25.0, 3 + 25.0]]  # debiased: 16, 16, then 64, 64
MU_WEIGHTS, NU_WEIGHTS = [1 / 2, 3 / 4], [1 / 4, 7 / 16]


def _states(kind, **moments):
    return [
        kind(
            np.int32(i + 1),
            **{name: np.array(values[i], np.float32) for name, values in moments.items()},
            mu_weight=np.float32(MU_WEIGHTS[i]),
            nu_weight=np.float32(NU_WEIGHTS[i]),
        )
        for i in range(2)
    ]


def _check(seen, states, updates):
    chex.assert_trees_all_equal([s for _, s in seen], states, strict=True)
    expected = [np.array(u, np.float32) for u in updates]
    chex.assert_trees_all_close([u for u, _ in seen], expected, rtol=ROUNDING)


@pytest.mark.parametrize(
    ("hyperparameters", "updates"),
    [
        ({"eps": 0.0}, [[4 / 4, 4 / 4], [8 / 8, -16 / 3 / 8]]),
        ({"eps": 2.0}, [[4 / 6, 4 / 6], [8 / 10, -16 / 3 / 10]]),
        # 16 + 105 = 11**2, 64 + 105 = 13**2
        ({"eps": 0.0, "eps_root": 105.0}, [[4 / 11, 4 / 11], [8 / 13, -16 / 3 / 13]]),
        # b1 mu / next weight + (1 - b1) g / weight, next weights 3/4, 7/8
        (
            {"eps": 0.0, "nesterov": True},
            [
                [(2 / 2 / (3 / 4) + 4 / 2 / (1 / 2)) / 4] * 2,
                [
                    (6 / 2 / (7 / 8) + 10 / 2 / (3 / 4)) / 8,
                    (-4 / 2 / (7 / 8) - 10 / 2 / (3 / 4)) / 8,
                ],
            ],
        ),
    ],
    ids=["plain", "eps", "eps_root", "nesterov"],
)
def test_scale_by_adam_by_hand(run, hyperparameters, updates):
    seen = run(gdjax.scale_by_adam(0.5, 0.75, **hyperparameters), GRADIENTS)
    _check(seen, _states(ScaleByAdamState, mu=MU, nu=NU), updates)


@pytest.mark.parametrize(
    ("hyperparameters", "nu_max", "updates"),
    [
        ({}, [[16.0, 16.0], [64.0, 64.0]], [[1, 1], [8 / 8, -16 / 3 / 8]]),
        ({"eps": 2.0}, [[16.0, 16.0], [64.0, 64.0]], [[4 / 6] * 2, [8 / 10, -16 / 3 / 10]]),
        (
            {"eps_root": 105.0},
            [[16.0, 16.0], [64.0, 64.0]],
            [[4 / 11] * 2, [8 / 13, -16 / 3 / 13]],
        ),
        ({"bias_correction_mu": False}, [[16.0, 16.0], [64.0, 64.0]], [[2 / 4] * 2, [6 / 8, -0.5]]),
        (
            {"bias_correction_nu": False},
            NU,
            [[4 / 2] * 2, [8 / sqrt(28), -16 / 3 / sqrt(28)]],
        ),
    ],
    ids=["plain", "eps", "eps_root", "biased mu", "biased nu"],
)
def test_scale_by_amsgrad_by_hand(run, hyperparameters, nu_max, updates):
    transformation = gdjax.scale_by_amsgrad(0.5, 0.75, **({"eps": 0.0} | hyperparameters))
    seen = run(transformation, GRADIENTS)
    _check(seen, _states(ScaleByAmsgradState, mu=MU, nu=NU, nu_max=nu_max), updates)


@pytest.mark.parametrize(("debias", "held"), [(True, 16.0), (False, 4.0)])
def test_amsgrad_keeps_its_largest_denominator(run, debias, held):
    transformation = gdjax.scale_by_amsgrad(0.5, 0.75, eps=0.0, bias_correction_nu=debias)
    seen = run(transformation, [jnp.array([4.0]), jnp.array([0.0])])
    nus = [float(s.nu[0]) for _, s in seen]
    assert nus == [4.0, 3.0]
    assert [float(s.nu_max[0]) for _, s in seen] == [held, held]
    # mu = 2, then 1; debiased 4, then 4/3
    expected = [np.array([4 / sqrt(held)]), np.array([4 / 3 / sqrt(held)])]
    chex.assert_trees_all_close([u for u, _ in seen], expected, rtol=ROUNDING)


@pytest.mark.parametrize("factory", [gdjax.scale_by_adam, gdjax.scale_by_amsgrad])
def test_mu_dtype_is_that_of_the_average_only(run, factory):
    transformation = factory(0.5, 0.75, eps=0.0, mu_dtype=jnp.bfloat16)
    fine = 2 + 2**-7  # half of it is not a bfloat16: the average is stored as 1
    (first, state), (second, _) = run(transformation, [jnp.array([fine]), jnp.array([2.0])])
    chex.assert_trees_all_equal(first, jnp.array([1.0]), strict=True)
    chex.assert_trees_all_equal(state.mu, jnp.array([1.0], jnp.bfloat16), strict=True)
    assert state.nu.dtype == second.dtype == jnp.float32
    nu_hat = (3 / 16 * fine**2 + 1 / 4 * 4) / (7 / 16)
    root = sqrt(max(nu_hat, fine**2) if factory is gdjax.scale_by_amsgrad else nu_hat)
    chex.assert_trees_all_close(second, np.array([(1 / 2 + 1) / (3 / 4) / root]), rtol=ROUNDING)


def test_adam_takes_the_magnitude_of_complex_gradients(run):
    seen = run(gdjax.scale_by_adam(0.5, 0.75, eps=0.0), [jnp.array([3 + 4j]), jnp.array([0j])])
    assert seen[0][1].nu.dtype == jnp.float32
    assert float(seen[0][1].nu[0]) == 25 / 4
    chex.assert_trees_all_close(seen[0][0], np.array([(3 + 4j) / 5], np.complex64), rtol=ROUNDING)
