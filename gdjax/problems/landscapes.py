"""Test functions, each with its minima and a known difficulty for descent."""

import jax
import jax.numpy as jnp
import numpy as np

from gdjax import trees
from gdjax.binding import bind
from gdjax.problems.functions import Function
from gdjax.ranges import Growth


def _rosenbrock(x: jax.Array) -> jax.Array:
    return jnp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


rosenbrock = Function(
    name="rosenbrock",
    formula=_rosenbrock,
    start=(-1.2, 1.0),
    domain=(-2.048, 2.048),
    minima=np.array([[1.0, 1.0]]),
    minimum=0.0,
    source="Rosenbrock, An automatic method for finding the greatest or least value of a function, "
    "1960, with its start; in more dimensions, where there is a local minimum too, as in "
    "scipy.optimize.rosen; domain of De Jong, 1975",
    any_dimension=True,
)


def _beale(x: jax.Array) -> jax.Array:
    a, b = x
    return (1.5 - a + a * b) ** 2 + (2.25 - a + a * b**2) ** 2 + (2.625 - a + a * b**3) ** 2


beale = Function(
    name="beale",
    formula=_beale,
    start=(1.0, 1.0),
    domain=(-4.5, 4.5),
    minima=np.array([[3.0, 0.5]]),
    minimum=0.0,
    source="Beale, On an iterative method for finding a local minimum of a function of more than "
    "one variable, 1958; start of Moré, Garbow and Hillstrom, 1981, number 5",
)


def _himmelblau(x: jax.Array) -> jax.Array:
    a, b = x
    return (a**2 + b - 11) ** 2 + (a + b**2 - 7) ** 2


himmelblau = Function(
    name="himmelblau",
    formula=_himmelblau,
    start=(0.0, 0.0),
    domain=(-5.0, 5.0),
    minima=np.array(
        [
            [3.0, 2.0],
            [-2.805118086952745, 3.131312518250573],
            [-3.779310253377747, -3.2831859912861696],
            [3.5844283403304917, -1.8481265269644034],
        ]
    ),
    minimum=0.0,
    source="Himmelblau, Applied nonlinear programming, 1972; start of gdjax",
)


def _ackley(x: jax.Array) -> jax.Array:
    # Written with expm1, the sum of terms of size 20 keeps its digits near the minimum, where it
    # is a cone: the root's derivative there counts as 0.
    distance = trees.sqrt(jnp.mean(x**2))
    ripples = jnp.mean(jnp.cos(2 * jnp.pi * x) - 1)
    return -20 * jnp.expm1(-0.2 * distance) - jnp.e * jnp.expm1(ripples)


ackley = Function(
    name="ackley",
    formula=_ackley,
    start=(-20.0, 12.5),
    domain=(-32.768, 32.768),
    minima=np.array([[0.0, 0.0]]),
    minimum=0.0,
    source="Ackley, A connectionist machine for genetic hillclimbing, 1987; start of gdjax",
    any_dimension=True,
)


def _rastrigin(x: jax.Array) -> jax.Array:
    return jnp.sum(x**2 + 10 * (1 - jnp.cos(2 * jnp.pi * x)))


rastrigin = Function(
    name="rastrigin",
    formula=_rastrigin,
    start=(-3.2, 2.3),
    domain=(-5.12, 5.12),
    minima=np.array([[0.0, 0.0]]),
    minimum=0.0,
    source="Rastrigin, Systems of extremal control, 1974, in the form of Mühlenbein, Schomisch and "
    "Born, 1991; start of gdjax",
    any_dimension=True,
)


def _styblinski_tang(x: jax.Array) -> jax.Array:
    return jnp.sum(x**4 - 16 * x**2 + 5 * x) / 2


styblinski_tang = Function(
    name="styblinski_tang",
    formula=_styblinski_tang,
    start=(1.0, -1.0),
    domain=(-5.0, 5.0),
    minima=np.full((1, 2), -2.903534027771177),
    minimum=-78.33233140754282,
    source="Styblinski and Tang, Experiments in nonconvex optimization, 1990; start of gdjax",
    any_dimension=True,
)


def _booth(x: jax.Array) -> jax.Array:
    a, b = x
    return (a + 2 * b - 7) ** 2 + (2 * a + b - 5) ** 2


booth = Function(
    name="booth",
    formula=_booth,
    start=(-5.0, 5.0),
    domain=(-10.0, 10.0),
    minima=np.array([[1.0, 3.0]]),
    minimum=0.0,
    source="Jamil and Yang, A literature survey of benchmark functions, "
    "https://arxiv.org/abs/1308.4008, number 17; start of gdjax",
)


def _monkey_saddle(x: jax.Array) -> jax.Array:
    a, b = x
    return a**3 - 3 * a * b**2


monkey_saddle = Function(
    name="monkey_saddle",
    formula=_monkey_saddle,
    start=(1.0, 0.0),  # from here plain descent ends in the saddle, at the origin
    domain=(-2.0, 2.0),
    minima=np.zeros((0, 2)),
    minimum=-np.inf,
    source="Hilbert and Cohn-Vossen, Geometry and the imagination, 1952; start of gdjax",
)


def _two_wells(x: jax.Array) -> jax.Array:
    return jnp.squeeze(x**4 - 5 * x**2 + 3 * x, 0)


two_wells = Function(
    name="two_wells",
    formula=_two_wells,
    start=(2.0,),  # on the side of the local minimum
    domain=(-3.0, 3.0),
    minima=np.array([[-1.7139394361853717]]),
    minimum=-11.20033470869566,
    local_minima=np.array([[1.4017712478412978]]),
    source="x^4 - 5 x^2 + 3 x, of introductions to gradient descent; start of gdjax",
)


def _sigmoid_plateau(x: jax.Array) -> jax.Array:
    return jnp.squeeze(0.5 * (jax.nn.sigmoid(x) - 0.8) ** 2, 0)


sigmoid_plateau = Function(
    name="sigmoid_plateau",
    formula=_sigmoid_plateau,
    start=(5.0,),
    domain=(-10.0, 10.0),
    minima=np.array([[1.3862943611198906]]),  # log 4
    minimum=0.0,
    source="a saturated unit under a squared error, as in Nielsen, Neural networks and deep "
    "learning, 2015, chapter 3",
)


def quadratic(condition: float = 100.0) -> Function:
    """Half a sum of squares with curvatures from 1 to ``condition``, evenly on a log scale.

    ``f(x) = sum_i condition**(i / (n - 1)) * x_i**2 / 2``, ``i = 0 ... n - 1``

    The number of steps of plain gradient descent grows with ``condition``, with the best momentum
    with its root. A sweep of the task may vary it.

    Args:
      condition: the Hessian's condition number, at least 1.

    Raises:
      InvalidValue: the condition number is below 1.

    >>> quadratic(10.0)(jnp.array([1.0, 1.0]))
    Array(5.5, dtype=float32)
    """
    return Function(
        name="quadratic",
        formula=bind(_quadratic, condition=condition),
        start=(1.0, 1.0),
        domain=(-1.0, 1.0),
        minima=np.zeros((1, 2)),
        minimum=0.0,
        source="Goh, Why momentum really works, 2017, https://doi.org/10.23915/distill.00006",
        any_dimension=True,
    )


def _quadratic(x: jax.Array, condition: Growth) -> jax.Array:
    return jnp.sum(condition ** jnp.linspace(0, 1, len(x)) * x**2) / 2
