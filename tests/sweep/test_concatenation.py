import dataclasses
import json

import numpy as np
import pytest

import gdjax
from gdjax import InvalidType, InvalidValue, SweepResult
from gdjax.sweep import concatenate
from gdjax.sweep.concatenation import take
from tests.sweep.comparing import check_reruns, check_same

RATES = [1e-3, 1e-2, 1e30, 0.1, 0.2, 0.4]


def momentum(learning_rate, decay):
    return gdjax.sgd(learning_rate, decay)


FAMILIES = {"adam": gdjax.adam, "momentum": momentum}


def train(noisy, rates, families=FAMILIES, **changes):
    options = {"seeds": 2, "steps": 6, "segment": 2, "width": 2} | changes
    space = {"learning_rate": rates} | ({"decay": 0.5} if "momentum" in families else {})
    return gdjax.sweep(noisy, families, space, **options)


@pytest.fixture(scope="module")
def whole(noisy):
    return train(noisy, RATES)


@pytest.fixture(scope="module")
def parts(noisy):
    return [
        train(noisy, RATES[:2]),
        train(noisy, RATES[2:4], {"momentum": momentum}),
        train(noisy, RATES[2:]),
    ]


def test_parts_are_one_sweep(whole, parts):
    joined = concatenate(parts)
    assert joined.trials == 4 + 2 + 8
    # Of the whole sweep: adam has trials 0 to 5, momentum 6 to 11.
    theirs = np.array([0, 1, 6, 7, 8, 9, 2, 3, 4, 5, 8, 9, 10, 11])
    check_same(joined, whole, theirs=theirs)
    assert joined.family.tolist() == whole.family[theirs].tolist()
    for name, values in joined.settings.items():
        np.testing.assert_array_equal(values, whole.settings[name][theirs])
    assert joined.best().settings == whole.best().settings
    check_reruns(joined)


def test_what_was_taken_is_run_again(whole):
    trials = np.array([7, 2, 11, 0])
    some = take(whole, trials)
    check_same(some, whole, theirs=trials)
    assert some.family.tolist() == ["momentum", "adam", "momentum", "adam"]
    check_reruns(some)


def test_a_joined_result_is_saved_loaded_and_reconnected(noisy, parts, tmp_path):
    joined = take(concatenate(parts), np.array([13, 0, 2, 7, 4, 8]))
    joined.save(tmp_path)
    loaded = SweepResult.load(tmp_path)
    check_same(loaded, joined)
    assert loaded.attributes == joined.attributes
    check_reruns(gdjax.reconnect(loaded, noisy, FAMILIES))


def test_fewer_trials_than_the_width_of_their_program_are_reconnected(noisy):
    """Each trial was trained two side by side, and is alone in its family."""
    some = take(train(noisy, RATES[3:5]), np.array([1, 2]))
    assert some.family.tolist() == ["adam", "momentum"]
    check_reruns(gdjax.reconnect(dataclasses.replace(some, again=None), noisy, FAMILIES))


def evolve(noisy, rates):
    """Trials that copy others, in each family."""
    space = gdjax.Space(
        {"learning_rate": gdjax.LogUniform(1e-3, 1e30), "decay": 0.5},
        [{"learning_rate": rate} for rate in rates],
    )
    rule = gdjax.population_based_training(2, fraction=0.4)
    options = {"trials": len(rates), "seeds": 2, "steps": 6, "segment": 1, "width": 2}
    return gdjax.sweep(noisy, FAMILIES, space, stopping=rule, **options)


@pytest.fixture(scope="module")
def evolved(noisy):
    return [evolve(noisy, [0.02, 1e30, 0.1]), evolve(noisy, [0.3, 0.05, 0.2, 1e30])]


def test_who_copied_whom_is_joined_and_run_again(evolved):
    joined, (one, other) = concatenate(evolved), evolved
    expected = np.concatenate([one.copied.parent, other.copied.parent + 6])
    np.testing.assert_array_equal(joined.copied.parent, expected)
    copies = joined.copied.parent != np.arange(14)[:, None]
    assert copies[:6].any()
    assert copies[6:].any()
    check_same(take(joined, np.arange(6, 14)), other)
    check_reruns(joined)
    top = joined.top(5)
    for i, trial in enumerate(top.trials.tolist()):
        np.testing.assert_array_equal(top.params[i], joined.rerun(trial).params)


