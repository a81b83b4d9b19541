import numpy as np
import pytest

from gdjax.errors import InvalidType, InvalidValue
from gdjax.sweep.distributions import Choice, Integer, LogUniform, Uniform
from gdjax.sweep.pbt import PopulationBasedTraining, population_based_training
from gdjax.sweep.selection import exploit, explore
from gdjax.sweep.table import Population
from tests.sweep.simulator import table

NAN, INF = np.nan, np.inf
HOW = ["truncation", "tournament"]
ALL = np.array(True)


def rng(seed=0):
    return np.random.default_rng(seed)


def mutate(values, distribution, factor, **options):
    """Values after a perturbation by one factor."""
    settings, spaces = {"x": np.array(values)}, {"x": distribution}
    return explore(settings, ALL, spaces, rng(), factors=(factor,), **options)["x"].tolist()


def test_truncation_replaces_the_worst_fifth_by_the_best_fifth():
    """Best 2 of 10: trials 4 and 7; worst 2: trials 0 and 9."""
    scores = np.array([9, 3, 4, 5, 0, 6, 7, 1, 2, 8.0])
    seen = set()
    for seed in range(20):
        parents = exploit(scores, rng(seed))
        assert parents[1:9].tolist() == list(range(1, 9))
        seen |= {(0, parents[0]), (9, parents[9])}
    assert seen == {(0, 4), (0, 7), (9, 4), (9, 7)}


@pytest.mark.parametrize(
    ("trials", "fraction", "copies"),
    [(1, 0.5, 0), (2, 0.2, 1), (3, 0.5, 1), (4, 0.2, 1), (10, 0.3, 3), (100, 0.29, 29)],
)
def test_how_many_a_truncation_replaces(trials, fraction, copies):
    parents = exploit(np.arange(trials) * 1.0, rng(), fraction=fraction)
    kept = trials - copies
    assert parents[:kept].tolist() == list(range(kept))
    assert (parents[kept:] < max(copies, 1)).all()
    assert np.count_nonzero(parents != np.arange(trials)) == copies


def test_of_equal_scores_the_lower_trial_counts_as_better():
    assert exploit(np.ones(5), rng()).tolist() == [0, 1, 2, 3, 0]
    many = exploit(np.arange(100) % 2, rng(), fraction=0.1)
    assert many[:81].tolist() == list(range(81))
    assert (many[81::2] % 2 == 0).all()
    assert many[81::2].max() <= 18
    for seed in range(20):
        assert exploit(np.ones(5), rng(seed), "tournament").tolist() == [0, 1, 2, 3, 4]


def test_a_tournament_copies_whoever_is_better():
    """Of two trials each meets the other; of three the best stays, the worst is always replaced."""
    assert exploit(np.array([2.0, 1.0]), rng(), "tournament").tolist() == [1, 1]
    scores = np.array([2.0, 3.0, 1.0])
    found = {tuple(exploit(scores, rng(seed), "tournament").tolist()) for seed in range(50)}
    assert found == {(2, 0, 2), (2, 2, 2), (0, 0, 2), (0, 2, 2)}


@pytest.mark.parametrize("how", HOW)
def test_who_diverged_is_replaced_and_never_a_parent(how):
    generator = rng()
    for _ in range(200):
        scores = generator.choice([1.0, 2.0, 3.0, INF, NAN, -INF], generator.integers(1, 12))
        parents = exploit(scores, generator, how)
        able = scores < INF
        assert parents.dtype.kind == "i"
        if able.any():
            assert able[parents].all()
            moved = parents != np.arange(len(scores))
            # With few trials able, one may copy its equal, never one that is worse.
            assert (scores[parents[moved & able]] <= scores[moved & able]).all()
        else:
            assert parents.tolist() == list(range(len(scores)))


@pytest.mark.parametrize("how", HOW)
def test_all_go_on_from_the_only_one_that_can(how):
    for seed in range(10):
        assert exploit([INF, NAN] * 10 + [1.0], rng(seed), how, fraction=0.5).tolist() == [20] * 21


def test_in_a_truncation_nobody_copies_one_that_copies():
    for seed in range(50):
        parents = exploit(rng(seed).random(7), rng(seed), fraction=0.5)
        assert (parents[parents] == parents).all()


def test_perturbation_by_hand():
    assert mutate([0.1, 0.9, 1e-4], LogUniform(1e-4, 1.0), 1.2) == pytest.approx([0.12, 1, 1.2e-4])
    assert mutate([0.1, 1.1e-4], LogUniform(1e-4, 1.0), 0.8) == pytest.approx([0.08, 1e-4])
    assert mutate([-1.0, 0.0, 2.0], Uniform(-1, 2), 1.2) == [-1.0, 0.0, 2.0]
    assert mutate([-1.0, 0.0, 2.0], Uniform(-1, 2), 0.5) == [-0.5, 0.0, 1.0]


