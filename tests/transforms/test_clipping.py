import chex
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gdjax
from gdjax import trees
from gdjax.transforms import ClipByQuantileState
from tests import oracle


def test_clip_by_hand(run):
    seen = run(gdjax.clip(1.5), [jnp.array([-3.0, 0.5]), jnp.array([1.5, 2.0])])
    expected = [np.array([-1.5, 0.5]), np.array([1.5, 1.5])]
    chex.assert_trees_all_equal(seen, [(u, optax.EmptyState()) for u in expected])


def test_clip_by_global_norm_by_hand(run):
    gradients = [
        {"w": jnp.array([3.0]), "b": jnp.array([[4.0]])},  # norm 5: halved
        {"w": jnp.array([1.5]), "b": jnp.array([[2.0]])},  # norm 2.5: at the limit
    ]
    half = {"w": np.array([1.5]), "b": np.array([[2.0]])}
    seen = run(gdjax.clip_by_global_norm(2.5), gradients)
    chex.assert_trees_all_equal(seen, [(half, optax.EmptyState())] * 2)


def test_clip_by_global_norm_leaves_small_updates_and_zeros_alone(run):
    small = {"w": jnp.array([0.3, -0.1]), "b": jnp.zeros(())}
    zero = {"w": jnp.zeros(2), "b": jnp.zeros(())}
    seen = run(gdjax.clip_by_global_norm(0.75), [small, zero])
    chex.assert_trees_all_equal([updates for updates, _ in seen], [small, zero])


def test_clip_by_global_norm_squares_in_float32(run):
    gradients = jnp.array([300.0, 400.0], jnp.float16)  # 400**2 overflows float16
    ((updates, _),) = run(gdjax.clip_by_global_norm(5.0), [gradients])
    chex.assert_trees_all_equal(updates, jnp.array([3.0, 4.0], jnp.float16), strict=True)


def test_clip_by_block_rms_by_hand(run):
    gradients = [
        {"w": jnp.array([2.0, -2.0]), "b": jnp.array(0.5)},  # rms 2: halved; 0.5: as it was
        {"w": jnp.array([[1.0, -1.0]]), "b": jnp.array(-8.0)},  # rms 1: at the limit; 8: an eighth
    ]
    expected = [
        {"w": np.array([1.0, -1.0]), "b": np.array(0.5)},
        {"w": np.array([[1.0, -1.0]]), "b": np.array(-1.0)},
    ]
    seen = run(gdjax.clip_by_block_rms(1.0), gradients)
    chex.assert_trees_all_equal(seen, [(u, optax.EmptyState()) for u in expected])


def test_clip_by_unit_norm_by_hand(run):
    # Columns of norm 5 and 0.5, then of 2.5 and 5; a vector is one unit, of norm 10, then 2.
    gradients = [
        {"w": jnp.array([[3.0, 0.5], [4.0, 0.0]]), "b": jnp.array([6.0, 8.0])},
        {"w": jnp.array([[1.5, 3.0], [2.0, 4.0]]), "b": jnp.array([2.0, 0.0])},
    ]
    expected = [
        {"w": np.array([[1.5, 0.5], [2.0, 0.0]]), "b": np.array([1.5, 2.0])},
        {"w": np.array([[1.5, 1.5], [2.0, 2.0]]), "b": np.array([2.0, 0.0])},
    ]
    seen = run(gdjax.clip_by_unit_norm(2.5), gradients)
    chex.assert_trees_all_equal(seen, [(u, optax.EmptyState()) for u in expected])


