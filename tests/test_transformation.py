import inspect

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gdjax
from gdjax import trees
from gdjax.errors import InvalidType, InvalidValue
from gdjax.ranges import Real
from gdjax.transformation import ScheduledState, transformation

PARAMS = {"w": jnp.array([4.0, -2.0]), "b": jnp.array(1.0)}
GRADIENTS = {"w": jnp.array([1.0, 2.0]), "b": jnp.array(-1.0)}


@transformation()
def needs_value(updates, state, params, factor: Real = 1.0, *, value, offset=0.0):
    """Multiply by the value."""
    return trees.map_leaves(lambda g: factor * value * g + offset, updates), state


def halving(count):
    return 0.5**count


def _train(optimizer, params, steps=5):
    """Parameters after some steps on sum(x**4) / 4."""

    def step(carry, _):
        params, state = carry
        updates, state = optimizer.update(jax.tree.map(lambda x: x**3, params), state, params)
        return (optax.apply_updates(params, updates), state), None

    return jax.lax.scan(step, (params, optimizer.init(params)), length=steps)[0][0]


def test_identity_by_hand(run):
    seen = run(gdjax.identity(), [GRADIENTS, PARAMS])
    chex.assert_trees_all_equal(
        seen, [(GRADIENTS, optax.EmptyState()), (PARAMS, optax.EmptyState())]
    )


def test_an_optimizer_is_optaxs_pair():
    optimizer = gdjax.adam(1e-3)
    assert isinstance(optimizer, optax.GradientTransformation)
    assert isinstance(optimizer, optax.GradientTransformationExtraArgs)
    assert isinstance(jax.tree.map(lambda x: x, optimizer), gdjax.GradientTransformation)


def test_factory_keeps_name_docstring_and_signature():
    factory = gdjax.scale_by_adam
    assert factory.__name__ == "scale_by_adam"
    assert "Kingma" in factory.__doc__
    parameters = inspect.signature(factory).parameters
    assert list(parameters) == ["b1", "b2", "eps", "eps_root", "mu_dtype", "nesterov"]
    assert parameters["b2"].default == 0.999
    assert list(inspect.signature(needs_value).parameters) == ["factor"]


def test_init_gets_the_hyperparameters_that_it_names():
    state = gdjax.scale_by_rss(0.5).init(jnp.zeros(2))
    chex.assert_trees_all_equal(state.sum_of_squares, np.array([0.5, 0.5]))
    batched = jax.vmap(lambda x: gdjax.scale_by_rss(x).init(jnp.zeros(2)))(jnp.array([0.5, 2.0]))
    chex.assert_trees_all_equal(batched.sum_of_squares, np.array([[0.5, 0.5], [2.0, 2.0]]))


# Chains


def test_chain_applies_from_left_to_right(run):
    chain = gdjax.chain(gdjax.clip(1.5), gdjax.trace(0.5), gdjax.scale(-2.0))
    (first, _), (second, state) = run(chain, [GRADIENTS, GRADIENTS])
    # clipped to 1, 1.5 and -1; the trace is 1 then 1.5 times that
    chex.assert_trees_all_equal(first, {"w": np.array([-2.0, -3.0]), "b": np.array(2.0)})
    chex.assert_trees_all_equal(second, {"w": np.array([-3.0, -4.5]), "b": np.array(3.0)})
    assert [type(s).__name__ for s in state] == ["EmptyState", "TraceState", "EmptyState"]


def test_named_chain_is_the_chain_with_its_state_by_name(run):
    links = [gdjax.scale_by_adam(), gdjax.add_decayed_weights(0.1), gdjax.scale(-0.1)]
    named = gdjax.named_chain(*zip(["z", "a", "m"], links, strict=True))
    gradients = [GRADIENTS, PARAMS]
    expected, seen = (run(t, gradients, PARAMS) for t in (gdjax.chain(*links), named))
    chex.assert_trees_all_equal([u for u, _ in seen], [u for u, _ in expected])
    for (_, by_name), (_, by_position) in zip(seen, expected, strict=True):
        chex.assert_trees_all_equal(by_name, dict(zip("zam", by_position, strict=True)))


def test_an_empty_chain_changes_nothing(run):
    assert repr(gdjax.chain()) == "chain()"
    chex.assert_trees_all_equal(run(gdjax.chain(), [GRADIENTS]), [(GRADIENTS, ())])


