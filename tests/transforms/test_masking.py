import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gdjax

GRADIENTS = {"w": jnp.array([2.0, -4.0]), "b": {"x": jnp.array([1.0]), "y": jnp.array([8.0])}}
HIDDEN = optax.MaskedNode()


def by_depth(params):
    return {"w": "flat", "b": jax.tree.map(lambda _: "deep", params["b"])}


def test_masked_by_hand(run):
    # t = g, then g + t / 2 = 1.5 g on w; on b nothing, and no state
    expected = [
        (
            {**GRADIENTS, "w": np.array(w)},
            optax.MaskedState(optax.TraceState({"w": np.array(w), "b": HIDDEN})),
        )
        for w in ([2.0, -4.0], [3.0, -6.0])
    ]
    transformation = gdjax.masked(gdjax.trace(0.5), {"w": True, "b": False})
    chex.assert_trees_all_equal(run(transformation, [GRADIENTS] * 2), expected)


@pytest.mark.parametrize(
    ("mask", "doubled"),
    [
        (True, {"w", "x", "y"}),
        (False, set()),
        ({"w": np.bool_(False), "b": {"x": True, "y": False}}, {"x"}),
        (lambda tree: jax.tree.map(lambda leaf: leaf.size == 1, tree), {"x", "y"}),
    ],
)
@pytest.mark.parametrize("params", [None, GRADIENTS])
def test_masked_takes_a_tree_a_prefix_or_a_function(mask, doubled, params):
    init, update = gdjax.masked(gdjax.scale(2.0), mask)
    updates, _ = update(GRADIENTS, init(GRADIENTS), params)

    def expected(path, g):
        return g * 2 if path[-1].key in doubled else g

    chex.assert_trees_all_equal(updates, jax.tree_util.tree_map_with_path(expected, GRADIENTS))


def test_masked_continues_from_optaxs_state():
    mask = {"w": True, "b": {"x": False, "y": True}}
    theirs, ours = optax.masked(optax.trace(0.5), mask), gdjax.masked(gdjax.trace(0.5), mask)
    _, state = theirs.update(GRADIENTS, theirs.init(GRADIENTS))
    inside = optax.TraceState(state.inner_state.trace)
    updates, _ = ours.update(GRADIENTS, optax.MaskedState(inside))
    chex.assert_trees_all_equal(updates, theirs.update(GRADIENTS, state)[0])


@gdjax.transformation()
def read_extra(updates, state, params, *, value):
    return jax.tree.map(lambda g, v: g + v, updates, value), state


def test_extras_are_masked_where_they_are_asked_to_be():
    transformation = gdjax.masked(read_extra(), {"w": False, "b": True}, True)
    updates, _ = transformation.update(
        GRADIENTS, transformation.init(GRADIENTS), value=jax.tree.map(jnp.ones_like, GRADIENTS)
    )
    expected = {**GRADIENTS, "b": {"x": np.array([2.0]), "y": np.array([9.0])}}
    chex.assert_trees_all_equal(updates, expected)


@pytest.mark.parametrize("mask", [jnp.array(True), {"w": 1, "b": 0}, {"w": "yes", "b": "no"}])
def test_a_mask_of_anything_but_bools_is_refused(mask):
    with pytest.raises(gdjax.InvalidType, match=r"mask must hold True and False.*got"):
        gdjax.masked(gdjax.scale(1.0), mask).init(GRADIENTS)


def test_a_mask_of_another_structure_is_refused():
    with pytest.raises(gdjax.InvalidValue, match="mask does not fit the parameters"):
        gdjax.masked(gdjax.scale(1.0), {"v": True}).init(GRADIENTS)


def test_set_to_zero_by_hand(run):
    zeros = {"w": np.zeros(2), "b": {"x": np.zeros(1), "y": np.zeros(1)}}
    expected = [(zeros, optax.EmptyState())] * 2
    chex.assert_trees_all_equal(run(gdjax.set_to_zero(), [GRADIENTS] * 2), expected)


def test_freeze_by_hand(run):
    frozen = {"w": np.zeros(2), "b": {"x": np.array([1.0]), "y": np.zeros(1)}}
    expected = [(frozen, optax.MaskedState(optax.EmptyState()))] * 2
    mask = {"w": True, "b": {"x": False, "y": True}}
    chex.assert_trees_all_equal(run(gdjax.freeze(mask), [GRADIENTS] * 2), expected)


