import numpy as np

from gdjax.sweep.asha import asha
from gdjax.sweep.halving import successive_halving
from gdjax.sweep.table import Status
from tests.sweep.simulator import answer, constant, simulate, table

NAN, INF = np.nan, np.inf
DONE, STOPPED, DIVERGED = Status.DONE, Status.STOPPED, Status.DIVERGED


def test_asha_by_hand():
    """R = 4, eta = 2, rungs 1 and 2, one slot, each score known before the next decision.

    0: 3. Then 1: 1, which is the best of 2: to rung 2, where it is alone. Then 2: 2 of 3 trials
    the best one is 1 again. Then 3: 0; of 4 trials the best two are 3 and 1: 3 to rung 2, where it
    is the best of 2: to the end. Nothing is left: 0 and 2 stop at rung 1, 1 at rung 2.
    """
    scores = constant([3, 1, 2, 0], 4)
    outcome = simulate(asha(eta=2), scores, slots=1, ahead=1, needs=[1, 2])
    assert outcome.advanced == [[0], [1], [1], [2], [3], [3], [3], [3]]
    assert outcome.done == [1, 2, 1, 4]
    assert outcome.reasons == {
        0: "asha: not promoted from step 1",
        1: "asha: not promoted from step 2",
        2: "asha: not promoted from step 1",
    }


def test_asha_fills_the_slots_first_with_who_is_on_the_way_then_promoted_then_new():
    """R = 8, eta = 2, 8 trials: rungs 1, 2, 4. On the way: 0. Promotable: 2 at 2, then 5 at 1."""
    scores = constant([1, 5, 4, 8, 7, 6, 0, 0], 8)
    done = [3, 2, 2, 1, 1, 1, 0, 0]
    # rung 2 saw 0, 1, 2: best 1 of 3 is 0, on the way. Rung 1 saw six: best three are 0, 2, 1.
    assert answer(asha(eta=2), table(scores, done)) == ([0, 6, 7], [], [])
    scores[0, :] = 9  # now rung 2: best of three is 2; rung 1: best three of six are 2, 1, 5
    assert answer(asha(eta=2), table(scores, done)) == ([0, 2, 5, 6], [], [])
    assert answer(asha(eta=2), table(scores, done, slots=2)) == ([0, 2], [], [])
    assert answer(asha(eta=2), table(scores, done, slots=1)) == ([0], [], [])


def test_asha_promotes_the_best_first_and_ties_by_index():
    scores = constant([2, 1, 1, 1, 5, 5, 5, 5], 4)
    seen = table(scores, [1] * 8, slots=8)
    assert answer(asha(eta=2, min_steps=1), seen)[0] == [1, 2, 3, 0]
    assert answer(asha(eta=4, min_steps=1), seen)[0] == [1, 2]


def test_a_pending_trial_has_no_score_and_a_stopped_one_keeps_its_place():
    scores = constant([1, 2, 3, 4], 4)
    rule = asha(eta=2)  # rungs 1 and 2
    assert answer(rule, table(scores, [1] * 4, pending=[0]))[0] == [1]  # best 1 of 3
    assert answer(rule, table(scores, [1] * 4, inactive=[0]))[0] == [1]  # best 2 of 4
    assert answer(rule, table(scores, [1] * 4, pending=[0, 1, 2])) == ([], [], [])


def test_a_diverged_trial_has_arrived():
    """R = 8, eta = 4, rung 2: trial 0 diverged at its first segment; of four one may go on."""
    scores = constant([INF, 2, 3, 4, 5], 8)
    rule = asha(eta=4, min_steps=2)
    assert answer(rule, table(scores, [1, 2, 2, 2, 0], inactive=[0], slots=1))[0] == [1]
    assert answer(rule, table(scores[1:], [2, 2, 2, 0], slots=1))[0] == [3]
    scores[0, 1:] = NAN  # whether or not the engine goes on to write infinities
    assert answer(rule, table(scores, [1, 2, 2, 2, 0], inactive=[0], slots=1))[0] == [1]
    scores[0, 0] = 9  # stopped below the rung: it has no score there
    assert answer(rule, table(scores, [1, 2, 2, 2, 0], inactive=[0], slots=1))[0] == [4]