def test_repr_reads_like_the_code():
    chain = gdjax.chain(gdjax.clip(1.0), gdjax.scale_by_learning_rate(0.5, flip_sign=False))
    assert repr(chain) == (
        "chain(clip(max_delta=1.0), scale_by_learning_rate(learning_rate=0.5, flip_sign=False))"
    )
    assert repr(gdjax.named_chain(("a", gdjax.scale(2.0)))) == (
        "named_chain(('a', scale(step_size=2.0)))"
    )


@pytest.mark.parametrize(
    ("mixed", "pure"),
    [
        (
            gdjax.chain(optax.clip(1.5), gdjax.adam(0.1), optax.scale(2.0)),
            optax.chain(optax.clip(1.5), optax.adam(0.1), optax.scale(2.0)),
        ),
        (
            optax.chain(gdjax.clip(1.5), optax.adam(0.1), gdjax.scale(2.0)),
            optax.chain(optax.clip(1.5), optax.adam(0.1), optax.scale(2.0)),
        ),
        (
            gdjax.named_chain(("o", optax.scale_by_adam()), ("g", gdjax.scale(-0.1))),
            optax.adam(0.1),
        ),
        (
            optax.multi_transform(
                {"g": gdjax.adamw(0.1), "o": optax.sgd(0.5)}, {"w": "g", "b": "o"}
            ),
            optax.multi_transform(
                {"g": optax.adamw(0.1), "o": optax.sgd(0.5)}, {"w": "g", "b": "o"}
            ),
        ),
        (optax.masked(gdjax.sgd(0.1, 0.5), {"w": True, "b": False}),
         optax.masked(optax.sgd(0.1, 0.5), {"w": True, "b": False})),
    ],
    ids=["Optax in chain", "gdjax in optax.chain", "named", "multi_transform", "masked"],
)  # fmt: skip
def test_both_libraries_mix(run, mixed, pure):
    gradients = [GRADIENTS, PARAMS, GRADIENTS]
    seen, expected = (run(t, gradients, PARAMS) for t in (mixed, pure))
    chex.assert_trees_all_close([u for u, _ in seen], [u for u, _ in expected], rtol=2e-5)


@pytest.mark.parametrize(
    "bad", [0.1, gdjax.adam, (len,), (1, 2), None, (gdjax.scale(0.1), gdjax.scale(0.2), 3)]
)
def test_a_chain_holds_pairs_only(bad):
    with pytest.raises(InvalidType, match=r"chain: argument 1 must be .* such as gdjax.scale"):
        gdjax.chain(gdjax.scale(0.1), bad)
    with pytest.raises(InvalidType, match="named_chain: 'x' must be a gradient transformation"):
        gdjax.named_chain(("x", bad))
    with pytest.raises(InvalidType, match=r"named_chain takes \(name, transformation\) pairs"):
        gdjax.named_chain(bad)


def test_named_chain_refuses_a_name_twice():
    with pytest.raises(InvalidValue, match="each name may stand once, got 'a' again"):
        gdjax.named_chain(("a", gdjax.scale(1.0)), ("a", gdjax.clip(1.0)))


# Wrong states and trees


@pytest.mark.parametrize(
    ("optimizer", "state_of"),
    [
        (gdjax.adam(0.1), gdjax.adamw(0.1)),
        (gdjax.named_chain(("a", gdjax.clip(1.0))), gdjax.named_chain(("b", gdjax.clip(1.0)))),
        (gdjax.scale(halving), gdjax.scale(0.5)),
        (gdjax.average_params(), gdjax.trace(0.5)),
        (gdjax.scale_by_distance_over_gradients(), gdjax.chain()),
        (gdjax.sgd(0.1), gdjax.adam(0.1)),
        (gdjax.sm3(0.1), gdjax.adam(0.1)),
    ],
    ids=[
        "chain",
        "named chain",
        "schedule",
        "tuple's method count",
        "empty tuple",
        "no state",
        "more fields",
    ],
)
def test_the_state_of_another_optimizer_is_an_error(optimizer, state_of):
    with pytest.raises(InvalidValue, match=r"pass the state that this .* returned"):
        optimizer.update(GRADIENTS, state_of.init(GRADIENTS), PARAMS)


def test_a_missing_state_is_an_error():
    with pytest.raises(InvalidValue, match=r"chain of 2 transformations got a state of NoneType"):
        gdjax.adam(0.1).update(GRADIENTS, None, PARAMS)


def test_mismatched_trees_are_both_shown():
    optimizer = gdjax.adam(0.1)
    with pytest.raises(InvalidValue) as error:
        optimizer.update({"w": jnp.ones(2)}, optimizer.init(PARAMS), PARAMS)
    for tree in ({"w": 0}, {"w": 0, "b": 0}):
        assert str(jax.tree.structure(tree)) in str(error.value)


