"""What holds for every test: no implicit rank promotion, fixed seeds."""

import itertools
import random

import jax
import numpy as np
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")


_tests = itertools.count(1)


def pytest_runtest_teardown():
    """Let go of compiled programs now and then: a process can map some ten thousand, no more."""
    if next(_tests) % 250 == 0:
        jax.clear_caches()


@pytest.fixture(autouse=True)
def _seeds():
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - scikit-learn draws from the global generator


@pytest.fixture
def run():
    """Updates and state after each step, one step a gradient."""

    def steps(transformation, gradients, params=None, **extra):
        example = gradients[0] if params is None else params
        state, seen = transformation.init(example), []
        for gradient in gradients:
            updates, state = transformation.update(gradient, state, params, **extra)
            seen.append((updates, state))
        return seen

    return steps
