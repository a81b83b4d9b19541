"""``@schedule``: a pure function of the step becomes a factory of schedules."""

from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec

import jax

from gdjax import binding
from gdjax.binding import Bound

P = ParamSpec("P")


def schedule(rule: Callable[Concatenate[Any, P], jax.Array]) -> Callable[P, Bound]:
    """Turn a pure function of ``count`` and constants into a factory of schedules.

    >>> from gdjax.ranges import Real
    >>> @schedule
    ... def ramp(count, slope: Real = 0.5):
    ...     return slope * count
    >>> float(ramp(2.0)(3))
    6.0
    """
    signature = binding.factory_signature(rule, skip=1, returns=Bound)
    return binding.factory(rule, signature, lambda bound: bound)
