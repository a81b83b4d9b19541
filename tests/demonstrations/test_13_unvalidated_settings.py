"""Unvalidated settings: what one seed chooses, and what several do."""

import numpy as np
import pytest

import gdjax

SEEDS, CHOOSING = 24, 16
RATES = np.geomspace(0.003, 1.0, 11)


@pytest.fixture(scope="module")
def losses():
    """Held-out loss of each setting and seed, ``[setting, seed]``."""
    task = gdjax.problems.digits(hidden=(16,), batch_size=16)
    optimizers = {"adam": gdjax.adam, "sgd": gdjax.sgd}
    space = {"learning_rate": RATES.tolist()}
    result = gdjax.sweep(task, optimizers, space, seeds=SEEDS, steps=100)
    return np.nan_to_num(result.final("heldout_loss"), nan=np.inf)


def test_single_seeds_choose_different_settings_and_praise_them(losses):
    chosen = losses.argmin(axis=0)  # [seed]
    assert len(np.unique(chosen)) > 3
    own = losses[chosen, np.arange(SEEDS)]
    others = [np.delete(losses[c], s).mean() for s, c in enumerate(chosen)]
    assert own.mean() < 0.9 * np.mean(others)


def test_several_seeds_choose_what_is_better_in_others(losses):
    seen, unseen = losses[:, :CHOOSING], losses[:, CHOOSING:].mean(axis=1)
    by_one = unseen[seen.argmin(axis=0)].mean()  # of sixteen choices
    by_all = unseen[seen.mean(axis=1).argmin()]
    assert by_all < by_one
    assert by_all < 1.1 * unseen.min()


def test_the_doctor_misses_seeds_and_a_wider_range():
    task = gdjax.problems.digits(hidden=(16,), batch_size=16)
    narrow = gdjax.sweep(task, gdjax.sgd, {"learning_rate": [1e-3, 1e-2, 1e-1]}, steps=50)
    told = gdjax.diagnose_sweep(narrow)
    assert told.challenges == ("unvalidated settings",)
    assert [finding.remedy for finding in told.findings] == [
        "space['learning_rate'] = gdjax.LogUniform(0.0033, 3)",
        "result = gdjax.sweep(task, optimizer, space, seeds=4)",
    ]
    wide = {"learning_rate": [1e-2, 1e-1, 1e1]}
    validated = gdjax.sweep(task, gdjax.sgd, wide, seeds=5, steps=50)
    assert gdjax.diagnose_sweep(validated).challenges == ()
