"""Rearranged products are the same products, wherever they stand, in the form that was meant."""

import functools

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from jax import lax
from jax.extend.core.primitives import dot_general_p

import gdjax
from gdjax.sweep import products
from gdjax.sweep.products import arranged
from tests.runs import enable_x64
from tests.sweep.networks import TASK
from tests.sweep.stopping import Interrupted


def equations(program):
    """Of a program and of all in it."""
    for equation in program.eqns:
        yield equation
        for inside in jax.tree.leaves(list(equation.params.values()), is_leaf=_is_program):
            if _is_program(inside):
                yield from equations(inside)


def _is_program(value):
    return hasattr(value, "eqns")


def forms(function, *args):
    """Of each product what its left factor sums over, and how many axes it has."""
    found = equations(jax.make_jaxpr(function)(*args))
    of_products = [e for e in found if e.primitive is dot_general_p]
    return [(e.params["dimension_numbers"][0][0], e.invars[0].aval.ndim) for e in of_products]


def sums_over_last_axes(function, *args):
    return [max(summed) == rank - 1 for summed, rank in forms(function, *args)]


@st.composite
def calls(draw):
    """Factors of ``jax.lax.dot_general``, its numbers, and what becomes of the result."""
    sizes = st.integers(1, 3)
    batch, summed, left, right = (draw(st.lists(sizes, max_size=2)) for _ in range(4))
    orders, shapes = [], []
    for own in (left, right):
        shape = [*batch, *summed, *own]
        order = draw(st.permutations(range(len(shape))))
        orders.append([order.index(axis) for axis in range(len(shape))])
        shapes.append([shape[axis] for axis in order])
    b, s = len(batch), len(batch) + len(summed)
    numbers = tuple(tuple(tuple(o[part]) for o in orders) for part in (slice(b, s), slice(b)))
    transpositions = st.permutations(range(s + len(left) + len(right) - len(summed)))
    return shapes, numbers, draw(st.lists(transpositions, max_size=2)), draw(st.booleans())


@settings(max_examples=60, deadline=None, derandomize=True)
@given(calls())
def test_any_product(call):
    shapes, numbers, permutations, as_it_is = call
    lhs, rhs = (jnp.asarray(np.random.default_rng(i).normal(size=x)) for i, x in enumerate(shapes))

    def function(lhs, rhs):
        out = lax.dot_general(lhs, rhs, numbers)
        return [lax.transpose(out, p) for p in permutations], out if as_it_is else ()

    jax.tree.map(
        functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6),
        arranged(function)(lhs, rhs),
        function(lhs, rhs),
    )


def perceptron(params, x):
    return jnp.sum(jnp.tanh(jnp.tanh(jnp.tanh(x @ params[0]) @ params[1]) @ params[2]))


PARAMS = [jnp.ones((7, 4, 5)), jnp.ones((7, 5, 6)), jnp.ones((7, 6, 2))]


@pytest.mark.parametrize("shared", [True, False])
def test_a_perceptrons_gradients(shared):
    """Seven trials, on one batch of three examples or on one each."""
    x = jnp.ones((3, 4) if shared else (7, 3, 4))
    gradients = jax.vmap(jax.grad(perceptron), (0, None if shared else 0))
    assert not all(sums_over_last_axes(gradients, PARAMS, x))
    assert all(sums_over_last_axes(arranged(gradients), PARAMS, x))
    assert {rank for _, rank in forms(arranged(gradients), PARAMS, x)} == {3}  # trial by trial


def test_factors_that_no_cache_holds_stay_as_they_are(monkeypatch):
    monkeypatch.setattr(products, "LARGEST", 11)  # one less than there are numbers in x
    x = jnp.ones((3, 4))
    gradients = jax.vmap(jax.grad(lambda w, x: jnp.sum(jnp.tanh(x @ w))), (0, None))
    assert forms(arranged(gradients), PARAMS[0], x) == forms(gradients, PARAMS[0], x)
    monkeypatch.setattr(products, "LARGEST", 12)
    assert forms(arranged(gradients), PARAMS[0], x) != forms(gradients, PARAMS[0], x)


@pytest.mark.parametrize(("n", "copied"), [(4, True), (9, False)])
def test_copies_are_no_larger_than_what_stands_beside_them(n, copied):
    """A matrix that all share, on the middle axis of ``[trial, example, n, 2]``."""
    of_one = jax.vmap(lambda matrix, h: jnp.tanh(matrix @ h), (None, 0))
    function = jax.vmap(of_one, (None, 0))
    matrix, h = jnp.ones((n, n)), jnp.ones((3, 5, n, 2))
    sizes = {
        v.aval.size
        for e in equations(jax.make_jaxpr(arranged(function))(matrix, h))
        for v in e.outvars
    }
    assert (3 * 5 * n * n in sizes) == copied


