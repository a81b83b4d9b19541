"""Population-based training in a sweep: who copies whom, with what, and what the result tells."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax
from gdjax import Integer, InvalidValue, LogUniform, Space, SweepResult, Task, Uniform
from gdjax.sweep.table import Status
from tests.sweep.comparing import check_reruns, check_same

RULE = gdjax.population_based_training(2, fraction=0.25, factors=(0.5,))
RATES = [0.5, 0.25, 0.125, 1.5, 1e30]
STEPS = {"steps": 6, "segment": 1, "width": 3}


def sweep(task, optimizer=gdjax.sgd, rates=RATES, stopping=RULE, **options):
    """Rates that are given, so that who is best is known by hand."""
    first = [{"learning_rate": rate} for rate in rates]
    space = Space({"learning_rate": LogUniform(0.01, 1e30)}, first)
    options = {"trials": len(rates), **STEPS, **options}
    return gdjax.sweep(task, optimizer, space, stopping=stopping, **options)


def momentum(learning_rate):
    return gdjax.sgd(learning_rate, 0.9)


@pytest.fixture(scope="module")
def bowl():
    """Each update multiplies by ``1 - learning_rate``, exactly."""
    return Task(
        init=lambda key: jnp.ones(()),
        loss=lambda params, batch, key: params**2 / 2,
        batch=lambda key, step: None,
        evaluate=lambda params: {"size": jnp.abs(params)},
        objective="size",
    )


@pytest.fixture(scope="module")
def uneven():
    """One seed starts at 1, the other at 1e18: a large rate breaks only the second."""
    return Task(
        init=lambda key: jnp.where(jax.random.bernoulli(key), 1.0, 1e18),
        loss=lambda params, batch, key: params**2 / 2 + jax.random.normal(key),
        batch=lambda key, step: None,
        evaluate=lambda params: {"size": jnp.abs(params)},
        objective="size",
    )


@pytest.fixture(scope="module")
def by_hand(bowl):
    """Trial 0 is copied, not its equal 3: at step 2 by 4, which has diverged, at step 4 by 2."""
    return sweep(bowl)


def test_who_copies_whom_with_which_settings_by_hand(by_hand):
    own = np.repeat(np.arange(5)[:, None], 6, axis=1)
    own[4, 2] = own[2, 4] = 0
    np.testing.assert_array_equal(by_hand.copied.parent, own)
    used = np.repeat(np.array(RATES)[:, None], 6, axis=1)
    used[4, 2:] = used[2, 4:] = 0.25
    np.testing.assert_array_equal(by_hand.copied.settings["learning_rate"], used)
    assert by_hand.settings["learning_rate"].tolist() == [0.5, 0.25, 0.25, 1.5, 0.25]
    size = by_hand.evaluations["size"][:, 0]
    nan = np.nan
    assert size[:, 1].tolist()[:4] == [2**-2, 0.75**2, 0.875**2, 2**-2]
    np.testing.assert_array_equal(size[4, :4], np.float32([1e30, nan, 2**-2 * 0.75, 0.140625]))
    ends = [2**-6, 0.75**6, 2**-4 * 0.75**2, 2**-6, 2**-2 * 0.75**4]
    assert size[:, 5].tolist() == ends
    assert [float(by_hand.rerun(trial).params[0]) for trial in range(5)] == ends


def test_the_result_tells_what_was_replaced(by_hand):
    assert (by_hand.status == Status.DONE).all()
    assert (by_hand.diverged_at == -1).all()
    copied = by_hand.copied
    assert [x.tolist() for x in np.nonzero(copied.replaced_at >= 0)] == [[4], [0], [2]]
    assert copied.replaced_at[4, 0, 2] == 1
    assert copied.replaced_reason[4, 0, 2] == "loss is inf"
    frame = by_hand.to_pandas()
    assert frame["copies"].tolist() == [0, 0, 1, 0, 1]
    assert frame["replaced"].tolist() == [0, 0, 0, 0, 1]
    assert by_hand.traces["loss"][4, 0, 1] == np.inf


def test_lineage_and_best(by_hand):
    assert by_hand.lineage(1) == [(1, i, i + 1, {"learning_rate": 0.25}) for i in range(6)]
    before = [(0, i, i + 1, {"learning_rate": 0.5}) for i in range(4)]
    after = [(2, i, i + 1, {"learning_rate": 0.25}) for i in (4, 5)]
    assert by_hand.lineage(2) == before + after
    best = by_hand.best()
    assert (best.trial, best.settings, best.mean) == (0, {"learning_rate": 0.5}, 2**-6)
    assert by_hand.ranking().tolist() == [0, 3, 2, 4, 1]
    with pytest.raises(InvalidValue, match="no trial 5; they are 0 to 4"):
        by_hand.lineage(5)


def test_a_sweep_without_copies_has_a_lineage_too(bowl):
    result = sweep(bowl, stopping=gdjax.target(0.3), rates=[0.5, 1.5, 0.25])
    assert result.copied is None
    assert result.lineage(0) == [(0, i, i + 1, {"learning_rate": 0.5}) for i in (0, 1)]
    assert "copies" not in result.to_pandas()
    assert "parent" not in result.to_xarray()


@pytest.fixture(scope="module")
def broken(uneven):
    """Rates of which 100 breaks one seed of two, and 1e30 both."""
    rule = gdjax.population_based_training(3, fraction=0.25)
    families = {"sgd": gdjax.sgd, "momentum": momentum}
    rates = [0.5, 100.0, 0.2, 1e30, 0.1]
    return sweep(uneven, families, rates, stopping=rule, seeds=2, steps=15, segment=2)


def test_all_seeds_are_copied_together_where_one_has_diverged(broken):
    assert (broken.status == Status.DONE).all()
    replaced = broken.copied.replaced_at >= 0  # [trial, seed, evaluation]
    assert replaced[1].any(axis=1).sum() == 1
    assert replaced[3].any(axis=1).all()
    assert (broken.width[3] == 0).any(), "there is a segment that it did not make"
    assert [len(broken.lineage(trial)) for trial in range(10)] == [8] * 10
    families = broken.family[broken.copied.parent] == broken.family[:, None]
    assert families.all()
    assert (broken.copied.parent[5:] != np.arange(5, 10)[:, None]).any()


def test_every_trial_runs_again_bit_for_bit(broken):
    check_reruns(broken)


def test_trials_run_again_side_by_side_to_the_bits_of_each_alone(broken):
    """They have ancestors in common, and some have each other's places in their pasts."""
    top = broken.top(10)
    for i, trial in enumerate(top.trials.tolist()):
        np.testing.assert_array_equal(top.params[i], broken.rerun(trial).params)


