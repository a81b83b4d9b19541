import numpy as np
import pytest

from gdjax import Choice, Integer, InvalidType, InvalidValue, LogUniform, Space, Uniform


def test_a_grid_is_every_combination_first_name_slowest():
    drawn = Space({"a": [1.0, 2.0], "b": Integer(0, 2), "c": 0.5}).draw()
    assert drawn["a"].tolist() == [1, 1, 1, 2, 2, 2]
    assert drawn["b"].tolist() == [0, 1, 2, 0, 1, 2]
    assert drawn["c"].tolist() == [0.5] * 6


def test_points_make_a_grid_with_exact_ends():
    drawn = Space({"a": LogUniform(1e-4, 1.0, points=5)}).draw("grid")["a"]
    np.testing.assert_allclose(drawn, [1e-4, 1e-3, 1e-2, 1e-1, 1], rtol=1e-12)
    assert (drawn[0], drawn[-1]) == (1e-4, 1.0)
    assert Space({"a": Uniform(0, 1, points=3)}).draw("grid")["a"].tolist() == [0, 0.5, 1]


@pytest.mark.parametrize("method", ["random", "sobol"])
def test_draws_stay_inside_repeat_and_depend_on_the_seed(method):
    space = Space(
        {
            "a": LogUniform(1e-4, 1.0),
            "b": Uniform(-1, 3),
            "c": Integer(2, 4),
            "d": Choice((5.0, 7.0)),
        }
    )
    drawn = space.draw(method, trials=100, seed=1)
    assert all(column.shape == (100,) for column in drawn.values())
    assert drawn["a"].min() >= 1e-4
    assert drawn["a"].max() <= 1
    assert drawn["b"].min() >= -1
    assert drawn["b"].max() <= 3
    assert set(drawn["c"]) == {2, 3, 4}
    assert set(drawn["d"]) == {5.0, 7.0}
    again, other = space.draw(method, 100, 1), space.draw(method, 100, 2)
    assert all(np.array_equal(drawn[name], again[name]) for name in drawn)
    assert not np.array_equal(drawn["a"], other["a"])


def test_sobol_points_fill_each_part_of_a_log_range_equally():
    drawn = Space({"a": LogUniform(1e-4, 1.0)}).draw("sobol", trials=64)["a"]
    counts, _ = np.histogram(np.log10(drawn), bins=np.linspace(-4, 0, 17))
    assert counts.tolist() == [4] * 16


def test_sobol_is_the_way_where_trials_are_given():
    space = Space({"a": [1.0, 2.0, 3.0]})
    assert len(space.draw(trials=8)["a"]) == 8
    assert np.array_equal(space.draw(trials=8)["a"], space.draw("sobol", 8)["a"])


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Space({}), InvalidValue, "the space is empty"),
        (lambda: Space([0.1]), InvalidType, "must map hyperparameter names"),
        (lambda: Space({"a": []}), InvalidValue, r"space\['a'\]: .* at least one value"),
        (lambda: Space({"a": [True]}), InvalidType, "structural value"),
        (lambda: Space({"a": ["relu"]}), InvalidType, "families"),
        (lambda: Space({"a": [0.1, float("nan")]}), InvalidValue, "finite numbers, got nan"),
        (lambda: Uniform(1, 0), InvalidValue, "needs low < high, got low=1, high=0"),
        (lambda: LogUniform(0, 1), InvalidValue, "0 < low < high, got low=0"),
        (
            lambda: LogUniform(0.1, float("inf")),
            InvalidValue,
            "finite numbers .* got inf",
        ),
        (lambda: Integer(0.5, 2), InvalidValue, "whole numbers"),
        (lambda: LogUniform("a", 1), InvalidValue, "finite numbers low and high, got 'a'"),
        (lambda: Uniform(0, 10**400), InvalidValue, "finite numbers low and high"),
        (lambda: Uniform(0, 1, points=2.5), InvalidValue, "points must be a whole number"),
        (lambda: Space({1: [0.1]}), InvalidType, "names of hyperparameters are strings, got 1"),
        (
            lambda: Uniform(0, 1, points=0),
            InvalidValue,
            "points must be a whole number of at least 1, got 0",
        ),
    ],
)
def test_what_is_not_a_space_is_told(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("method", "trials", "message"),
    [
        ("sobol", 0, "needs trials of at least 1, got 0"),
        ("random", None, "needs trials of at least 1, got None"),
        ("grid", None, "how many values of a: write LogUniform"),
        ("gird", None, "no method 'gird': did you mean grid"),
    ],
)
def test_what_cannot_be_drawn_is_told(method, trials, message):
    with pytest.raises(InvalidValue, match=message):
        Space({"a": LogUniform(0.1, 1.0)}).draw(method, trials)


def test_trials_of_another_number_than_the_grid_has_are_told():
    with pytest.raises(InvalidValue, match="the grid has 2 points, but trials is 3"):
        Space({"a": [0.1, 0.2]}).draw("grid", trials=3)


def test_a_wide_integer_needs_no_list_of_its_values():
    drawn = Space({"a": Integer(0, 10**15)}).draw("random", trials=100)["a"]
    assert drawn.dtype == np.int64
    assert 10**13 < drawn.max() <= 10**15
    assert Space({"a": Integer(3, 3)}).draw("random", trials=2)["a"].tolist() == [3, 3]
