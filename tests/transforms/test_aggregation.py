import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gdjax

PARAMS = {"w": jnp.zeros(2), "b": jnp.zeros(())}
ROBUST = {
    "median": gdjax.median_of_workers(),
    "trimmed mean": gdjax.trimmed_mean_of_workers(0.2),
    "geometric median": gdjax.geometric_median_of_workers(),
}


def _stateless(*updates):
    return [(u, optax.EmptyState()) for u in updates]


GRADIENTS = [
    {
        "w": jnp.array([[1.0, 0.0], [2.0, 8.0], [3.0, -4.0], [10.0, 4.0]]),
        "b": jnp.array([1.0, 2.0, 4.0, 5.0]),
    },
    {"w": jnp.array([[1.0, 1.0], [1.0, 1.0], [1.0, 3.0], [5.0, 3.0]]), "b": jnp.zeros(4)},
]


def test_mean_of_workers_by_hand(run):
    expected = [
        {"w": np.array([4.0, 2.0]), "b": np.array(3.0)},
        {"w": np.array([2.0, 2.0]), "b": np.array(0.0)},
    ]
    seen = run(gdjax.mean_of_workers(), GRADIENTS, PARAMS)
    chex.assert_trees_all_equal(seen, _stateless(*expected))


def test_median_of_workers_by_hand(run):
    # Between 2 and 3, 0 and 4, 2 and 4; then 1 and 1, 1 and 3.
    expected = [
        {"w": np.array([2.5, 2.0]), "b": np.array(3.0)},
        {"w": np.array([1.0, 2.0]), "b": np.array(0.0)},
    ]
    seen = run(gdjax.median_of_workers(), GRADIENTS, PARAMS)
    chex.assert_trees_all_equal(seen, _stateless(*expected))


@pytest.mark.parametrize("name", ["w", "b"])
def test_trimmed_mean_of_workers_by_hand(run, name):
    # One of five on each side: of 1 2 3 10 30, then of 1 1 1 5 9.
    one = [jnp.array([1.0, 2.0, 3.0, 10.0, 30.0]), jnp.array([9.0, 1.0, 1.0, 5.0, 1.0])]
    gradients = [{name: g[:, None] if name == "w" else g} for g in one]
    expected = [{name: np.array([x] if name == "w" else x)} for x in (5.0, 7 / 3)]
    seen = run(gdjax.trimmed_mean_of_workers(0.2), gradients, PARAMS)
    chex.assert_trees_all_close(seen, _stateless(*expected), rtol=1e-6)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 10, 15, 30])
