"""Principal directions against NumPy's singular values, and coordinates against least squares."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax
from gdjax import diagnostics


def walk(checkpoints=12, seed=0, sizes=(9.0, 3.0, 1.0, 0.3, 0.1, 0.03)):
    """A trajectory of six parameters in three leaves, and its flat rows, ``[checkpoint, 6]``."""
    rng = np.random.default_rng(seed)
    rows = np.cumsum(rng.normal(size=(checkpoints, 6)), axis=0) * np.array(sizes)
    rows = rows @ np.linalg.qr(rng.normal(size=(6, 6)))[0]
    tree = {"w": rows[:, :4].reshape(-1, 2, 2), "b": [rows[:, 4], rows[:, 5:], None]}
    return jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), tree), rows


def flat(tree):
    return np.concatenate([np.ravel(x) for x in (tree["w"], *tree["b"][:2])])


principal = jax.jit(diagnostics.principal_directions, static_argnames="count")


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("checkpoints", [4, 12])
def test_principal_directions_are_numpy_s_singular_vectors(checkpoints, count):
    tree, rows = walk(checkpoints)
    moves = rows - rows[-1]
    _, values, vectors = np.linalg.svd(moves)
    path = principal(tree, count=count)
    directions = np.stack([flat(d) for d in path.directions])
    np.testing.assert_allclose(directions @ directions.T, np.eye(count), atol=1e-5)
    signs = np.sign(moves[0] @ vectors[:count].T)
    np.testing.assert_allclose(directions, vectors[:count] * signs[:, None], atol=1e-3)
    np.testing.assert_allclose(path.coordinates, moves @ directions.T, atol=1e-4 * values[0])
    np.testing.assert_allclose(path.explained, (values**2 / np.sum(values**2))[:count], rtol=1e-4)
    assert (path.coordinates[0] > 0).all()
    assert not path.coordinates[-1].any()


def test_many_runs_in_one_program():
    each = [walk(seed=seed)[0] for seed in range(3)]
    together = jax.jit(jax.vmap(diagnostics.principal_directions))(
        jax.tree.map(lambda *x: jnp.stack(x), *each)
    )
    for i, tree in enumerate(each):
        jax.tree.map(
            lambda x, y, i=i: np.testing.assert_allclose(x[i], y, atol=1e-4),
            together,
            principal(tree),
        )


def test_a_straight_path_has_one_direction():
    way = jnp.array([0.6, 0.0, 0.8])
    path = principal(jnp.array([5.0, 3.0, 2.0, 0.0])[:, None] * way[None])
    np.testing.assert_allclose(path.directions[0], way, atol=1e-6)
    np.testing.assert_allclose(path.coordinates[:, 0], [5, 3, 2, 0], atol=1e-5)
    np.testing.assert_array_equal(path.directions[1], 0)
    np.testing.assert_array_equal(path.coordinates[:, 1], 0)
    np.testing.assert_allclose(path.explained, [1, 0], atol=1e-6)
    still = principal(jnp.ones((4, 3)))
    assert not any(np.any(x) for x in jax.tree.leaves(still))


def test_a_slice_in_the_plane_of_a_path_holds_the_losses_of_the_run():
    """Two parameters: the plane is all there is."""
    rows = jnp.array([[3.0, -1.0], [1.0, 2.0], [0.5, 0.5]])
    path = principal(rows)
    x, y = path.coordinates.T
    found = diagnostics.loss_slice(
        lambda p: p[0] ** 2 + 3 * p[1], rows[-1], path.directions, [x, y]
    )
    np.testing.assert_allclose(
        jnp.diagonal(found.losses), rows[:, 0] ** 2 + 3 * rows[:, 1], rtol=1e-5
    )


def test_offsets_hold_the_path_with_room_on_all_sides():
    path = diagnostics.Path([], jnp.array([[8.0, -1.0], [-2.0, 3.0], [0.0, 0.0]]), jnp.zeros(2))
    x, y = path.offsets(points=5, margin=0.1)
    np.testing.assert_allclose(x, np.linspace(-3, 9, 5), rtol=1e-6)
    np.testing.assert_allclose(y, np.linspace(-2, 4, 5), rtol=1e-6)


def test_coordinates_are_those_of_least_squares():
    tree, rows = walk()
    origin = jax.tree.map(lambda x: x[3], tree)
    directions = [jax.tree.map(lambda x, i=i: x[i] - x[0], tree) for i in (1, 2)]  # oblique
    found = jax.jit(diagnostics.coordinates)(tree, origin, directions)
    matrix = np.stack([flat(d) for d in directions]).astype(float)
    expected = np.linalg.lstsq(matrix.T, (rows - rows[3]).T)[0].T
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)
    nothing = jax.tree.map(jnp.zeros_like, origin)
    alone = diagnostics.coordinates(tree, origin, [directions[0], nothing])
    np.testing.assert_array_equal(alone[:, 1], 0)
    expected = (rows - rows[3]) @ matrix[0] / (matrix[0] @ matrix[0])
    np.testing.assert_allclose(alone[:, 0], expected, rtol=1e-3, atol=1e-4)


def test_bfloat16_is_measured_in_float32():
    rows = jnp.array([[256.0, 1.0], [255.0, 0.0], [0.0, 0.0]], jnp.bfloat16)
    path = diagnostics.principal_directions(rows)
    assert {x.dtype for x in jax.tree.leaves(path)} == {jnp.dtype("float32")}
    lengths = jnp.linalg.norm(path.coordinates, axis=1)
    np.testing.assert_allclose(lengths, np.hypot([256, 255, 0], [1, 0, 0]), rtol=1e-6)


def test_bad_input():
    with pytest.raises(gdjax.InvalidValue, match=r"a first axis of one length.*\(3,\).*\(2,\)"):
        diagnostics.principal_directions({"a": jnp.ones(3), "b": jnp.ones(2)})
    with pytest.raises(gdjax.InvalidValue, match="a first axis of one length"):
        diagnostics.principal_directions({"a": None})
    with pytest.raises(gdjax.InvalidValue, match="a first axis of one length"):
        diagnostics.principal_directions(jnp.ones(()))
    with pytest.raises(gdjax.InvalidValue, match="count=2 and 2 checkpoints"):
        diagnostics.principal_directions(jnp.ones((2, 5)))
    with pytest.raises(gdjax.InvalidValue, match="count=0 and 4 checkpoints"):
        diagnostics.principal_directions(jnp.ones((4, 5)), count=0)
    with pytest.raises(gdjax.InvalidType, match="principal direction is not defined for complex"):
        diagnostics.principal_directions(jnp.ones((4, 5), jnp.complex64))
    points = jnp.ones((4, 5))
    with pytest.raises(gdjax.InvalidValue, match="needs at least one direction, got none"):
        diagnostics.coordinates(points, points[0], [])
    for origin, direction in ((jnp.ones(5), jnp.ones(4)), (jnp.ones(4), jnp.ones(4))):
        with pytest.raises(gdjax.InvalidValue, match="a point or direction must be like"):
            diagnostics.coordinates(points, origin, [direction])
