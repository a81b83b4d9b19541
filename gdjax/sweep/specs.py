"""Distributions and rules in a word of the command line."""

import inspect
import json
from typing import Any

from gdjax.errors import GdjaxError, InvalidValue, nearest, shown
from gdjax.sweep.asha import asha
from gdjax.sweep.distributions import Integer, LogUniform, Uniform
from gdjax.sweep.halving import hyperband, successive_halving
from gdjax.sweep.pbt import population_based_training
from gdjax.sweep.stoppers import budget, median_stopping, plateau, target

RULES: dict[str, Any] = {
    rule.__name__: rule
    for rule in (
        successive_halving,
        hyperband,
        asha,
        population_based_training,
        median_stopping,
        plateau,
        target,
        budget,
    )
}


def parse(name: str, spec: str) -> Any:
    """What a SPEC says about the hyperparameter ``name``.

    >>> parse("learning_rate", "log:1e-4:1:16")
    LogUniform(low=0.0001, high=1.0, points=16)
    >>> parse("momentum", "0.9,0.99")
    [0.9, 0.99]
    >>> parse("hidden", "16,32")
    [16, 32]
    """
    kind, *numbers = spec.split(":")
    kinds = {"log": LogUniform, "uniform": Uniform, "int": Integer}
    try:
        if not numbers:
            return _numbers(spec.split(","))
        low, high, *points = numbers
        return kinds[kind](float(low), float(high), *map(int, points))
    except GdjaxError as error:
        raise InvalidValue(f"{name}: {error}") from None
    except (ValueError, KeyError, TypeError):
        raise InvalidValue(
            f"{name}: cannot read {shown(spec)}; write log:LOW:HIGH:POINTS, "
            "uniform:LOW:HIGH:POINTS, int:LOW:HIGH, numbers with commas between them, or one number"
        ) from None


def _numbers(words: list[str]) -> list[Any]:
    """Whole numbers if all of them are, as in a space file."""
    try:
        return [int(word) for word in words]
    except ValueError:
        return [float(word) for word in words]


def parse_rules(spec: str) -> list[Any]:
    """Rules of a sweep by name, with numbers or words behind colons, commas between them.

    >>> parse_rules("successive_halving:eta=3,target:value=0.1")
    [SuccessiveHalving(eta=3, min_steps=None), Target(value=0.1, all_trials=False)]
    >>> parse_rules("population_based_training:interval_steps=100:exploit=tournament")[0].exploit
    'tournament'
    """
    rules = []
    for word in filter(None, spec.split(",")):
        name, *numbers = word.split(":")
        if name not in RULES:
            raise InvalidValue(f"no rule {shown(name)}: {nearest(name, RULES)}")
        try:
            given = {k: _read(v) for k, _, v in (pair.partition("=") for pair in numbers)}
            rules.append(RULES[name](**given))
        except (ValueError, TypeError) as error:
            if isinstance(error, GdjaxError):
                raise
            known = ", ".join(inspect.signature(RULES[name]).parameters)
            raise InvalidValue(
                f"cannot read {shown(word)}: {name} takes {known}, such as "
                "successive_halving:eta=3:min_steps=50"
            ) from None
    return rules


def _read(value: str) -> Any:
    """A number, ``true`` or ``false``, or else a word."""
    try:
        return json.loads(value)
    except ValueError:
        if not value.isidentifier():
            raise
        return value
