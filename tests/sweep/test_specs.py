import pytest

from gdjax import Integer, InvalidValue, LogUniform, Uniform, population_based_training
from gdjax.sweep import specs


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("log:1e-4:1:64", LogUniform(1e-4, 1.0, 64)),
        ("log:1e-4:1", LogUniform(1e-4, 1.0)),
        ("uniform:-1:1:3", Uniform(-1, 1, 3)),
        ("int:2:5", Integer(2, 5)),
        ("0.1,0.2", [0.1, 0.2]),
        ("3e-4", [3e-4]),
        ("8,16", [8, 16]),
        ("0,0.5", [0.0, 0.5]),
    ],
)
def test_specs(spec, expected):
    parsed = specs.parse("a", spec)
    assert parsed == expected
    assert not isinstance(parsed, list) or list(map(type, parsed)) == list(map(type, expected))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("lg:1:2", "a: cannot read 'lg:1:2'; write log:LOW:HIGH:POINTS"),
        ("log:1:0.1", "a: LogUniform needs low < high"),
        ("int:1:2:3", "a: cannot read 'int:1:2:3'"),
    ],
)
def test_what_is_no_spec_is_told(spec, message):
    with pytest.raises(InvalidValue, match=message):
        specs.parse("a", spec)


def test_rules_take_numbers_and_words():
    spec = "population_based_training:interval_steps=50:fraction=0.25:explore=resample"
    expected = population_based_training(50, fraction=0.25, explore="resample")
    assert specs.parse_rules(spec) == [expected]
    with pytest.raises(InvalidValue, match=r"explore must be one of .* got 'resampled'"):
        specs.parse_rules(f"{spec}d")
    with pytest.raises(InvalidValue, match="population_based_training takes interval_steps, exp"):
        specs.parse_rules("population_based_training:fraction=1/2")
