"""A trial's bits depend on neither its neighbours, its place, nor the moment of a decision."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax
from gdjax import LogUniform, Task
from gdjax.sweep import execution, loop, rules, width
from gdjax.sweep.table import Status
from tests.sweep.comparing import check_reruns, check_same

STEPS = {"steps": 7, "segment": 2}  # the last segment is short
RATES = np.geomspace(1e-3, 1e25, 12).tolist()  # the last ones diverge, at different steps


def momentum(learning_rate):
    return gdjax.sgd(learning_rate, 0.9)


FAMILIES = {"sgd": gdjax.sgd, "momentum": momentum, "lion": gdjax.lion}


def sweep(task, rates=RATES, optimizer=gdjax.sgd, **options):
    options = {"width": 3, **STEPS, **options}
    return gdjax.sweep(task, optimizer, {"learning_rate": list(rates)}, **options)


@pytest.fixture(scope="module")
def mixed(noisy):
    """90 trials of three families; ``python -m benchmarks.kills`` has more."""
    return gdjax.sweep(
        noisy,
        FAMILIES,
        {"learning_rate": LogUniform(1e-3, 1e20)},
        trials=30,
        seeds=2,
        width=4,
        stopping=gdjax.successive_halving(eta=3),
        **STEPS,
    )


@pytest.fixture(scope="module")
def alone(noisy):
    return sweep(noisy)


def test_rerun_of_every_trial_of_a_mixed_sweep(mixed):
    assert set(mixed.status.ravel().tolist()) == {Status.DONE, Status.STOPPED, Status.DIVERGED}
    check_reruns(mixed)


def test_the_parameters_of_a_rerun_are_those_that_were_evaluated(mixed):
    best = mixed.best().trial
    params = mixed.rerun(best).params  # [seed, 4]
    sizes = jnp.sum(params**2, axis=1)
    np.testing.assert_allclose(sizes, mixed.evaluations["size"][best, :, -1], rtol=1e-6)


def test_order_changes_no_bit(noisy, alone):
    order = np.random.default_rng(0).permutation(len(RATES))
    check_same(sweep(noisy, np.array(RATES)[order]), alone, theirs=order)


def test_order_changes_no_bit_where_the_worst_are_stopped(noisy):
    rates = np.geomspace(1e-3, 1.0, 12)  # none diverges: no ties
    order = np.random.default_rng(1).permutation(12)
    rule = gdjax.successive_halving(eta=2)
    a, b = (sweep(noisy, x, seeds=2, stopping=rule) for x in (rates, rates[order]))
    assert (a.status == Status.STOPPED).any()
    check_same(b, a, theirs=order)


@pytest.mark.parametrize("poison", [np.inf, 1e30, 1e38])
def test_neighbours_change_no_bit(noisy, poison):
    """Every second trial breaks at its first update, or is huge."""

    def family(learning_rate, poison):
        return gdjax.chain(gdjax.scale(1 + poison), gdjax.sgd(learning_rate))

    def run(poison):
        space = {"learning_rate": np.geomspace(1e-3, 0.1, 6).tolist(), "poison": [0.0, poison]}
        return gdjax.sweep(noisy, family, space, width=4, **STEPS)

    # What is no number is not in a space: it comes of a product that leaves float32.
    clean, among = run(0.5), run(3e38 if poison == np.inf else poison)
    check_same(clean, among, mine=slice(0, None, 2), theirs=slice(0, None, 2))
    assert (among.status[1::2] == Status.DIVERGED).any()


def test_several_waves_are_bit_equal_to_one(noisy, monkeypatch):
    """Trials of a wave wait in the store while the other waves are made."""
    halving = {"seeds": 2, "optimizer": momentum, "stopping": gdjax.successive_halving(eta=2)}
    one = sweep(noisy, **halving)
    monkeypatch.setattr(width, "MOST_RUNS", 1)
    several = sweep(noisy, **halving)
    check_same(one, several)
    check_reruns(several, [0, 5, 11])


def test_several_waves_of_trials_that_never_wait(noisy, alone, monkeypatch):
    monkeypatch.setattr(width, "MOST_RUNS", 3)
    waves = sweep(noisy)
    check_same(waves, alone)
    check_reruns(waves)


SCHEDULERS = {
    "all": (),
    "halving": gdjax.successive_halving(eta=2),
    "hyperband": gdjax.hyperband(eta=2),
    "asha": gdjax.asha(eta=2),
}
STOPPERS = {
    "median": gdjax.median_stopping(min_trials=2),
    "plateau": gdjax.plateau(2, min_delta=1e-3),
    "target": gdjax.target(0.5),
    "target of all": gdjax.target(0.5, all_trials=True),
    "budget": gdjax.budget(steps=40),
    "flops": gdjax.budget(flops=1.0),
    "several": [gdjax.asha(eta=2), gdjax.target(0.01), gdjax.plateau(2)],
}
CASES = {
    "some diverge": RATES,
    "ties": [0.01] * 12,
    "all diverge": [1e30] * 12,
    "one": [0.01],
    "one that diverges": [1e30],
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("rule", [*SCHEDULERS, *STOPPERS])
def test_every_rule_ends_and_accounts_for_every_run(noisy, rule, case):
    result = sweep(noisy, CASES[case], stopping={**SCHEDULERS, **STOPPERS}[rule])
    status, loss = result.status[:, 0], result.traces["loss"][:, 0]
    assert (status != Status.RUNNING).all()
    made = np.append(0, result.evaluation_steps)[np.count_nonzero(result.width, axis=1)]
    for trial in range(result.trials):
        if status[trial] == Status.DIVERGED:
            made[trial] = min(made[trial], result.diverged_at[trial, 0])
        else:
            assert result.diverged_at[trial, 0] == -1
        assert not np.isnan(loss[trial, : made[trial]]).any()
        assert np.isnan(loss[trial, made[trial] + 1 :]).all()
    assert ((result.reason[:, 0] == "") == (status == Status.DONE)).all()
    if "diverge" in case:
        assert (status == Status.DIVERGED).any()
    if case in ("all diverge", "one that diverges"):
        assert (status == Status.DIVERGED).all()
    elif rule in SCHEDULERS:
        assert (status == Status.DONE).any()
        result.best()
    check_reruns(result, np.flatnonzero(result.width[:, 0])[::3])


def test_rules_do_what_their_names_say(noisy):
    """The share that they keep, once through the whole engine: 12 trials, 4 segments."""
    made = {
        name: np.sort(np.count_nonzero(sweep(noisy, CASES["ties"], stopping=rule).width, axis=1))
        for name, rule in {**SCHEDULERS, **STOPPERS}.items()
    }
    assert made["all"].tolist() == [4] * 12
    # Rungs at 7/8, 7/4, 7/2 of steps are evaluations 1, 1 and 2: 12 -> 6 -> 3.
    assert made["halving"].tolist() == [1] * 6 + [2] * 3 + [4] * 3
    assert made["asha"].max() == 4
    assert made["asha"].sum() < 48
    assert made["hyperband"].sum() < 48
    assert made["budget"].tolist() == [2] * 12  # 24 updates, then 48
    assert made["flops"].tolist() == [1] * 12


@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("rule", ["all", "halving", "hyperband"])
def test_a_rule_that_lags_decides_the_same_early_and_late(noisy, monkeypatch, rule, narrow):
    """Also where it depends on how many are left which program is worth it."""
    if narrow:
        monkeypatch.setattr(execution, "COMPILING", 0.0)
    rates = np.geomspace(1e-3, 1e36, 20)
    options = {"stopping": SCHEDULERS[rule], "width": 10, "seeds": 2}
    early = sweep(noisy, rates, **options)
    monkeypatch.setattr(rules.Rules, "wait", property(lambda self: True))
    late = sweep(noisy, rates, **options)
    check_same(early, late)
    assert set(np.unique(early.width)) == ({0, 1, 10} if narrow else {0, 10})
    if narrow:
        check_reruns(early, range(0, 20, 3))


def test_a_maximized_objective_and_its_target():
    """Params from 1 are halved by a rate of 0.5: 1 - params**2 is 0.75, then 0.9375."""
    task = Task(
        init=lambda key: jnp.ones(()),
        loss=lambda params, batch, key: params**2 / 2,
        batch=lambda key, step: None,
        evaluate=lambda params: {"score": 1 - params**2},
        objective="score",
        mode="max",
    )
    rule = [gdjax.successive_halving(eta=3, min_steps=1), gdjax.target(0.9)]
    result = sweep(task, [0.25, 0.5, 0.75], stopping=rule, steps=3, segment=1)
    assert result.status[:, 0].tolist() == [Status.STOPPED] * 3
    assert result.reason[2, 0] == "target: reached at step 1"
    kept = sweep(task, [0.25, 0.5, 0.75], stopping=rule[0], steps=3, segment=1)
    assert kept.status[:, 0].tolist() == [Status.STOPPED, Status.STOPPED, Status.DONE]


def quadratic(dtype, metrics=lambda params: {}):
    return Task(
        init=lambda key: jax.random.normal(key, (3,), dtype),
        loss=lambda params, batch, key: (
            jnp.sum(jnp.abs(params) ** 2).real + 0.1 * jax.random.normal(key),
            metrics(params),
        ),
        batch=lambda key, step: None,
    )


def noise(learning_rate, noise):
    """A key among the leaves, and another in the state: noise is added to gradients."""
    key = jax.random.fold_in(jax.random.key(7), noise)
    return gdjax.chain(gdjax.add_noise(0.5, 0.5, key), gdjax.sgd(learning_rate))


def blind(learning_rate):
    """No numeric leaf, and no state."""
    del learning_rate
    return gdjax.chain(gdjax.scale_by_sign())


KINDS = {
    "PRNG keys": (
        quadratic(jnp.float32),
        noise,
        {"learning_rate": [0.01, 0.1, 1e30], "noise": [1, 2]},
    ),
    "bfloat16": (quadratic(jnp.bfloat16), momentum, {"learning_rate": [0.01, 0.1, 1e30]}),
    "complex64": (quadratic(jnp.complex64), momentum, {"learning_rate": [0.01, 0.1, 1e30]}),
    "metrics": (
        quadratic(
            jnp.float32,
            lambda params: {
                "positive": jnp.sum(params > 0),
                "first": params[0].astype(jnp.bfloat16),
                "any": jnp.any(params > 1),
                "byte": jnp.sum(params > 0).astype(jnp.uint8),
            },
        ),
        gdjax.sgd,
        {"learning_rate": [0.01, 0.1, 1e30]},
    ),
    "no leaf": (quadratic(jnp.float32), blind, {"learning_rate": [0.01, 0.1, 0.2]}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_any_kind_of_leaf_and_metric(kind, tmp_path):
    """States go through the store and through checkpoints: each segment is a job of its own."""
    task, family, space = KINDS[kind]
    options = {"seeds": 2, "width": 2, **STEPS, "stopping": gdjax.successive_halving(eta=2)}
    result = gdjax.sweep(task, family, space, **options)
    check_reruns(result)
    saved = gdjax.sweep(task, family, space, directory=tmp_path, checkpoint_seconds=0, **options)
    check_same(result, saved)
    check_same(gdjax.SweepResult.load(tmp_path), result)


def test_three_seeds_differ_and_are_alike_in_all_trials(noisy):
    result = sweep(noisy, [0.01, 0.02], seeds=3)
    first = result.traces["loss"][:, :, 0]
    assert len(set(first[0].tolist())) == 3
    np.testing.assert_array_equal(first[0], first[1])
    check_reruns(result)


def test_metrics_of_infinities_neither_warn_nor_rank(noisy):
    task = Task(
        init=noisy.init,
        loss=lambda params, batch, key: (
            jnp.sum(params**2),
            {"odd": jnp.where(params[0] > params[1], jnp.inf, -jnp.inf)},
        ),
        batch=noisy.batch,
        objective="odd",
    )
    result = sweep(task, [0.1, 0.2], seeds=4, stopping=gdjax.successive_halving(eta=2))
    assert np.isinf(result.traces["odd"]).any()
    assert np.isnan(result.final("odd")).all()


@pytest.mark.parametrize(("seconds", "calls"), [(0.0, [1] * 8), (1e9, [1, 1, 6])])
def test_how_many_segments_are_a_call_changes_no_bit(noisy, monkeypatch, seconds, calls):
    """One until it is known how long they take, which is when the second is handed out."""
    made = []

    def dispatch(self, job, program):
        made.append(job.segments)
        return original(self, job, program)

    original = execution.Executor.dispatch
    monkeypatch.setattr(loop, "SECONDS", seconds)
    monkeypatch.setattr(execution.Executor, "dispatch", dispatch)
    space = {"learning_rate": [0.1, 0.2, 1e30]}
    result = gdjax.sweep(noisy, gdjax.sgd, space, steps=15, segment=2, seeds=2)
    assert made == calls
    watched = []
    again = gdjax.sweep(
        noisy, gdjax.sgd, space, steps=15, segment=2, seeds=2, callbacks=watched.append
    )
    check_same(result, again)
    assert made[len(calls) :] == [1] * 8
