import chex
import jax.numpy as jnp
import numpy as np
import optax

import gdjax


def test_scale_by_adadelta_by_hand(run):
    # e_g = 12**2 / 4 = 36 and u = 12 * sqrt(0 + 64) / sqrt(36 + 64) = 9.6, then
    # e_x = 9.6**2 / 4 = 23.04. Second, e_g = 27 + 21**2 / 4 = 137.25,
    # u = 21 * sqrt(23.04 + 64) / sqrt(137.25 + 64) and e_x = 17.28 + u**2 / 4.
    u = 21 * (87.04 / 201.25) ** 0.5
    expected = [
        ([9.6, 0.0], [36.0, 0.0], [23.04, 0.0]),
        ([u, 0.0], [137.25, 0.0], [17.28 + u**2 / 4, 0.0]),
    ]
    expected = [
        (np.array(u, np.float32), optax.ScaleByAdaDeltaState(np.array(g), np.array(x)))
        for u, g, x in expected
    ]
    gradients = [jnp.array([12.0, 0.0]), jnp.array([21.0, 0.0])]
    seen = run(gdjax.scale_by_adadelta(rho=0.75, eps=64.0), gradients)
    chex.assert_trees_all_close(seen, expected, rtol=1e-6)
