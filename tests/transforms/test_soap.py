"""SOAP against an implementation in NumPy that is written from the paper alone."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax
from gdjax.transforms import ScaleBySoapState
from tests import runs

SHAPES = {"scalar": (), "bias": (5,), "w": (4, 3), "deep": (2, 3, 4), "kernel": (3, 2, 4, 5)}


def gradients(steps):
    """Standard normal ones for each step, in float64, the same each time."""
    random = np.random.default_rng(0)
    return [{k: random.standard_normal(shape) for k, shape in SHAPES.items()} for _ in range(steps)]


def along(matrix, g, axis):
    """Each vector of ``g`` along ``axis``, times ``matrix``."""
    return np.apply_along_axis(lambda column: matrix @ column, axis, g)


def moment(g, axis, inverses):
    """Outer products of vectors along ``axis`` with those times ``inverses`` along the others."""
    h = g
    for i, inverse in inverses.items():
        h = along(inverse, h, i) if i != axis else h
    vectors = (np.moveaxis(x, axis, -1).reshape(-1, g.shape[axis]) for x in (g, h))
    return sum(np.outer(v, w) for v, w in zip(*vectors, strict=True))


def inverses_of(statistics, bases, kl_ridge):
    """Lin et al., section 4: of each factor, with its eigenvalues in the basis in use."""
    inverses = {}
    for i, q in bases.items():
        values = np.diag(q.T @ statistics[i] @ q)
        inverses[i] = q @ np.diag(1 / (values / values.mean() + kl_ridge)) @ q.T / len(q)
    return inverses


def soap_of_one_array(gs, b1, b2, shampoo_beta, eps, frequency, axes, kl_ridge):
    """Vyas et al., algorithms 3 and 4, after a first step that makes the basis, in float64."""
    shape = gs[0].shape
    momentum, squares = np.zeros(shape), np.zeros(shape)
    means = {i: np.eye(shape[i]) / shape[i] for i in axes} if kl_ridge else {}
    statistics = {i: (1 - shampoo_beta) * moment(gs[0], i, means) for i in axes}
    bases = {i: np.linalg.eigh(s)[1][:, ::-1] for i, s in statistics.items()}
    updates = [np.zeros(shape)]
    for t, g in enumerate(gs[1:], start=1):
        momentum = b1 * momentum + (1 - b1) * g
        rotated_g, rotated = g, momentum
        for i, q in bases.items():
            rotated_g, rotated = along(q.T, rotated_g, i), along(q.T, rotated, i)
        squares = b2 * squares + (1 - b2) * rotated_g**2
        u = rotated / (1 - b1**t) / (np.sqrt(squares / (1 - b2**t)) + eps)
        for i, q in bases.items():
            u = along(q, u, i)
        updates.append(u)
        inverses = inverses_of(statistics, bases, kl_ridge) if kl_ridge else {}
        for i in axes:
            new = moment(g, i, inverses)
            statistics[i] = shampoo_beta * statistics[i] + (1 - shampoo_beta) * new
            if t % frequency == 0:
                order = np.argsort(-np.diag(bases[i].T @ statistics[i] @ bases[i]))
                squares = np.take(squares, order, i)
                bases[i] = np.linalg.qr(statistics[i] @ bases[i][:, order])[0]
    return updates


# In float32 the basis is off by 1e-7 over the relative gap of its eigenvalues. Between equal ones
# it is arbitrary: the first statistic of a vector is of rank 1, so that one only in float64, where
# NumPy and JAX call the same routine.
@pytest.mark.parametrize(
    ("x64", "rtol", "frequency", "longest", "precondition_1d", "kl_ridge"),
    [
        (True, 1e-9, 1, 3, False, None),
        (True, 1e-9, 3, 100, True, None),
        (True, 1e-9, 10, 100, False, None),
        (True, 1e-9, 3, 100, True, 1e-3),
        (False, 1e-3, 1, 3, False, None),
        (False, 1e-3, 3, 100, False, None),
        (False, 1e-3, 10, 100, False, None),
        (False, 1e-3, 3, 100, False, 0.1),
    ],
)
def test_scale_by_soap_agrees_with_the_paper(
    x64, rtol, frequency, longest, precondition_1d, kl_ridge
):
    """Update by update."""
    numbers = {"b1": 0.8, "b2": 0.9, "shampoo_beta": 0.7, "eps": 1e-4}
    with runs.enable_x64(x64):
        init, update = gdjax.scale_by_soap(
            **numbers,
            precondition_frequency=frequency,
            max_precond_dim=longest,
            precondition_1d=precondition_1d,
            kl_ridge=kl_ridge,
        )
        gs = gradients(12)
        state = init(runs.cast(gs[0], float))
        got = []
        for g in gs:
            updates, state = jax.jit(update)(runs.cast(g, float), state)
            got.append(updates)
    for name, shape in SHAPES.items():
        rotated = len(shape) > 1 or precondition_1d
        axes = [i for i, n in enumerate(shape) if rotated and 1 < n <= longest]
        expected = soap_of_one_array(
            [g[name] for g in gs], **numbers, frequency=frequency, axes=axes, kl_ridge=kl_ridge
        )
        for ours, theirs in zip(got, expected, strict=True):
            np.testing.assert_allclose(ours[name], theirs, rtol=rtol, atol=rtol)


def test_scale_by_soap_by_hand(run):
    # The first step: L = g g^T / 2 = diag(8, 2), R = diag(2, 8); bases that swap the axes of R.
    # Then g' = g Q_R = diag(1, 2) up to signs, mu = g / 2, nu = g'**2 / 2; debiased g and g'**2:
    # diag(1 / (1 + 1), 2 / (2 + 1)), turned back. L = diag(4 + 0.5, 1 + 2).
    gradients = [jnp.array([[0.0, 4.0], [2.0, 0.0]]), jnp.array([[0.0, 1.0], [2.0, 0.0]])]
    (u1, s1), (u2, s2) = run(gdjax.scale_by_soap(0.5, 0.5, None, 1.0, 2), gradients)
    assert not u1.any()
    np.testing.assert_allclose(u2, [[0.0, 1 / 2], [2 / 3, 0.0]], rtol=1e-6, atol=1e-7)
    assert not s1.mu.any()
    assert not s1.nu.any()
    chex.assert_trees_all_close(s1.statistics, {0: np.diag([8.0, 2.0]), 1: np.diag([2.0, 8.0])})
    expected = ScaleBySoapState(
        count=np.array(2),
        mu=np.array([[0.0, 0.5], [1.0, 0.0]]),
        nu=np.diag([0.5, 2.0]),
        statistics={0: np.diag([4.5, 3.0]), 1: np.diag([3.0, 4.5])},
        bases={0: np.eye(2), 1: np.array([[0.0, 1.0], [1.0, 0.0]])},
        mu_weight=np.array(0.5),
        nu_weight=np.array(0.5),
    )
    s2 = s2._replace(bases=jax.tree.map(jnp.abs, s2.bases))
    chex.assert_trees_all_close(s2, expected, rtol=1e-6, atol=1e-7)


def test_scale_by_soap_kl_ridge_by_hand(run):
    # The first step: L = g g^T / 2 / 2 = diag(4, 1), R = diag(1, 4), means 5 / 2.
    # Then with g = [[0, 1], [2, 0]] and R' = diag(2 / 5 + 1, 8 / 5 + 1) = diag(7, 13) / 5:
    # L = diag(4 / 2 + 5 / 13 / 2 / 2, 1 / 2 + 4 * 5 / 7 / 2 / 2), and L' = diag(13, 7) / 5.
    gradients = [jnp.array([[0.0, 4.0], [2.0, 0.0]]), jnp.array([[0.0, 1.0], [2.0, 0.0]])]
    (_, s1), (_, s2) = run(gdjax.scale_by_soap(0.5, 0.5, kl_ridge=1.0), gradients)
    chex.assert_trees_all_close(s1.statistics, {0: np.diag([4.0, 1.0]), 1: np.diag([1.0, 4.0])})
    a, b = 2 + 5 / 52, 1 / 2 + 5 / 7
    expected = {0: np.diag([a, b]), 1: np.diag([b, a])}
    chex.assert_trees_all_close(s2.statistics, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 4)])
def test_kl_statistics_outlive_gradients_of_0(shape):
    """However long: they would invert each other if they had each other's scale."""
    init, update = gdjax.scale_by_soap(kl_ridge=1e-4)

    def step(state, i):
        g = jax.random.normal(jax.random.fold_in(jax.random.key(0), i), shape)
        u, state = update(jnp.where((i < 20) | (i >= 1720), 100 * g, 0), state)
        return state, jnp.max(jnp.abs(u))

    state, largest = jax.jit(lambda: jax.lax.scan(step, init(jnp.zeros(shape)), jnp.arange(1800)))()
    assert largest[-50:].max() < 100
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(state))


def test_decompositions_do_not_grow_with_depth():
    """One for each length of axis, however many arrays and whatever their number of axes."""

    def count(depth, name):
        params = {f"{i}": jnp.zeros((3, 4)) for i in range(depth)}
        params |= {f"{i}c": jnp.zeros((2, 3, 3, 4)) for i in range(depth)}
        pair = gdjax.scale_by_soap()
        return runs.count_in_program(name, pair.update, params, pair.init(params))

    for name in ("eigh", "qr"):
        assert count(1, name) == count(8, name) == 3  # lengths 2, 3 and 4


def test_soap_by_hand(run):
    # 0 and the sign -1, plus half of 2, times -1/2
    pair = gdjax.soap(0.5, 0.0, 0.0, None, 0.0, weight_decay=0.5)
    gradients = [jnp.array(4.0), jnp.array(-2.0)]
    updates = [u.item() for u, _ in run(pair, gradients, jnp.array(2.0))]
    np.testing.assert_allclose(updates, [-0.5, 0.0], rtol=1e-6, atol=1e-7)
