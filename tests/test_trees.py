from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdjax import subtrees, trees
from gdjax.errors import InvalidValue

F32, BF16, F16, C64 = (np.dtype(x) for x in (jnp.float32, jnp.bfloat16, jnp.float16, jnp.complex64))


@pytest.mark.parametrize(
    ("dtypes", "expected"),
    [
        ([], F32),
        ([BF16], F32),
        ([F16, BF16], F32),
        ([jnp.int32], F32),
        ([C64, BF16], F32),
    ],
)
def test_compute_dtype_is_real_and_at_least_float32(dtypes, expected):
    assert trees.compute_dtype([jnp.zeros(2, d) for d in dtypes]) == expected


def test_map_leaves_returns_each_positional_tree():
    g = {"a": jnp.array([1.0, 2.0]), "b": jnp.array(3.0)}
    m = {"a": jnp.array([10.0, 20.0]), "b": jnp.array(30.0)}
    p = {"a": jnp.array([0.5, 0.25]), "b": jnp.array(1.0)}
    difference, total = trees.map_leaves(lambda g, m, p: (m - g, g + m + p), g, m, given=(p,))
    chex.assert_trees_all_equal(difference, {"a": np.array([9.0, 18.0]), "b": np.array(27.0)})
    chex.assert_trees_all_equal(total, {"a": np.array([11.5, 22.25]), "b": np.array(34.0)})


def test_map_leaves_returns_the_tree_itself_where_there_is_one():
    chex.assert_trees_all_equal(
        trees.map_leaves(lambda g, p: g * p, (jnp.array(2.0),), given=((jnp.array(3.0),),)),
        (np.array(6.0),),
    )


def test_map_leaves_computes_in_float32_and_casts_once():
    # 1 + 2**-8 is not a bfloat16: rounding between the two operations would give 0
    def leaf(g, m):
        assert g.dtype == m.dtype == F32
        return (g + 2**-8) - 1, m

    g, m = trees.map_leaves(leaf, jnp.ones(1, BF16), jnp.ones(1, F32))
    chex.assert_trees_all_equal(g, jnp.array([2**-8], BF16), strict=True)
    chex.assert_trees_all_equal(m, jnp.ones(1, F32), strict=True)


def test_map_leaves_leaves_everything_where_an_update_is_none():
    updates, state = {"a": None, "b": jnp.ones(1)}, {"a": jnp.full(2, 7.0), "b": jnp.zeros(1)}
    new, state = trees.map_leaves(lambda g, s: (2 * g, s + g), updates, state)
    chex.assert_trees_all_equal(new, {"a": None, "b": np.array([2.0])})
    chex.assert_trees_all_equal(state, {"a": np.array([7.0, 7.0]), "b": np.array([1.0])})


@pytest.mark.parametrize("empty", [{}, (), None, {"a": None}, {"a": ()}])
def test_map_leaves_of_nothing_calls_nothing(empty):
    def leaf(*_):
        raise AssertionError

    assert trees.map_leaves(leaf, empty) == empty
    assert trees.map_leaves(leaf, empty, empty) == (empty, empty)


def test_map_leaves_shows_both_structures_that_differ():
    updates, params = {"w": jnp.ones(1)}, {"v": jnp.ones(1)}
    with pytest.raises(InvalidValue, match="different structures") as error:
        trees.map_leaves(lambda g, p: g, updates, given=(params,))
    assert str(jax.tree.structure(updates)) in str(error.value)
    assert str(jax.tree.structure(params)) in str(error.value)


@pytest.mark.parametrize("shape", [(3,), (), (1, 2)])
def test_map_leaves_shows_both_shapes_that_differ(shape):
    with pytest.raises(InvalidValue, match="different shapes") as error:
        trees.map_leaves(lambda g, m: (g, m), {"w": jnp.ones(2)}, {"w": jnp.ones(shape)})
    assert "{'w': (2,)}" in str(error.value)
    assert str({"w": shape}) in str(error.value)


def test_map_leaves_refuses_what_would_change_the_shape_of_a_tree_that_hangs_at_a_leaf():
    def leaf(g: Any, pair: tuple) -> tuple:
        return g, (pair[0] + g, pair[1])

    with pytest.raises(
        InvalidValue, match=r"\(\(3,\), \(\(1,\), \(2,\)\)\); pass those of one model"
    ):
        trees.map_leaves(leaf, {"w": jnp.ones(3)}, {"w": (jnp.ones(1), jnp.ones(2))})