@pytest.mark.parametrize("trim", [0.0, 0.1, 0.2, 0.3, 0.499])
def test_trimmed_mean_trims_whole_workers(n, trim):
    """At least the fraction, and never all: from the mean to the median."""
    workers = np.random.default_rng(0).normal(size=(n, 3)).astype(np.float32)
    update = gdjax.trimmed_mean_of_workers(trim).update
    k = min(int(np.ceil(round(trim * n, 6))), (n - 1) // 2)
    expected = np.sort(workers, axis=0)[k : n - k].mean(0)
    np.testing.assert_allclose(update(workers, optax.EmptyState())[0], expected, rtol=1e-5)


def test_geometric_median_of_workers_by_hand(run):
    # From the median (0, 0): distances 1, 1, 4 and eps = 1 of the worker at the median itself,
    # weights 1, 1, 1 / 4, 1: (0 + 0 + 4 / 4) / 3.25. Then a corner: median (0, 0) again, weights
    # 1, 1 / 2, 1 / 4: (2 / 2, 4 / 4) / 1.75.
    gradients = [
        jnp.array([[0.0, 1.0], [0.0, -1.0], [4.0, 0.0], [0.0, 0.0]]),
        jnp.array([[0.0, 0.0], [2.0, 0.0], [0.0, 4.0]]),
    ]
    expected = [np.array([1 / 3.25, 0.0]), np.array([1 / 1.75, 1 / 1.75])]
    rule = gdjax.geometric_median_of_workers(eps=1.0, iterations=1)
    seen = run(rule, gradients, jnp.zeros(2))
    chex.assert_trees_all_close(seen, _stateless(*expected), rtol=1e-6)


def test_geometric_median_has_the_least_sum_of_distances():
    workers = jnp.asarray(np.random.default_rng(0).normal(size=(9, 4)))
    rule = gdjax.geometric_median_of_workers(iterations=100)
    center, _ = rule.update(workers, optax.EmptyState())
    # There the unit vectors towards the workers add up to 0.
    away = workers - center[None]
    units = away / jnp.linalg.norm(away, axis=1, keepdims=True)
    np.testing.assert_allclose(units.sum(0), 0, atol=1e-4)


@pytest.mark.parametrize("garbage", [np.nan, np.inf, -np.inf, 1e30, -1e30, 1e12, 100.0, "honest"])
@pytest.mark.parametrize("name", ROBUST)
def test_a_fifth_of_the_workers_moves_nothing_beyond_the_honest_ones(name, garbage):
    random = np.random.default_rng(0)
    workers = random.normal(loc=1.0, size=(20, 3, 2)).astype(np.float32)
    lowest, highest = workers[4:].min(0), workers[4:].max(0)
    if garbage != "honest":
        workers[:4] = garbage
        workers[0, 0] = np.nan  # one coordinate, of one of them
    result, _ = ROBUST[name].update(jnp.asarray(workers), optax.EmptyState())
    assert (lowest <= result).all()
    assert (result <= highest).all()
    np.testing.assert_allclose(result, 1.0, atol=1.2)


def test_differentially_private_aggregate_by_hand(run):
    # Norms 5 and 0.5 of both arrays together, halved and as it is; then 2.5 and 0.
    gradients = [
        {"w": jnp.array([[3.0, 0.0], [0.5, 0.0]]), "b": jnp.array([4.0, 0.0])},
        {"w": jnp.array([[0.0, 1.5], [0.0, 0.0]]), "b": jnp.array([2.0, 0.0])},
    ]
    rule = gdjax.differentially_private_aggregate(2.5, noise_multiplier=0.0, key=0)
    seen = run(rule, gradients, PARAMS)
    expected = [
        {"w": np.array([1.0, 0.0]), "b": np.array(1.0)},
        {"w": np.array([0.0, 0.75]), "b": np.array(1.0)},
    ]
    chex.assert_trees_all_equal([updates for updates, _ in seen], expected)
    assert isinstance(seen[0][1], optax.contrib.DifferentiallyPrivateAggregateState)
    assert seen[0][1].rng_key.tolist() != seen[1][1].rng_key.tolist()


def test_differentially_private_aggregate_layerwise_by_hand(run):
    # Each of the 4 arrays is bounded by 4 / 2: norms 5, 4, 2, 1 of one example.
    gradients = {
        "a": jnp.array([[3.0, 4.0]]),
        "b": jnp.array([4.0]),
        "c": jnp.array([-2.0]),
        "d": jnp.array([1.0]),
    }
    params = jax.tree.map(lambda g: g[0], gradients)
    rule = gdjax.differentially_private_aggregate(4.0, 0.0, 0, layerwise=True)
    (first, _), (second, _) = run(rule, [gradients, gradients], params)
    expected = {
        "a": np.array([1.2, 1.6]),
        "b": np.array(2.0),
        "c": -np.array(2.0),
        "d": np.ones(()),
    }
    chex.assert_trees_all_close(first, expected, rtol=1e-6)
    chex.assert_trees_all_equal(first, second)


def test_noise_of_private_aggregation_has_the_deviation_it_should(run):
    gradients = {"w": jnp.zeros((4, 200, 100), jnp.bfloat16), "b": jnp.zeros((4, 50))}
    params = jax.tree.map(lambda g: g[0], gradients)
    for key in (3, jax.random.key(3), jax.random.PRNGKey(3)):
        rule = gdjax.differentially_private_aggregate(2.0, noise_multiplier=3.0, key=key)
        (first, _), (second, _) = run(rule, [gradients] * 2, params)
        assert first["w"].dtype == jnp.bfloat16
        deviations = [float(jnp.std(u["w"].astype(jnp.float32))) for u in (first, second)]
        np.testing.assert_allclose(deviations, 2.0 * 3.0 / 4, rtol=0.02)
        correlation = np.corrcoef(*(np.ravel(u["w"].astype(np.float32)) for u in (first, second)))
        assert abs(correlation[0, 1]) < 0.03


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1e30])
def test_a_bad_example_is_bounded_like_any_other_behind_guards(bad):
    private = gdjax.differentially_private_aggregate(2.0, 0.0, key=0)
    rule = gdjax.chain(gdjax.zero_nans(), gdjax.clip(1e30), private)
    updates, _ = rule.update(jnp.array([[bad, 0.0], [1.0, 1.0]]), rule.init(jnp.zeros(2)))
    assert updates.tolist() == [0.5, 0.5]


@pytest.mark.parametrize("shapes", [[()], [(2, 3), (3, 3)], [(0, 3)]])
def test_workers_are_counted_on_the_leading_axis(shapes):
    with pytest.raises(gdjax.InvalidValue, match=r"leading axis of one length.*jax\.vmap"):
        gdjax.median_of_workers().update([jnp.zeros(s) for s in shapes], optax.EmptyState())


def test_dpsgd_key_by_hand(run):
    """Optax's takes the deprecated ``seed``, and warns."""
    gradients = [jnp.array([[3.0, 4.0], [0.5, 0.0]]), jnp.array([[0.0, 2.0], [1.0, 0.0]])]
    # Halved and as it is, over 2: (2, 2) / 2; then (1, 2) / 2 and half the sum before it; negative.
    updates = [u for u, _ in run(gdjax.dpsgd(1.0, 2.5, 0.0, 3, 0.5), gradients, jnp.zeros(2))]
    chex.assert_trees_all_equal(updates, [np.array([-1.0, -1.0]), np.array([-1.0, -1.5])])
    with pytest.warns(DeprecationWarning, match="seed"):
        twin = optax.contrib.dpsgd(0.1, 2.5, 0.7, 3, 0.5)
    ours, theirs = (
        [u for u, _ in run(rule, gradients, jnp.zeros(2))]
        for rule in (gdjax.dpsgd(0.1, 2.5, 0.7, 3, 0.5), twin)
    )
    chex.assert_trees_all_close(ours, theirs, rtol=1e-5)


def test_an_ordinary_gradient_is_no_gradient_of_workers():
    gradient = {"w": jnp.ones((4, 3))}
    for pair in (gdjax.median_of_workers(), gdjax.dpsgd(0.1, 1.0, 0.0, key=0)):
        with pytest.raises(gdjax.InvalidValue, match=r"axes of the parameters, got shapes"):
            pair.update(gradient, pair.init(gradient), gradient)
