import inspect
import math

import jax
import optax
import pytest

import gdjax
from gdjax import InvalidType, InvalidValue

RATES = {"learning_rate": [0.5, 0.25]}


def returns_optax(learning_rate):
    return optax.sgd(learning_rate)


def hides_the_rate(learning_rate):
    return gdjax.chain(optax.scale(-learning_rate))


def branches(learning_rate):
    return gdjax.sgd(learning_rate) if learning_rate > 0.3 else gdjax.adam(learning_rate)


BAD_VALUES = {
    "no hyperparameter 'learning_rte'; did you mean learning_rate": {
        "space": {"learning_rte": [0.1]}
    },
    "the space is empty": {"space": {}},
    "needs learning_rate; add it to the space": {"space": {"b1": [0.9]}},
    r"learning_rate must be a number in \[0, inf\), got -0.1": {
        "space": {"learning_rate": [0.1, -0.1]}
    },
    "trials must be a whole number of at least 1, got 0": {"trials": 0},
    "width must be a whole number of at least 1, got 2.5": {"width": 2.5},
    "steps must be a whole number of at least 1 and below 2147483648, got 0": {"steps": 0},
    "seeds must be a whole number of at least 1 and below 2147483648, got 1.5": {"seeds": 1.5},
    "segment must be a whole number of at least 1, got -1": {"segment": -1},
    "width must be a whole number of at least 1, got 0": {"width": 0},
    "key must be a whole number of at least 0 and below 4294967296, got 'a'": {"key": "a"},
    "key must be .* got -1": {"key": -1},
    "steps must be .* got True": {"steps": True},
    "no optimizer given": {"optimizer": {}},
}
BAD_TYPES = {
    "hides a hyperparameter of the space .* use gdjax's": {"optimizer": hides_the_rate},
    "nesterov is structural .* family": {"space": RATES | {"nesterov": [0, 1]}},
    "must map hyperparameter names": {"space": [0.1]},
    "task must be a gdjax.Task": {"task": None},
    "without a call": {"optimizer": gdjax.sgd(0.1)},
    "must return one of gdjax's optimizers": {"optimizer": returns_optax},
    "compute with jax.numpy, not with math": {
        "optimizer": lambda learning_rate: gdjax.sgd(math.sqrt(learning_rate))
    },
    "make each alternative a family": {"optimizer": branches},
}


@pytest.fixture(autouse=True)
def _nothing_is_compiled(monkeypatch):
    def refuse(*args):
        raise AssertionError("compiled")

    monkeypatch.setattr(jax.stages.Lowered, "compile", refuse)


def test_a_rule_that_several_settings_break_together_is_told(halving):
    def warmed(warmup_steps):
        return gdjax.sgd(gdjax.warmup_cosine_decay_schedule(0.0, 0.1, warmup_steps, 100))

    with pytest.raises(InvalidValue, match=r"decay_steps .* must exceed"):
        gdjax.sweep(halving, warmed, {"warmup_steps": [10, 200]})


@pytest.mark.parametrize("name", ["family", "loss"])
def test_names_that_a_result_needs_itself_are_told(halving, name):
    def family(**settings):
        return gdjax.sgd(0.1)

    family.__signature__ = inspect.Signature(
        [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD)]
    )
    with pytest.raises(InvalidValue, match=f"'{name}' is"):
        gdjax.sweep(halving, family, {name: [0.1]})


@pytest.mark.parametrize(("message", "change"), BAD_VALUES.items())
def test_bad_values_are_told_before_anything_is_compiled(halving, message, change):
    arguments = {"task": halving, "optimizer": gdjax.adam, "space": RATES, "steps": 2}
    with pytest.raises(InvalidValue, match=message):
        gdjax.sweep(**(arguments | change))


@pytest.mark.parametrize(("message", "change"), BAD_TYPES.items())
def test_bad_types_are_told_before_anything_is_compiled(halving, message, change):
    arguments = {"task": halving, "optimizer": gdjax.adam, "space": RATES, "steps": 2}
    with pytest.raises(InvalidType, match=message):
        gdjax.sweep(**(arguments | change))


def test_a_directory_with_another_sweep_is_told_and_left_alone(halving, tmp_path):
    (tmp_path / "results.nc").write_text("other")
    with pytest.raises(InvalidValue, match="already holds a sweep"):
        gdjax.sweep(halving, gdjax.adam, RATES, directory=tmp_path)
    assert (tmp_path / "results.nc").read_text() == "other"


def test_a_directory_that_is_a_file_is_told(halving, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InvalidValue, match="cannot be written to"):
        gdjax.sweep(halving, gdjax.adam, RATES, directory=tmp_path / "file")


def test_a_missing_extra_is_told(halving, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(gdjax.MissingExtra, match=r'pip install "gdjax\[sweep\]"'):
        gdjax.sweep(halving, gdjax.adam, RATES, directory=tmp_path)


def test_measurements_that_cannot_be_saved_are_not_lost(halving, tmp_path, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.undo()
    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(InvalidValue, match="cannot be written: No space left") as caught:
        gdjax.sweep(halving, gdjax.adam, RATES, steps=2, directory=tmp_path)
    assert caught.value.result.best().family == "adam"