def slope(x, y):
    return lax.dot_general(x, y, (((1,), (1,)), ((0,), (0,))))


with_own_jvp = jax.custom_jvp(slope)
with_own_jvp.defjvps(lambda t, out, x, y: slope(t, y), lambda t, out, x, y: slope(x, t))
with_own_vjp = jax.custom_vjp(slope)
with_own_vjp.defvjp(lambda x, y: (slope(x, y), None), lambda _, of: (of, of))
INSIDE = {
    "jit": jax.jit(slope),
    "checkpoint": jax.checkpoint(slope),
    "custom_jvp": with_own_jvp,
    "custom_vjp": with_own_vjp,
    "scan": lambda x, y: lax.scan(lambda s, _: (s + slope(x, y), s), jnp.zeros((2, 4, 4)), None, 2),
    "while": lambda x, y: lax.while_loop(lambda s: s.sum() < 99, lambda s: s + slope(s, y), x),
    "cond": lambda x, y: lax.cond(x.sum() > 0, slope, lambda x, y: x, x, y),
    "map": lambda x, y: lax.map(lambda a: slope(a[None], a[None]), x),
}


@pytest.mark.parametrize("name", INSIDE)
def test_programs_in_programs(name):
    x, y = jnp.arange(32.0).reshape(2, 4, 4), jnp.ones((2, 4, 4))
    function = arranged(INSIDE[name])
    jax.tree.map(np.testing.assert_array_equal, function(x, y), INSIDE[name](x, y))
    assert set(sums_over_last_axes(INSIDE[name], x, y)) == {False}
    assert set(sums_over_last_axes(function, x, y)) == {True}


def test_what_needs_no_change_is_the_same_object():
    """So JAX finds again what it has lowered, such as the splitting of keys."""

    def function(key, x):
        return jax.random.normal(jax.random.split(key)[0], x.shape) @ x, jax.jit(jnp.sort)(x)

    program = jax.make_jaxpr(function)(jax.random.key(0), jnp.ones((3, 3)))
    edited = products._Editor().edit(program)
    assert edited is program


def test_precisions_and_dtypes_go_with_their_factors():
    """Where the factors change places, as in the gradient of ``x @ w``."""
    one, other = lax.Precision.HIGHEST, lax.Precision.DEFAULT

    def function(x, y):
        numbers = (((1,), (1,)), ((0,), (0,)))
        options = {"precision": (one, other), "preferred_element_type": jnp.float32}
        return lax.dot_general(x, y, numbers, **options).transpose(0, 2, 1)

    x, y = jnp.ones((2, 3, 4), jnp.bfloat16), jnp.ones((2, 3, 5), jnp.float16)
    found = equations(jax.make_jaxpr(arranged(function))(x, y))
    (product,) = (e for e in found if e.primitive is dot_general_p)
    assert [v.aval.dtype for v in product.invars] == [jnp.float16, jnp.bfloat16]
    assert product.params["precision"] == (other, one)
    assert arranged(function)(x, y).dtype == jnp.float32


def test_float64_inside_of_a_function_and_weak_types_stay():
    def in_float64(x):
        with enable_x64(True):
            wide = x.astype(jnp.float64)
            return slope(wide, wide).astype(jnp.float32)

    x = jnp.ones((2, 3, 4))
    np.testing.assert_array_equal(jax.jit(arranged(in_float64))(x), jax.jit(in_float64)(x))

    def weak():
        return slope(*[jnp.full((2, 3, 4), 2.0)] * 2)

    assert jax.make_jaxpr(arranged(weak))().out_avals == jax.make_jaxpr(weak)().out_avals


def test_a_sweep_on_a_cpu_uses_it(monkeypatch):
    def take(lowered, *_):
        found.append(lowered.as_text())
        raise Interrupted

    found = []
    monkeypatch.setattr(jax.stages.Lowered, "compile", take)
    with pytest.raises(Interrupted):
        gdjax.sweep(TASK, gdjax.adam, {"learning_rate": [0.1, 0.2]}, steps=2, progress=False)
    assert found[-1].count("optimization_barrier") == 2  # one for each matrix of weights


def test_closed_over_values_of_an_outer_trace():
    def outer(x, y):
        return arranged(lambda x: slope(x, y))(x)

    x, y = jnp.ones((2, 3, 4)), jnp.ones((2, 3, 5))
    np.testing.assert_array_equal(jax.jit(outer)(x, y), slope(x, y))
