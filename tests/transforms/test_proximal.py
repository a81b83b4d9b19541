import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gdjax
from gdjax.binding import bind


def _descend(transformation, params, *steps):
    """Parameters after each step."""
    state, seen = transformation.init(params), []
    for step in steps:
        updates, state = transformation.update(step, state, params)
        params = gdjax.apply_updates(params, updates)
        seen.append(params)
    assert state == optax.EmptyState()
    return seen


@pytest.mark.parametrize(
    ("l2", "expected"),
    [
        # x - sign(x): 4 - 1, -0.5 to 0; then 2 to 1, 0 - 3 to -2
        (0.0, [[3.0, 0.0], [1.0, -2.0]]),
        # half of that: 3 / 2, 0; then 1.5 - 1 = 0.5 to 0, -3 to -2, halved
        (1.0, [[1.5, 0.0], [0.0, -1.0]]),
    ],
)
def test_soft_threshold_by_hand(l2, expected):
    steps = [jnp.array([2.0, -1.0]), jnp.array([-1.0, -3.0])]
    seen = _descend(gdjax.soft_threshold(1.0, l2), jnp.array([2.0, 0.5]), *steps)
    chex.assert_trees_all_equal(seen, [np.array(x) for x in expected])


def test_group_soft_threshold_by_hand():
    # Columns of norm 5 and 1 shrink by 2.5: halved, and 0; then 7.5 to 5 and 5 to 2.5.
    params = {"w": jnp.array([[3.0, 0.0], [4.0, 1.0]])}
    steps = [jnp.zeros((2, 2)), jnp.array([[3.0, 5.0], [4.0, 0.0]])]
    seen = _descend(gdjax.group_soft_threshold(2.5), params, *({"w": s} for s in steps))
    expected = [[[1.5, 0.0], [2.0, 0.0]], [[3.0, 2.5], [4.0, 0.0]]]
    chex.assert_trees_all_close(seen, [{"w": np.array(x)} for x in expected], rtol=1e-6)


def test_limit_unit_norm_by_hand():
    # Columns of norm 5 and 1: halved, and as it was; then 2.5 and 5: as it was, and halved.
    params = jnp.array([[3.0, 0.0], [3.0, 1.0]])
    steps = [jnp.array([[0.0, 0.0], [1.0, 0.0]]), jnp.array([[0.0, 3.0], [0.0, 3.0]])]
    seen = _descend(gdjax.limit_unit_norm(2.5), params, *steps)
    expected = [[[1.5, 0.0], [2.0, 1.0]], [[1.5, 1.5], [2.0, 2.0]]]
    chex.assert_trees_all_equal(seen, [np.array(x) for x in expected])


def test_keep_params_nonnegative_by_hand():
    steps = [jnp.array([-3.0, -0.5]), jnp.array([1.0, -2.0])]
    seen = _descend(gdjax.keep_params_nonnegative(), jnp.array([2.0, 2.0]), *steps)
    chex.assert_trees_all_equal(seen, [np.array([0.0, 1.5]), np.array([1.0, 0.0])])


def test_project_by_hand():
    # (3, 4) has norm 5: halved; then (1.5, 0), inside.
    steps = [jnp.array([1.0, 4.0]), jnp.array([0.0, -2.0])]
    ball = bind(optax.projections.projection_l2_ball, scale=2.5)
    seen = _descend(gdjax.project(ball), jnp.array([2.0, 0.0]), *steps)
    chex.assert_trees_all_equal(seen, [np.array([1.5, 2.0]), np.array([1.5, 0.0])])


def test_numbers_of_a_bound_projection_are_hyperparameters():
    ball = bind(optax.projections.projection_l2_ball, scale=2.5)
    rule = gdjax.project(ball)
    assert list(gdjax.hyperparameters(rule).values()) == [2.5]
    scales = jnp.array([1.0, 2.0])
    rules = jax.vmap(lambda scale: gdjax.replace(rule, scale=scale))(scales)
    ends = jax.vmap(lambda r: r.update(jnp.zeros(2), r.init(None), jnp.array([0.0, 4.0]))[0])(rules)
    assert ends.tolist() == [[0.0, -3.0], [0.0, -2.0]]


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16])
def test_zeros_are_exact_and_stay(dtype):
    params = jnp.asarray(np.random.default_rng(0).normal(size=(64, 32)), dtype)
    steps = jnp.asarray(np.random.default_rng(1).normal(size=(64, 32)), dtype)
    for rule in (gdjax.soft_threshold(1.0, 0.1), gdjax.group_soft_threshold(11.3)):
        (new,) = _descend(rule, params, steps)
        zeros = np.mean(np.asarray(new) == 0)
        assert 0.2 < zeros < 0.8
        assert new.dtype == dtype
    assert (np.asarray(_descend(gdjax.keep_params_nonnegative(), params, steps)[0]) >= 0).all()


def test_lasso_has_the_zeros_of_the_known_solution():
    """With an orthogonal design the solution is the soft threshold of the least squares one."""
    design, _ = jnp.linalg.qr(jnp.asarray(np.random.default_rng(0).normal(size=(32, 8))))
    true = jnp.array([4.0, -3.0, 2.0, 0.0, 0.0, 0.1, -0.1, 0.0])
    target = design @ true
    optimizer = gdjax.chain(gdjax.sgd(0.5), gdjax.soft_threshold(0.5 * 0.25))

    def step(carry, _):
        params, state = carry
        gradient = design.T @ (design @ params - target)
        updates, state = optimizer.update(gradient, state, params)
        return (gdjax.apply_updates(params, updates), state), None

    start = jnp.ones(8)
    (params, _), _ = jax.lax.scan(step, (start, optimizer.init(start)), length=60)
    expected = [3.75, -2.75, 1.75, 0.0, 0.0, 0.0, 0.0, 0.0]
    np.testing.assert_allclose(params, expected, atol=1e-5)
    assert (params[3:] == 0).all()
