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
    assert Uniform(-1, 1e-7, points=2).grid().tolist() == [-1, 1e-7]
    assert LogUniform(3e-5, 7e-3, points=2).grid().tolist() == [3e-5, 7e-3]
    assert LogUniform(1, 10**300, points=2).grid().tolist() == [1.0, 1e300]
    assert Uniform(0.3, 0.4, points=1).grid().tolist() == [0.3]


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
        (lambda: Space({"a": np.array([1, 2], "m8[ns]")}), InvalidType, "a space holds numbers"),
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


def test_points_to_try_first_count_towards_the_trials():
    dimensions = {"a": LogUniform(1e-4, 1.0), "b": Integer(1, 9), "c": [5, 7]}
    first = [{"a": 0.5, "b": 3.0}, {"c": 7}]
    drawn = Space(dimensions, first).draw("random", trials=4, seed=1)
    plain = Space(dimensions).draw("random", trials=4, seed=1)
    assert drawn["a"].tolist() == [0.5, *plain["a"][1:]]
    assert drawn["b"].tolist() == [3, *plain["b"][1:]]
    assert drawn["c"].tolist() == [plain["c"][0], 7, *plain["c"][2:]]
    assert {k: v.dtype for k, v in drawn.items()} == {k: v.dtype for k, v in plain.items()}
    with pytest.raises(InvalidValue, match="trials is 1, but the space has 2 points to try first"):
        Space(dimensions, first).draw("sobol", trials=1)


def test_points_to_try_first_stand_in_front_of_a_grid():
    space = Space({"a": Uniform(0, 1, points=2), "b": [5, 7]}, first=[{"a": 0.3}] * 5)
    drawn = space.draw()
    assert drawn["a"].tolist() == [0.3] * 5 + [0, 0, 1, 1]
    assert drawn["b"].tolist() == [5, 7, 5, 7, 5, 5, 7, 5, 7]  # left out: as in the grid
    assert len(space.draw("grid", trials=9)["a"]) == 9
    with pytest.raises(InvalidValue, match="4 points and 5 to try first, but trials is 4"):
        space.draw("grid", trials=4)


def test_a_family_gets_its_part_of_each_point():
    first = [{"a": 1, "b": 3}, {"b": 4}]
    space = Space({"a": [1, 2], "b": Integer(3, 4), "c": 5}, first)
    restricted = space.restricted(["a", "c", "other"])
    assert restricted is not None
    assert restricted.first == ({"a": 1},)
    assert list(restricted.dimensions) == ["a", "c"]


@pytest.mark.parametrize(
    ("first", "error", "message"),
    [
        ({"a": 0.5}, InvalidType, "must be a list of points to try first"),
        ([0.5], InvalidType, r"first\[0\] must map hyperparameter names to numbers"),
        ([{"a": 0.5}, {}], InvalidValue, r"first\[1\] is empty"),
        ([{"rte": 0.5}], InvalidValue, "no hyperparameter 'rte' in the space; did you mean rate"),
        ([{"a": 2}], InvalidValue, r"first\[0\]: a is 2, which is not in Uniform"),
        ([{"a": -0.1}], InvalidValue, "a is -0.1, which is not in Uniform"),
        ([{"a": "0.5"}], InvalidType, r"first\[0\]: a space holds numbers, got '0.5'"),
        ([{"a": float("nan")}], InvalidValue, "finite numbers, got nan"),
        ([{"n": 1.5}], InvalidValue, "n is 1.5, which is not in Integer"),
        ([{"n": 4}], InvalidValue, "n is 4, which is not in Integer"),
        ([{"rate": 1e-5}], InvalidValue, "which is not in LogUniform"),
        ([{"rate": 2}], InvalidValue, "which is not in LogUniform"),
        ([{"c": 3}], InvalidValue, r"c is 3, which is not in Choice\(values=\(1, 2\)\)"),
    ],
)
def test_what_is_no_point_of_the_space_is_told(first, error, message):
    rate = LogUniform(1e-4, 1.0)
    with pytest.raises(error, match=message):
        Space({"a": Uniform(0, 1), "rate": rate, "n": Integer(0, 3), "c": [1, 2]}, first)


def test_the_ends_of_a_range_are_in_it():
    ends = [{"a": 0, "b": 1, "c": -2}, {"a": 1, "b": 1e-4, "c": 2}]
    space = Space({"a": Uniform(0, 1), "b": LogUniform(1e-4, 1.0), "c": Integer(-2, 2)}, ends)
    assert space.first == tuple(ends)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Space({"a": Integer(0, 10**12)}).draw(),
            "the grid has 1000000000001 points, more",
        ),
        (lambda: Space({"a": [1, 2]}).draw("random", 10**12), "1000000000000 trials draw"),
        (lambda: Uniform(0, 1, points=10**12), "Uniform has 1000000000000 points, more than"),
        (lambda: Space({f"a{i}": 1 for i in range(21202)}).draw(trials=2), "21202; use .*random"),
        (lambda: Uniform(-1e308, 1e308), "finite high - low"),
        (lambda: Integer(0, 2**60), r"at most 2\*\*53"),
        (lambda: Space({"a": [[1, 2], [3, 4]]}), r"flat list of numbers, got shape \(2, 2\)"),
        (lambda: Space({"a": [1]}).draw("random", 2, seed=-1), "seed must be a whole number"),
        (lambda: Space({"a": [1]}).draw("random", trials=True), "trials of at least 1, got True"),
    ],
)
def test_what_does_not_fit_is_told(make, message):
    with pytest.raises(InvalidValue, match=message):
        make()


def test_numbers_of_any_type_are_taken_as_they_are():
    assert Uniform(np.float32(0.5), np.int8(2), points=np.int64(3)) == Uniform(0.5, 2, 3)
    assert Choice(np.array([1, 2], np.uint8)).grid().dtype == np.int64
    assert Choice((1, 10**30)).grid().tolist() == [1.0, 1e30]


def test_a_log_range_may_be_wider_than_its_ratio():
    drawn = LogUniform(1e-300, 1e300, points=3).grid()
    np.testing.assert_allclose(drawn, [1e-300, 1.0, 1e300], rtol=1e-12)


def test_a_grid_has_any_number_of_dimensions():
    drawn = Space({f"a{i}": [0, 1] if i in (3, 70) else 1 for i in range(80)}).draw()
    assert drawn["a3"].tolist() == [0, 0, 1, 1]
    assert drawn["a70"].tolist() == [0, 1, 0, 1]