# Extras


@pytest.mark.parametrize(
    "wrap", [lambda t: t, lambda t: gdjax.chain(gdjax.scale(1.0), t, optax.scale(1.0))]
)
def test_a_missing_extra_is_named_with_how_to_pass_it(wrap):
    init, update = wrap(needs_value(2.0))
    message = r"needs_value needs the extra argument 'value' .*update\(.*params, value=\.\.\.\)"
    with pytest.raises(InvalidType, match=message):
        update(GRADIENTS, init(PARAMS), PARAMS, offset=1.0)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda t: t,
        lambda t: gdjax.chain(optax.identity(), gdjax.chain(t)),
        lambda t: gdjax.named_chain(("a", t)),
        lambda t: optax.chain(t, optax.identity()),
    ],
    ids=["alone", "chain", "named chain", "optax.chain"],
)
def test_extras_reach_the_rule_that_takes_them(run, wrap):
    gradients = [jnp.array([1.0])]
    seen = run(wrap(needs_value(2.0)), gradients, value=3.0, unknown=object())
    chex.assert_trees_all_equal(seen[0][0], np.array([6.0]))
    seen = run(wrap(needs_value(2.0)), gradients, value=3.0, offset=0.5)
    chex.assert_trees_all_equal(seen[0][0], np.array([6.5]))


def test_unknown_extras_are_ignored(run):
    with_extra = run(gdjax.adam(0.1), [GRADIENTS], value=1.0, anything=None)
    chex.assert_trees_all_equal(with_extra, run(gdjax.adam(0.1), [GRADIENTS]))


def test_extras_reach_optax_inside_a_chain(run):
    def chained(chain):
        return chain(optax.sgd(1.0), optax.contrib.reduce_on_plateau(patience=1, factor=0.5))

    seen, expected = (
        run(chained(chain), [GRADIENTS] * 4, value=jnp.array(1.0))
        for chain in (gdjax.chain, optax.chain)
    )
    chex.assert_trees_all_equal([u for u, _ in seen], [u for u, _ in expected])
    assert float(seen[-1][0]["b"]) < float(seen[0][0]["b"])


# Schedules


@pytest.mark.parametrize(
    "schedule",
    [
        halving,
        lambda count: 0.5**count,
        optax.exponential_decay(1.0, transition_steps=1, decay_rate=0.5),
        jax.tree_util.Partial(lambda base, count: base**count, 0.5),
    ],
    ids=["function", "lambda", "Optax's closure", "Partial"],
)
def test_a_hyperparameter_may_be_a_schedule(run, schedule):
    seen = run(gdjax.scale(schedule), [jnp.array([8.0])] * 3)
    expected = [
        (np.array([8 * 0.5**i]), ScheduledState(np.int32(i + 1), optax.EmptyState()))
        for i in range(3)
    ]
    chex.assert_trees_all_equal(seen, expected)


@pytest.mark.parametrize("constant", [0.5, 1, np.float64(0.5), jnp.array(1)])
def test_a_schedule_may_return_any_number(run, constant):
    ((updates, _),) = run(gdjax.scale(lambda count: constant), [jnp.array([8.0])])
    chex.assert_trees_all_equal(updates, jnp.array([8.0 * float(constant)]), strict=True)


def test_a_schedules_constants_are_leaves():
    optimizer = gdjax.sgd(gdjax.cosine_decay_schedule(1.0, 4))
    gradient = jax.grad(lambda o: _train(o, jnp.array(0.5), 1), allow_int=True)(optimizer)
    derivatives = gdjax.hyperparameters(gradient)
    # One step from 0.5 with slope 1/8: d/d init_value is -1/8, at count 0 alpha has no effect
    assert derivatives["scale_by_learning_rate.learning_rate"].leaves["init_value"] == -0.125
    assert derivatives["scale_by_learning_rate.learning_rate"].leaves["alpha"] == 0.0


def test_scheduled_decay_rates_are_debiased_by_what_was_used(run):
    rates = np.array([0.5, 0.75])
    seen = run(gdjax.scale_by_adam(b1=lambda count: jnp.asarray(rates)[count], b2=0.0, eps=0.0), [
        jnp.array([4.0]), jnp.array([4.0])])  # fmt: skip
    for updates, state in seen:
        chex.assert_trees_all_equal(updates, np.array([1.0]))
        assert type(state) is ScheduledState
    assert float(seen[1][1].inner_state.mu_weight) == 0.75 * 0.5 + 0.25
