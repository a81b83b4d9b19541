"""Distributions in a word of the command line."""

from typing import Any

from gdjax.errors import GdjaxError, InvalidValue, shown
from gdjax.sweep.distributions import Integer, LogUniform, Uniform


def parse(name: str, spec: str) -> Any:
    """What a SPEC says about the hyperparameter ``name``.

    >>> parse("learning_rate", "log:1e-4:1:16")
    LogUniform(low=0.0001, high=1.0, points=16)
    >>> parse("momentum", "0.9,0.99")
    [0.9, 0.99]
    """
    kind, *numbers = spec.split(":")
    kinds = {"log": LogUniform, "uniform": Uniform, "int": Integer}
    try:
        if not numbers:
            return [float(number) for number in spec.split(",")]
        low, high, *points = numbers
        return kinds[kind](float(low), float(high), *map(int, points))
    except GdjaxError as error:
        raise InvalidValue(f"{name}: {error}") from None
    except (ValueError, KeyError, TypeError):
        raise InvalidValue(
            f"{name}: cannot read {shown(spec)}; write log:LOW:HIGH:POINTS, "
            "uniform:LOW:HIGH:POINTS, int:LOW:HIGH, numbers with commas between them, or one number"
        ) from None
