"""Small runs that the laws compare: what a transformation or a schedule does, as arrays."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import gdjax
from gdjax import trees

# Gradients are these factors times PULL times (1 + 0.3 * params). The first is 0 throughout:
# there a debiased variance is 0 but for rounding, of which a root would make a large error. It is
# also where 0/0 lurks. One coordinate is always 0; the magnitudes lie on both sides of every
# clipping value in tests/discovery.py, none near one. The last ones turn the sign of averages
# that keep little of the past, and of no others.
FACTORS = (0.0, 1.0, -0.01, 1.5, 0.3, -0.6, 0.6)
PULL = {"w": np.array([[1.0, -0.02, 0.0], [-0.6, 1.4, 0.8]]), "b": np.array(-0.4)}
PARAMS = {"w": np.array([[0.5, -1.0, 0.4], [0.7, -0.3, 0.2]])}
TWO_LEAVES = {**PARAMS, "b": np.array(0.8)}
WORKERS = np.array([1.0, 0.5, -0.25, 2.0, 4.0])  # powers of 2, exact in every dtype

STORM = (1.0, *[float("inf")] * 8, 1.0)

COUNTS = 24  # steps at which a schedule is looked at

enable_x64 = jax.enable_x64 if hasattr(jax, "enable_x64") else jax.experimental.enable_x64


def _fast_options() -> dict[str, Any]:
    """What spares XLA the work of making a program fast, of the options that this XLA knows."""
    options = {
        "xla_backend_optimization_level": 0,
        "xla_cpu_use_fusion_emitters": False,
        "xla_llvm_disable_expensive_passes": True,
    }

    def known(name: str) -> bool:
        try:
            jax.jit(jnp.sin, compiler_options={name: options[name]}).lower(1.0).compile()
        except jax.errors.JaxRuntimeError:
            return False
        return True

    return {name: options[name] for name in options if known(name)}


# The programs of the laws run once: compiling them is most of the work.
jit = functools.partial(jax.jit, compiler_options=_fast_options())


@jit
def update(pair: Any, *args: Any) -> tuple:
    """One step of a transformation; jitted here, so that all laws share the programs."""
    return apply(pair, *args)


def apply(pair: Any, updates: Any, state: Any, params: Any) -> tuple:
    """One step, with every extra that a rule may ask for."""
    trained = jax.tree.map(
        lambda g, p: None if g is None else p, updates, params, is_leaf=lambda x: x is None
    )
    wide = jax.tree.leaves(widen(trained))
    value = sum((jnp.sum(trees.abs_sq(x)) for x in wide), jnp.zeros(()))

    def grad_fn(elsewhere: Any) -> Any:
        def leaf(g: Any, x: Any, p: Any) -> Any:
            return None if g is None else (g + 0.5 * (x - p)).astype(g.dtype)

        return jax.tree.map(leaf, updates, elsewhere, params, is_leaf=lambda x: x is None)

    extra = {"value": value.astype(trees.compute_dtype(params)), "grad_fn": grad_fn}
    return optax.with_extra_args_support(pair).update(updates, state, params, **extra)


@gdjax.transformation()
def spread(updates: Any, state: Any, params: Any) -> tuple:
    """Make of each gradient those of several workers or examples, along a leading axis."""
    return jax.tree.map(lambda g: jnp.multiply.outer(WORKERS.astype(g.dtype), g), updates), state


def behave(thing: Any, params: Any = PARAMS, factors: Any = FACTORS) -> Any:
    """Updates and parameters of a short run, or a schedule's values at the first steps."""
    if not isinstance(thing, tuple):
        return jax.vmap(thing)(jnp.arange(COUNTS))
    return train(thing, cast(params, float), jnp.asarray(factors, float))


def train(pair: Any, params: Any, factors: jax.Array) -> Any:
    """Updates and parameters after each step."""

    def step(carry: tuple, factor: jax.Array) -> tuple:
        params, state = carry
        updates, state = apply(pair, gradients(params, factor), state, params)
        params = gdjax.apply_updates(params, updates)
        return (params, state), (updates, params)

    return jax.lax.scan(step, (params, pair.init(params)), factors)[1]


