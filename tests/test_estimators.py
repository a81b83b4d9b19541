"""Gradients from values: what each estimate is on average, how it spreads, where it is exact."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax
from gdjax import bind
from gdjax.errors import InvalidType, InvalidValue
from tests.runs import enable_x64

DRAWS = 4096
RANDOM = {"spsa": gdjax.spsa, "evolution_strategies": gdjax.evolution_strategies}
ALL = {**RANDOM, "parameter_shift": gdjax.parameter_shift}
MATRIX = np.array([[2.0, 0.5, 0.0], [0.5, 1.0, -0.25], [0.0, -0.25, 3.0]])
POINT = np.array([1.0, -2.0, 0.5])
GRADIENT = MATRIX @ POINT + [0.0, 1.0, -1.0]


def quadratic(x):
    return 0.5 * x @ jnp.asarray(MATRIX, x.dtype) @ x + x[1] - x[2]


def estimates(value_and_grad, x, draws=DRAWS):
    keys = jax.random.split(jax.random.key(1), draws)
    return np.asarray(jax.jit(jax.vmap(lambda key: value_and_grad(x, key=key)[1]))(keys), float)


def standard_errors(samples, mean):
    """How many standard errors the mean of the samples lies from ``mean``, for each element."""
    error = samples.std(0, ddof=1) / np.sqrt(len(samples))
    return np.abs(samples.mean(0) - mean) / error


@pytest.mark.parametrize("estimator", RANDOM.values(), ids=RANDOM)
def test_on_average_it_is_the_gradient(estimator):
    """A central difference of a quadratic is exact, whatever its width: no bias is left."""
    samples = estimates(estimator(quadratic, sigma=0.5, num_samples=1), jnp.asarray(POINT))
    assert (standard_errors(samples, GRADIENT) < 5).all()
    # As many draws would show a wrong sign, or a factor of 2.
    assert (standard_errors(samples, -GRADIENT) > 5).all()
    assert (standard_errors(samples, 2 * GRADIENT) > 5).all()


def test_the_variance_of_spsa():
    """Of ``d_i * sum_j(g_j * d_j)`` with ``d_i**2 = 1``: all squares but the element's own."""
    samples = estimates(gdjax.spsa(quadratic, sigma=0.5), jnp.asarray(POINT))
    variance = np.sum(GRADIENT**2) - GRADIENT**2
    squares = (samples - GRADIENT) ** 2
    assert (standard_errors(squares, variance) < 5).all()
    assert (standard_errors(squares, variance + 2 * GRADIENT**2) > 5).all()  # of normal ones


def test_the_variance_of_evolution_strategies():
    """Of a normal ``d``: ``E[d_i**2 * sum_j(g_j * d_j)**2] = |g|**2 + 2 * g_i**2``."""
    estimator = gdjax.evolution_strategies(quadratic, sigma=0.5, num_samples=1)
    squares = (estimates(estimator, jnp.asarray(POINT), 4 * DRAWS) - GRADIENT) ** 2
    variance = np.sum(GRADIENT**2) + GRADIENT**2
    assert (standard_errors(squares, variance) < 5).all()
    assert standard_errors(squares, variance - 2 * GRADIENT**2).max() > 5  # of signs


def test_the_variance_falls_with_the_samples():
    many = estimates(gdjax.spsa(quadratic, sigma=0.5, num_samples=16), jnp.asarray(POINT))
    variance = (np.sum(GRADIENT**2) - GRADIENT**2) / 16
    assert (standard_errors((many - GRADIENT) ** 2, variance) < 5).all()


def test_evolution_strategies_smooth():
    """``E[cos(x + sigma * d)] = exp(-sigma**2 / 2) * cos(x)``."""
    x, sigma = 1.0, 1.0
    estimator = gdjax.evolution_strategies(jnp.cos, sigma=sigma, num_samples=1)
    samples = estimates(estimator, jnp.asarray(x), 4 * DRAWS)
    assert standard_errors(samples, -np.exp(-(sigma**2) / 2) * np.sin(x)) < 5
    assert standard_errors(samples, -np.sin(x)) > 5


def test_spsa_by_hand():
    """One direction: either all slopes agree with it, or all are its negative."""
    value, gradient = gdjax.spsa(lambda x: x[0] + 4 * x[1], sigma=0.5)(
        jnp.zeros(2), key=jax.random.key(0)
    )
    assert value == 0
    # d = (1, 1) or its negative: slope 5 along d; d = (1, -1) or its negative: slope -3.
    assert gradient.tolist() in ([5.0, 5.0], [-3.0, 3.0])


