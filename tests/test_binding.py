import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import tree_flatten_with_path

import gdjax
from gdjax import inspection
from gdjax.binding import Bound, bind
from gdjax.errors import InvalidType, InvalidValue
from gdjax.ranges import Decay, NonNegative, Positive, PositiveSteps, Real, Size, Steps


def rule(
    x,
    real: Real = 0.0,
    rate: NonNegative = 0.0,
    size: Positive = 1.0,
    decay: Decay | None = None,
    steps: Steps = 0,
    period: PositiveSteps = 1,
    flag: bool = False,
    mode: str = "a",
    other=None,
):
    return x


def plain_schedule(count):
    return 0.5


@pytest.mark.parametrize(
    "value",
    [0.5, 1, np.float64(0.5), np.ones(3), jnp.ones(3), jax.random.key(0), jax.random.split(
        jax.random.key(0)), {"a": 0.5, "b": [1.0, 2.0]}, (0.9, 0.99)],
)  # fmt: skip
def test_numbers_arrays_keys_and_trees_of_them_are_leaves(value):
    bound = bind(rule, other=value)
    assert not bound.structure
    assert jax.tree.structure(bound.leaves["other"]) == jax.tree.structure(value)
    assert bound.arguments().keys() == {"other"}


@pytest.mark.parametrize("value", [True, "b", None, jnp.bfloat16, np.dtype("float32"), len, ()])
def test_everything_else_is_structure(value):
    bound = bind(rule, other=value)
    assert jax.tree.leaves(bound) == []
    assert bound.arguments() == {"other": value}


@pytest.mark.parametrize(
    "mask", [{"b": {"x": False}, "w": True}, [True, False], {"b": ["b", "c"], "w": "a"}]
)
def test_unhashable_structure_is_frozen_and_compares_by_value(mask):
    copy = jax.tree.map(lambda x: x, mask)
    first, second = bind(rule, other=mask), bind(rule, other=copy)
    assert first.arguments()["other"] == mask
    assert jax.tree.structure(first) == jax.tree.structure(second)
    assert hash(jax.tree.structure(first)) == hash(jax.tree.structure(second))
    assert repr(mask) in repr(first)


def test_structure_that_cannot_be_hashed_is_an_error():
    with pytest.raises(InvalidType, match=r"rule: other is neither a number.* nor hashable"):
        bind(rule, other=[set()])


def test_bindings_of_one_function_have_equal_structures():
    first, second = bind(rule, rate=0.5, flag=True), bind(rule, rate=np.ones(3), flag=True)
    assert jax.tree.structure(first) == jax.tree.structure(second)
    others = [
        bind(rule, rate=0.5, flag=False),
        bind(rule, size=0.5, flag=True),
        bind(gdjax.scale, step_size=0.5),
    ]
    for other in others:
        assert jax.tree.structure(first) != jax.tree.structure(other)


def test_flattening_round_trips():
    bound = bind(rule, rate=0.5, other={"b": 1.0, "a": plain_schedule}, mode="b")
    bound = bind(rule, rate=0.5, size=bound, mode="b")
    leaves, treedef = jax.tree.flatten(bound)
    again = treedef.unflatten(leaves)
    assert repr(again) == repr(bound)
    assert jax.tree.structure(again) == treedef


def test_key_paths_name_the_hyperparameters():
    bound = bind(rule, rate=0.5, other=bind(rule, decay=0.5))
    paths = [jax.tree_util.keystr(path) for path, _ in tree_flatten_with_path(bound)[0]]
    assert paths == [".rate", ".other.decay"]
    ((path, _),) = tree_flatten_with_path(gdjax.scale(1.0).update)[0]
    assert jax.tree_util.keystr(path) == ".scale.step_size"


def test_repr_reads_like_the_call():
    bound = bind(rule, rate=0.5, steps=3, size=np.ones(2), flag=True, mode="a", other=None)
    assert repr(bound) == "rule(rate=0.5, size=float32[2], steps=3, flag=True)"


def test_repr_of_a_tracer_shows_its_type():
    seen = []
    jax.eval_shape(lambda x: seen.append(repr(bind(rule, rate=x))), np.float32(0.5))
    assert seen == ["rule(rate=a traced float32[])"]