def test_partition_by_hand(run):
    # b: t = g, then g + t / 2; w: 4 g, without state
    def expected(x, y):
        trace = {"w": HIDDEN, "b": {"x": np.array([x]), "y": np.array([y])}}
        updates = {"w": np.array([8.0, -16.0]), "b": trace["b"]}
        deep, flat = (
            optax.MaskedState(optax.TraceState(trace)),
            optax.MaskedState(optax.EmptyState()),
        )
        return updates, optax.PartitionState({"deep": deep, "flat": flat})

    groups = {"flat": gdjax.scale(4.0), "deep": gdjax.trace(0.5)}
    for labels in (by_depth, {"w": "flat", "b": "deep"}):
        steps = run(gdjax.partition(groups, labels), [GRADIENTS] * 2)
        chex.assert_trees_all_equal(steps, [expected(1.0, 8.0), expected(1.5, 12.0)])


def test_labels_may_be_whole_numbers():
    """Which are structure, as all labels are."""
    pair = gdjax.partition({0: gdjax.sgd(0.5), 1: gdjax.sgd(0.25)}, {"w": 0, "b": {"x": 1, "y": 0}})
    updates, _ = pair.update(GRADIENTS, pair.init(GRADIENTS))
    assert updates["b"] == {"x": jnp.array([-0.25]), "y": jnp.array([-4.0])}
    rates = [f"{i}.scale_by_learning_rate.learning_rate" for i in range(2)]
    assert gdjax.hyperparameters(pair) == dict(zip(rates, (0.5, 0.25), strict=True))


def test_hyperparameters_of_a_partition_are_named_by_label():
    down = gdjax.linear_schedule(4.0, 0.0, 4)
    groups = {"flat": gdjax.sgd(0.5), "deep": gdjax.sgd(down, momentum=0.75)}
    optimizer = gdjax.partition(groups, by_depth)
    _, state = optimizer.update(GRADIENTS, optimizer.init(GRADIENTS), GRADIENTS)
    assert gdjax.hyperparameters(optimizer, state) == {
        "deep.trace.decay": 0.75,
        "deep.scale_by_learning_rate.learning_rate": 3.0,
        "flat.scale_by_learning_rate.learning_rate": 0.5,
    }
    faster = gdjax.replace(optimizer, **{"flat.scale_by_learning_rate.learning_rate": 1.0})
    updates, _ = faster.update(GRADIENTS, state, GRADIENTS)
    assert updates["w"].tolist() == [-2.0, 4.0]


def test_partition_needs_transformations_by_label_and_a_label_for_each_parameter():
    with pytest.raises(gdjax.InvalidType, match="transforms must be a dict of transformations"):
        gdjax.partition([gdjax.scale(1.0)], by_depth)
    with pytest.raises(gdjax.InvalidType, match=r"transforms\['flat'\] must be a gradient trans"):
        gdjax.partition({"flat": 0.1}, by_depth)
    with pytest.raises(gdjax.InvalidValue, match=r"label 'deep' has no transformation: .*flat"):
        gdjax.partition({"flat": gdjax.scale(1.0)}, by_depth).init(GRADIENTS)
    with pytest.raises(gdjax.InvalidValue, match="param_labels does not fit the parameters"):
        gdjax.partition({"flat": gdjax.scale(1.0)}, {"v": "flat"}).init(GRADIENTS)


def test_the_order_of_the_groups_changes_nothing():
    groups = {"deep": gdjax.scale(1.0), "flat": gdjax.scale(2.0)}
    one, other = (
        gdjax.partition(dict(g), {"b": "flat", "w": "deep"})
        for g in (groups.items(), reversed(groups.items()))
    )
    assert jax.tree.structure(one) == jax.tree.structure(other)
    assert "mask={'b': 'flat', 'w': 'deep'} == 'deep'" in repr(one)


def test_partition_refuses_the_state_of_other_labels():
    pair, other = (gdjax.partition({k: gdjax.scale(1.0)}, k) for k in ("deep", "flat"))
    with pytest.raises(gdjax.InvalidValue, match="partition of 'deep' got a state of 'flat'"):
        pair.update(GRADIENTS, other.init(GRADIENTS))
    with pytest.raises(gdjax.InvalidValue, match="partition of 'deep' got a state of None"):
        pair.update(GRADIENTS, optax.PartitionState(None))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda inner, mask: gdjax.masked(inner, mask),
        lambda inner, mask: gdjax.partition(
            {"True": inner, "False": gdjax.set_to_zero()}, jax.tree.map(str, mask)
        ),
    ],
    ids=["masked", "partition"],
)
def test_optax_finds_the_parameters_in_the_state(wrap):
    pair = wrap(gdjax.trace(0.5), {"w": True, "b": False})
    state = pair.init({"w": jnp.zeros(2), "b": jnp.zeros(1)})
    ones = optax.tree_map_params(pair, jnp.ones_like, state)
    assert jax.tree.structure(ones) == jax.tree.structure(state)
    assert [leaf.tolist() for leaf in jax.tree.leaves(ones)] == [[1.0, 1.0]]
