import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax.contrib
import pytest

import gdjax


def scales(pair, values):
    """Scale after each value."""
    state, seen = pair.init(jnp.zeros(1)), []
    for value in values:
        updates, state = pair.update(jnp.ones(1), state, value=value)
        assert updates.item() == state.scale
        seen.append(state.scale.item())
    return seen


def test_reduce_on_plateau_by_hand():
    # 8 is the best; 7 is no improvement by a quarter of 8: the second in a row halves
    init, update = gdjax.reduce_on_plateau(factor=0.5, patience=2, rtol=0.25, cooldown=3)
    gradient, state = jnp.array([4.0]), init(jnp.zeros(1))
    expected = [
        (8.0, 4.0, (1.0, 8.0, 0, 0, 0, 0.0)),
        (7.0, 4.0, (1.0, 8.0, 1, 0, 0, 0.0)),
        (6.5, 2.0, (0.5, 8.0, 0, 3, 0, 0.0)),
    ]
    for value, update_, fields in expected:
        updates, state = update(gradient, state, value=value)
        assert updates.item() == update_
        chex.assert_trees_all_equal(
            state, optax.contrib.ReduceLROnPlateauState(*map(np.array, fields))
        )


def test_means_cooldown_and_smallest_scale():
    # means of 2: 4, 4, 4, 4: halved at the second; the third waits; at the fourth 1/4 is too small
    pair = gdjax.reduce_on_plateau(
        0.5, patience=1, cooldown=1, accumulation_size=2, min_scale=0.375
    )
    assert scales(pair, [3.0, 5.0] * 4) == [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.375]


@pytest.mark.parametrize("values", [[3.0, 2.5, 2.45, 2.0], [-2.0, -2.5, -2.55, -3.0]])
def test_an_improvement_is_one_whatever_the_sign(values):
    """Optax 0.2.8 takes what is up to ``rtol`` worse than -2.5 for an improvement of it."""
    assert scales(gdjax.reduce_on_plateau(0.5, patience=1, rtol=0.1), values) == [1, 1, 0.5, 0.5]
    worse = [-2.5, -2.4]
    assert scales(gdjax.reduce_on_plateau(0.5, patience=1, rtol=0.1), worse) == [1, 0.5]


def test_a_value_that_is_not_finite_is_no_improvement():
    pair = gdjax.reduce_on_plateau(0.5, patience=1)
    assert scales(pair, [1.0, jnp.nan, jnp.inf, 0.5]) == [1.0, 0.5, 0.25, 0.25]


def test_reduce_on_plateau_agrees_with_optax_on_a_noisy_loss():
    values = 1 + jnp.exp(-jnp.arange(60) / 10) + 0.2 * jax.random.uniform(jax.random.key(1), (60,))
    arguments = {"factor": 0.5, "patience": 3, "rtol": 0.01, "cooldown": 2, "accumulation_size": 2}
    found, expected = (
        scales(library.reduce_on_plateau(**arguments), values) for library in (gdjax, optax.contrib)
    )
    assert found == expected
    assert 0 < found[-1] < 0.2


def test_reduce_on_plateau_needs_the_value():
    pair = gdjax.reduce_on_plateau()
    with pytest.raises(gdjax.InvalidType, match="needs the extra argument 'value'"):
        pair.update(jnp.ones(1), pair.init(jnp.ones(1)))