def storm(pair: Any) -> tuple:
    """The last state, and updates, of a run in which some gradients in a row are infinite.

    The parameters shrink at each step, whatever the updates are.
    """

    def step(carry: tuple, factor: jax.Array) -> tuple:
        params, state = carry
        updates, state = apply(pair, gradients(params, factor), state, params)
        return (jax.tree.map(lambda p: 0.95 * p, params), state), updates

    params = cast(PARAMS, float)
    return jax.lax.scan(step, (params, pair.init(params)), jnp.asarray(STORM, float))


def gradients(params: Any, factor: Any) -> Any:
    """Gradients in the dtype of the parameters."""
    return jax.tree.map(
        lambda p, pull: (factor * (1 + 0.3 * p)).astype(p.dtype) * jnp.asarray(pull, p.dtype),
        params,
        {name: PULL[name] for name in params},
    )


def constant_updates(pair: Any) -> jax.Array:
    """Updates of a run in which each gradient is 1 and the parameters stay 0."""
    return resume(pair, None, 12)[0]


def resume(pair: Any, state: Any, steps: int) -> tuple:
    """Some steps of that run, from ``state`` or from the start: updates, and the new state."""

    def step(state: Any, _: None) -> tuple:
        updates, state = apply(pair, jnp.ones(()), state, jnp.zeros(()))
        return state, updates

    state = pair.init(jnp.zeros(())) if state is None else state
    state, updates = jax.lax.scan(step, state, None, steps)
    return updates, state


def cast(tree: Any, dtype: Any) -> Any:
    """All leaves as arrays of ``dtype``."""
    return jax.tree.map(lambda x: jnp.asarray(x, dtype), tree)


def widen(tree: Any) -> Any:
    """Leaves of less than 32 bits as float32."""
    return jax.tree.map(lambda x: x.astype(jnp.float32) if x.dtype.itemsize < 4 else x, tree)


def like(tree: Any, reference: Any) -> Any:
    """The leaves of ``tree`` in the dtypes of ``reference``."""
    return jax.tree.map(lambda x, y: x.astype(y.dtype), tree, reference)


def largest(tree: Any) -> float:
    """The largest magnitude of all leaves."""
    return max(float(jnp.max(jnp.abs(x), initial=0)) for x in jax.tree.leaves(tree))


def is_finite(tree: Any) -> bool:
    """Whether no leaf holds an infinity or a NaN."""
    return all(np.isfinite(x).all() for x in jax.tree.leaves(tree))


def strong(tree: Any) -> Any:
    """All leaves as JAX arrays of explicit dtype: what is left after ``jax.vmap``."""
    return jax.tree.map(lambda x: jnp.asarray(x, jnp.result_type(x)), tree)


def types(tree: Any) -> Any:
    """Structure, and shape, dtype and weakness of each leaf: what decides over a new trace."""
    leaves, structure = jax.tree.flatten(jax.eval_shape(lambda x: x, tree))
    return structure, [(x.shape, x.dtype, getattr(x, "weak_type", False)) for x in leaves]


def assert_close(actual: Any, expected: Any, rtol: float, atol: float = 0.0) -> None:
    """Leaf by leaf, structures and dtypes too."""
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)


def assert_equal(actual: Any, expected: Any) -> None:
    """Bit for bit, NaN like NaN."""
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        assert a.dtype == b.dtype
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes(), f"{a} is not {b}"


def count_in_program(name: str, function: Callable[..., Any], *args: Any) -> int:
    """How often a primitive stands in the program that an accelerator gets."""

    def count(jaxpr: Any) -> int:
        total = 0
        for equation in jaxpr.eqns:
            inside = jax.tree.leaves(list(equation.params.values()), is_leaf=_holds_equations)
            inside = [x for x in inside if _holds_equations(x)]
            if equation.params.get("branches_platforms"):
                inside = inside[-1:]  # that of any platform but those named before
            total += (equation.primitive.name == name) + sum(map(count, inside))
        return total

    return count(jax.make_jaxpr(function)(*args))


def _holds_equations(x: Any) -> bool:
    return hasattr(x, "eqns")
