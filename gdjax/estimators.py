"""Gradients from values alone, of functions that have no useful derivative.

Each stands wherever ``jax.value_and_grad`` does, and returns a binding whose numbers are leaves.
"""

import math
from collections.abc import Callable
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from gdjax import trees
from gdjax.binding import Bound, bind, is_schedule
from gdjax.errors import InvalidType, InvalidValue
from gdjax.ranges import Interval, Positive, Size

# At 0 and at pi the sine, by which the rule divides, is 0.
Shift = Annotated[Any, Interval(0, math.pi, includes_low=False)]


def spsa(
    fun: Callable[..., Any],
    argnums: int | tuple[int, ...] = 0,
    has_aux: bool = False,
    *,
    sigma: Positive = 1e-3,
    num_samples: Size = 1,
    batch_size: Size = 1,
) -> Bound:
    """Simultaneous perturbation: a gradient from two values, however many parameters there are.

    ``g = mean((fun(x + sigma * d) - fun(x - sigma * d)) / (2 * sigma) * d)`` over directions
    ``d`` whose elements are 1 or -1, each with probability 1/2. Its mean is the gradient up to
    terms of order ``sigma**2``; the variance of an element is the sum of the squares of all
    others' derivatives, divided by ``num_samples``.

    Args:
      fun: function of parameters and any other arguments that returns a real scalar, or
        ``(scalar, aux)`` where ``has_aux``. It need not have a derivative. A key of its own is
        passed by position; all evaluations of one call then share it.
      argnums: which positional argument, or tuple of them, the gradient is taken of.
      has_aux: whether ``fun`` returns more than the scalar.
      sigma: length of the perturbation of each element, in units of the parameters.
      num_samples: number of directions that are averaged, at least 1; structural.
      batch_size: how many directions are evaluated at once, as in ``jax.lax.map``. They are
        drawn again rather than stored: memory does not grow with ``num_samples``.

    Returns:
      A function of the arguments of ``fun`` and of ``key``, a PRNG key by keyword. It returns
      ``(fun(...), gradient)``. Perturbed parameters reach ``fun`` in at least float32: in half
      precision a small perturbation would be rounded away.

    Raises:
      InvalidType: parameters that are not real, a value that is no real scalar, a missing key.
      InvalidValue: parameters without a leaf, a number outside its range.

    Reference:
      Spall, Multivariate stochastic approximation using a simultaneous perturbation gradient
      approximation, IEEE Transactions on Automatic Control 37(3), 1992; ``sigma`` of Malladi et
      al., MeZO (https://arxiv.org/abs/2305.17333).

    >>> value, gradient = spsa(lambda x: 3 * x)(2.0, key=jax.random.key(0))
    >>> float(value), round(float(gradient), 2)
    (6.0, 3.0)
    """
    counts = {"num_samples": num_samples, "batch_size": batch_size}
    return _bound(_spsa, fun, argnums, has_aux, counts, sigma=sigma)


def evolution_strategies(
    fun: Callable[..., Any],
    argnums: int | tuple[int, ...] = 0,
    has_aux: bool = False,
    *,
    sigma: Positive = 0.02,
    num_samples: Size = 16,
    rank_shaping: bool = False,
    batch_size: Size = 1,
) -> Bound:
    """Evolution strategies: the gradient of the mean of ``fun`` over a Gaussian cloud.

    ``g = mean((fun(x + sigma * d) - fun(x - sigma * d)) / (2 * sigma) * d)`` over directions
    ``d`` of independent standard normal numbers. Its mean is the gradient of
    ``E[fun(x + sigma * d)]``, which exists even where ``fun`` jumps. With ``rank_shaping`` each
    value is replaced by its rank among all ``2 * num_samples``, scaled to [-0.5, 0.5]; equal
    values share their mean rank.

    Args:
      fun: see :func:`gdjax.spsa`.
      argnums: see :func:`gdjax.spsa`.
      has_aux: see :func:`gdjax.spsa`.
      sigma: standard deviation of the cloud, in units of the parameters.
      num_samples: number of antithetic pairs, at least 1; structural.
      rank_shaping: use ranks instead of values: outliers count no more than others, and the
        length of the gradient says nothing.
      batch_size: see :func:`gdjax.spsa`.

    Reference:
      Salimans et al., Evolution strategies as a scalable alternative to reinforcement learning
      (https://arxiv.org/abs/1703.03864), algorithm 1 with the mirrored sampling and the rank
      transformation of section 2.

    >>> value_and_grad = evolution_strategies(jnp.sign, sigma=1.0, num_samples=1000)
    >>> value, gradient = value_and_grad(0.0, key=jax.random.key(1))  # 2 / sqrt(2 pi) = 0.8
    >>> round(float(gradient), 1)
    0.8
    """
    counts = {"num_samples": num_samples, "batch_size": batch_size}
    arguments = {"sigma": sigma, "rank_shaping": rank_shaping}
    return _bound(_evolution_strategies, fun, argnums, has_aux, counts, **arguments)


