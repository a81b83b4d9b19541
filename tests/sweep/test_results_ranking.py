"""How sure a ranking is, against paired t-tests and worked by hand."""

import math

import numpy as np
import pytest
import scipy.stats

from gdjax import InvalidValue
from gdjax.sweep import ranking
from tests.synthetic import halved, synthetic

CLOSE = 4 * 0.5 / ranking.DRAWS**0.5
"""Four standard errors of a probability that is known by draws."""


def scored(values, mode="min", made=None):
    """A result whose trials end with these values, ``[trial, seed]``.

    ``made`` tells of each trial how many of four segments it made; a scheduler stopped those that
    made fewer.
    """
    values = np.asarray(values, float)
    result = synthetic({"b1": np.arange(len(values))}, seeds=values.shape[1], mode=mode)
    result.evaluations[result.attributes["objective"]][:] = values[..., None]
    return result if made is None else halved(result, made)


def test_two_seeds_by_hand():
    """Differences of 1 and 2: mean 1.5, standard error 0.5; t is 3, with 1 degree of freedom."""
    result = scored([[1.0, 10.0], [2.0, 12.0]])
    best = result.best()
    assert (best.trial, best.mean, best.spread) == (0, 5.5, pytest.approx(9 / 2**0.5))
    assert best.probability == pytest.approx(0.5 + math.atan(3) / math.pi, abs=CLOSE)
    assert (best.peers, best.rivals) == (1, 1)  # t would have to be 12.7


def test_what_moves_all_trials_alike_says_nothing():
    """Each is 1 worse than the one before in every seed, though seeds differ by 1000."""
    ranks = scored(np.arange(4)[:, None] + [0, 1000, -500]).ranks()
    assert ranks.trial.tolist() == [0, 1, 2, 3]
    assert ranks.probability.tolist() == [1, 0, 0, 0]
    assert ranks.low.tolist() == ranks.high.tolist() == [1, 2, 3, 4]
    assert (ranks.spread > 700).all()
    np.testing.assert_allclose(ranks.standard_error, ranks.spread / 3**0.5)


def test_the_probability_of_two_trials_is_the_paired_t_test_s():
    first, second = [1.0, 4.0, 2.0, 8.0, 5.0], [2.0, 3.5, 3.0, 9.0, 5.5]
    better = scipy.stats.ttest_rel(first, second, alternative="less")
    assert scored([first, second]).best().probability == pytest.approx(1 - better.pvalue, abs=CLOSE)


def test_ranks_of_three_trials_are_those_of_a_bivariate_t():
    values = np.array([[1.0, 4.0, 2.0, 8.0], [2.0, 3.5, 3.0, 9.0], [1.0, 5.0, 1.5, 8.5]])
    first, last = np.zeros((2, 3))
    for i in range(3):
        others = values[i] - np.delete(values, i, axis=0)  # below 0 where this one is better
        for sign, probability in ((1, first), (-1, last)):
            distribution = scipy.stats.multivariate_t(
                loc=sign * others.mean(axis=1), shape=np.cov(others) / 4, df=3, seed=0
            )
            probability[i] = distribution.cdf([0, 0])
    assert first.sum() == pytest.approx(1, abs=1e-3)
    ranks = scored(values).ranks()
    np.testing.assert_allclose(ranks.probability, first[ranks.trial], atol=CLOSE)
    assert ranks.low.tolist() == np.where(first > 0.025, 1, 2)[ranks.trial].tolist()
    assert ranks.high.tolist() == np.where(last > 0.025, 3, 2)[ranks.trial].tolist()
    assert set(ranks.high) == {2, 3}


def test_rivals_are_those_that_a_paired_t_test_does_not_tell_from_the_best():
    values = np.random.default_rng(0).normal(np.linspace(0, 3, 40)[:, None], 1, (40, 4))
    result = scored(values)
    best = result.best()
    tests = scipy.stats.ttest_rel(values, values[best.trial, None].repeat(40, axis=0), axis=1)
    told_apart = np.delete(tests.pvalue, best.trial) < 0.05
    assert best.rivals == np.count_nonzero(~told_apart)
    assert 0 < told_apart.sum() < 39


def test_one_seed_says_nothing():
    result = scored([[1.0], [2.0]])
    best, ranks = result.best(), result.ranks()
    assert (best.trial, best.mean) == (0, 1.0)
    assert np.isnan([best.spread, best.probability, best.rivals]).all()
    assert ranks.mean.tolist() == [1, 2]
    assert np.isnan([ranks.standard_error, ranks.probability, ranks.low, ranks.high]).all()


def test_trials_that_are_alike_share():
    ranks = scored([[1.0, 1.0], [2.0, 2.0], [1.0, 1.0], [1.0, 1.0]]).ranks()
    assert ranks.trial.tolist() == [0, 2, 3, 1]
    np.testing.assert_allclose(ranks.probability, [1 / 3, 1 / 3, 1 / 3, 0])
    assert ranks.low.tolist() == [1, 1, 1, 4]
    assert ranks.high.tolist() == [3, 3, 3, 4]
    assert scored([[1.0, 1.0], [1.0, 1.0]]).best().rivals == 1


def test_more_is_better_is_the_same_the_other_way_round():
    values = np.random.default_rng(1).normal(size=(6, 3))
    less, more = scored(values).ranks(), scored(-values, "max").ranks()
    for name in ("trial", "spread", "probability", "low", "high"):
        np.testing.assert_array_equal(getattr(less, name), getattr(more, name))
    np.testing.assert_array_equal(less.mean, -more.mean)


def test_who_was_stopped_is_compared_with_those_that_came_as_far():
    """Trial 3 has the lowest score, of a shorter run: nobody knows how it would have ended."""
    values = [[5.0, 5.0], [6.0, 6.0], [3.0, 3.0], [1.0, 1.0], [2.0, 2.0]]
    result = scored(values, made=[4, 4, 2, 1, 1])
    ranks = result.ranks()
    assert ranks.trial.tolist() == [0, 1, 2, 3, 4] == result.ranking().tolist()
    assert ranks.probability[:2].tolist() == [1, 0]
    assert np.isnan(ranks.probability[2:]).all()
    assert ranks.low.tolist() == ranks.high.tolist() == [1, 2, 3, 4, 5]
    assert result.best()[-3:] == (1, 1, 0)  # one peer, which is worse in both seeds


def test_a_trial_with_a_diverged_seed_has_no_rank():
    result = scored([[1.0, np.nan], [3.0, 3.0], [2.0, 2.0]])
    ranks = result.ranks()
    assert ranks.trial.tolist() == [2, 1, 0]
    assert ranks.low[:2].tolist() == [1, 2]
    assert np.isnan([ranks.mean[2], ranks.low[2], ranks.high[2], ranks.probability[2]]).all()


def test_numbers_whose_squares_overflow_end_well():
    best = scored([[1e300, -1e300], [1.0, 2.0]]).best()
    assert best.trial == 0
    assert np.isinf(best.spread)


def test_what_a_mean_cannot_be_over_is_told():
    with pytest.raises(InvalidValue, match=r"over must be 'seed'.*got 'step'"):
        scored([[1.0]]).best(over="step")
