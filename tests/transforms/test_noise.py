import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gdjax
from gdjax.errors import InvalidType
from gdjax.transforms import LangevinState, PerturbState, PreconditionedLangevinState

KEY = jax.random.PRNGKey(7)
SECOND = jax.random.split(KEY)[0]
THIRD = jax.random.split(SECOND)[0]
GRADIENTS = [jnp.array([4.0, -2.0]), jnp.array([0.0, 8.0])]


def _noise(key):
    """What two numbers a step with this key draws."""
    (sample,) = jax.random.split(jax.random.split(key)[1], 1)
    return jax.random.normal(sample, (2,))


def test_add_noise_by_hand(run):
    # Deviations sqrt(4 / 1) and sqrt(4 / 2**2)
    first, second = run(gdjax.add_noise(4.0, 2.0, 7), GRADIENTS)
    chex.assert_trees_all_close(first[0], GRADIENTS[0] + 2 * _noise(KEY), rtol=1e-6)
    chex.assert_trees_all_close(second[0], GRADIENTS[1] + _noise(SECOND), rtol=1e-6)
    chex.assert_trees_all_equal(first[1], optax.AddNoiseState(np.array(1), SECOND))
    chex.assert_trees_all_equal(second[1], optax.AddNoiseState(np.array(2), THIRD))


def test_langevin_step_by_hand(run):
    # -g / 8 + sqrt(2 / 8 * 4) noise
    first, second = run(gdjax.langevin_step(0.125, 7, temperature=4.0), GRADIENTS)
    chex.assert_trees_all_close(first[0], np.array([-0.5, 0.25]) + _noise(KEY), rtol=1e-6)
    chex.assert_trees_all_close(second[0], np.array([0.0, -1.0]) + _noise(SECOND), rtol=1e-6)
    chex.assert_trees_all_equal(
        (first[1], second[1]), (LangevinState(SECOND), LangevinState(THIRD))
    )


def test_sgld_by_hand(run):
    first, second = run(gdjax.sgld(0.125, 7, temperature=4.0), GRADIENTS)
    chex.assert_trees_all_close(first[0], np.array([-0.5, 0.25]) + _noise(KEY), rtol=1e-6)
    chex.assert_trees_all_close(second[0], np.array([0.0, -1.0]) + _noise(SECOND), rtol=1e-6)


def test_preconditioned_langevin_step_by_hand(run):
    # nu = 12, 3, over their weight 3 / 4: roots 4 and 2; then 12 / 4 and 3 / 4 + 3 / 4 * 64,
    # over 15 / 16.
    rule = gdjax.preconditioned_langevin_step(0.5, 7, temperature=4.0, decay=0.25, eps=1.0)
    first, second = run(rule, GRADIENTS)
    nus = [np.array([12.0, 3.0]), np.array([3.0, 48.75])]
    weights = [0.75, 0.9375]
    keys = [KEY, SECOND, THIRD]
    for i, (updates, state) in enumerate((first, second)):
        rate = 0.5 / (np.sqrt(nus[i] / weights[i]) + 1)
        expected = -rate * GRADIENTS[i] + np.sqrt(8 * rate) * _noise(keys[i])
        chex.assert_trees_all_close(updates, expected, rtol=1e-6)
        expected = PreconditionedLangevinState(keys[i + 1], nus[i], np.array(weights[i]))
        chex.assert_trees_all_equal(state, expected)


def test_psgld_by_hand(run):
    # Without noise, decay 0: -g / 2 over the magnitude and 2: 4 / 12, 2 / 8; then 0, 8 / 20.
    rule = gdjax.psgld(0.5, 7, temperature=0.0, decay=0.0, eps=2.0)
    (first, _), (second, _) = run(rule, GRADIENTS)
    chex.assert_trees_all_close(first, np.array([-1 / 3, 0.25]), rtol=1e-6)
    chex.assert_trees_all_close(second, np.array([0.0, -0.4]), rtol=1e-6)


def test_perturb_where_stationary_by_hand(run):
    # Norms 1, 1, 4, 1, 1: small ones first, next when two steps have passed, and again.
    gradients = [jnp.array([x, 0.0]) for x in (1.0, 1.0, 4.0, 1.0, 1.0)]
    rule = gdjax.perturb_where_stationary(0.5, stationary_norm=1.0, key=7, steps_between=2)
    seen = run(rule, gradients)
    moved = [(u - g).tolist() != [0.0, 0.0] for (u, _), g in zip(seen, gradients, strict=True)]
    assert moved == [True, False, False, True, False]
    assert [state.since.item() for _, state in seen] == [1, 2, 3, 1, 2]
    chex.assert_trees_all_equal(seen[1][1], PerturbState(np.array(2), THIRD))
    assert all(jnp.linalg.norm(u - g) <= 0.5 for (u, _), g in zip(seen, gradients, strict=True))


