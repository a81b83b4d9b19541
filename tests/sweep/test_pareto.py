import numpy as np
import optuna
import pytest

import gdjax
from gdjax import InvalidType, InvalidValue
from gdjax.sweep.pareto import columns, front, pareto

NAN = np.nan
# Loss and steps, and whether a trial is on the front.
TABLE = [
    (0.50, 10, True),
    (0.50, 20, False),  # as good, later
    (0.30, 20, True),
    (0.30, 20, True),  # a tie: neither beats the other
    (0.40, 20, False),
    (0.10, 40, True),
    (NAN, 5, False),  # diverged
    (0.20, NAN, False),
    (0.10, 80, False),
    (np.inf, 5, True),
    (-np.inf, 90, True),
    (np.inf, 6, False),
]


def test_a_table_by_hand():
    values = np.array([row[:2] for row in TABLE])
    expected = [row[2] for row in TABLE]
    assert front(values).tolist() == expected
    order = np.random.default_rng(0).permutation(len(values))
    assert front(values[order]).tolist() == [expected[i] for i in order]
    assert front(values[:, ::-1]).tolist() == expected


@pytest.mark.parametrize("numbers", [1, 2, 3, 4])
@pytest.mark.parametrize("rows", [0, 1, 7, 900])
def test_no_row_of_the_front_is_beaten_and_every_other_one_is(numbers, rows):
    values = np.random.default_rng(rows).integers(0, 12, (rows, numbers)).astype(float)
    values[values == 11] = NAN
    expected = [
        not np.isnan(row).any()
        and not ((values <= row).all(axis=1) & (values < row).any(axis=1)).any()
        for row in values
    ]
    assert front(values).tolist() == expected


def test_ten_thousand_trials_that_are_all_on_the_front():
    values = np.random.default_rng(0).random((10_000, 3))
    values[:, 2] = 3 - values[:, 0] - values[:, 1]
    assert front(values).all()


@pytest.mark.parametrize("modes", [("min", "min"), ("max", "min"), ("min", "max", "max")])
def test_optuna_finds_the_same_trials(modes):
    study = optuna.create_study(directions=[f"{mode}imize" for mode in modes])
    values = np.random.default_rng(1).integers(0, 15, (120, len(modes))).astype(float)
    for row in values.tolist():
        study.add_trial(optuna.trial.create_trial(values=row))
    signs = [-1 if mode == "max" else 1 for mode in modes]
    expected = sorted(trial.number for trial in study.best_trials)
    assert np.flatnonzero(front(values * signs)).tolist() == expected
    assert 1 < len(expected) < 60


@pytest.fixture(scope="module")
def result(noisy):
    """Some trials stop early, some diverge."""
    space = {"learning_rate": np.geomspace(1e-3, 1e25, 12).tolist()}
    rule = gdjax.successive_halving(eta=2)
    return gdjax.sweep(noisy, gdjax.adam, space, seeds=2, steps=12, segment=3, stopping=rule)


def test_the_front_of_a_sweep(result):
    size, steps = result.final("size").mean(axis=1, dtype=float), result.evaluation_steps
    made = steps[np.count_nonzero(result.width, axis=1) - 1]
    np.testing.assert_array_equal(columns(result, ["size", "steps"]).T, [size, made])
    found = result.pareto(("size", "steps"))
    assert len(set(made)) > 1
    for trial in range(result.trials):
        beaten = (size <= size[trial]) & (made <= made[trial])
        beaten &= (size < size[trial]) | (made < made[trial])
        assert (trial in found) == (not beaten.any() and not np.isnan(size[trial]))
    assert (np.diff(size[found]) >= 0).all()
    assert found[0] == np.nanargmin(size)


def test_modes_and_hyperparameters(result):
    rate = result.settings["learning_rate"]
    loss = result.final("loss").mean(axis=1, dtype=float)
    found = result.pareto(("learning_rate", "loss"), modes=("max", None))
    np.testing.assert_array_equal(found, pareto(result, ["learning_rate", "loss"], ["max", "min"]))
    able = np.flatnonzero(~np.isnan(loss))
    assert found[0] == able[np.argmax(rate[able])]
    assert (np.diff(rate[found]) < 0).all()
    assert (np.diff(loss[found]) < 0).all()
    least = result.pareto(["learning_rate"], modes=["min"])
    assert least.tolist() == [np.argmin(rate)]


@pytest.mark.parametrize(
    ("error", "message", "by", "modes"),
    [
        (InvalidType, "by must be a list of names", "loss", None),
        (InvalidType, "by must be a list of names", (1, 2), None),
        (InvalidValue, "no number 'los' of a trial: did you mean loss", ("los",), None),
        (InvalidValue, "different numbers, at least one", (), None),
        (InvalidValue, "different numbers", ("loss", "loss"), None),
        (InvalidValue, "say which is better of 'learning_rate'", ("learning_rate",), None),
        (InvalidValue, "say which is better of 'loss'", ("loss",), ("least",)),
        (InvalidValue, "modes must be 2 of", ("loss", "size"), ("min",)),
        (InvalidValue, "modes must be 1 of", ("loss",), "min"),
    ],
)
def test_bad_arguments_are_told(result, error, message, by, modes):
    with pytest.raises(error, match=message):
        result.pareto(by, modes)
