import numpy as np
import pytest

from gdjax.errors import InvalidType, InvalidValue
from gdjax.sweep.stoppers import budget, median_stopping, plateau, target
from gdjax.sweep.table import Spent
from tests.sweep.simulator import constant, table

NAN, INF = np.nan, np.inf


def stops(stopper, seen):
    """An answer as a list of trials, and of reasons."""
    trials, reasons = stopper.stops(seen)
    assert len(trials) == len(reasons)
    assert (seen.active & ~seen.pending)[trials].all()
    return trials.tolist(), reasons


# After two evaluations the means are 4, 3, 6 and 2; the bests 2, 3, 5 and 1.
FOUR = np.array([[6, 2, 0], [3, 3, 0], [7, 5, 0], [1, 3, 0]], float)


def test_median_rule_by_hand():
    """Others' medians: of 3 6 2 -> 3, of 4 6 2 -> 4, of 4 3 2 -> 3, of 4 3 6 -> 4."""
    reason = "median rule: best score is worse than the median of 3 others at step 2"
    rule = median_stopping(min_trials=3)
    assert stops(rule, table(FOUR, [2, 2, 2, 2])) == ([2], [reason])
    scores = FOUR.copy()
    scores[2] = [3, 9, 0]  # best 3 is not worse than the median 3, whatever comes last
    assert stops(rule, table(scores, [2, 2, 2, 2])) == ([], [])


def test_median_rule_takes_the_middle_of_an_even_number_of_others():
    """Of 2 and 4 the median is 3."""
    scores = np.array([[2.0], [4.0], [3.0]]) * np.ones(3)
    rule = median_stopping(min_trials=2)
    assert stops(rule, table(scores, [1, 1, 1]))[0] == [1]  # 4 > median of 2 3; 3 is not > 3
    scores[2] = 3.1
    assert stops(rule, table(scores, [1, 1, 1]))[0] == [1, 2]


def test_median_rule_compares_at_the_same_step_with_all_that_came_so_far():
    """At step 1: the first scores 6 3 7 1. Trial 0: 6 > median of 3 7 1. Trial 2 is at step 2."""
    rule = median_stopping(min_trials=3)
    seen = table(FOUR, [1, 3, 2, 3])
    assert stops(rule, seen)[0] == [0]  # at step 2 only 1, 2 and 3 have come: two others
    assert stops(median_stopping(min_trials=2), seen)[0] == [0, 2]
    assert stops(median_stopping(grace_steps=2, min_trials=2), seen)[0] == [2]
    assert stops(median_stopping(grace_steps=3, min_trials=2), seen)[0] == []
    assert stops(rule, table(FOUR, [1, 3, 2, 0]))[0] == []


def test_median_rule_stops_no_pending_trial_and_counts_it_only_where_it_has_a_score():
    rule = median_stopping(min_trials=3)
    assert stops(rule, table(FOUR, [2, 2, 2, 2], pending=[2]))[0] == []
    assert stops(rule, table(FOUR, [2, 2, 2, 2], pending=[0]))[0] == []
    assert stops(rule, table(FOUR, [3, 2, 2, 2], pending=[0]))[0] == [2]


def test_median_rule_with_trials_that_diverged():
    """With others at 4, 3 and inf the median is 4: 5 is worse; with two at inf it is not."""
    scores = constant([4, 3, INF, 5, 1], 3)
    rule = median_stopping(min_trials=3)
    seen = table(scores, [1] * 5, inactive=[2])
    assert stops(rule, seen)[0] == [3]  # others 4 3 inf 1: 3.5; for trial 0: 3 5 inf 1: 4
    scores[0] = INF
    assert stops(rule, table(scores, [1] * 5, inactive=[0, 2]))[0] == []
    scores[0] = -INF
    assert stops(rule, table(scores, [1] * 5, inactive=[0, 2]))[0] == [3]
    scores[:, 1] = NAN, NAN, -INF, 5, INF  # the mean of inf and -inf is no number
    rule = median_stopping(min_trials=2)
    assert stops(rule, table(scores, [2] * 5, inactive=[2]))[0] == []
    assert stops(rule, table([[9, NAN, 9], [1, 1, 1], [1, 1, 1], [1, 1, 1]], [2] * 4))[0] == []
    assert stops(rule, table(constant([INF] * 4, 2), [1] * 4))[0] == []
    assert stops(rule, table(constant([NAN] * 4, 2), [1] * 4))[0] == []