def test_whole_numbers_move_by_one_at_least():
    assert mutate([1, 2, 3, 10, 0], Integer(0, 11), 1.2) == [2, 3, 4, 11, 1]
    assert mutate([1, 2, 3, 10, 0], Integer(0, 11), 0.8) == [0, 1, 2, 8, 0]
    assert mutate([-1, -2, -10], Integer(-20, 0), 1.2) == [-2, -3, -12]
    assert mutate([-1, -2, -10], Integer(-20, 0), 0.8) == [0, -1, -8]
    assert mutate([5, 5], Integer(5, 5), 1.2) == [5, 5]
    assert mutate([3], Integer(1, 9), 1.0) == [3]


def test_a_choice_moves_to_its_neighbour_in_the_order_given():
    order = Choice((32, 8, 128, 8))
    assert mutate([32, 8, 128], order, 1.2) == [8, 128, 128]
    assert mutate([32, 8, 128], order, 0.8) == [32, 32, 8]
    assert mutate([0.1, 0.3], Choice((0.1, 0.2, 0.3)), 0.5) == [0.1, 0.2]


def test_only_what_changed_has_a_distribution_and_a_value_mutates():
    settings = {"a": np.array([1.0, 1.0, NAN]), "b": np.array([2, 2, 2]), "c": np.ones(3)}
    spaces = {"a": Uniform(0, 9), "b": Integer(0, 9), "absent": Integer(0, 9)}
    changed = np.array([False, True, True])
    new = explore(settings, changed, spaces, rng(), factors=(2.0,))
    np.testing.assert_array_equal(new["a"], [1, 2, NAN])
    assert new["b"].tolist() == [2, 4, 4]
    assert new["b"].dtype.kind == "i"
    assert new["c"].tolist() == [1, 1, 1]
    assert list(new) == ["a", "b", "c"]
    new["c"][:] = 7
    assert settings["c"].tolist() == [1, 1, 1]
    assert settings["b"].tolist() == [2, 2, 2]


def test_factors_are_equally_likely_and_each_trial_draws_its_own():
    settings = {"a": np.ones(4000), "b": np.ones(4000)}
    spaces = {"a": Uniform(0, 9), "b": Uniform(0, 9)}
    new = explore(settings, ALL, spaces, rng(), factors=(0.8, 1.2))
    assert set(new["a"]) == {0.8, 1.2}
    pairs = 2 * (new["a"] > 1) + (new["b"] > 1)
    assert np.bincount(pairs) == pytest.approx([1000] * 4, rel=0.1)


def test_resampling_draws_anew_as_often_as_asked():
    settings = {"a": np.full(4000, 0.5), "n": np.full(4000, NAN), "k": np.full(4000, 2)}
    spaces = {"a": LogUniform(1e-4, 1.0), "n": Uniform(0, 1), "k": Integer(0, 9)}
    new = explore(settings, ALL, spaces, rng(), "resample")
    drawn = new["a"][new["a"] != 0.5]
    assert len(drawn) == pytest.approx(1000, rel=0.1)
    assert np.median(drawn) == pytest.approx(1e-2, rel=0.3)  # of the log-uniform distribution
    assert np.isnan(new["n"]).all()
    assert set(new["k"]) == set(range(10))
    none = explore(settings, ALL, spaces, rng(), "resample", resample_probability=0)
    assert none["a"].tolist() == settings["a"].tolist()


def test_nothing_leaves_its_distribution_and_equal_seeds_give_equal_draws():
    spaces = {
        "a": LogUniform(1e-4, 1.0),
        "b": Uniform(-1, 3),
        "c": Integer(2, 4),
        "d": Choice((5.0, 7.0)),
    }
    settings = {name: space.quantile(rng(3).random(50)) for name, space in spaces.items()}
    generator, again = rng(1), rng(1)
    for turn in range(50):
        how = ("perturb", "resample")[turn % 2]
        repeated = explore(settings, ALL, spaces, again, how)
        settings = explore(settings, ALL, spaces, generator, how)
        assert all(np.array_equal(settings[name], repeated[name]) for name in spaces)
        assert (np.abs(settings["b"] - 1) <= 2).all()
        assert (settings["a"] >= 1e-4).all()
        assert (settings["a"] <= 1).all()
        assert set(settings["c"]) <= {2, 3, 4}
        assert set(settings["d"]) <= {5.0, 7.0}


