import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax.contrib
import pytest

import gdjax
from gdjax.arrangement import MatrixMask
from gdjax.errors import InvalidValue
from gdjax.transforms import MuonState
from tests import runs

# x / 2 + (x x^T) x / 2 keeps what is orthogonal, and halves what is small.
HALVES = (0.5, 0.5, 0.0)


def test_scale_by_muon_by_hand(run):
    # mu = g / 2: diag(0, 1), of norm 1; debiased g = diag(0, 2): diag(0, 1) is a fixed point.
    # Then mu = (diag(0, 1) + diag(0, 0)) / 2, weight 3 / 4: mu_hat = 2 / 3, of norm 2 / 3: again.
    gradients = [jnp.array([[0.0, 0.0], [0.0, 2.0]]), jnp.zeros((2, 2))]
    muon = gdjax.scale_by_muon(HALVES, 2, 0.5, 0.0, nesterov=False, adam_b1=0.5, adam_b2=0.25)
    weights = [0.5, 0.75], [0.5, 0.75], [0.75, 0.9375]
    for i, (updates, state) in enumerate(run(muon, gradients)):
        np.testing.assert_allclose(updates, [[0.0, 0.0], [0.0, 1.0]], rtol=1e-6)
        mu = np.diag([0.0, 1.0 / 2**i])
        expected = MuonState(np.array(i + 1), mu, (), *(np.array(w[i]) for w in weights))
        chex.assert_trees_all_close(state, expected, rtol=1e-5)


def test_scale_by_muon_halves_small_singular_values(run):
    # x = diag(3, 4) / 5 = diag(0.6, 0.8); x / 2 + x^3 / 2: 0.3 + 0.108, 0.4 + 0.256
    ((updates, _),) = run(
        gdjax.scale_by_muon(HALVES, 1, 0.0, 0.0), [jnp.diag(jnp.array([3.0, 4.0]))]
    )
    np.testing.assert_allclose(updates, np.diag([0.408, 0.656]), rtol=1e-6)


def on_a_scalar(run, **arguments):
    numbers = {"nesterov": False, "eps": 0.0, "adam_b1": 0.0, "adam_b2": 0.0} | arguments
    return [
        u.item() for u, _ in run(gdjax.scale_by_muon(**numbers), [jnp.array(4.0), jnp.array(2.0)])
    ]


def test_scale_by_muon_adam_b1_by_hand(run):
    # mu = 2, then 1 + 1 over 3 / 4: 8 / 3; over the root of g**2: 1, 4 / 3
    np.testing.assert_allclose(on_a_scalar(run, adam_b1=0.5), [1.0, 4 / 3], rtol=1e-6)


def test_scale_by_muon_adam_b2_by_hand(run):
    # nu = 8, then 4 + 2 over 3 / 4: 8; 2 over its root
    np.testing.assert_allclose(on_a_scalar(run, adam_b2=0.5), [1.0, 2 / 8**0.5], rtol=1e-6)


def test_scale_by_muon_adam_eps_root_by_hand(run):
    # 4 / sqrt(16 + 9), 2 / sqrt(4 + 9)
    expected = [4 / 5, 2 / 13**0.5]
    np.testing.assert_allclose(on_a_scalar(run, adam_eps_root=9.0), expected, rtol=1e-6)


def test_scale_matrices_by_shape_by_hand(run):
    gradients = [{"w": jnp.ones((4, 1)), "v": jnp.ones((1, 4)), "b": jnp.ones(4)}] * 2
    for updates, _ in run(gdjax.scale_matrices_by_shape(), gradients):  # sqrt of 1 / 4: 1; of 4: 2
        assert (updates["w"] == 1).all()
        assert (updates["v"] == 2).all()
        assert (updates["b"] == 1).all()
    for updates, _ in run(gdjax.scale_matrices_by_shape(0.25), gradients):  # sqrt of 4 times 1 / 4
        assert (updates["w"] == 0.5).all()
        assert (updates["v"] == 0.5).all()
        assert (updates["b"] == 1).all()


def test_a_mask_of_matrices_or_of_all_else():
    params = {"w": jnp.ones((1, 2)), "b": jnp.ones(2), "none": None}
    assert MatrixMask.of(None)(params) == {"w": True, "b": False, "none": None}
    assert MatrixMask.of(None, inverted=True)(params) == {"w": False, "b": True, "none": None}
    numbers = {"w": None, "b": None, "none": None}
    assert MatrixMask.of(numbers)(params) == {"w": False, "b": False, "none": None}
    assert MatrixMask.of(numbers) == MatrixMask.of(dict(numbers))