def test_adaptive_grad_clip_by_hand():
    init, update = gdjax.adaptive_grad_clip(clipping=0.5, eps=1.0)
    params = {"w": jnp.array([[3.0, 0.0], [4.0, 0.25]]), "b": jnp.zeros(2)}
    state = init(params)
    # Columns of norm 5 and 0.25: limits 0.5 * 5 and 0.5 * eps; the vector has norm 0: 0.5 * eps.
    gradients = {"w": jnp.array([[6.0, 0.0], [8.0, 0.25]]), "b": jnp.array([0.0, 2.0])}
    updates, state = update(gradients, state, params)
    expected = {"w": np.array([[1.5, 0.0], [2.0, 0.25]]), "b": np.array([0.0, 0.5])}
    chex.assert_trees_all_equal((updates, state), (expected, optax.EmptyState()))
    # Parameters of norm 10 and 2: limits 5 and 1.
    params = {"w": jnp.array([[6.0, 2.0], [8.0, 0.0]]), "b": jnp.array([0.0, 8.0])}
    updates, state = update(gradients, state, params)
    expected = {"w": np.array([[3.0, 0.0], [4.0, 0.25]]), "b": np.array([0.0, 2.0])}
    chex.assert_trees_all_equal((updates, state), (expected, optax.EmptyState()))


@pytest.mark.parametrize("shape", [(), (5,), (1, 5), (4, 3), (2, 4, 3), (2, 1, 4, 3), (2,) * 5])
def test_units_are_those_of_optax(shape):
    if len(shape) == 5 and not oracle.IS_CURRENT:
        pytest.skip("this Optax has no units of 5 axes")
    x = jnp.asarray(np.random.default_rng(0).normal(size=shape))
    norms = np.broadcast_to(trees.unit_norm(x), shape)
    np.testing.assert_allclose(norms, optax.transforms.unitwise_norm(x), rtol=1e-6)


def test_clip_by_quantile_by_hand(run):
    # Norms 2, then 2 and 10: the median is 6; then 6 replaces 2: the median of 10 and 6 is 8.
    gradients = [jnp.array([0.0, 2.0]), jnp.array([6.0, -8.0]), jnp.array([6.0, 0.0])]
    expected = [
        (np.array([0.0, 2.0]), ClipByQuantileState(np.array(1), np.array([2.0, 0.0]))),
        (np.array([3.6, -4.8]), ClipByQuantileState(np.array(2), np.array([2.0, 10.0]))),
        (np.array([6.0, 0.0]), ClipByQuantileState(np.array(3), np.array([6.0, 10.0]))),
    ]
    seen = run(gdjax.clip_by_quantile(0.5, window=2), gradients)
    chex.assert_trees_all_close(seen, expected, rtol=1e-6)


def test_clip_by_quantile_is_autoclip_while_the_window_lasts(run):
    norms = np.random.default_rng(0).lognormal(sigma=2, size=20)
    expected = [min(n, np.percentile(norms[: i + 1], 30)) for i, n in enumerate(norms)]
    seen = run(gdjax.clip_by_quantile(0.3, window=20), [jnp.array([n]) for n in norms])
    np.testing.assert_allclose([u.item() for u, _ in seen], expected, rtol=1e-5)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e30])
def test_a_norm_that_is_not_finite_does_not_poison_the_quantile(run, bad):
    gradients = [jnp.array([x, 0.0]) for x in (bad, 2.0, bad, 4.0)]
    seen = run(gdjax.clip_by_quantile(0.5), gradients)
    assert [u.tolist() for u, _ in seen] == [[0.0, 0.0], [2.0, 0.0], [0.0, 0.0], [3.0, 0.0]]
    assert seen[-1][1].count == 2


def test_zero_nans_by_hand(run):
    gradients = [
        {"w": jnp.array([np.nan, 2.0]), "b": jnp.array(1.0)},
        {"w": jnp.array([np.inf, 2.0]), "b": jnp.array(np.nan)},
    ]
    no, yes = np.array(False), np.array(True)
    expected = [
        ({"w": np.array([0.0, 2.0]), "b": np.array(1.0)}, optax.ZeroNansState({"w": yes, "b": no})),
        (
            {"w": np.array([np.inf, 2.0]), "b": np.array(0.0)},
            optax.ZeroNansState({"w": no, "b": yes}),
        ),
    ]
    chex.assert_trees_all_equal(run(gdjax.zero_nans(), gradients), expected)