def parameter_shift(
    fun: Callable[..., Any],
    argnums: int | tuple[int, ...] = 0,
    has_aux: bool = False,
    *,
    shift: Shift = math.pi / 2,
    batch_size: Size = 1,
) -> Bound:
    """Parameter shift: the exact gradient of what is sinusoidal in each parameter.

    ``g[i] = (fun(x + shift * e_i) - fun(x - shift * e_i)) / (2 * sin(shift))``, two evaluations
    for each element. Exact where ``fun`` is ``a + b * cos(x[i] + c)`` in each element alone, as
    the expectation of a quantum circuit is in the angle of each rotation; elsewhere wrong.

    Args:
      fun: see :func:`gdjax.spsa`; it is evaluated far from the parameters, not close to them.
      argnums: see :func:`gdjax.spsa`.
      has_aux: see :func:`gdjax.spsa`.
      shift: how far each element is moved, in radians, in (0, pi). Noise in ``fun`` is least
        amplified by ``pi / 2``.
      batch_size: how many elements are shifted at once; see :func:`gdjax.spsa`.

    Returns:
      As :func:`gdjax.spsa`, but a function that takes no key.

    Reference:
      Mitarai et al., Quantum circuit learning (https://arxiv.org/abs/1803.00745); Schuld et al.,
      Evaluating analytic gradients on quantum hardware (https://arxiv.org/abs/1811.11184); the
      general shift in Mari et al. (https://arxiv.org/abs/2008.06517).

    >>> value, gradient = parameter_shift(jnp.sin)(0.0)
    >>> float(gradient)
    1.0
    """
    counts = {"batch_size": batch_size}
    return _bound(_parameter_shift, fun, argnums, has_aux, counts, shift=shift)


def _spsa(*args: Any, sigma: Positive, **rest: Any) -> tuple:
    return _perturbed("spsa", jax.random.rademacher, args, sigma, jnp.asarray, **rest)


def _evolution_strategies(*args: Any, sigma: Positive, rank_shaping: bool, **rest: Any) -> tuple:
    shape = _centred_ranks if rank_shaping else jnp.asarray
    return _perturbed("evolution_strategies", jax.random.normal, args, sigma, shape, **rest)


def _perturbed(
    name: str,
    distribution: Callable[..., jax.Array],
    args: tuple,
    sigma: Any,
    shape: Callable[[jax.Array], jax.Array],
    *,
    fun: Any,
    argnums: Any,
    has_aux: bool,
    num_samples: int,
    batch_size: int,
    key: Any = None,
    **kwargs: Any,
) -> tuple:
    """The gradient along ``num_samples`` random directions, drawn twice rather than stored."""
    if not isinstance(key, jax.Array):
        raise InvalidType(f"{name} draws: pass a new PRNG key each time, key=..., got {key!r}")
    value, params, evaluate = _prepare(name, fun, argnums, has_aux, args, kwargs)
    treedef = jax.tree.structure(params)

    def direction(key: jax.Array) -> Any:
        keys = treedef.unflatten(jax.random.split(key, treedef.num_leaves))
        return jax.tree.map(lambda k, x: distribution(k, x.shape, x.dtype), keys, params)

    def pair(key: jax.Array) -> tuple[jax.Array, jax.Array]:
        d = direction(key)
        return evaluate(_add(params, sigma, d)), evaluate(_add(params, -sigma, d))

    def add(total: Any, key_and_slope: tuple) -> tuple[Any, None]:
        key, slope = key_and_slope
        return _add(total, slope, direction(key)), None

    keys = jax.random.split(key, num_samples)
    above, below = shape(jnp.stack(jax.lax.map(pair, keys, batch_size=batch_size)))  # [2, sample]
    slopes = (above - below) / (2 * sigma * num_samples)
    gradient, _ = jax.lax.scan(add, jax.tree.map(jnp.zeros_like, params), (keys, slopes))
    return value, _like(gradient, argnums, args)