def test_calling_adds_the_bound_arguments():
    def power(x, exponent, *, shift=0.0):
        return x**exponent + shift

    assert bind(power, exponent=3)(2, shift=0.5) == 8.5


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("real", np.nan, "real must be a number in (-inf, inf), got nan"),
        ("real", np.inf, "real must be a number in (-inf, inf), got inf"),
        ("real", -np.inf, "real must be a number in (-inf, inf), got -inf"),
        ("rate", -1e-3, "rate must be a number in [0, inf), got -0.001"),
        ("rate", np.nan, "rate must be a number in [0, inf), got nan"),
        ("rate", np.inf, "rate must be a number in [0, inf), got inf"),
        ("rate", np.array([1.0, -1.0]), "rate must be a number in [0, inf), got -1.0"),
        ("rate", jnp.array(-2), "rate must be a number in [0, inf), got -2.0"),
        ("size", 0, "size must be a number in (0, inf), got 0.0"),
        ("decay", 1.0, "decay must be a number in [0, 1), got 1.0"),
        ("decay", -0.5, "decay must be a number in [0, 1), got -0.5"),
        ("steps", -1, "steps must be a whole number in [0, inf), got -1"),
        ("steps", 1.5, "steps must be a whole number in [0, inf), got 1.5"),
        ("period", 0, "period must be a whole number in [1, inf), got 0"),
    ],
)
def test_a_value_out_of_range_is_named_with_its_range(name, value, message):
    with pytest.raises(InvalidValue) as error:
        bind(rule, **{name: value})
    assert str(error.value) == f"rule: {message}"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("real", -3.5),
        ("rate", 0.0),
        ("rate", 1e30),
        ("size", 1e-30),
        ("decay", 0.0),
        ("decay", 1 - 2**-20),
        ("decay", None),
        ("steps", 0),
        ("period", 1),
        ("rate", np.array([0.0, 1.0])),
    ],
)
def test_a_value_at_the_edge_of_its_range_passes(name, value):
    assert name in bind(rule, **{name: value}).arguments()


@pytest.mark.parametrize("value", ["fast", True, [0.5, "x"], object])
def test_a_hyperparameter_of_another_kind_is_an_error(value):
    with pytest.raises((InvalidType, InvalidValue), match="rule: rate must be a number in"):
        bind(rule, rate=value() if value is object else value)


@pytest.mark.parametrize("factory", [gdjax.adam, gdjax.scale_by_learning_rate])
def test_none_is_no_number(factory):
    with pytest.raises(InvalidType, match=r"learning_rate must be a number in \[0, inf\)"):
        factory(None)


@pytest.mark.parametrize(("value", "shown"), [(jnp.array([0.0, 1.0]), "float32[2]"), (1, "1")])
@pytest.mark.parametrize("name", ["flag", "mode"])
def test_a_structural_argument_takes_no_array_and_speaks_of_families(name, value, shown):
    with pytest.raises(InvalidType) as error:
        bind(rule, **{name: value})
    assert f"rule: {name} is structural" in str(error.value)
    assert f"got {shown}; pass a Python" in str(error.value)
    assert "family" in str(error.value)


def blocks(x, block: Size = 8, other: Size | None = None):
    return x


@pytest.mark.parametrize("value", [2, np.int64(2)])
def test_a_size_is_structure(value):
    bound = bind(blocks, block=value, other=None)
    assert jax.tree.leaves(bound) == []
    assert bound.arguments() == {"block": 2, "other": None}
    assert type(bound.arguments()["block"]) is int
    assert repr(bound) == "blocks(block=2)"
    assert jax.tree.structure(bound) != jax.tree.structure(bind(blocks, block=4, other=None))


@pytest.mark.parametrize("value", [0, -3])
def test_a_size_is_held_to_its_range(value):
    message = rf"blocks: block must be a whole number in \[1, inf\), got {value}"
    with pytest.raises(InvalidValue, match=message):
        bind(blocks, block=value)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(2.0, "2.0"), (True, "True"), ("2", "'2'"), (None, "None"), (jnp.array(2), "2"), ([2], "(2)")],
)
def test_a_size_takes_a_python_int_only_and_speaks_of_families(value, shown):
    with pytest.raises(InvalidType) as error:
        bind(blocks, block=value)
    assert "blocks: block is structural" in str(error.value)
    assert f"got {shown}; pass a Python int. To compare several" in str(error.value)
    with pytest.raises(InvalidType, match=r"got a traced int32\[\]; pass a Python int.* family"):
        jax.jit(lambda block: bind(blocks, block=block).arguments()["block"])(2)
    with pytest.raises(InvalidType, match="is structural"):
        bind(blocks, block=plain_schedule)