def test_a_rule_says_what_is_due():
    rule = population_based_training(np.int64(50), frequencies={"b": 2, "c": np.int32(3)})
    due = ["".join(rule.due(turn, "abc")) for turn in range(1, 7)]
    assert due == ["a", "ab", "ac", "ab", "a", "abc"]
    assert population_based_training(50).due(1, ["a"]) == ["a"]
    assert rule == PopulationBasedTraining(50, frequencies={"b": 2, "c": 3})
    assert hash(rule) is not None
    assert population_based_training(50, factors=[0.5, 2]).factors == (0.5, 2.0)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"interval_steps": 0}, InvalidValue, "interval_steps must be a whole number .* got 0"),
        ({"fraction": 0.6}, InvalidValue, r"fraction must be a number in \(0, 0.5\], got 0.6"),
        ({"fraction": 0}, InvalidValue, "fraction must be"),
        (
            {"exploit": "truncate"},
            InvalidValue,
            "exploit must be one of 'truncation', 'tour",
        ),
        ({"explore": np.ones(2)}, InvalidValue, "explore must be one of 'perturb', 'resample'"),
        ({"factors": ()}, InvalidValue, "factors must be at least one number"),
        ({"factors": (1.2, -1)}, InvalidValue, r"factors must be a number in \(0, inf\), got -1"),
        ({"factors": 1.2}, InvalidType, r"factors must be numbers, such as \(0.8, 1.2\), got 1.2"),
        ({"resample_probability": 1.1}, InvalidValue, r"must be a number in \[0, 1\], got 1.1"),
        ({"frequencies": 3}, InvalidType, "frequencies must map hyperparameter names"),
        ({"frequencies": {"a": 0}}, InvalidValue, r"frequencies\['a'\] must be a whole number"),
    ],
)
def test_what_is_no_population_based_training_is_told(options, error, message):
    with pytest.raises(error, match=message):
        population_based_training(**{"interval_steps": 10, **options})


def test_bad_arguments_of_the_functions_are_told():
    with pytest.raises(InvalidValue, match="exploit: how must be one of"):
        exploit(np.ones(2), rng(), "best")
    with pytest.raises(InvalidValue, match="exploit: fraction must be"):
        exploit(np.ones(2), rng(), fraction=0.7)
    with pytest.raises(InvalidValue, match="explore: how must be one of"):
        explore({}, ALL, {}, rng(), "perturbation")


def decide(rule, scores, done, **options):
    """A decision on one family with a rate of 1 in each trial."""
    seen = table(scores, done, **options)
    trials = len(seen.done)
    diverged = (seen.scores == np.inf).any(axis=1)
    population = Population(
        family=np.full(trials, "sgd"),
        settings={"rate": np.ones(trials)},
        dimensions={"sgd": {"rate": Uniform(0, 8)}},
        diverged=diverged,
        key=0,
    )
    return rule.decide(seen._replace(population=population, active=seen.active & ~diverged))


def test_a_round_is_rounded_up_to_an_evaluation_and_waits_for_all_scores():
    """Multiples of 25 up to 90 are 25, 50 and 75; evaluations at 10, 40, 60, 70, 90."""
    rule = population_based_training(25, fraction=0.5, factors=(2.0,))
    scores, steps = np.array([[1.0] * 5, [2.0] * 5]), [10, 40, 60, 70, 90]
    rounds = []
    for done in range(5):
        decision = decide(rule, scores, [done] * 2, steps=steps)
        assert decision.advance.tolist() == [0, 1]
        if decision.copies is not None:
            rounds.append(done)
            assert decision.copies.children.tolist() == [1]
            assert decision.copies.parents.tolist() == [0]
            assert decision.copies.settings["rate"].tolist() == [2.0]
    assert rounds == [2, 3]
    waiting = decide(rule, scores, [2, 2], steps=steps, pending=[1])
    assert not waiting.advance.size
    assert waiting.copies is None
    assert decide(rule, scores, [2, 1], steps=steps).advance.tolist() == [1]


def test_a_frequency_counts_the_rounds_that_were_held():
    often = {"rate": 2}
    rule = population_based_training(10, fraction=0.5, factors=(2.0,), frequencies=often)
    scores = np.array([[1.0] * 6, [2.0] * 6])
    rates = [
        decide(rule, scores, [done] * 2, steps=[20, 40, 60, 80, 100, 120]).copies.settings["rate"]
        for done in range(1, 6)
    ]
    assert [rate.tolist() for rate in rates] == [[1.0], [2.0], [1.0], [2.0], [1.0]]
