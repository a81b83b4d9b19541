import numpy as np
import pytest

from gdjax.sweep.halving import hyperband, run_all, successive_halving
from gdjax.sweep.table import Status
from tests.sweep.simulator import answer, constant, simulate, table

NAN, INF = np.nan, np.inf
DONE, STOPPED, DIVERGED = Status.DONE, Status.STOPPED, Status.DIVERGED


def test_run_all_takes_one_cohort_after_another_and_waits_for_no_score():
    outcome = simulate(run_all(), constant(range(5), 3), slots=2, capacity=2)
    cohorts = [[0, 1]] * 3 + [[2, 3]] * 3 + [[4]] * 3
    assert outcome.advanced == cohorts
    assert outcome.standing == 2
    assert outcome.status == [DONE] * 5


def test_run_all_brings_up_those_that_lag_behind():
    seen = table(constant(range(4), 4), done=[3, 1, 1, 0])
    assert answer(run_all(), seen) == ([1, 2], [], [])


def test_run_all_goes_on_without_who_diverged():
    scores = constant([0, INF, 2], 3)
    outcome = simulate(run_all(), scores, capacity=2, ahead=1)
    assert outcome.advanced == [[0, 1], [0], [0], [2], [2], [2]]
    assert outcome.status == [DONE, DIVERGED, DONE]


def test_nine_trials_by_hand():
    """R = 9, eta = 3: 9 trials to step 1, 3 to step 3, 1 to step 9 (Li et al., ASHA, figure 1)."""
    scores = np.full((9, 9), 50.0)
    scores[:, 0] = [5, 4, 8, 1, 9, 7, 2, 6, 3]  # best: 3, 6, 8
    scores[[3, 6, 8], 2] = [3, 1, 2]  # best: 6
    outcome = simulate(successive_halving(eta=3), scores, slots=9, ahead=1, needs=[1, 3])
    assert outcome.advanced == [list(range(9))] + [[3, 6, 8]] * 2 + [[6]] * 6
    assert outcome.done == [1, 1, 1, 3, 1, 1, 9, 1, 3]
    assert outcome.reasons == {
        1: "successive halving: place 4 of 9 at step 1, 3 kept",
        0: "successive halving: place 5 of 9 at step 1, 3 kept",
        7: "successive halving: place 6 of 9 at step 1, 3 kept",
        5: "successive halving: place 7 of 9 at step 1, 3 kept",
        2: "successive halving: place 8 of 9 at step 1, 3 kept",
        4: "successive halving: place 9 of 9 at step 1, 3 kept",
        8: "successive halving: place 2 of 3 at step 3, 1 kept",
        3: "successive halving: place 3 of 3 at step 3, 1 kept",
    }


def test_a_rung_waits_for_its_last_score_and_not_before():
    scores = constant([3, 1, 4, 2], 8)  # rungs after 2 and 4 segments
    halve = successive_halving(eta=2)
    assert answer(halve, table(scores, [0, 0, 0, 0])) == ([0, 1, 2, 3], [], [])
    assert answer(halve, table(scores, [1, 1, 1, 1], pending=range(4))) == ([0, 1, 2, 3], [], [])
    assert answer(halve, table(scores, [2, 2, 2, 1])) == ([3], [], [])
    assert answer(halve, table(scores, [2, 2, 2, 2], pending=[3])) == ([], [], [])
    assert answer(halve, table(scores, [2, 2, 2, 2])) == (
        [1, 3],
        [0, 2],
        [f"successive halving: place {place} of 4 at step 2, 2 kept" for place in (3, 4)],
    )


def test_a_decided_rung_is_not_decided_again():
    """Trial 1 was kept first, and trial 3 had no slot yet."""
    seen = table(constant([3, 1, 4, 2], 8), [2, 3, 2, 2], inactive=[0, 2])
    assert answer(successive_halving(eta=2), seen) == ([1, 3], [], [])


@pytest.mark.parametrize(
    ("steps", "trials", "eta", "min_steps", "rungs"),
    [
        (range(1, 82), 81, 3, None, [1, 3, 9, 27]),
        (range(1, 10), 8, 2, None, [2, 3, 5]),  # 4.5, 2.25 and 1.125, rounded up
        (range(1, 82), 80, 3, None, [3, 9, 27]),  # 80 / 27 leaves 2, and no more division
        (range(100, 1001, 100), 256, 4, None, [1, 3]),  # 3.9, 15.6 and 62.5 are one; 250 is 300
        (range(100, 1001, 100), 4, 4, None, [3]),
        (range(100, 1001, 100), 3, 4, None, []),
        (range(100, 1001, 100), 50, 4, 63, [3]),
        (range(100, 1001, 100), 50, 4, 62, [1, 3]),
        (range(100, 1001, 100), 500, 4, 250, [3]),
        (range(100, 1001, 100), 100, 4, 251, []),
        ([10, 13], 8, 2, None, [1]),  # 6.5 is 10
        ([6, 13], 8, 2, 4, []),  # 6.5 is 13, the end
        ([7], 64, 2, None, []),
    ],
)
def test_rungs_by_hand(steps, trials, eta, min_steps, rungs):
    steps = list(steps)
    scores = constant(range(trials), len(steps))
    outcome = simulate(successive_halving(eta, min_steps), scores, steps=steps, needs=rungs)
    stopped = {
        done for done, status in zip(outcome.done, outcome.status, strict=True) if status == STOPPED
    }
    assert sorted(stopped) == rungs


def test_ties_go_to_the_lower_trial():
    outcome = simulate(successive_halving(eta=2), constant([1] * 6, 4))
    assert outcome.done == [4, 2, 2, 1, 1, 1]