def test_median_rule_agrees_with_the_definition():
    generator = np.random.default_rng(0)
    for _ in range(50):
        scores = generator.integers(0, 6, (generator.integers(2, 12), 4)) * 1.0
        done = generator.integers(0, 5, len(scores))
        seen = table(
            scores, done, pending=np.flatnonzero((generator.random(len(done)) < 0.3) & (done > 0))
        )
        expected = []
        for i in np.flatnonzero(seen.active & ~seen.pending & (done > 0)):
            others = np.delete(seen.scores, i, axis=0)[:, : done[i]]
            others = others[~np.isnan(others[:, -1])].mean(axis=1)
            if len(others) >= 2 and scores[i, : done[i]].min() > np.median(others):
                expected.append(i)
        assert sorted(stops(median_stopping(min_trials=2), seen)[0]) == expected


def test_plateau_by_hand():
    """At step 40, patience 20: the best up to 20 against the best up to 40."""
    scores = [
        [4, 3, 3, 3, 0],  # 3 at 20, none better since: stops
        [4, 3, 2, 5, 0],  # 2 at 30
        [4, 3, 3, 2.5, 0],
        [1, 3, 2, 1, 0],  # its best is its first
    ]
    steps = [10, 20, 30, 40, 50]
    seen = table(scores, [4] * 4, steps=steps)
    reason = "plateau: no better in the last 20 steps at step 40"
    assert stops(plateau(20), seen) == ([0, 3], [reason] * 2)
    assert stops(plateau(20, min_delta=0.5), seen)[0] == [0, 2, 3]
    assert stops(plateau(20, min_delta=0.4), seen)[0] == [0, 3]
    assert stops(plateau(21), seen)[0] == [3]  # from 10 on, 0 went from 4 to 3
    assert stops(plateau(1), seen)[0] == [0, 1, 3]
    assert stops(plateau(30), seen)[0] == [3]
    assert stops(plateau(31), seen)[0] == []  # no evaluation so long ago
    assert stops(plateau(20), table(scores, [4] * 4, steps=steps, pending=[0]))[0] == [3]
    assert stops(plateau(20), table(scores, [0, 1, 2, 3], steps=steps))[0] == [3]


def test_plateau_of_unequal_segments_and_of_what_is_no_number():
    scores = [[4, 4, 4, 0], [NAN, 4, 4, 0], [INF, 5, 5, 0], [INF, INF, INF, 0], [4, 4, NAN, 0]]
    seen = table(scores, [3] * 5, steps=[1, 10, 12, 20])
    assert stops(plateau(2), seen)[0] == [0, 1, 2, 3]
    assert stops(plateau(11), seen)[0] == [0, 3]


def test_target_by_hand():
    scores = [[3, 1, 9], [3, 2, 1], [0.5, 5, 5], [3, 3, 3]]
    seen = table(scores, [2, 2, 2, 1], steps=[10, 20, 30])
    reasons = ["target: reached at step 20", "target: reached at step 10"]
    assert stops(target(1), seen) == ([0, 2], reasons)
    assert stops(target(0.4), seen) == ([], [])
    assert stops(target(1), table(scores, [2, 2, 2, 1], pending=[0]))[0] == [2]


