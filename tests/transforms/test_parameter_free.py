import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gdjax
from gdjax.errors import InvalidType, InvalidValue
from gdjax.transforms import ScaleByDistanceOverGradientsState
from tests import runs

GRADIENTS = [jnp.array([2.0, 4.0]), jnp.array([0.0, 0.5])]


@pytest.mark.parametrize(
    ("variant", "value", "steps"),
    [
        # (11 - 1) / (20 + 5); then (11 - 1) / (0.25 + 5), more than 1.5
        ("sps", 11.0, (0.4, 1.5)),
        ("sps+", 11.0, (0.4, 1.5)),
        # (-4 - 1) / 25 and -5 / 5.25, or 0 below the least value
        ("sps", -4.0, (-0.2, -5 / 5.25)),
        ("sps+", -4.0, (0.0, 0.0)),
    ],
)
def test_scale_by_polyak_by_hand(run, variant, value, steps):
    scaled = gdjax.scale_by_polyak(1.0, 1.5, 5.0, variant)
    expected = [
        (np.array(g) * np.float32(s), optax.EmptyState())
        for g, s in zip(GRADIENTS, steps, strict=True)
    ]
    chex.assert_trees_all_close(run(scaled, GRADIENTS, value=value), expected, rtol=1e-6)


def test_polyaks_step_without_a_gradient_is_none(run):
    ((updates, _),) = run(gdjax.scale_by_polyak(), [jnp.zeros(2)], value=1.0)
    assert updates.tolist() == [0.0, 0.0]


def test_polyaks_step_says_what_it_needs(run):
    with pytest.raises(InvalidType, match="scale_by_polyak needs the extra argument 'value'"):
        run(gdjax.scale_by_polyak(), GRADIENTS)
    with pytest.raises(InvalidValue, match=r"must be one of 'sps', 'sps\+', got 'sps-'"):
        run(gdjax.scale_by_polyak(variant="sps-"), GRADIENTS, value=1.0)


def test_scale_by_distance_over_gradients_by_hand():
    # From a norm of 3 the first distance is (1 + 3) / 2. The squared norms are 9 + 7 and 16 + 4
    # more; then the parameters are 4 from where they started. The scalar: (1 + 1) / 2, 16, 9 more.
    init, update = gdjax.scale_by_distance_over_gradients(0.5, 0.0, global_scale=-2.0)
    state = init({"w": jnp.array([0.0, 3.0]), "s": jnp.array(-1.0)})
    first = {"w": jnp.array([3.0, 7.0**0.5]), "s": jnp.array(4.0)}
    params = {"w": jnp.array([0.0, 3.0]), "s": jnp.array(-1.0)}
    updates, state = update(first, state, params)
    expected = {"w": np.array([-3.0, -(7.0**0.5)]), "s": np.array(-2.0)}  # -2 * 2 / 4, -2 * 1 / 4
    chex.assert_trees_all_close(updates, expected, rtol=1e-6)
    second = {"w": jnp.array([4.0, 2.0]), "s": jnp.array(3.0)}
    params = {"w": jnp.array([4.0, 3.0]), "s": jnp.array(-1.0)}
    updates, state = update(second, state, params)
    # -2 * 4 / 6, -2 * 1 / 5
    expected = {"w": np.array([-16 / 3, -8 / 3]), "s": np.array(-1.2)}
    chex.assert_trees_all_close(updates, expected, rtol=1e-6)
    expected = ScaleByDistanceOverGradientsState(
        {"w": 4.0, "s": 1.0}, {"w": 36.0, "s": 25.0}, {"w": np.array([0.0, 3.0]), "s": -1.0}
    )
    chex.assert_trees_all_close(state, expected, rtol=1e-6)


def _layerwise_dog(gradient, x, steps, reps_rel, eps):
    """Points of LDoG on one array, as Ivgi et al. write DoG down, in algorithm 1."""
    start, largest, squares, points = x, reps_rel * (1 + np.linalg.norm(x)), 0.0, []
    for _ in range(steps):
        g = gradient(x)
        largest = max(largest, np.linalg.norm(x - start))
        squares += np.sum(g**2)
        x = x - largest / np.sqrt(squares + eps) * g
        points.append(x)
    return points


def test_scale_by_distance_over_gradients_of_the_paper():
    """Optax makes an array of a scalar's update, and mixed up its arguments until 0.2.5."""
    starts = {"w": np.array([[0.5, -1.0], [0.25, 2.0]]), "s": np.array(-0.75)}
    with runs.enable_x64(True):
        init, update = gdjax.scale_by_distance_over_gradients(0.01, 1e-3, jnp.float64)

        def step(carry, _):
            x, state = carry
            updates, state = update(jax.tree.map(lambda x: x**3 - 1, x), state, x)
            x = jax.tree.map(jnp.subtract, x, updates)
            return (x, state), x

        start = jax.tree.map(jnp.asarray, starts)
        points = jax.lax.scan(step, (start, init(start)), length=30)[1]
    for name, x in starts.items():
        expected = _layerwise_dog(lambda x: x**3 - 1, x, 30, 0.01, 1e-3)
        np.testing.assert_allclose(points[name], expected, rtol=1e-12)
