import jax
import numpy as np
import pytest

import gdjax
from gdjax import draws
from gdjax.binding import bind
from gdjax.errors import InvalidValue


def test_whole_numbers_never_wrap_around():
    """2**33 steps are a float; a seed is that of JAX, or an error."""
    assert float(gdjax.linear_schedule(1.0, 0.0, 2**33)(2**30)) == 0.875
    for seed in (2**31, 2**32 - 1):
        bits = jax.random.key_data(draws.random_key(bind(identity, x=seed).leaves["x"]))
        np.testing.assert_array_equal(bits, jax.random.key_data(jax.random.key(seed)))
    for value in (2**40, -(2**33), np.array([1, 2**40]), 2**70):
        with pytest.raises(InvalidValue, match=r"more than (32|64) bits cannot be bound, got"):
            bind(identity, x=value)


def identity(x):
    return x