def _parameter_shift(
    *args: Any,
    fun: Any,
    argnums: Any,
    has_aux: bool,
    shift: Shift,
    batch_size: int,
    **kwargs: Any,
) -> tuple:
    value, params, evaluate = _prepare("parameter_shift", fun, argnums, has_aux, args, kwargs)
    flat, unravel = ravel_pytree(params)
    by = jnp.asarray(shift, flat.dtype)

    def slope(i: jax.Array) -> jax.Array:
        above, below = evaluate(unravel(flat.at[i].add(by))), evaluate(unravel(flat.at[i].add(-by)))
        return (above - below) / (2 * jnp.sin(shift))

    if flat.size:  # else jax.lax.map has no element to begin with
        flat = jax.lax.map(slope, jnp.arange(flat.size), batch_size=batch_size).astype(flat.dtype)
    return value, _like(unravel(flat), argnums, args)


def _bound(
    rule: Callable[..., tuple],
    fun: Any,
    argnums: Any,
    has_aux: bool,
    counts: dict[str, int],
    **hyperparameters: Any,
) -> Bound:
    bound = bind(rule, **hyperparameters)
    if not callable(fun):
        raise InvalidType(f"{bound.name}: fun must be a function of parameters, got {fun!r}")
    for name, leaf in bound.leaves.items():
        if is_schedule(leaf):
            raise InvalidType(f"{bound.name}: {name} must be a number, got the schedule {leaf!r}")
    for name, n in counts.items():
        if not isinstance(n, int) or n < 1:
            raise InvalidValue(f"{bound.name}: {name} must be an int of at least 1, got {n!r}")
    structure = {"argnums": argnums, "has_aux": has_aux, **counts, **bound.structure}
    if jax.tree_util.all_leaves([fun]):
        return Bound(rule, bound.leaves, {"fun": fun, **structure})
    return Bound(rule, {"fun": fun, **bound.leaves}, structure)


def _prepare(
    name: str, fun: Any, argnums: Any, has_aux: bool, args: tuple, kwargs: dict[str, Any]
) -> tuple[Any, tuple, Callable[[tuple], jax.Array]]:
    """What ``fun`` returns, the parameters in at least float32, the scalar as their function."""
    positions = (argnums,) if isinstance(argnums, int) else argnums
    n = len(args)
    places = [i % n for i in positions if type(i) is int and -n <= i < n]
    if len(set(places)) < len(positions):
        raise InvalidType(f"{name}: {argnums=}, got {n} positional arguments")
    params = tuple(args[i] for i in places)
    if not jax.tree.leaves(params):
        raise InvalidValue(f"{name}: there is no number in the parameters {params}; check argnums")
    for path, leaf in jax.tree_util.tree_flatten_with_path(params)[0]:
        if not jnp.issubdtype(jnp.result_type(leaf), jnp.floating):
            raise InvalidType(
                f"{name}: params{jax.tree_util.keystr(path[1:])} must be real floating point, got "
                f"{jnp.result_type(leaf)}; keep integers out of the parameters, and give the real "
                "and the imaginary part of complex ones separately"
            )

    def scalar(value: Any) -> jax.Array:
        value = value if not has_aux else value[0] if isinstance(value, tuple) else (value,)
        got = jax.tree.map(jax.typeof, value)
        if getattr(got, "shape", None) != () or not jnp.issubdtype(got.dtype, jnp.floating):
            raise InvalidType(
                f"{name}: fun must return a real scalar, or (scalar, aux) with has_aux=True, "
                f"got {got}"
            )
        return jnp.asarray(value, trees.compute_dtype(value))

    def evaluate(params: tuple) -> jax.Array:
        moved = dict(zip(places, params, strict=True))
        return scalar(fun(*(moved.get(i, x) for i, x in enumerate(args)), **kwargs))

    value = fun(*args, **kwargs)
    scalar(value)
    return value, jax.tree.map(lambda x: jnp.asarray(x, trees.compute_dtype(x)), params), evaluate


def _add(tree: Any, factor: Any, direction: Any) -> Any:
    return jax.tree.map(lambda x, d: x + jnp.asarray(factor, x.dtype) * d, tree, direction)


def _centred_ranks(values: jax.Array) -> jax.Array:
    ordered = jnp.sort(values, axis=None)
    first = jnp.searchsorted(ordered, values, side="left")
    last = jnp.searchsorted(ordered, values, side="right") - 1
    return (first + last).astype(values.dtype) / (2 * (values.size - 1)) - 0.5


def _like(gradient: tuple, argnums: Any, args: tuple) -> Any:
    params = (args[argnums],) if isinstance(argnums, int) else tuple(args[i] for i in argnums)
    gradient = jax.tree.map(lambda g, x: g.astype(jnp.result_type(x)), gradient, params)
    return gradient[0] if isinstance(argnums, int) else gradient