def test_map_leaves_says_that_params_are_missing():
    with pytest.raises(InvalidValue, match=r"params is None: call update\(updates, state, params"):
        trees.map_leaves(lambda g, p: g + p, jnp.ones(2), given=(None,))


def test_map_prefix_gives_each_leaf_what_hangs_below_it():
    seen = subtrees.map_prefix(
        "mask", lambda *x: x, {"a": True, "b": False}, {"a": [1, 2], "b": 3}, {"a": [4, 5], "b": 6}
    )
    assert seen == {"a": (True, [1, 2], [4, 5]), "b": (False, 3, 6)}


def test_map_prefix_shows_both_structures_and_lets_errors_through():
    with pytest.raises(InvalidValue, match="labels does not fit the parameters") as error:
        subtrees.map_prefix("labels", lambda *_: 0, {"a": 1, "c": 2}, {"a": 3})
    assert str(jax.tree.structure({"a": 1, "c": 2})) in str(error.value)
    assert str(jax.tree.structure({"a": 3})) in str(error.value)
    with pytest.raises(InvalidValue, match="params is None"):
        subtrees.map_prefix("mask", lambda _, g: trees.map_leaves(min, g, given=(None,)), 1, [2.0])


@pytest.mark.parametrize(
    ("make", "dtypes"),
    [
        (trees.zeros_like, (BF16, C64, F32)),
        (lambda t: trees.zeros_like(t, BF16), (BF16, BF16, BF16)),
        (lambda t: trees.full_like(t, 0), (BF16, C64, F32)),
        (lambda t: trees.full_like_real(t, 0), (BF16, F32, F32)),
    ],
)
def test_new_trees_have_explicit_dtypes(make, dtypes):
    tree = (jnp.ones(2, BF16), jnp.ones((0, 3), C64), 1.0)  # 1.0 is weakly typed
    new = make(tree)
    assert tuple(x.dtype for x in new) == dtypes
    assert [x.shape for x in new] == [(2,), (0, 3), ()]
    assert not any(x.weak_type for x in new)
    assert not any(x.any() for x in new)


def test_full_like_takes_a_traced_value():
    filled = jax.jit(lambda x: trees.full_like_real({"a": jnp.ones((2,), C64)}, x))(0.5)
    chex.assert_trees_all_equal(filled, {"a": jnp.array([0.5, 0.5], F32)}, strict=True)


def test_abs_sq_is_real():
    chex.assert_trees_all_equal(trees.abs_sq(jnp.array([3 + 4j])), jnp.array([25.0]), strict=True)
    chex.assert_trees_all_equal(trees.abs_sq(jnp.array([-3.0])), jnp.array([9.0]), strict=True)


def test_average_weighs_the_past_by_the_decay():
    assert trees.average(8.0, 16.0, 0.75) == 0.75 * 16 + 0.25 * 8


def test_weight_debiases_exactly_also_where_the_decay_changes():
    weight, average = trees.no_weight(jnp.ones(1, BF16)), 0.0
    assert weight.dtype == F32
    assert weight.shape == ()
    for decay in (0.5, 0.25, 0.75):
        weight, average = trees.average(1, weight, decay), trees.average(6.0, average, decay)
        assert average / weight == 6.0


@pytest.mark.parametrize("derivative", [jax.grad, jax.jacfwd])
def test_root_has_derivative_zero_at_zero(derivative):
    chex.assert_trees_all_equal(trees.sqrt(jnp.array([0.0, 4.0])), np.array([0.0, 2.0]))
    assert float(derivative(trees.sqrt)(0.0)) == 0.0
    assert float(derivative(trees.sqrt)(16.0)) == 1 / 8
    assert float(derivative(lambda x: trees.sqrt(x * x))(0.0)) == 0.0


def test_root_has_a_second_derivative():
    assert float(jax.grad(jax.grad(trees.sqrt))(4.0)) == -1 / 32  # -x**-1.5 / 4
    assert float(jax.grad(jax.grad(trees.sqrt))(0.0)) == 0.0