def test_a_diverged_trial_counts_at_no_rung_that_it_never_made_for():
    """Rungs 1 and 2: at rung 2 trials 1 and 2 would be two, and the best promoted, with trial 0."""
    seen = table(constant([INF, 1, 2], 4), [1, 2, 1], inactive=[0])
    seen.scores[0] = INF  # an engine may write this for all that is to come
    assert answer(asha(eta=2, min_steps=1), seen._replace(slots=1)) == ([1], [], [])
    seen = table(constant([INF, 1, 2, 3], 4), [1, 2, 1, 0], inactive=[0])
    seen.scores[0] = INF
    assert answer(asha(eta=2, min_steps=1), seen._replace(slots=1)) == ([3], [], [])


def test_a_score_that_is_no_number_is_not_promoted_even_where_the_trial_may_go_on():
    """One of its seeds may have diverged: the mean is infinite."""
    seen = table(constant([INF, INF, INF, 1, NAN], 4), [1] * 5)
    assert answer(asha(eta=2, min_steps=1), seen)[0] == [3]


def test_asha_without_any_promotion_brings_its_best_to_the_end():
    """3 trials, eta = 4, rungs 1 and 4 of 16: none may be promoted by the paper."""
    scores = constant([2, 1, 3], 16)
    outcome = simulate(asha(eta=4, min_steps=1), scores, ahead=1, needs=[1, 4])
    assert outcome.done == [1, 16, 1]
    scores[1, 2:] = INF  # before rung 4: then the next best
    outcome = simulate(asha(eta=4, min_steps=1), scores, ahead=1)
    assert outcome.done == [16, 3, 1]
    scores[1, :] = 1
    scores[1, 8:] = INF  # beyond the highest rung
    outcome = simulate(asha(eta=4, min_steps=1), scores, ahead=2)
    assert outcome.status == [DONE, DIVERGED, STOPPED]


def test_asha_at_its_end_takes_the_highest_rung_then_the_best_then_the_first():
    """Rungs 1 and 4 of 16; at 4 there are three trials, one too few."""
    rule = asha(eta=4, min_steps=1)
    scores = constant([1, 5, 4, 4], 16)
    seen = table(scores, [1, 4, 4, 4], inactive=[0])  # 0 holds the only promotion from rung 1
    assert answer(rule, seen) == ([2], [], [])
    scores[2:, 3] = NAN, INF
    assert answer(rule, table(scores, [1, 4, 4, 4], inactive=[0]))[0] == [1]
    scores[1, 3] = INF
    stops = answer(rule, table(scores, [1, 4, 4, 4], inactive=[0]))
    assert stops == ([], [1, 2, 3], ["asha: not promoted from step 4"] * 3)


def test_asha_at_its_end_stops_all_once_one_has_finished():
    scores = constant([0, 5, 4, 3], 16)
    rule = asha(eta=4, min_steps=1)
    reasons = [f"asha: not promoted from step {step}" for step in (4, 1, 1)]
    assert answer(rule, table(scores, [16, 4, 1, 1])) == ([], [1, 2, 3], reasons)
    assert answer(rule, table(scores, [16, 4, 1, 1], pending=[0])) == ([], [], [])
    scores[0, 15] = INF  # diverged in its last segment: another must finish
    assert answer(rule, table(scores, [16, 4, 1, 1])) == ([1], [], [])


def test_asha_spends_little_more_than_halving():
    """Promotions too many are about a square root of the trials (section 3.3 of the paper)."""
    scores = constant(np.random.default_rng(0).permutation(256), 64)
    halved = simulate(successive_halving(eta=4, min_steps=1), scores)
    outcome = simulate(asha(eta=4, min_steps=1), scores, slots=8)
    assert halved.done.count(1) == 192
    assert 192 - 16 <= outcome.done.count(1) <= 192
    assert outcome.done[int(np.argmin(scores[:, 0]))] == 64
    assert outcome.reasons.keys() == {i for i, done in enumerate(outcome.done) if done < 64}
