"""What holds for every scheduler."""

import itertools

import numpy as np
import pytest

from gdjax.errors import InvalidValue
from gdjax.sweep.asha import asha
from gdjax.sweep.halving import hyperband, run_all, successive_halving
from gdjax.sweep.table import Status
from tests.sweep.simulator import simulate

NAN, INF = np.nan, np.inf
DONE, STOPPED, DIVERGED = Status.DONE, Status.STOPPED, Status.DIVERGED

RULES = {
    "run_all": run_all(),
    "halving": successive_halving(eta=2),
    "halving, low": successive_halving(eta=3, min_steps=1),
    "hyperband": hyperband(eta=2),
    "hyperband, low": hyperband(eta=3, min_steps=1),
    "asha": asha(eta=2),
    "asha, low": asha(eta=3, min_steps=1),
    "asha, wide": asha(eta=50, min_steps=1),
}


def adversarial(generator):
    """Scores with ties, divergence, holes and infinities of both signs."""
    trials, evaluations = generator.choice([1, 2, 3, 7, 20]), generator.choice([1, 2, 5, 12])
    scores = generator.integers(0, generator.choice([1, 3, 100]), (trials, evaluations)) * 1.0
    odd = generator.random((trials, evaluations))
    often = generator.choice([0.0, 0.05, 0.5, 1.0])
    scores[odd < often] = INF
    scores[(odd > 0.9) & (generator.random() < 0.5)] = NAN
    scores[(odd > 0.85) & (odd < 0.9)] = -INF
    first = np.where((scores == INF).any(1), (scores == INF).argmax(1), evaluations)
    scores[np.arange(evaluations) > first[:, None]] = INF if generator.random() < 0.5 else NAN
    return scores


@pytest.mark.parametrize("name", RULES)
def test_any_sequence_ends_and_loses_nothing(name):
    generator = np.random.default_rng(0)
    for _ in range(150):
        scores = adversarial(generator)
        trials, evaluations = scores.shape
        slots, ahead = generator.choice([1, 3, 64]), generator.choice([1, 2])
        capacity = generator.choice([slots, 4 * slots])
        outcome = simulate(RULES[name], scores, slots=slots, capacity=capacity, ahead=ahead)
        for status, done in zip(outcome.status, outcome.done, strict=True):
            assert done == evaluations or status != DONE
        if name == "run_all":
            assert STOPPED not in outcome.status
            assert outcome.standing <= capacity
        if name.startswith("asha"):
            assert max(map(len, outcome.advanced)) <= slots
        if np.isfinite(scores).all():
            assert DONE in outcome.status
        if (scores == INF)[:, 0].all():
            assert outcome.status == [DIVERGED] * trials


@pytest.mark.parametrize("name", [name for name in RULES if "asha" not in name])
def test_the_outcome_depends_on_neither_slots_nor_lag_nor_what_is_one_call(name):
    generator = np.random.default_rng(1)
    for _ in range(30):
        scores = adversarial(generator)
        kinds = itertools.product((1, 5), (1, 2), (1, 3, 99))
        runs = [simulate(RULES[name], scores, slots=s, ahead=a, together=t) for s, a, t in kinds]
        assert all(run.done == runs[0].done for run in runs)
        assert all(run.status == runs[0].status for run in runs)
        assert all(run.reasons == runs[0].reasons for run in runs)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: successive_halving(eta=1),
            r"successive_halving: eta must be a whole number in \[2, inf\), got 1",
        ),
        (lambda: successive_halving(eta=2.5), "eta must be a whole number .* got 2.5"),
        (
            lambda: successive_halving(min_steps=0),
            r"min_steps must be a whole number in \[1, inf\), got 0",
        ),
        (lambda: hyperband(eta=True), "hyperband: eta must be a whole number .* got True"),
        (lambda: hyperband(min_steps="a"), "hyperband: min_steps must be .* got 'a'"),
        (lambda: asha(eta=None), "asha: eta must be a whole number .* got None"),
        (lambda: asha(min_steps=NAN), "asha: min_steps must be .* got nan"),
    ],
)
def test_what_is_no_scheduler_is_told(make, message):
    with pytest.raises(InvalidValue, match=message):
        make()


def test_schedulers_compare_and_print_as_they_were_made():
    assert successive_halving(np.int64(4)) == successive_halving()
    assert repr(asha(np.int32(3), 5)) == "Asha(eta=3, min_steps=5)"
    assert len({run_all(), run_all(), hyperband(), hyperband()}) == 2