def test_diverged_trials_count_and_are_never_kept():
    """8 entered, so 4 may stay; 3 can. Of those 3 // 2 = 1 stays."""
    scores = constant([INF, INF, INF, INF, NAN, 3, 1, 2], 4)
    outcome = simulate(successive_halving(eta=2, min_steps=1), scores, needs=[1, 2])
    assert outcome.done == [1, 1, 1, 1, 1, 2, 4, 2]
    assert outcome.status == [DIVERGED] * 4 + [STOPPED, STOPPED, DONE, STOPPED]
    assert outcome.reasons[4] == "successive halving: score nan at step 1 is never kept"
    assert outcome.reasons[7] == "successive halving: place 2 of 3 at step 2, 1 kept"


def test_who_diverges_between_rungs_counts_at_the_next():
    """4 trials are kept at step 2 and 2 diverge at step 3: of 4, not of 2, half is kept."""
    scores = constant(range(8), 8)
    scores[[0, 1], 2:] = INF
    outcome = simulate(successive_halving(eta=2, min_steps=2), scores)
    assert outcome.status == [DIVERGED, DIVERGED, DONE, DONE] + [STOPPED] * 4


def bracket_of(reason):
    return int(reason.removeprefix("hyperband, bracket ").partition(":")[0])


def test_hyperband_is_the_papers_table():
    """R = 81, eta = 3, algorithm 1: trials n_i that train to step r_i."""
    paper = {
        4: {1: 81, 3: 27, 9: 9, 27: 3, 81: 1},
        3: {3: 34, 9: 11, 27: 3, 81: 1},
        2: {9: 15, 27: 5, 81: 1},
        1: {27: 8, 81: 2},
        0: {81: 5},
    }
    outcome = simulate(
        hyperband(), constant(np.random.default_rng(0).permutation(143), 81), slots=16
    )
    reached = {s: dict.fromkeys(rungs, 0) for s, rungs in paper.items()}
    for trial, reason in outcome.reasons.items():
        for step in reached[bracket_of(reason)]:
            reached[bracket_of(reason)][step] += outcome.done[trial] >= step
    for s, finished in {4: 1, 3: 1, 2: 1, 1: 2, 0: 5}.items():
        reached[s] = {step: n + finished for step, n in reached[s].items()}
    assert reached == paper
    assert outcome.status.count(DONE) == 10


def test_a_bracket_keeps_the_best_of_its_own_trials():
    """R = 4, eta = 2: shares 4, 3, 3 of 10."""
    rule = hyperband(eta=2)
    assert [(b.number, b.share, b.rungs.tolist()) for b in rule.brackets(np.arange(1, 5))] == [
        (2, 4, [1, 2]),
        (1, 3, [2]),
        (0, 3, []),
    ]
    # Cards at (j + 1/2) / count: 0 at 1/8 3/8 5/8 7/8, 1 and 2 at 1/6 3/6 5/6.
    hands = [[0, 3, 6, 9], [1, 4, 7], [2, 5, 8]]
    scores = constant(range(10, 0, -1), 4)
    outcome = simulate(rule, scores, slots=3)
    assert [outcome.done[i] for i in hands[0]] == [1, 1, 2, 4]
    assert [outcome.done[i] for i in hands[1]] == [2, 2, 4]
    assert [outcome.done[i] for i in hands[2]] == [4, 4, 4]
    assert outcome.reasons[6] == "hyperband, bracket 2: place 2 of 2 at step 2, 1 kept"
    assert outcome.reasons[1] == "hyperband, bracket 1: place 3 of 3 at step 2, 1 kept"


@pytest.mark.parametrize(
    ("trials", "sizes"),
    [
        (1, [1, 0, 0, 0, 0]),
        (4, [1, 1, 1, 1, 0]),
        (5, [1, 1, 1, 1, 1]),
        (6, [2, 1, 1, 1, 1]),
        (143, [81, 34, 15, 8, 5]),
        (286, [162, 68, 30, 16, 10]),
        (100, [57, 24, 10, 6, 3]),  # of 56.6, 23.8, 10.5, 5.6, 3.5: least is lost by 10 and 3
    ],
)
def test_trials_are_dealt_in_proportion_each_bracket_one_at_least(trials, sizes):
    outcome = simulate(hyperband(eta=3), constant(range(trials), 81))
    entered = dict.fromkeys((4, 3, 2, 1), 1)  # a trial alone is never stopped
    for reason in outcome.reasons.values():
        count = int(reason.partition(" of ")[2].partition(" at ")[0])
        entered[bracket_of(reason)] = max(entered[bracket_of(reason)], count)
    assert list(entered.values()) == [max(size, 1) for size in sizes[:-1]]
    assert trials - sum(entered.values()) == sizes[-1] or trials < 5


def test_each_bracket_is_dealt_trials_from_first_to_last():
    """Five cards at (j + 1/2) / 5 of 143: 14.3, 42.9, ...; of other brackets the first are best."""
    outcome = simulate(hyperband(eta=3), constant(range(143), 81))
    finished = [i for i, status in enumerate(outcome.status) if status == DONE]
    assert finished[-5] < 30
    np.testing.assert_allclose(finished[-4:], [42.9, 71.5, 100.1, 128.7], atol=2)


def test_a_rung_that_rounds_up_to_the_end_is_none():
    brackets = hyperband(eta=2, min_steps=6).brackets(np.array([6, 13]))
    assert [bracket.rungs.tolist() for bracket in brackets] == [[], []]