def numbers_of_layers(dimension_numbers):
    """``stack`` as two matrices, ``kernel`` as one of all its axes; Adam for the rest."""

    def of(params):
        numbers = {
            "stack": dimension_numbers(1, 2),
            "kernel": dimension_numbers((0, 1), (2,)),
            "w": dimension_numbers(),
            "tall": dimension_numbers(),
            "bias": None,
        }
        return {name: numbers[name] for name in params}

    return of


is_current = pytest.mark.skipif(
    not hasattr(optax.contrib, "MuonDimensionNumbers"), reason="this Optax only does matrices"
)


@is_current
@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"preconditioning": "spectral", "nesterov": False},
        {"preconditioning": "schatten", "consistent_rms": 0.2},
        {"preconditioning": "aol", "adaptive": True},
        {"ns_coeffs": "dion", "adam_learning_rate": 0.01, "weight_decay": 0.1},
    ],
    ids=str,
)
def test_muon_on_many_shapes_agrees_with_optax(arguments):
    shapes = {"stack": (2, 3, 4), "kernel": (2, 2, 3), "w": (3, 4), "tall": (5, 2), "bias": (3,)}
    random = np.random.default_rng(0)
    with runs.enable_x64(True):
        params = {k: jnp.asarray(random.standard_normal(s)) for k, s in shapes.items()}
        ours = gdjax.muon(
            0.1,
            **arguments,
            muon_weight_dimension_numbers=numbers_of_layers(gdjax.MuonDimensionNumbers),
        )
        theirs = optax.contrib.muon(
            0.1,
            **arguments,
            muon_weight_dimension_numbers=numbers_of_layers(optax.contrib.MuonDimensionNumbers),
        )
        states = ours.init(params), theirs.init(params)
        for _ in range(3):
            g = {k: jnp.asarray(random.standard_normal(s)) for k, s in shapes.items()}
            u, first = jax.jit(ours.update)(g, states[0], params)
            expected, second = jax.jit(theirs.update)(g, states[1], params)
            runs.assert_close(u, expected, rtol=1e-9, atol=1e-11)
            states = first, second


@is_current
def test_dimension_numbers_may_be_those_of_optax():
    """Which are trees of whole numbers, and structure all the same."""
    params = {"w": jnp.ones((2, 3, 4)), "b": jnp.ones(3)}

    def muon(kind):
        numbers = {"w": kind((0, 1), 2), "b": None}
        return gdjax.muon(0.1, muon_weight_dimension_numbers=numbers)

    ours, theirs = muon(gdjax.MuonDimensionNumbers), muon(optax.contrib.MuonDimensionNumbers)
    assert gdjax.hyperparameters(theirs) == gdjax.hyperparameters(ours)
    expected = ours.update(params, ours.init(params), params)
    runs.assert_equal(theirs.update(params, theirs.init(params), params), expected)


@pytest.mark.parametrize("start", ["aol", "schatten"])
def test_starts_without_eps_do_not_depend_on_scale(start):
    init, update = gdjax.scale_by_muon(preconditioning=start)
    g = jnp.array([[1.0, -2.0, 0.5], [0.25, 1.0, 2.0]])
    expected, _ = update(g, init(g))
    small, _ = update(2.0**-30 * g, init(g))
    np.testing.assert_allclose(small, expected, rtol=1e-6)


def test_iterations_do_not_grow_with_depth():
    """Products of matrices: three a step of Newton and Schulz's for each shape, either way up."""

    def count(depth):
        params = {f"{i}": jnp.zeros((3, 4)) for i in range(depth)}
        params |= {f"{i}t": jnp.zeros((4, 3)) for i in range(depth)}
        params |= {f"{i}s": jnp.zeros((5, 5)) for i in range(depth)}
        pair = gdjax.scale_by_muon()
        return jax.jit(pair.update).lower(params, pair.init(params)).as_text().count("dot_general")

    assert count(1) == count(8) == 2 * 3 * 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"preconditioning": "none"}, "preconditioning must be one of"),
        ({"ns_coeffs": (1.0, 2.0)}, "ns_coeffs must be three numbers, or three a step"),
    ],
)
def test_bad_arguments_of_muon(arguments, message):
    g = jnp.ones((2, 2))
    with pytest.raises(InvalidValue, match=message):
        gdjax.scale_by_muon(**arguments).update(g, gdjax.scale_by_muon().init(g))


def test_bad_dimension_numbers():
    both = gdjax.scale_by_muon(weight_dimension_numbers=gdjax.MuonDimensionNumbers(0, 0))
    g = jnp.ones((2, 2))
    with pytest.raises(InvalidValue, match="an axis may be of rows or of columns"):
        both.update(g, both.init(g))
    with pytest.raises(InvalidValue, match="a matrix has at least 2 axes"):
        both.update(jnp.ones(2), both.init(jnp.ones(2)))
    with pytest.raises(InvalidValue, match="muon: ns_coeffs must be numbers or one of"):
        gdjax.muon(0.1, ns_coeffs="unknown")