def test_a_result_is_saved_whole_and_reconnected(broken, uneven, tmp_path):
    broken.save(tmp_path)
    loaded = SweepResult.load(tmp_path)
    check_same(loaded, broken)
    assert [loaded.lineage(i) for i in range(10)] == [broken.lineage(i) for i in range(10)]
    families = {"sgd": gdjax.sgd, "momentum": momentum}
    check_reruns(gdjax.reconnect(loaded, uneven, families))


def test_order_and_other_families_change_no_bit(noisy):
    """None diverges, so no two are equal, and draws go by rank."""
    rule = gdjax.population_based_training(2, fraction=0.4)
    rates = np.geomspace(0.02, 0.3, 7)
    order = np.random.default_rng(0).permutation(7)
    options = {"stopping": rule, "seeds": 2}
    a = sweep(noisy, {"a": gdjax.sgd, "b": momentum}, rates, **options)
    b = sweep(noisy, {"b": momentum, "a": gdjax.sgd}, rates[order], **options)
    theirs = np.concatenate([7 + order, order])  # of b in a
    assert (a.copied.parent != np.arange(14)[:, None]).sum() > 3
    np.testing.assert_array_equal(theirs[b.copied.parent], a.copied.parent[theirs])
    for x, y in (
        (a.copied.settings, b.copied.settings),
        (a.traces, b.traces),
        (a.evaluations, b.evaluations),
    ):
        for name in x:
            np.testing.assert_array_equal(y[name], x[name][theirs], name)


def test_whole_numbers_stay_whole_and_draws_follow_the_key(noisy, tmp_path):
    def warm(learning_rate, warmup_steps):
        schedule = gdjax.warmup_constant_schedule(0.0, learning_rate, warmup_steps)
        return gdjax.sgd(schedule)

    space = {"learning_rate": Uniform(0.01, 0.2), "warmup_steps": Integer(1, 9)}
    rule = gdjax.population_based_training(2, "tournament", explore="resample")
    options = {"trials": 6, "stopping": rule, **STEPS}
    result, again, other = (
        gdjax.sweep(noisy, warm, space, key=key, **options) for key in (0, 0, 1)
    )
    check_same(again, result)
    assert (other.copied.parent != result.copied.parent).any()
    used = result.copied.settings["warmup_steps"]
    assert used.dtype.kind == "i"
    assert (used != used[:, :1]).any()
    result.save(tmp_path)
    check_reruns(gdjax.reconnect(SweepResult.load(tmp_path), noisy, warm))


def test_rules_beside_it(bowl):
    rates = [0.5, 0.25, 0.125, 1e30]
    spent = gdjax.budget(steps=14)
    result = sweep(bowl, rates=rates, stopping=[RULE, spent])
    assert result.reason[:3, 0].tolist() == ["budget: 16 of 14 steps spent"] * 3
    reached = sweep(bowl, rates=rates, stopping=[RULE, gdjax.target(0.26)])
    assert reached.status[0, 0] == Status.STOPPED
    assert reached.reason[0, 0] == "target: reached at step 2"
    parents = reached.copied.parent
    assert not (parents[1:] == 0).any(), "who has stopped is no parent"
    assert parents[0].tolist() == [0] * 6
    assert parents[3, 2] == 1
    bored = sweep(bowl, rates=rates, stopping=[RULE, gdjax.plateau(1, min_delta=0.15)])
    check_reruns(bored)