def test_ranks_ignore_how_large_values_are():
    def value_and_grad(fun):
        return gdjax.evolution_strategies(fun, sigma=0.5, num_samples=8, rank_shaping=True)

    key, x = jax.random.key(0), jnp.asarray(POINT)
    plain = value_and_grad(lambda x: x.sum())(x, key=key)[1]
    np.testing.assert_array_equal(value_and_grad(lambda x: jnp.exp(x.sum()))(x, key=key)[1], plain)
    assert np.dot(plain, np.ones(3)) > 0
    flat = value_and_grad(lambda x: jnp.ones(()))(x, key=key)[1]
    assert flat.tolist() == [0.0, 0.0, 0.0]  # equal values, equal ranks


def test_ranks_by_hand():
    """Two values, ranks 0.5 and -0.5: the slope is 1 / (2 * sigma) along the better direction."""
    estimator = gdjax.evolution_strategies(jnp.tanh, sigma=0.25, num_samples=1, rank_shaping=True)
    plain = gdjax.evolution_strategies(lambda x: x, sigma=0.25, num_samples=1)
    key = jax.random.key(3)
    direction = np.sqrt(plain(0.0, key=key)[1])  # d * d
    np.testing.assert_allclose(estimator(0.0, key=key)[1], 2 * direction, rtol=1e-5)


def one_qubit(angles):
    """``<Z>`` after three rotations of ``|0>``, by matrices of the state's two amplitudes."""
    x, y, z = (
        np.array(pauli) for pauli in ([[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]])
    )
    state = jnp.array([1, 0], complex)
    for pauli, angle in ((x, angles["x"]), (z, angles["z"][0]), (y, angles["y"][0, 0])):
        state = (np.eye(2) * jnp.cos(angle / 2) - 1j * pauli * jnp.sin(angle / 2)) @ state
    return jnp.real(jnp.conj(state) @ z @ state)


@pytest.mark.parametrize("shift", [np.pi / 2, 0.3, 2.5])
@pytest.mark.parametrize("batch_size", [1, 2])
def test_parameter_shift_is_exact_on_a_circuit(shift, batch_size):
    with enable_x64(True):
        angles = {"x": jnp.array(0.3), "y": jnp.array([[-1.1]]), "z": jnp.array([2.0])}
        estimator = gdjax.parameter_shift(one_qubit, shift=shift, batch_size=batch_size)
        value, gradient = jax.jit(estimator)(angles)
        exact_value, exact = jax.value_and_grad(one_qubit)(angles)
        # <Z> = cos(x) cos(y) - sin(x) sin(y) sin(z), by hand
        by_hand = np.cos(0.3) * np.cos(-1.1) - np.sin(0.3) * np.sin(-1.1) * np.sin(2.0)
        np.testing.assert_allclose([value, exact_value], by_hand, rtol=1e-14)
        assert gradient.keys() == exact.keys()
        for name, slope in gradient.items():
            np.testing.assert_allclose(slope, exact[name], rtol=1e-13)


def test_parameter_shift_is_no_finite_difference():
    assert gdjax.parameter_shift(lambda x: x)(0.0)[1] == pytest.approx(np.pi / 2)


KEYED = [(RANDOM[name], {"key": jax.random.key(0)}) for name in RANDOM]


