"""Test functions at their minima, in float64, and where descent leads on them."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

import gdjax
from gdjax import InvalidValue, naming, problems
from gdjax.problems.functions import Function
from tests.runs import enable_x64

FUNCTIONS = {
    name: function
    for name in problems.__all__
    if isinstance(function := getattr(problems, name), Function)
} | {"quadratic": problems.quadratic(1e4)}
GENERAL = {name: f.in_dimension(7) for name, f in FUNCTIONS.items() if f.any_dimension}
CASES = FUNCTIONS | {f"{name} of 7": f for name, f in GENERAL.items()}


@functools.partial(jax.jit, static_argnums=0)
def derivatives(f, x):
    """Value, gradient and Hessian."""
    return f(x), jax.grad(f)(x), jax.hessian(f)(x)


def test_functions_are_found():
    assert len(FUNCTIONS) == 11
    assert GENERAL.keys() == {"rosenbrock", "ackley", "rastrigin", "styblinski_tang", "quadratic"}


@pytest.mark.parametrize("name", CASES)
def test_minima(name):
    """The value is right, the slope 0, the curvature positive; no point nearby lies lower."""
    f = CASES[name]
    known = f.minima if f.local_minima is None else np.concatenate([f.minima, f.local_minima])
    assert known.shape[1:] == (f.dimension,)
    with enable_x64(True):
        near = 1e-3 * np.random.default_rng(0).normal(size=(100, f.dimension))
        for x in known:
            value, slope, curvature = derivatives(f, x)
            assert slope.dtype == np.float64
            np.testing.assert_allclose(slope, 0, atol=1e-12)
            if not name.startswith("ackley"):  # a cone
                assert np.linalg.eigvalsh(curvature)[0] > 1e-3
            assert jax.jit(jax.vmap(f))(x + near).min() > value
        for x in f.minima:
            np.testing.assert_allclose(f(x), f.minimum, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_no_value_in_the_domain_is_lower(name):
    f = FUNCTIONS[name]
    points = np.stack(np.meshgrid(*[np.linspace(*f.domain, 201)] * f.dimension), axis=-1)
    with enable_x64(True):
        assert jax.vmap(f)(points.reshape(-1, f.dimension)).min() >= f.minimum
    assert all(f.domain[0] <= x <= f.domain[1] for x in [*f.start, *f.minima.flat])


BY_HAND = {
    # At (2, 3), or at 2.
    "rosenbrock": scipy.optimize.rosen([2.0, 3.0]),
    "beale": (1.5 + 4) ** 2 + (2.25 + 16) ** 2 + (2.625 + 52) ** 2,
    "himmelblau": (4 + 3 - 11) ** 2 + (2 + 9 - 7) ** 2,
    "booth": (2 + 6 - 7) ** 2 + (4 + 3 - 5) ** 2,
    "monkey_saddle": 8 - 3 * 2 * 9,
    "two_wells": 16 - 20 + 6,
    "sigmoid_plateau": 0.5 * (1 / (1 + np.exp(-2)) - 0.8) ** 2,
    "quadratic": 4 / 2 + 1e4 * 9 / 2,
    "styblinski_tang": (16 - 64 + 10 + 81 - 144 + 15) / 2,
    "rastrigin": 4 + 9,  # a whole number has no ripple
    "ackley": 20 - 20 * np.exp(-0.2 * np.sqrt(13 / 2)),  # nor here
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_by_hand(name):
    f = FUNCTIONS[name]
    x = np.array([2.0, 3.0][: f.dimension])
    with enable_x64(True):
        np.testing.assert_allclose(f(x), BY_HAND[name], rtol=1e-12)
    value = f(jnp.asarray(x, jnp.float32))
    assert value.dtype == np.float32
    np.testing.assert_allclose(value, BY_HAND[name], rtol=1e-5)


def test_rosenbrock_agrees_with_scipy():
    f = problems.rosenbrock
    with enable_x64(True):
        for dimension in (2, 10):
            x = np.random.default_rng(dimension).normal(size=dimension)
            rosen = scipy.optimize.rosen, scipy.optimize.rosen_der, scipy.optimize.rosen_hess
            for ours, theirs in zip(derivatives(f, x), rosen, strict=True):
                np.testing.assert_allclose(ours, theirs(x), rtol=1e-12, atol=1e-12)


def test_ripples_of_ackley_and_rastrigin():
    """At halves the cosine is -1: by hand."""
    x = np.full(3, 0.5)
    with enable_x64(True):
        np.testing.assert_allclose(problems.rastrigin(x), 3 * (0.25 + 20), rtol=1e-12)
        ackley = -20 * np.exp(-0.1) - np.exp(-1) + 20 + np.e
        np.testing.assert_allclose(problems.ackley(x), ackley, rtol=1e-12)


def test_the_saddle_of_the_monkey_is_degenerate():
    f = problems.monkey_saddle
    origin = np.zeros(2)
    with enable_x64(True):
        assert not any(x.any() for x in derivatives(f, origin))
        around = np.linspace(0, 2 * np.pi, 6, endpoint=False)
        heights = jax.jit(jax.vmap(f))(np.stack([np.cos(around), np.sin(around)], axis=1))
    np.testing.assert_allclose(heights, [1, -1] * 3, rtol=1e-12)  # three ways up, three down


@pytest.mark.parametrize("condition", [1.0, 30.0])
def test_the_condition_number(condition):
    f = problems.quadratic(condition).in_dimension(5)
    eigenvalues = np.linalg.eigvalsh(derivatives(f, jnp.ones(5))[2])
    np.testing.assert_allclose(eigenvalues, np.geomspace(1, condition, 5), rtol=1e-5)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_each_is_a_task_also_on_the_command_line(name):
    measured = naming.load_task(name).check()
    assert measured == {"loss"} | ({"distance_to_minimum"} if name != "monkey_saddle" else set())


def test_a_sweep_descends_from_the_start_and_restarts_in_the_domain():
    f = problems.himmelblau
    space = {"learning_rate": 0.01, "spread": [0.0, 1.0]}
    result = gdjax.sweep(f.task(), gdjax.sgd, space, seeds=16, steps=200)
    first = result.traces["loss"][:, :, 0]  # [trial, seed]
    assert np.unique(first[0]).tolist() == [170.0]  # 11**2 + 7**2 at the origin
    assert len(np.unique(first[1])) == 16
    assert result.final("distance_to_minimum").max() < 1e-3  # of one of four


def test_starts_under_vmap_and_the_other_well():
    f = problems.two_wells
    starts = jnp.array([[2.0], [-2.0]])
    train = jax.vmap(lambda task: gdjax.train(task, gdjax.sgd(0.01), 200, 0).params)
    ends = train(jax.vmap(f.task)(starts))
    np.testing.assert_allclose(ends, np.concatenate([f.local_minima, f.minima]), rtol=1e-4)


def test_the_condition_decides_how_long_descent_takes():
    """At learning rate 1 / condition the flat coordinate keeps 1 - 1 / condition in each step."""
    task = problems.quadratic().task()
    space = {"learning_rate": 0.01, "condition": [10.0, 100.0]}
    result = gdjax.sweep(task, gdjax.sgd, space, steps=50)
    steep = np.array([0.9, 0.0]) ** 50
    np.testing.assert_allclose(
        result.final("distance_to_minimum")[:, 0], np.hypot(0.99**50, steep), rtol=1e-4
    )


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("beale", (3,), "beale is defined for 2 numbers, got 3"),
        ("rastrigin", (1,), "rastrigin is defined for 2 or more numbers, got 1"),
        ("two_wells", (), r"two_wells takes an array \[dimension\], got shape \(\)"),
        ("ackley", (4, 2), r"ackley takes an array \[dimension\], got shape \(4, 2\)"),
    ],
)
def test_wrong_dimensions_are_told(name, shape, message):
    f = FUNCTIONS[name]
    with pytest.raises(InvalidValue, match=message):
        f(jnp.ones(shape))
    with pytest.raises(InvalidValue, match=message):
        f.task(start=jnp.ones(shape))


def test_numbers_out_of_range_are_told():
    with pytest.raises(InvalidValue, match=r"condition must be a number in \[1, inf\), got 0.5"):
        problems.quadratic(0.5)
    with pytest.raises(InvalidValue, match=r"spread must be a number in \[0, 1\], got 2"):
        problems.booth.task(spread=2.0)