def test_copies_are_taken_saved_loaded_and_reconnected(noisy, evolved, tmp_path):
    joined = concatenate(evolved)
    trials = np.random.default_rng(0).permutation(14)
    some = take(joined, trials)
    np.testing.assert_array_equal(trials[some.copied.parent], joined.copied.parent[trials])
    assert [step.settings for step in some.lineage(3)] == [
        step.settings for step in joined.lineage(trials[3])
    ]
    check_reruns(some)
    some.save(tmp_path)
    loaded = SweepResult.load(tmp_path)
    check_same(loaded, some)
    check_reruns(gdjax.reconnect(loaded, noisy, FAMILIES))


def test_a_copy_is_not_taken_without_its_parent(evolved):
    parents = evolved[0].copied.parent
    child, segment = np.argwhere(parents != np.arange(6)[:, None])[0]
    message = f"trial {child} went on from trial {parents[child, segment]}, so"
    with pytest.raises(InvalidValue, match=message):
        take(evolved[0], np.array([child]))


def test_attributes_are_joined(parts):
    joined, each = concatenate(parts).attributes, [part.attributes for part in parts]
    for name in ("compile_seconds", "run_seconds"):
        assert joined[name] == sum(attributes[name] for attributes in each)
    assert joined["widths"] == "[2, 2]"
    other = dataclasses.replace(parts[1], attributes=each[1] | {"device": "9 x cpu (cpu)"})
    device = concatenate([parts[0], other, parts[2]]).attributes["device"]
    assert device == f"{each[0]['device']} + 9 x cpu (cpu)"


def test_sweeps_in_directories_tell_whose_trials_they_hold(noisy, tmp_path):
    results = [train(noisy, RATES[i : i + 2], directory=tmp_path / str(i)) for i in (0, 2)]
    found, first = (
        json.loads(r.attributes["identity"]) for r in (concatenate(results), results[0])
    )
    assert found["families"] == first["families"]
    assert found["hyperparameters of adam"].startswith(first["hyperparameters of adam"] + " + ")
    identity = json.dumps(first | {"data of the task": "other"})
    attributes = results[1].attributes | {"identity": identity}
    with pytest.raises(InvalidValue, match=r"results\[1\] is .* its data of the task is 'other'"):
        concatenate([results[0], dataclasses.replace(results[1], attributes=attributes)])


def test_what_is_loaded_cannot_be_run_again(parts):
    loaded = dataclasses.replace(parts[1], again=None)
    assert concatenate([parts[0], loaded]).again is None
    assert take(loaded, np.array([1])).again is None


@pytest.mark.parametrize(
    ("message", "change"),
    [
        ("its steps is 4, not 6", {"steps": 4}),
        ("its key is 1, not 0", {"key": 1}),
        ("its stopping is 'plateau'", {"stopping": "plateau"}),
        ("its objective is 'loss', not 'size'", {"objective": "loss"}),
        ("its jax is None", {"jax": None}),
        ("family 'adam' was trained 2 and 1 runs side by side", {"widths": "[1, 2]"}),
    ],
)
def test_results_of_another_sweep_are_told(parts, message, change):
    other = dataclasses.replace(parts[2], attributes=parts[2].attributes | change)
    with pytest.raises(InvalidValue, match=message):
        concatenate([parts[0], other])


def test_other_measurements_are_told(parts, evolved):
    with pytest.raises(InvalidValue, match="its lineage is 'none', not 'one'"):
        concatenate([evolved[0], dataclasses.replace(evolved[1], copied=None)])
    for change, message in [
        ({"status": parts[1].status[:, :1]}, "its seeds is 1, not 2"),
        ({"evaluation_steps": np.array([3, 6])}, r"evaluations at steps is \[3, 6\], not"),
        ({"evaluations": {}}, r"its metrics is \['loss'\], not \['loss', 'size'\]"),
    ]:
        with pytest.raises(InvalidValue, match=message):
            concatenate([parts[0], dataclasses.replace(parts[1], **change)])


@pytest.mark.parametrize("results", [[], [3], None])
def test_what_is_no_list_of_results_is_told(results):
    with pytest.raises(InvalidType, match="concatenate takes a list of sweeps' results"):
        concatenate(results)