@pytest.mark.parametrize(
    ("estimator", "key"), [*KEYED, (gdjax.parameter_shift, {})], ids=[*RANDOM, "parameter_shift"]
)
class TestSignature:
    """What is true of ``jax.value_and_grad`` is true of each estimator."""

    @staticmethod
    def fun(a, b, scale=1.0):
        return scale * jnp.sin(a["w"]).sum() + b.astype(jnp.float32), {"seen": b}

    A = {"w": jnp.ones((2, 3)), "none": None, "empty": jnp.zeros((0,))}  # noqa: RUF012

    @pytest.mark.parametrize("argnums", [0, 1, -1, (0, 1), (1, 0), (1,), (-2,)])
    def test_structure(self, estimator, key, argnums):
        args = (self.A, jnp.ones((), jnp.bfloat16))
        ours = jax.eval_shape(estimator(self.fun, argnums, True), *args, scale=2.0, **key)
        theirs = jax.eval_shape(jax.value_and_grad(self.fun, argnums, True), *args, scale=2.0)
        assert ours == theirs

    def test_value_and_aux(self, estimator, key):
        b = jnp.asarray(0.5)
        (value, aux), _ = estimator(self.fun, has_aux=True)(self.A, b, scale=2.0, **key)
        np.testing.assert_allclose(value, 12 * np.sin(1) + 0.5, rtol=1e-6)
        assert aux == {"seen": b}

    @pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float32, jnp.float64])
    def test_dtype(self, estimator, key, dtype):
        """A perturbation of 1e-3 of 1 is below what bfloat16 tells apart."""
        with enable_x64(True):
            x = jnp.ones((), dtype)
            gradient = estimator(jnp.sin)(x, **key)[1]
            assert gradient.dtype == dtype
            many = {} if "key" not in key else {"num_samples": 512}
            gradient = estimator(jnp.sin, **many)(x, **key)[1]
            np.testing.assert_allclose(float(gradient), np.cos(1.0), rtol=0.3)

    def test_transforms(self, estimator, key):
        """Its numbers are leaves: one program for all, mapped and differentiated."""
        name = "shift" if not key else "sigma"

        def gradient(estimate, x):
            return estimate(x, **key)[1].sum()

        def make(number):
            return estimator(_cubic, **{name: number})

        numbers, x = jnp.array([0.1, 0.2, 0.4]), jnp.array([1.0, 2.0])
        jitted = jax.jit(gradient)
        alone = [jitted(make(number), x) for number in numbers]
        assert jitted._cache_size() == 1
        together = jax.vmap(jitted, in_axes=(0, None))(jax.vmap(make)(numbers), x)
        np.testing.assert_allclose(together, alone, rtol=1e-4)
        slope = jax.grad(lambda number: jitted(make(number), x))(0.5)
        rise = jitted(make(0.51), x) - jitted(make(0.49), x)
        np.testing.assert_allclose(slope, rise / 0.02, rtol=1e-2)
        bound = estimator(bind(_scaled, factor=2.0))
        assert bound.leaves["fun"].leaves["factor"] == 2
        assert bound(jnp.ones(2), **key)[0] == 4

    def test_batches_change_nothing(self, estimator, key):
        x = jnp.arange(5.0)
        many = {} if "key" not in key else {"num_samples": 5}
        one, two = (estimator(_cubic, batch_size=n, **many)(x, **key)[1] for n in (1, 2))
        np.testing.assert_allclose(two, one, rtol=1e-3)

    @pytest.mark.parametrize(
        ("fun", "x", "error", "message"),
        [
            (jnp.sum, jnp.arange(3), InvalidType, "must be real floating point, got int32"),
            (jnp.sum, {"a": 1j}, InvalidType, r"params\['a'\].*complex"),
            (jnp.sum, True, InvalidType, "got bool"),
            (jnp.sum, {}, InvalidValue, "there is no number in the parameters"),
            (jnp.sum, None, InvalidValue, "there is no number in the parameters"),
            (lambda x: x, jnp.ones(2), InvalidType, r"a real scalar.*float32\[2\]"),
            (lambda x: 1, jnp.ones(2), InvalidType, "a real scalar"),
            (lambda x: x.sum() + 1j, jnp.ones(2), InvalidType, "a real scalar.*complex64"),
            (lambda x: (x.sum(), 1), jnp.ones(2), InvalidType, "has_aux=True"),
        ],
    )
    def test_what_cannot_be(self, estimator, key, fun, x, error, message):
        with pytest.raises(error, match=message):
            estimator(fun)(x, **key)

    def test_parameters_without_an_element(self, estimator, key):
        value, gradient = estimator(_cubic)(jnp.zeros((0, 2)), **key)
        assert float(value) == 0
        assert gradient.shape == (0, 2)

    def test_wrong_arguments(self, estimator, key):
        name = "shift" if not key else "sigma"
        with pytest.raises(InvalidType, match="argnums=1, got 1 positional"):
            estimator(_cubic, 1)(jnp.ones(2), **key)
        for argnums in (-2, "x", (0, 0.0), (0, -1)):
            with pytest.raises(InvalidType, match=r"argnums=.*, got 1 positional"):
                estimator(_cubic, argnums)(jnp.ones(2), **key)
        with pytest.raises(InvalidType, match=r"\(scalar, aux\) with has_aux=True"):
            estimator(_cubic, has_aux=True)(jnp.ones(2), **key)
        with pytest.raises(InvalidType, match="fun must be a function"):
            estimator(3)
        for value in (0.0, -1.0, np.nan):
            with pytest.raises(InvalidValue, match=f"{name} must be a number in"):
                estimator(_cubic, **{name: value})
        with pytest.raises(InvalidType, match=f"{name} must be a number, got the schedule"):
            estimator(_cubic, **{name: gdjax.constant_schedule(0.1)})
        for value in (0, 1.5, jnp.ones(())):
            with pytest.raises(InvalidValue, match="batch_size must be an int of at least 1"):
                estimator(_cubic, batch_size=value)


def _cubic(x):
    return jnp.sum(x**3)


def _scaled(x, factor):
    return factor * x.sum()


@pytest.mark.parametrize("estimator", RANDOM.values(), ids=RANDOM)
def test_a_key_is_needed(estimator):
    with pytest.raises(InvalidType, match="pass a new PRNG key each time"):
        estimator(_cubic)(jnp.ones(2))
    with pytest.raises(InvalidType, match=r"pass a new PRNG key each time, key=..., got 7"):
        estimator(_cubic)(jnp.ones(2), key=7)
    with pytest.raises(InvalidValue, match="num_samples must be an int of at least 1"):
        estimator(_cubic, num_samples=0)