def test_target_of_all_trials():
    """The first to reach it is named; of equal ones the lower."""
    scores = [[3, 1, 9], [3, 2, 1], [0.5, 5, 5], [0.9, 3, 3], [7, 7, 7]]
    seen = table(scores, [2, 3, 2, 1, 0], pending=[3], steps=[10, 20, 30])
    rule = target(1.0, all_trials=True)
    assert stops(rule, seen) == ([0, 2, 4], ["target: reached by trial 2 at step 10"] * 3)
    done = table([[NAN, 1], [2, 2], [INF, 9]], [2, 1, 1], inactive=[2])
    assert stops(rule, done) == ([1], ["target: reached by trial 0 at step 2"])
    assert stops(target(0.5, all_trials=True), done) == ([], [])


def test_budget_by_hand():
    scores = constant(range(4), 3)

    def seen(**spent):
        return table(scores, [1, 3, 0, 1], pending=[3], spent=Spent(**spent))

    assert stops(budget(steps=100), seen(steps=99)) == ([], [])
    reasons = ["budget: 100 of 100 steps spent"] * 2
    assert stops(budget(steps=100), seen(steps=100)) == ([0, 2], reasons)
    assert stops(budget(flops=1e15), seen(steps=10**9, flops=9e14)) == ([], [])
    assert stops(budget(flops=1e15, seconds=60), seen(flops=2e15))[1][0] == (
        "budget: 2e+15 of 1e+15 flops spent"
    )
    assert stops(budget(10**6, 1e15, 60), seen(seconds=60.5))[1][0] == (
        "budget: 60.5 of 60 seconds spent"
    )


STOPPERS = [
    median_stopping(min_trials=1),
    plateau(1),
    target(0.0),
    target(0.0, all_trials=True),
    budget(steps=1),
]


@pytest.mark.parametrize("stopper", STOPPERS, ids=repr)
def test_any_table_is_answered(stopper):
    generator = np.random.default_rng(0)
    for _ in range(200):
        trials, evaluations = generator.choice([1, 2, 9]), generator.choice([1, 2, 5])
        scores = generator.choice([0.0, 1.0, 1.0, 2.0, INF, -INF, NAN], (trials, evaluations))
        done = generator.integers(0, evaluations + 1, trials)
        flags = generator.random((2, trials)) < 0.3
        pending = np.flatnonzero(flags[0] & (done > 0))
        seen = table(
            scores,
            done,
            pending=pending,
            inactive=np.flatnonzero(flags[1]),
            spent=Spent(steps=generator.integers(0, 2)),
        )
        found, _ = stops(stopper, seen)
        assert len(set(found)) == len(found)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: median_stopping(-1),
            InvalidValue,
            r"grace_steps must .* \[0, inf\), got -1",
        ),
        (
            lambda: median_stopping(0, 0),
            InvalidValue,
            r"min_trials must .* \[1, inf\), got 0",
        ),
        (lambda: plateau(0), InvalidValue, "plateau: patience must be a whole number"),
        (lambda: plateau(1.5), InvalidValue, "plateau: patience must be a whole number .* got 1.5"),
        (lambda: plateau(None), InvalidValue, "plateau: patience .* got None"),
        (
            lambda: plateau(1, -0.1),
            InvalidValue,
            r"min_delta must .* \[0, inf\), got -0",
        ),
        (lambda: target(NAN), InvalidValue, "target: value must be a number .* got nan"),
        (lambda: target("a"), InvalidValue, "target: value must be a number .* got 'a'"),
        (lambda: target(10**400), InvalidValue, "target: value must be a number"),
        (lambda: target(1, 2), InvalidType, "all_trials must be True or False, got 2"),
        (lambda: budget(), InvalidValue, "must limit something, .* such as budget"),
        (lambda: budget(steps=0), InvalidValue, "budget: steps must be a whole number"),
        (lambda: budget(flops=0), InvalidValue, r"budget: flops must be a number in \(0, inf\)"),
        (lambda: budget(seconds=INF), InvalidValue, "budget: seconds must be .* got inf"),
    ],
)
def test_what_is_no_stopper_is_told(make, error, message):
    with pytest.raises(error, match=message):
        make()
