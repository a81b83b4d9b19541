"""``@schedule``: a pure function of the step becomes a factory of schedules."""

from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec

import jax

from gdjax import binding, factories
from gdjax.binding import Schedule, is_schedule
from gdjax.errors import InvalidType
from gdjax.ranges import interval_of

P = ParamSpec("P")


def schedule(rule: Callable[Concatenate[Any, P], jax.Array]) -> Callable[P, Schedule]:
    """Turn a pure function of ``count`` and constants into a factory of schedules.

    >>> from gdjax.ranges import Real
    >>> @schedule
    ... def ramp(count, slope: Real = 0.5):
    ...     return slope * count
    >>> float(ramp(2.0)(3))
    6.0
    """

    def make(arguments: dict[str, Any]) -> Schedule:
        bound = binding.bind(rule, **arguments)
        for name, value in bound.leaves.items():
            if is_schedule(value) and interval_of(rule, name):
                raise InvalidType(
                    f"{bound.name}: {name} must be a number, got the schedule {value!r}; "
                    "put schedules one after another with join_schedules"
                )
        return Schedule.of(bound)

    signature = factories.factory_signature(rule, skip=1, returns=Schedule)
    return factories.factory(rule, signature, make)
