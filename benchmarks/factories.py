"""Finds every public factory of Optax and makes arguments for it from its signature.

A factory is what returns an (init, update) pair, as its annotation says or as calling it shows.
Numbers come from defaults; what an argument without one may be stands in ``GIVEN``, by its name.
"""

import functools
import inspect
import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib

import gdjax
from gdjax.errors import InvalidType

SLOPES = {"w": np.array([[1.0, 0.5, 0.0], [0.6, 1.4, 0.8]]), "b": np.array([0.7, 0.2])}
START = {"w": np.array([[0.5, -1.0, 0.4], [0.7, -0.3, 0.2]]), "b": np.array([0.8, -0.4])}


def _matrices(params: Any) -> Any:
    return jax.tree.map(lambda p: jnp.ndim(p) > 1, params)


def _labels(params: Any) -> Any:
    return jax.tree.map(lambda p: "a" if jnp.ndim(p) > 1 else "b", params)


def _each_second(count: Any) -> Any:
    return count % 2 == 0


def _sum(tree: Any) -> Any:
    return optax.tree_utils.tree_sum(tree)


def _halved(updates: Any, params: Any) -> Any:
    del params
    return jax.tree.map(lambda u: u / 2, updates)


def _half(update: Any, param: Any) -> Any:
    del param
    return update / 2


def _dimensions(params: Any) -> Any:
    return jax.tree.map(lambda p: optax.contrib.MuonDimensionNumbers(), params)


def _momentum(i: int) -> gdjax.GradientTransformation:
    return gdjax.sgd(0.1 + 0.02 * i, 0.5)


# The i-th value of an argument whose default does not say what it may be.
GIVEN: dict[str, Callable[[int], Any]] = {
    "adv_optimizer": _momentum,
    "base_optimizer": _momentum,
    "beta3": lambda i: 0.9 + 0.02 * i,
    "clipping": lambda i: 0.02 + 0.01 * i,
    "decay": lambda i: 0.9 - 0.1 * i,
    "eta": lambda i: 0.1 + 0.1 * i,
    "fast_optimizer": _momentum,
    "freeze_mask": lambda i: _matrices,
    "gamma": lambda i: 0.5 + 0.1 * i,
    "inner": _momentum,
    "key": jax.random.key,
    "l2_norm_clip": lambda i: 0.5 + 0.5 * i,
    "learning_rate": lambda i: 0.1 + 0.02 * i,
    "mask": lambda i: _matrices,
    "max_backtracking_steps": lambda i: 3 + i,
    "max_consecutive_errors": lambda i: 2 + i,
    "max_delta": lambda i: 0.3 + 0.1 * i,
    "max_linesearch_steps": lambda i: 3 + i,
    "max_norm": lambda i: 0.3 + 0.1 * i,
    "measure": lambda i: _sum,
    "measure_name": lambda i: "sum",
    "measures": lambda i: {"sum": _sum},
    "momentum": lambda i: 0.5 + 0.1 * i,
    "noise_multiplier": lambda i: 0.01 + 0.01 * i,
    "optimizer": _momentum,
    "optimism": lambda i: 0.1 + 0.1 * i,
    "param_labels": lambda i: _labels,
    "should_transform_fn": lambda i: _each_second,
    "slow_step_size": lambda i: 0.4 + 0.1 * i,
    "step_size": lambda i: 0.1 + 0.1 * i,
    "step_size_fn": lambda i: gdjax.linear_schedule(0.1 + 0.1 * i, 0.0, 8),
    "sync_period": lambda i: 2 + i,
    "threshold": lambda i: 0.3 + 0.1 * i,
    "transforms": lambda i: {"a": _momentum(i), "b": gdjax.scale(-0.1)},
    "tx": _momentum,
    "warmup_steps": lambda i: 2 + i,
    "weight_decay": lambda i: 0.01 + 0.01 * i,
}
# The same of arguments that mean one thing in one factory only.
OWN: dict[tuple[str, str], Any] = {
    ("stateless", "f"): _halved,
    ("stateless_with_tree_map", "f"): _half,
    ("scale_by_muon", "weight_dimension_numbers"): _dimensions,
}


class Factory(NamedTuple):
    """One of Optax's factories and what its arguments may be."""

    function: Callable[..., Any]
    module: str  # "optax" or "optax.contrib"

    @property
    def name(self) -> str:
        return self.function.__name__

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"

    @property
    def per_example(self) -> bool:
        """Whether it takes one gradient an example, along a leading axis."""
        return "l2_norm_clip" in parameters(self.function)

    def arguments(self, i: int = 0) -> dict[str, Any]:
        """The i-th of a few values of every argument that is a number or has no default."""
        return dict(_arguments(self.function, i))

    def defaults(self) -> dict[str, Any]:
        """The same, with the defaults of those that have one that is not None."""
        absent = (inspect.Parameter.empty, None)
        given = {k: p.default for k, p in parameters(self.function).items()}
        return {k: v if given[k] in absent else given[k] for k, v in self.arguments().items()}

    def numbers(self) -> tuple[str, ...]:
        """Names of the numeric arguments, trees of numbers among them."""
        return tuple(k for k, v in self.arguments().items() if _is_number(v))

    def static(self) -> tuple[str, ...]:
        """Names of the numeric arguments that lift must be told, as its own errors say them."""
        return _static(self)

    def trained(self) -> tuple[str, ...]:
        """Names of the parameters that it can train: some of Optax's take matrices only."""
        return _trained(self)

    def lifted(self) -> Callable[..., gdjax.GradientTransformation]:
        return gdjax.lift(self.function, static=self.static())


