"""Decay rates are powers of two, so that averages are exact and can be checked for equality."""

from math import sqrt

import chex
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gdjax
from gdjax.transforms import ScaleByRmsState, ScaleByRStdDevState

ROUNDING = 1e-6  # of a root and a division in float32


def _scalars(*values):
    return [jnp.array([float(value)]) for value in values]


def _arrays(*values):
    return tuple(np.array([value], np.float32) for value in values)


@pytest.mark.parametrize(
    ("initial", "eps", "updates"),
    [
        (0.0, 0.0, [4 / sqrt(16), 3 / sqrt(25)]),
        (20.0, 0.0, [4 / sqrt(36), 3 / sqrt(45)]),
        (0.0, 9.0, [4 / sqrt(25), 3 / sqrt(34)]),
    ],
)
def test_scale_by_rss_by_hand(run, initial, eps, updates):
    seen = run(gdjax.scale_by_rss(initial, eps), _scalars(4, 3))
    sums = _arrays(initial + 16, initial + 16 + 9)
    chex.assert_trees_all_equal([s for _, s in seen], [optax.ScaleByRssState(s) for s in sums])
    chex.assert_trees_all_close([u for u, _ in seen], list(_arrays(*updates)), rtol=ROUNDING)


@pytest.mark.parametrize("eps", [0.0, 4.0])
def test_scale_by_rss_is_zero_where_every_gradient_was(run, eps):
    seen = run(gdjax.scale_by_rss(0.0, eps), _scalars(0, 0, 4))
    updates = [0, 0, 4 / sqrt(16 + eps)]
    chex.assert_trees_all_close([u for u, _ in seen], list(_arrays(*updates)), rtol=ROUNDING)


@pytest.mark.parametrize(
    ("hyperparameters", "nu", "updates"),
    [
        # g = 4, 10 and nu = 3/4 nu + 1/4 g**2
        ({"eps": 0.0}, [4, 28], [4 / 2, 10 / sqrt(28)]),
        ({"eps": 12.0}, [4, 28], [4 / sqrt(16), 10 / sqrt(40)]),
        ({"eps": 6.0, "eps_in_sqrt": False}, [4, 28], [4 / (2 + 6), 10 / (sqrt(28) + 6)]),
        ({"eps": 0.0, "initial_scale": 16.0}, [12 + 4, 12 + 25], [4 / 4, 10 / sqrt(37)]),
        # weights 1/4, 7/16: nu / weight = 16, 64
        ({"eps": 0.0, "bias_correction": True}, [4, 28], [4 / 4, 10 / 8]),
        ({"eps": 36.0, "bias_correction": True}, [4, 28], [4 / sqrt(52), 10 / sqrt(100)]),
        (
            {"eps": 2.0, "bias_correction": True, "eps_in_sqrt": False},
            [4, 28],
            [4 / (4 + 2), 10 / (8 + 2)],
        ),
    ],
)
def test_scale_by_rms_by_hand(run, hyperparameters, nu, updates):
    seen = run(gdjax.scale_by_rms(0.75, **hyperparameters), _scalars(4, 10))
    states = [
        ScaleByRmsState(v, np.float32(w))
        for v, w in zip(_arrays(*nu), [1 / 4, 7 / 16], strict=True)
    ]
    chex.assert_trees_all_equal([s for _, s in seen], states)
    chex.assert_trees_all_close([u for u, _ in seen], list(_arrays(*updates)), rtol=ROUNDING)


@pytest.mark.parametrize(
    ("hyperparameters", "gradients", "mu", "nu", "updates"),
    [
        # mu = (mu + g) / 2, nu = (nu + g**2) / 2; variances 8 - 2**2, 8.5 - 2.5**2
        ({"eps": 0.0}, [4, 3], [2, 2.5], [8, 8.5], [4 / 2, 3 / 1.5]),
        ({"eps": 5.0}, [4, 3], [2, 2.5], [8, 8.5], [4 / 3, 3 / sqrt(7.25)]),
        (
            {"eps": 0.5, "eps_in_sqrt": False},
            [4, 3],
            [2, 2.5],
            [8, 8.5],
            [4 / (2 + 0.5), 3 / (1.5 + 0.5)],
        ),
        # variances 24 - 2**2, 16.5 - 2.5**2
        (
            {"eps": 0.0, "initial_scale": 32.0},
            [4, 3],
            [2, 2.5],
            [24, 16.5],
            [4 / sqrt(20), 3 / sqrt(10.25)],
        ),
        # weights 1/2, 3/4: variances 16 - 4**2, 48 - 4**2
        (
            {"eps": 4.0, "bias_correction": True},
            [4, -8],
            [2, -3],
            [8, 36],
            [4 / sqrt(0 + 4), -8 / sqrt(32 + 4)],
        ),
    ],
)
def test_scale_by_stddev_by_hand(run, hyperparameters, gradients, mu, nu, updates):
    seen = run(gdjax.scale_by_stddev(0.5, **hyperparameters), _scalars(*gradients))
    states = [
        ScaleByRStdDevState(m, v, np.float32(w))
        for m, v, w in zip(_arrays(*mu), _arrays(*nu), [1 / 2, 3 / 4], strict=True)
    ]
    chex.assert_trees_all_equal([s for _, s in seen], states)
    chex.assert_trees_all_close([u for u, _ in seen], list(_arrays(*updates)), rtol=ROUNDING)


def test_scale_by_stddev_survives_a_variance_below_zero(run):
    seen = run(gdjax.scale_by_stddev(0.9, bias_correction=True), _scalars(*[1000.1] * 8))
    raw = [s.nu / s.weight - (s.mu / s.weight) ** 2 for _, s in seen]
    assert min(float(x[0]) for x in raw) < -0.1, "the example must round below zero"
    chex.assert_tree_all_finite([u for u, _ in seen])