def test_a_budget_does_not_count_what_was_not_made(bowl):
    """Trial 1 is known to have diverged after 2 steps and lives again after 6: it made 2 + 2."""
    rule = gdjax.population_based_training(5)
    budget = gdjax.budget(steps=12)
    result = sweep(bowl, rates=[0.5, 1e30], segment=2, steps=10, stopping=[rule, budget])
    assert result.width[1].tolist() == [2, 0, 0, 2, 0]
    assert result.reason[:, 0].tolist() == ["budget: 12 of 12 steps spent"] * 2


@pytest.mark.parametrize(
    ("rates", "interval"),
    [([1e30] * 3, 2), ([0.5], 2), ([0.5, 0.25], 6), ([0.5, 0.25], 100), ([0.5] * 5, 1)],
)
def test_where_there_is_little_to_copy_it_ends(bowl, rates, interval):
    rule = gdjax.population_based_training(interval, factors=(1.0,))
    result = sweep(bowl, rates=rates, stopping=rule)
    assert (result.status != Status.RUNNING).all()
    copies = result.copied.parent != np.arange(len(rates))[:, None]
    assert copies.sum() == (5 if interval == 1 else 0)
    if rates[0] == 1e30:
        assert (result.status == Status.DIVERGED).all()
    else:
        check_reruns(result)


def test_what_is_maximized(bowl):
    task = Task(bowl.init, bowl.loss, bowl.batch, bowl.evaluate, objective="size", mode="max")
    result = sweep(task, rates=[0.5, 0.25])
    assert result.copied.parent[:, 2].tolist() == [1, 1]


def test_what_a_factory_refuses_keeps_its_parents_settings(bowl):
    def picky(learning_rate):
        if isinstance(learning_rate, float) and learning_rate == 0.25:
            raise ValueError("not 0.25")
        return gdjax.sgd(learning_rate)

    refused = r"family 'picky' refuses {'learning_rate': 0.25}.*goes on with.*\(not 0.25\)"
    with pytest.warns(UserWarning, match=refused) as told:
        result = sweep(bowl, picky, rates=[0.5, 0.125, 0.0625], steps=4)
    assert len(told) == 1
    assert result.copied.parent[2].tolist() == [2, 2, 0, 2]
    assert result.copied.settings["learning_rate"][2].tolist() == [0.0625] * 2 + [0.5] * 2
    check_reruns(result)


def test_numbers_of_the_task_are_copied_and_changed_too(bowl):
    """The loss's factor is what multiplies the gradient, as a learning rate does."""
    loss = gdjax.bind(lambda params, batch, key, factor: factor * params**2 / 2, factor=1.0)
    task = Task(bowl.init, loss, bowl.batch, bowl.evaluate, objective="size")
    first = [{"factor": factor} for factor in RATES]
    space = Space({"factor": LogUniform(0.01, 1e30), "learning_rate": 1.0}, first)
    result = gdjax.sweep(task, gdjax.sgd, space, trials=5, stopping=RULE, **STEPS)
    expected = sweep(bowl)
    np.testing.assert_array_equal(result.copied.parent, expected.copied.parent)
    used = expected.copied.settings["learning_rate"]
    np.testing.assert_array_equal(result.copied.settings["factor"], used)
    check_reruns(result)


def test_another_space_with_the_same_points_is_another_sweep(bowl, tmp_path):
    def saved(high):
        space = Space({"learning_rate": Uniform(0.0, high)}, [{"learning_rate": 0.5}])
        options = {**STEPS, "stopping": RULE, "directory": tmp_path, "resume": True}
        return gdjax.sweep(bowl, gdjax.sgd, space, trials=1, **options)

    check_same(saved(1.0), saved(1.0))
    with pytest.raises(InvalidValue, match=r"another sweep.*space of sgd was"):
        saved(2.0)


def test_names_that_are_wrong_are_told_before_anything_runs(bowl):
    rule = gdjax.population_based_training(2, frequencies={"learning_rte": 2})
    with pytest.raises(InvalidValue, match="'learning_rte', which is not in the space; did you"):
        sweep(bowl, stopping=rule)
    with pytest.raises(InvalidValue, match="one rule says who advances, got 2"):
        sweep(bowl, stopping=[RULE, gdjax.asha()])
    with pytest.raises(InvalidValue, match="'parent' is a column of every result"):
        gdjax.sweep(bowl, lambda parent: gdjax.sgd(parent), {"parent": [0.1]}, steps=1)