def test_perturbed_sgd_by_hand(run):
    # Within half a radius of -g / 2 where it is small and two steps have passed, else there.
    gradients = [jnp.array([x, 0.0]) for x in (1.0, 1.0, 4.0)]
    rule = gdjax.perturbed_sgd(0.5, 0.25, stationary_norm=1.0, key=7, steps_between=2)
    first, second, third = (u for u, _ in run(rule, gradients))
    assert 0 < jnp.linalg.norm(first - jnp.array([-0.5, 0.0])) <= 0.125
    assert (second.tolist(), third.tolist()) == ([-0.5, 0.0], [-2.0, 0.0])


def test_perturbations_are_uniform_in_the_ball():
    def perturbed(key):
        rule = gdjax.perturb_where_stationary(2.0, 1.0, key)
        zeros = {"w": jnp.zeros((3,)), "b": jnp.zeros(())}
        return jnp.append(*reversed(jax.tree.leaves(rule.update(zeros, rule.init(zeros))[0])))

    points = jax.vmap(perturbed)(jnp.arange(4000)) / 2.0
    volumes = np.linalg.norm(points, axis=1) ** 4  # of the ball through the point, a fraction
    np.testing.assert_allclose(
        np.quantile(volumes, [0.25, 0.5, 0.75]), [0.25, 0.5, 0.75], atol=0.03
    )
    assert volumes.max() <= 1 + 1e-5
    np.testing.assert_allclose(points.mean(0), 0, atol=0.03)
    np.testing.assert_allclose((points**2).mean(0), 1 / 6, atol=0.01)  # 1 / (4 + 2)


def test_perturbation_leaves_a_saddle_and_gradient_descent_does_not():
    def loss(x):  # a saddle at 0, minima at (0, -1) and (0, 1)
        return x[0] ** 2 + (x[1] ** 2 - 1) ** 2 / 4

    def end(optimizer):
        def step(carry, _):
            params, state = carry
            updates, state = optimizer.update(jax.grad(loss)(params), state, params)
            return (gdjax.apply_updates(params, updates), state), None

        start = jnp.array([1.0, 0.0])
        return jax.lax.scan(step, (start, optimizer.init(start)), length=300)[0][0]

    perturb = gdjax.perturb_where_stationary(0.1, 0.01, key=0, steps_between=100)
    np.testing.assert_allclose(end(gdjax.sgd(0.1)), [0, 0], atol=1e-3)
    np.testing.assert_allclose(
        jnp.abs(end(gdjax.chain(perturb, gdjax.sgd(0.1)))), [0, 1], atol=0.02
    )


@pytest.mark.parametrize("temperature", [1.0, 0.25])
def test_langevin_samples_the_posterior(temperature):
    """Of the loss ``x**2 / 2``: variance ``temperature / (1 - learning_rate / 2)``, exactly."""

    def end(key):
        optimizer = gdjax.sgld(0.2, key, temperature)

        def step(carry, _):
            params, state = carry
            updates, state = optimizer.update(params, state, params)
            return (params + updates, state), None

        return jax.lax.scan(step, (jnp.zeros(8), optimizer.init(jnp.zeros(8))), length=60)[0][0]

    samples = jax.vmap(end)(jnp.arange(1000))
    np.testing.assert_allclose(np.var(samples), temperature / 0.9, rtol=0.05)
    np.testing.assert_allclose(np.mean(samples), 0, atol=0.05)


@pytest.mark.parametrize("make", [int, jax.random.PRNGKey, jax.random.key])
def test_a_seed_and_its_keys_draw_the_same_as_optax(run, make):
    rule, twin = gdjax.add_noise(0.5, 0.55, make(3)), optax.add_noise(0.5, 0.55, jax.random.key(3))
    ours, theirs = ([u for u, _ in run(r, GRADIENTS)] for r in (rule, twin))
    chex.assert_trees_all_close(ours, theirs, rtol=1e-6)


def test_noise_in_bfloat16_is_that_of_float32_rounded(run):
    rule = gdjax.langevin_step(1.0, 3)
    (narrow, _), (wide, _) = (
        run(rule, [jnp.zeros(9, dtype)])[0] for dtype in (jnp.bfloat16, jnp.float32)
    )
    chex.assert_trees_all_equal(narrow, wide.astype(jnp.bfloat16), strict=True)


def test_noise_is_refused_for_complex_parameters(run):
    with pytest.raises(gdjax.InvalidType, match="noise is not defined for complex numbers"):
        run(gdjax.langevin_step(1.0, 3), [jnp.zeros(2, complex)])


@pytest.mark.parametrize("key", ["seed", None, 1.5])
def test_a_key_is_a_key_or_a_seed(key):
    with pytest.raises(InvalidType, match=f"key must be a PRNG key or a seed.*got .*{key}"):
        gdjax.add_noise(0.5, 0.5, key).init(jnp.zeros(2))
