import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax

import gdjax
from tests import runs


def test_scale_by_rprop_by_hand(run):
    # Coordinates: a sign that stays, one that turns and stays again, one that is 0 at first.
    gradients = [jnp.array(g) for g in ([3.0, 3.0, 0.0], [0.5, -4.0, -2.0], [1.0, -1.0, -1.0])]
    expected = [
        ([2.0, 2.0, 0.0], [2.0, 2.0, 2.0], [2.0, 2.0, 0.0]),
        # twice as long; half as long, and it waits; the first step
        ([4.0, 0.0, -2.0], [4.0, 1.0, 2.0], [4.0, 0.0, -2.0]),
        # at most 6; the turned sign is new; twice as long
        ([6.0, -1.0, -4.0], [6.0, 1.0, 4.0], [6.0, -1.0, -4.0]),
    ]
    expected = [
        (np.array(u), optax.ScaleByRpropState(np.array(s), np.array(p))) for u, s, p in expected
    ]
    scaled = gdjax.scale_by_rprop(2.0, 0.5, 2.0, max_step_size=6.0)
    chex.assert_trees_all_equal(run(scaled, gradients), expected)


def test_step_sizes_of_rprop_have_a_least_value(run):
    scaled = gdjax.scale_by_rprop(1.0, 0.25, 2.0, min_step_size=0.5)
    _, (_, state) = run(scaled, [jnp.array(1.0), jnp.array(-1.0)])
    assert float(state.step_sizes) == 0.5


def _irprop_minus(gradient, x, steps, step, minus, plus, least, largest):
    """Points of iRprop- on one coordinate, as Igel and Huesken write it down."""
    last, points = 0.0, []
    for _ in range(steps):
        g = gradient(x)
        if last * g > 0:
            step = min(step * plus, largest)
        elif last * g < 0:
            step = max(step * minus, least)
            g = 0.0
        x, last = x - np.sign(g) * step, g
        points.append(x)
    return points


def test_scale_by_rprop_of_the_paper():
    """Optax's updates are those of the step before, its first one is 0."""
    settings = (0.1, 0.4, 1.3, 0.02, 0.5)
    centres = np.array([3.0, -0.31])
    expected = [_irprop_minus(lambda x, c=c: x - c, 0.5, 40, *settings) for c in centres]
    with runs.enable_x64(True):
        init, update = gdjax.scale_by_rprop(*settings)

        def step(carry, _):
            x, state = carry
            updates, state = update(x - centres, state)
            return (x - updates, state), x - updates

        start = jnp.full(2, 0.5)
        points = jax.lax.scan(step, (start, init(start)), length=40)[1]
    np.testing.assert_allclose(points.T, expected, rtol=1e-12)
    late = optax.scale_by_rprop(0.1)
    first, state = late.update(jnp.ones(1), late.init(jnp.zeros(1)))
    second, _ = late.update(jnp.ones(1), state)
    np.testing.assert_allclose([first.item(), second.item()], [0.0, 0.1], rtol=1e-6)


def test_rprop_of_the_paper():
    """As above, against the sign."""
    optimizer = gdjax.rprop(0.1, 0.4, 1.3, 0.02, 0.5)
    scaling = gdjax.scale_by_rprop(0.1, 0.4, 1.3, 0.02, 0.5)
    assert repr(optimizer) == f"chain({scaling!r}, scale(step_size=-1.0))"