def test_an_unknown_argument_lists_those_there_are():
    with pytest.raises(InvalidType, match="rule has no argument 'rat'; it has x, real, rate,"):
        bind(rule, rat=0.5)
    with pytest.raises(InvalidType, match=r"scale_by_adam\(b1, b2, .*\): .*'b3'"):
        gdjax.scale_by_adam(b3=0.5)
    with pytest.raises(InvalidType, match=r"scale\(step_size\): missing .*'step_size'"):
        gdjax.scale()


@pytest.mark.parametrize(
    ("name", "value", "dtype"),
    [
        ("rate", 0.5, "float32"),
        ("rate", 1, "float32"),
        ("rate", np.float64(0.5), "float32"),
        ("rate", np.float16(0.5), "float32"),
        ("rate", np.arange(3), "float32"),
        ("rate", jnp.asarray(0.5), "float32"),  # weakly typed
        ("rate", jnp.asarray(1), "float32"),
        ("rate", jnp.arange(3), "float32"),
        ("steps", 3, "int32"),
        ("steps", 3.0, "int32"),
        ("steps", np.float64(3), "int32"),
        ("steps", np.array([1.0, 2.0]), "int32"),
        ("steps", np.int64(3), "int32"),
        ("steps", jnp.asarray(3), "int32"),
        ("other", 0.5, "float32"),
        ("other", 3, "int32"),
        ("other", jnp.asarray(0.5), "float32"),
        ("other", np.complex128(1j), "complex64"),
    ],
)
def test_leaves_have_explicit_dtypes(name, value, dtype):
    leaf = bind(rule, **{name: value}).leaves[name]
    assert leaf.dtype == dtype
    assert not getattr(leaf, "weak_type", False)
    np.testing.assert_array_equal(leaf, value)


@pytest.mark.parametrize("values", [(0.5, 1, np.float64(0.25), jnp.asarray(0.5), jnp.float32(2))])
def test_one_program_serves_every_kind_of_number(values):
    traces = []
    evaluate = jax.jit(lambda bound: traces.append(0) or bound.leaves["rate"] * 2)
    assert [float(evaluate(bind(rule, rate=x))) for x in values] == [2 * float(x) for x in values]
    assert len(traces) == 1


def test_a_plain_callable_is_a_schedule_where_a_number_is_expected():
    leaf = bind(rule, rate=plain_schedule).leaves["rate"]
    assert isinstance(leaf, Bound)
    assert leaf(3) == 0.5
    assert jax.tree.leaves(leaf) == []


def test_tracers_are_not_held_to_the_range():
    traced = jax.jit(lambda x: bind(rule, rate=x).leaves["rate"])(-1.0)
    assert float(traced) == -1.0


def test_concrete_values_are_held_to_the_range_under_jit_too():
    with pytest.raises(InvalidValue, match="rate must be"):
        jax.jit(lambda x: bind(rule, rate=-1.0).leaves["rate"] * x)(1.0)


def test_check_finds_what_vmap_let_pass():
    good = jax.vmap(gdjax.adam)(jnp.array([0.1, 0.2]))
    inspection.check(good)
    bad = jax.vmap(gdjax.adam)(jnp.array([0.1, -0.2]))
    with pytest.raises(
        InvalidValue, match=r"scale_by_learning_rate: learning_rate must .* got -0\.2"
    ):
        inspection.check(bad)
    bad = jax.vmap(lambda n: gdjax.sgd(gdjax.cosine_decay_schedule(1.0, n)))(jnp.array([3, 0]))
    with pytest.raises(InvalidValue, match="cosine_decay_schedule: decay_steps must be a whole"):
        inspection.check(bad)


def test_a_misspelt_argument_is_named_before_what_is_missing():
    with pytest.raises(
        InvalidType, match=r"no argument 'transition_step': did you mean transition"
    ):
        gdjax.linear_schedule(0.5, 0.25, transition_step=3)
