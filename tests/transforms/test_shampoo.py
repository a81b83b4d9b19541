"""Shampoo against an implementation in NumPy that is written from the papers alone."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax
from gdjax.transforms import ScaleByShampooState
from tests import runs

SHAPES = {"scalar": (), "bias": (5,), "w": (4, 3), "deep": (2, 3, 4), "kernel": (3, 2, 4, 5)}


def gradients(steps):
    """Standard normal ones for each step, in float64, the same each time."""
    random = np.random.default_rng(0)
    return [{k: random.standard_normal(shape) for k, shape in SHAPES.items()} for _ in range(steps)]


def unfold(g, axis):
    """The array as a matrix whose rows are ``axis``."""
    order = [axis, *(i for i in range(g.ndim) if i != axis)]
    return np.transpose(g, order).reshape(g.shape[axis], -1)


def fold(matrix, shape, axis):
    """The inverse of ``unfold``."""
    order = [axis, *(i for i in range(len(shape)) if i != axis)]
    return np.transpose(matrix.reshape([shape[i] for i in order]), np.argsort(order))


def shampoo_of_one_array(gs, b1, b2, eps, frequency, longest):
    """Gupta et al., algorithm 2, with the averages of Shi et al., in float64."""
    gs = [np.atleast_1d(g) for g in gs]
    order, momentum, updates = gs[0].ndim, np.zeros_like(gs[0]), []
    statistics = [np.zeros((n, n)) for n in gs[0].shape]
    roots = [None] * order
    for t, g in enumerate(gs):
        momentum = b1 * momentum + (1 - b1) * g
        for i in range(order):
            second = unfold(g, i) @ unfold(g, i).T
            if g.shape[i] > longest:
                second = np.diag(np.diag(second))
            statistics[i] = b2 * statistics[i] + (1 - b2) * second
            if t % frequency == 0:
                debiased = statistics[i] / (1 - b2 ** (t + 1))
                ridge = eps * np.trace(debiased) / g.shape[i]
                values, vectors = np.linalg.eigh(debiased + ridge * np.eye(g.shape[i]))
                roots[i] = vectors @ np.diag(values ** (-1 / (2 * order))) @ vectors.T
        u = momentum / (1 - b1 ** (t + 1))
        for i in range(order):
            u = fold(roots[i] @ unfold(u, i), g.shape, i)
        updates.append(u)
    return updates


@pytest.mark.parametrize(("x64", "rtol"), [(True, 1e-9), (False, 1e-3)])
@pytest.mark.parametrize(("frequency", "longest"), [(1, 3), (3, 1024), (10, 1024)])
def test_scale_by_shampoo_agrees_with_the_papers(x64, rtol, frequency, longest):
    """Update by update. In float32 the smallest eigenvalues, 1e-6 of the mean, are rounded."""
    hyperparameters = {"b1": 0.8, "b2": 0.9, "eps": 1e-4}
    with runs.enable_x64(x64):
        init, update = gdjax.scale_by_shampoo(
            **hyperparameters, precondition_frequency=frequency, max_precond_dim=longest
        )
        gs = gradients(12)
        state = init(runs.cast(gs[0], float))
        got = []
        for g in gs:
            updates, state = jax.jit(update)(runs.cast(g, float), state)
            got.append(updates)
    for name in SHAPES:
        expected = shampoo_of_one_array(
            [g[name] for g in gs], **hyperparameters, frequency=frequency, longest=longest
        )
        for ours, theirs in zip(got, expected, strict=True):
            scale = np.abs(theirs).max()
            np.testing.assert_allclose(
                ours[name], theirs.reshape(SHAPES[name]), rtol=rtol, atol=rtol * scale
            )


def test_scale_by_shampoo_by_hand(run):
    # L = diag(16, 1), R = diag(1, 16): (g g^T and g^T g); roots 1/2, 1 and 1, 1/2. mu = g.
    # Then, with both decay rates 0, g = diag(81, 16): L = R = diag(81^2, 256): 1/9, 1/4.
    gradients = [jnp.array([[0.0, 4.0], [1.0, 0.0]]), jnp.array([[81.0, 0.0], [0.0, 16.0]])]
    first, second = run(gdjax.scale_by_shampoo(0.0, 0.0, 0.0, 1), gradients)
    (u1, s1), (u2, s2) = first, second
    np.testing.assert_allclose(u1, [[0.0, 1.0], [1.0, 0.0]], rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(u2, [[1.0, 0.0], [0.0, 1.0]], rtol=1e-6, atol=1e-7)
    expected = ScaleByShampooState(
        count=np.array(1),
        mu=np.array([[0.0, 4.0], [1.0, 0.0]]),
        statistics=(np.diag([16.0, 1.0]), np.diag([1.0, 16.0])),
        roots=(np.diag([0.5, 1.0]), np.diag([1.0, 0.5])),
        mu_weight=np.array(1.0),
        statistics_weight=np.array(1.0),
    )
    chex.assert_trees_all_close(s1, expected, rtol=1e-6, atol=1e-7)
    chex.assert_trees_all_close(s2.roots, (np.diag([1 / 9, 1 / 4]),) * 2, rtol=1e-6, atol=1e-7)


def test_scale_by_shampoo_keeps_its_roots_until_they_are_due(run):
    shampoo = gdjax.scale_by_shampoo(0.0, 0.0, 0.0, 2)
    gradients = [jnp.array(g) for g in (4.0, 8.0, 8.0)]  # roots 1/4, 1/4, 1/8
    updates, states = zip(*run(shampoo, gradients), strict=True)
    np.testing.assert_allclose(updates, [1.0, 2.0, 1.0], rtol=1e-6)
    assert [state.statistics[0].item() for state in states] == [16.0, 64.0, 64.0]


def test_scale_by_shampoo_moves_with_the_first_gradient_that_is_not_0(run):
    """As behind a layer of zeros: the roots of nothing are 0, and not kept."""
    gradients = [jnp.zeros(()), jnp.array(4.0), jnp.array(8.0)]  # roots 0, 1/4, 1/4
    updates = [u.item() for u, _ in run(gdjax.scale_by_shampoo(0.0, 0.0, 0.0, 10), gradients)]
    np.testing.assert_allclose(updates, [0.0, 1.0, 2.0], rtol=1e-6)


def test_eigendecompositions_do_not_grow_with_depth():
    """One for each length of axis, however many arrays and whatever their number of axes."""

    def count(depth):
        params = {f"{i}": jnp.zeros(shape) for i in range(depth) for shape in [(3, 4)]}
        params |= {f"{i}b": jnp.zeros(4) for i in range(depth)}
        params |= {f"{i}c": jnp.zeros((2, 3, 3, 4)) for i in range(depth)}
        pair = gdjax.scale_by_shampoo()
        return runs.count_in_program("eigh", pair.update, params, pair.init(params))

    assert count(1) == count(8) == 3  # lengths 2, 3 and 4


def test_graft_by_hand(run):
    # Norms: d = 2 g: 10, m = g / 2: 2.5, so u = g / 2 along g; then 0, where nothing has a
    # direction.
    pair = gdjax.graft(gdjax.scale(2.0), gdjax.scale(0.5))
    (first, _), (second, _) = run(pair, [jnp.array([3.0, 4.0]), jnp.zeros(2)])
    assert first.tolist() == [1.5, 2.0]
    assert second.tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("magnitude", "expected"),
    # The signs 1 and -1, plus half of 2, times -1/2; then 4 and -2 over 4 instead of signs.
    [(None, [-1.0, 0.0]), (gdjax.scale(0.25), [-1.0, -0.25])],
    ids=["alone", "grafted"],
)
def test_shampoo_by_hand(run, magnitude, expected):
    pair = gdjax.shampoo(0.5, 0.0, 0.0, 0.0, 1, magnitude=magnitude, weight_decay=0.5)
    gradients = [jnp.array(4.0), jnp.array(-2.0)]
    updates = [u.item() for u, _ in run(pair, gradients, jnp.array(2.0))]
    np.testing.assert_allclose(updates, expected, rtol=1e-6, atol=1e-7)