def test_global_norm_spans_all_leaves():
    tree = {"a": jnp.array([1.0, -2.0]), "b": (jnp.array([[4.0]]), jnp.array(2.0), None)}
    assert float(trees.global_norm(tree)) == 5.0
    assert float(trees.global_norm(jnp.array([3 + 4j]))) == 5.0


@pytest.mark.parametrize("empty", [{}, jnp.zeros((0, 2)), None])
def test_global_norm_of_nothing_is_zero(empty):
    chex.assert_trees_all_equal(trees.global_norm(empty), jnp.zeros((), F32), strict=True)


def test_global_norm_does_not_overflow_float16():
    chex.assert_trees_all_equal(
        trees.global_norm(jnp.array([300.0, 400.0], F16)), jnp.array(500.0, F32), strict=True
    )


def test_global_norm_has_derivative_zero_at_zero():
    chex.assert_trees_all_equal(jax.grad(trees.global_norm)(jnp.zeros(2)), np.zeros(2))
    gradient = jax.grad(trees.global_norm)(jnp.array([3.0, 4.0]))
    chex.assert_trees_all_close(gradient, np.array([0.6, 0.8]), rtol=1e-6)


def test_map_leaves_takes_trees_in_place_of_leaves():
    def leaf(g, factors):
        assert factors["row"].dtype == jnp.float32
        row = factors["row"] + g.sum(1)
        return g * row[:, None], {"row": row, "other": factors["other"]}

    updates = {"w": jnp.ones((2, 3), jnp.bfloat16), "none": None}
    factors = {"row": jnp.ones(2, jnp.bfloat16), "other": None}
    state = {"w": factors, "none": factors}
    new_updates, new_state = trees.map_leaves(leaf, updates, state)
    assert new_updates["w"].tolist() == [[4.0] * 3] * 2
    assert new_state["w"]["row"].tolist() == [4.0] * 2
    assert new_state["w"]["row"].dtype == jnp.bfloat16
    assert new_state["none"] is factors


def test_select_keeps_the_old_types():
    old, new = {"a": jnp.zeros(2, BF16), "b": None}, {"a": jnp.array([jnp.nan, 2.0]), "b": None}
    chex.assert_trees_all_equal(trees.select(jnp.array(False), new, old), old)
    chosen = trees.select(jnp.array(True), {**new, "a": jnp.ones(2)}, old)
    chex.assert_trees_all_equal(chosen, {"a": jnp.ones(2, BF16), "b": None}, strict=True)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, complex(0, np.nan)])
def test_all_finite_looks_at_every_leaf(bad):
    tree = {"a": jnp.ones(2), "b": (None, jnp.array(3)), "c": jnp.zeros((0, 2))}
    assert trees.all_finite(tree)
    assert not trees.all_finite({**tree, "d": jnp.array([1.0, bad])})
    assert trees.all_finite({})


def test_a_copy_is_another_buffer_and_never_drops_an_imaginary_part():
    tree = {"a": jnp.ones(2), "b": 1.0}
    copied = trees.copy(tree)
    assert copied["a"].unsafe_buffer_pointer() != tree["a"].unsafe_buffer_pointer()
    assert not copied["b"].weak_type
    assert trees.copy(tree, BF16)["a"].dtype == BF16
    with pytest.raises(TypeError, match="complex updates do not fit"):
        trees.copy(jnp.ones(2, C64), BF16)


def test_wide_arrays_stay_as_they_are():
    wide = trees.widen({"a": jnp.ones(2, BF16), "b": jnp.ones(2, C64)})
    assert (wide["a"].dtype, wide["b"].dtype) == (F32, C64)


@jax.tree_util.register_pytree_node_class
class CallableModel:
    """As in Equinox: a tree that can also be called."""

    def __init__(self, leaf):
        self.leaf = leaf

    def __call__(self, params):
        raise AssertionError

    def tree_flatten(self):
        return (self.leaf,), None

    @classmethod
    def tree_unflatten(cls, aux, leaves):
        return cls(*leaves)


def test_a_callable_tree_is_a_tree():
    model = CallableModel(True)
    assert subtrees.evaluate(model, None) is model
    assert subtrees.evaluate(lambda params: params + 1, 1) == 2
    assert subtrees.evaluate({}, None) == {}
