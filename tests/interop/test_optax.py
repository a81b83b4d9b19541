"""State made by Optax, taken over: every native of gdjax goes on as Optax would."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
import pytest

import gdjax
from gdjax.errors import InvalidType, InvalidValue
from tests import discovery, oracle, runs
from tests.discovery import Case


def _go_on(pair, params, state, factors):
    def step(carry, factor):
        params, state = carry
        updates, state = runs.apply(pair, runs.gradients(params, factor), state, params)
        params = gdjax.apply_updates(params, updates)
        return (params, state), params

    return jax.lax.scan(step, (params, state), factors)


@discovery.each("transformation", "optimizer", where=lambda case: not case.rounds)
def test_training_goes_on_from_the_state_of_optax(case: Case):
    if (twin := oracle.trusted(case)) is None:
        return
    theirs, factors = oracle.theirs(case, twin, case.values()), jnp.asarray(runs.FACTORS[:6])

    @jax.jit
    def run(pair):
        params = runs.cast(runs.PARAMS, jnp.float32)
        (params, state), _ = _go_on(theirs, params, theirs.init(params), factors[:3])
        value = jnp.zeros(())
        ours = gdjax.from_optax_state(pair, state, params, value=value)
        ours = _go_on(pair, params, ours, factors[3:])[1]
        return ours, _go_on(theirs, params, state, factors[3:])[1]

    runs.assert_close(*run(case.make()), rtol=1e-5, atol=1e-6)


GRADIENT = {"w": jnp.array([1.0, -2.0])}


def _after(pair, steps=3):
    state = pair.init(GRADIENT)
    for _ in range(steps):
        _, state = pair.update(GRADIENT, state, GRADIENT)
    return state


def _assert_goes_on(ours, theirs):
    state = _after(theirs)
    actual, _ = ours.update(GRADIENT, gdjax.from_optax_state(ours, state, GRADIENT), GRADIENT)
    expected, _ = theirs.update(GRADIENT, state, GRADIENT)
    runs.assert_close(actual, expected, rtol=1e-5)


def test_weights_by_hand():
    state = gdjax.from_optax_state(
        gdjax.scale_by_adam(0.5, 0.75), _after(optax.scale_by_adam(0.5, 0.75)), GRADIENT
    )
    assert state.count == 3
    assert state.mu_weight == 0.875  # 1 - 0.5**3
    assert state.nu_weight == 0.578125  # 1 - 0.75**3
    assert state.mu["w"].tolist() == [0.875, -1.75]


def test_where_optax_keeps_no_count_the_weights_are_those_of_an_old_average():
    state = gdjax.from_optax_state(gdjax.scale_by_rms(), _after(optax.scale_by_rms()), GRADIENT)
    assert state.nu_weight == 1.0


def test_schedules_go_on():
    down = gdjax.linear_schedule(1.0, 0.0, 8)
    _assert_goes_on(gdjax.adam(down), optax.adam(down))
    _assert_goes_on(gdjax.sgd(down, 0.5), optax.sgd(down, 0.5))


def test_a_count_for_a_schedule_that_stands_elsewhere_is_left():
    down = gdjax.linear_schedule(1.0, 0.0, 8)
    for rate, warmup_steps in ((0.1, 5), (down, None)):
        ours = gdjax.schedule_free_adamw(rate, warmup_steps)
        theirs = optax.contrib.schedule_free_adamw(rate, warmup_steps)
        state = _after(theirs)
        _, new = ours.update(GRADIENT, gdjax.from_optax_state(ours, state, GRADIENT), GRADIENT)
        _, expected = theirs.update(GRADIENT, state, GRADIENT)
        new = getattr(new, "inner_state", new)  # of a schedule
        runs.assert_close(new.z, expected.z, rtol=1e-5)


def test_scheduled_decays_are_those_that_were_used():
    up = gdjax.linear_schedule(0.5, 0.9, 8)
    theirs = optax.inject_hyperparams(optax.adam)(0.1, b1=up)
    state = gdjax.from_optax_state(gdjax.adam(0.1, b1=up), _after(theirs), GRADIENT)
    # b1 is 0.5, 0.55 and 0.6 in the three steps.
    assert np.isclose(state[0].inner_state.mu_weight, 1 - 0.5 * 0.55 * 0.6)
    assert state[0].count == 3


def test_links_that_hold_nothing_may_be_missing_and_mappings_stand_for_tuples():
    theirs = optax.chain(optax.scale_by_adam(), optax.identity(), optax.scale(-0.1))
    _assert_goes_on(gdjax.adam(0.1), theirs)
    restored = tuple(state._asdict() for state in _after(theirs))
    ours = gdjax.adam(0.1)
    runs.assert_equal(
        gdjax.from_optax_state(ours, restored, GRADIENT),
        gdjax.from_optax_state(ours, _after(theirs), GRADIENT),
    )


@pytest.mark.skipif(not oracle.IS_CURRENT, reason="the muon of this Optax is another one")
@pytest.mark.parametrize("rate", [0.1, gdjax.linear_schedule(1.0, 0.0, 8)])
def test_muon_joins_the_states_of_matrices_and_of_others(rate):
    params = {"w": jnp.array([[1.0, 2.0], [-1.0, 0.5]]), "b": {"x": jnp.ones(2), "y": jnp.ones(())}}
    ours, theirs = gdjax.muon(rate), optax.contrib.muon(rate)
    state = theirs.init(params)
    for _ in range(3):
        _, state = theirs.update(params, state, params)
    converted = gdjax.from_optax_state(ours, state, params)
    actual, _ = ours.update(params, converted, params)
    expected, _ = theirs.update(params, state, params)
    runs.assert_close(actual, expected, rtol=2e-5)


def test_named_chains():
    ours = gdjax.named_chain(("first", gdjax.trace(0.5)), ("second", gdjax.scale_by_adam()))
    theirs = optax.named_chain(("first", optax.trace(0.5)), ("second", optax.scale_by_adam()))
    _assert_goes_on(ours, theirs)


def test_populations_are_converted_together():
    def convert(b1):
        theirs = _after(optax.scale_by_adam(b1))
        return gdjax.from_optax_state(gdjax.scale_by_adam(b1), theirs, GRADIENT).mu_weight

    assert jax.vmap(convert)(jnp.array([0.5, 0.75])).tolist() == [0.875, 0.578125]


@pytest.mark.parametrize(
    ("ours", "theirs", "message"),
    [
        (gdjax.scale_by_adam(), optax.trace(0.5), "field 'trace' for which ScaleByAdamState has"),
        (gdjax.scale_by_amsgrad(), optax.scale_by_adam(), "no field 'nu_max', which ScaleByAms"),
        (gdjax.adam(0.1), optax.sgd(0.1), r"state\[0\] has no field 'count'"),
        (gdjax.scale(0.1), optax.trace(0.5), "state must hold nothing, got"),
        (gdjax.trace(lambda count: 0.5), optax.trace(0.5), "state holds no step count"),
    ],
)
def test_what_does_not_fit_is_named(ours, theirs, message):
    with pytest.raises(InvalidValue, match=rf"(?s){message}.*\n  gdjax: .*\n  Optax: Py"):
        gdjax.from_optax_state(ours, _after(theirs), GRADIENT)


def test_shapes_that_do_not_fit_are_shown():
    with pytest.raises(InvalidValue, match=r"trace\['w'\] must be float32\[3\], got float32\[2\]"):
        gdjax.from_optax_state(gdjax.trace(0.5), _after(optax.trace(0.5)), {"w": jnp.ones(3)})


def test_only_optimizers_of_gdjax_take_it():
    with pytest.raises(InvalidType, match="takes an optimizer of gdjax, got"):
        gdjax.from_optax_state(optax.sgd(0.1), (), GRADIENT)


def test_the_state_of_another_optimizer_is_refused():
    with pytest.raises(InvalidValue, match=r"scale_by_adam got a state without \w+: TraceState"):
        gdjax.scale_by_adam().update(GRADIENT, gdjax.trace(0.5).init(GRADIENT))
    with pytest.raises(InvalidValue, match=r"without mu_weight: ScaleByAdamState.*from_optax_st"):
        gdjax.scale_by_adam().update(GRADIENT, optax.scale_by_adam().init(GRADIENT))