def factories() -> list[Factory]:
    """All of them, by module and name, each once; without what Optax deprecates."""
    found = {
        function: Factory(function, module.__name__)
        for module in (optax, optax.contrib)
        for name, function in sorted(vars(module).items())
        if inspect.isfunction(function) and not name.startswith("_")
    }
    return [factory for factory in found.values() if _makes_a_pair(factory)]


def run(pair: Any, factory: Factory, dtype: Any = float) -> Any:
    """Updates and parameters of a few steps on a quadratic loss.

    The gradient of one coordinate is 0 throughout, and all are 0 in the first step: there lurk
    0/0 and roots of 0.
    """
    return _run(pair, factory, factory.trained(), dtype)


@jax.numpy_rank_promotion("allow")  # as Optax's own code needs it
def _run(pair: Any, factory: Factory, names: tuple[str, ...], dtype: Any) -> Any:
    slopes = {k: jnp.asarray(SLOPES[k], dtype) for k in names}
    params: Any = {k: jnp.asarray(START[k], dtype) for k in names}
    if "fast_optimizer" in parameters(factory.function):
        params = optax.LookaheadParams.init_synced(params)
    accepted = inspect.signature(pair.update).parameters
    takes_any = any(p.kind is p.VAR_KEYWORD for p in accepted.values())

    def step(carry: tuple, factor: Any) -> tuple:
        params, state = carry
        fast = getattr(params, "fast", params)

        def loss(params: Any, obj_fn: Any = None) -> Any:
            del obj_fn  # line searches hand on every extra
            squares = jax.tree.map(lambda c, p: jnp.sum(c * p * p), slopes, params)
            return factor * sum(squares.values()) / 2

        value, gradients = jax.value_and_grad(loss)(fast)
        extra = {"value": value, "grad": gradients, "value_fn": loss, "obj_fn": loss}
        if factory.per_example:
            gradients = jax.tree.map(lambda g: jnp.stack([g, g / 2]), gradients)
        given = {k: v for k, v in extra.items() if takes_any or k in accepted}
        updates, state = pair.update(gradients, state, params, **given)
        if jax.tree.structure(updates) == jax.tree.structure(params):
            params = optax.apply_updates(params, updates)
        return (params, state), (updates, params)

    factors = jnp.asarray([0.0, 1.0, 0.7, -0.3], dtype)
    return jax.lax.scan(step, (params, pair.init(params)), factors)[1]


@functools.cache
def _trained(factory: Factory) -> tuple[str, ...]:
    pair = factory.function(**factory.arguments())
    for names in (("w", "b"), ("w",)):
        try:
            jax.eval_shape(lambda names=names: _run(pair, factory, names, float))
        except Exception:
            continue
        return names
    return ()


def parameters(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Its parameters by name."""
    return dict(inspect.signature(function).parameters)


def _makes_a_pair(factory: Factory) -> bool:
    returns = inspect.signature(factory.function).return_annotation
    kinds = {p.kind for p in parameters(factory.function).values()}
    if "Callable" in str(returns) or inspect.Parameter.VAR_POSITIONAL in kinds:
        return False  # a factory of factories; a chain, which has no hyperparameters of its own
    annotated = "GradientTransformation" in str(returns)
    if returns is not inspect.Signature.empty and not annotated:
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", DeprecationWarning)
            pair = factory.function(**factory.arguments())
    except DeprecationWarning:
        return False
    except Exception:
        if annotated:
            raise
        return False
    return isinstance(pair, optax.GradientTransformation)


def _arguments(function: Callable[..., Any], i: int) -> Iterator[tuple[str, Any]]:
    for name, parameter in parameters(function).items():
        default = parameter.default
        if _is_number(default):
            yield name, _near(default, i)
        elif (function.__name__, name) in OWN:
            yield name, OWN[function.__name__, name]
        elif default is parameter.empty and name == "seed":
            yield name, 3 + i
        elif default is parameter.empty or (default is None and name in GIVEN):
            if name not in GIVEN:
                raise LookupError(f"{function.__name__}: add {name!r} to GIVEN in {__file__}")
            yield name, GIVEN[name](i)


def _near(default: Any, i: int) -> Any:
    """The i-th number of a few like the default: in the same range, as far as one can guess."""
    if isinstance(default, tuple):
        return tuple(_near(x, i) for x in default)
    if isinstance(default, int):
        return default + i
    if default == 0:
        return 0.01 * (i + 1)
    if 0.5 <= default < 1:
        return 1 - (1 - default) * (1 + 0.2 * i)
    return default * (1 + 0.1 * i)


def _is_number(value: Any) -> bool:
    if isinstance(value, tuple) and type(value) is tuple:
        return bool(value) and all(map(_is_number, value))
    if isinstance(value, jax.Array):
        return True
    return isinstance(value, (int, float)) and not isinstance(value, bool)


@functools.cache
def _static(factory: Factory) -> tuple[str, ...]:
    static: tuple[str, ...] = ()
    while True:
        try:
            pair = gdjax.lift(factory.function, static=static)(**factory.arguments())
            jax.eval_shape(lambda pair: run(pair, factory), pair)
        except InvalidType as error:
            named = re.findall(r"'(\w+)'", str(error).partition("which is a leaf")[0])
            if not named:
                raise
            static += tuple(named)
        else:
            return static
