"""Finds every public rule of gdjax and makes arguments for it from its signature alone.

Nothing here knows a rule by name. A parameter with a range (``ranges.Interval``) gets numbers
inside it; flags are flipped, dtypes and small sizes tried, optional numbers given. What a
signature does not say stands in ``VALUES``, by the name of the argument, which means one thing
everywhere in gdjax.
"""

import functools
import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
import pytest

import gdjax
from gdjax import ranges, schedules
from gdjax.transformation import Inner
from tests import runs

KINDS = ("transformation", "optimizer", "schedule")
TESTS = "\n".join(path.read_text() for path in Path(__file__).parent.rglob("test_*.py"))


def _joined(i: int) -> list:
    return [
        schedules.linear_schedule(0.1 + 0.1 * i, 0.9, 3 + i),
        schedules.cosine_decay_schedule(0.8 - 0.1 * i, 5 + i, 0.2),
        schedules.constant_schedule(0.3 + 0.1 * i),
    ]


def _cycles(i: int) -> list:
    return [
        {"init_value": 0.1, "peak_value": 0.8 + 0.1 * i, "warmup_steps": 2, "decay_steps": 7 + i},
        {"init_value": 0.2, "peak_value": 0.6, "warmup_steps": 3 + i, "decay_steps": 11},
    ]


def not_scalars(params: Any) -> Any:
    """A mask as users write it; of this module, since its identity is part of the structure."""
    return jax.tree.map(lambda p: jnp.ndim(p) > 0, params)


def grows(count: Any) -> Any:
    """A function of the step as users write it; of this module for the same reason."""
    return 0.5 + 0.25 * count


# Three values of each argument whose range does not say what makes sense. Numbers of one call
# differ from each other, so that a value shows which argument it came from. The values of one
# argument have one structure. With steps as here, 24 steps reach every part of a schedule.
VALUES: dict[str, Callable[[int], Any]] = {
    "amplitude_factor": lambda i: 0.55 + 0.1 * i,
    "before": lambda i: schedules.cosine_decay_schedule(0.9 - 0.1 * i, 9, 0.3, 2.0),
    "boundaries": lambda i: [5 + i, 11 + i],
    "boundaries_and_scales": lambda i: {3: 0.5 + 0.1 * i, 9: 0.25 + 0.1 * i},
    "coefficient": lambda i: 1.6 + 0.1 * i,
    "cosine_kwargs": _cycles,
    "decay_offset": lambda i: -3 - i,
    "decay_rate": lambda i: 0.5 + 0.1 * i,
    "decay_schedule": lambda i: schedules.exponential_decay(0.9 - 0.1 * i, 3, 0.7 - 0.1 * i),
    "decay_steps": lambda i: 15 + i,
    "end_value": lambda i: 0.14 + 0.01 * i,
    "inner": lambda i: gdjax.trace(0.6 + 0.1 * i),
    "init_size": lambda i: 4 + i,
    "init_value": lambda i: 0.3 + 0.1 * i,
    "max_learning_rate": lambda i: 0.3 + 0.1 * i,
    "max_size": lambda i: 20 + i,
    "max_step_size": lambda i: 0.033 - 0.001 * i,
    "min_scale": lambda i: 1.5 + 0.1 * i,
    "min_step_size": lambda i: 0.02 + 0.002 * i,
    "pct_final": lambda i: 0.75 + 0.1 * i,
    "pct_start": lambda i: 0.25 + 0.1 * i,
    "peak_value": lambda i: 0.8 + 0.1 * i,
    "key": lambda i: 1000 + i,
    "l1": lambda i: 0.1 + 0.1 * i,
    "power": lambda i: 0.5 + 0.1 * i,
    "quantile": lambda i: 0.53 + 0.1 * i,
    "schedules": _joined,
    "stationary_norm": lambda i: 0.11 - 0.05 * i,
    "step_offset": lambda i: -3 - i,
    "step_size_fn": lambda i: gdjax.linear_schedule(0.5 + 0.1 * i, 0.9, 5),
    "step_tokens": lambda i: 1.5 + 0.5 * i,
    "steps_between": lambda i: 2 + i,
    "temperature": lambda i: 1.28 / 8**i,
    "transition_begin": lambda i: 1 + i,
    "transition_steps": lambda i: 5 + i,
    "trim": lambda i: 0.15 + 0.15 * i,
    "values": lambda i: [0.4 + 0.1 * i, 0.1, 0.7 - 0.1 * i, 0.2],
    "warmup_steps": lambda i: 2 + i,
}

# Structural arguments: what is tried besides the default.
OPTIONS: dict[str, tuple] = {
    "clip_value_fn": (grows,),
    "decay_type": ("cosine", "1-sqrt"),
    "interpolate_type": ("linear", "cosine"),
    "mask": (not_scalars,),
    "variant": ("sps+",),
    "weight_decay_mask": (not_scalars,),
    "projection": (optax.projections.projection_non_negative, optax.projections.projection_l2_ball),
    "warmup_type": ("constant",),
}


class Case(NamedTuple):
    """A factory and the structural arguments of one call of it."""

    kind: str  # "transformation", "optimizer" or "schedule"
    factory: Callable[..., Any]
    variant: str
    structure: dict[str, Any]  # structural arguments that are not at their defaults
    numbers: tuple[str, ...]  # names of the numeric arguments

    @property
    def name(self) -> str:
        return self.factory.__name__

    def __str__(self) -> str:
        return f"{self.name}-{self.variant}"

    @property
    def rounds(self) -> bool:
        """Whether a part of the state is stored in a narrower dtype."""
        return jnp.bfloat16 in self.structure.values()

    @property
    def at_full_precision(self) -> "Case":
        """What it stores in float32 by default it stores in float64."""
        parameters = inspect.signature(self.factory).parameters.values()
        wide = {p.name: jnp.float64 for p in parameters if p.default is jnp.float32}
        return self._replace(structure=wide | self.structure)

    def interval(self, name: str) -> ranges.Interval | None:
        """The range of a number; None where it is structure."""
        interval = ranges.interval_of(self.factory, name)
        return None if interval and interval.static else interval

    def values(self, i: int = 0) -> dict[str, Any]:
        """The ``i``-th of three generic values of every numeric argument."""
        return {name: _value(self, name, i) for name in self.numbers}

    def defaults(self) -> dict[str, Any]:
        """The defaults, and generic values of the arguments without one."""
        defaults = {k: p.default for k, p in inspect.signature(self.factory).parameters.items()}
        absent = (inspect.Parameter.empty, None)
        return {k: v if defaults[k] in absent else defaults[k] for k, v in self.values().items()}

    def required(self) -> dict[str, Any]:
        """Generic values of the arguments without a default, and nothing else."""
        parameters = inspect.signature(self.factory).parameters
        empty = inspect.Parameter.empty
        return {k: v for k, v in self.values().items() if parameters[k].default is empty}

    def make(self, values: dict[str, Any] | None = None, /, **changes: Any) -> Any:
        """What the factory makes of ``values`` (the first generic ones) with ``changes``."""
        values = self.values() if values is None else values
        return self.fed(self.factory(**self.structure, **{**values, **changes}))

    def fed(self, thing: Any) -> Any:
        """Behind what spreads each gradient over workers, where ``thing`` aggregates theirs."""
        aggregates = self.factory.__module__.endswith(".aggregation")
        return gdjax.chain(runs.spread(), thing) if aggregates else thing

    @property
    def links(self) -> bool:
        """Whether it hands updates from one transformation to another, rounded in between."""
        parameters = inspect.signature(self.factory).parameters.values()
        return self.kind == "optimizer" or any(p.annotation is Inner for p in parameters)

    @property
    def draws(self) -> bool:
        """Whether it draws random numbers."""
        return "key" in self.numbers

    @property
    def decays(self) -> list[str]:
        """Names of the decay rates."""
        intervals = {name: self.interval(name) for name in self.numbers}
        return [name for name, interval in intervals.items() if interval and interval.high == 1]


def is_tested(name: str) -> bool:
    """Whether there is a test of that name: evidence of our own."""
    return re.search(rf"^def test_{name}\(", TESTS, re.MULTILINE) is not None


def factories(kind: str) -> dict[str, Callable[..., Any]]:
    """Public factories of a kind, by name: each function that its modules define."""
    home = {
        "transformation": gdjax.transforms,
        "optimizer": gdjax.optimizers,
        "schedule": gdjax.schedules,
    }[kind]
    found = {
        name: function
        for module in _modules(home)
        for name, function in vars(module).items()
        if inspect.isfunction(function)
        and not name.startswith("_")
        and function.__module__ == module.__name__
    }
    if kind == "transformation":
        found["identity"] = gdjax.identity  # beside chain
    found.pop("schedule", None)  # the decorator
    return found


def _modules(home: ModuleType) -> list[ModuleType]:
    """A module, and those inside where it is a package."""
    inside = pkgutil.iter_modules(getattr(home, "__path__", []), f"{home.__name__}.")
    return [home, *(importlib.import_module(module.name) for module in inside)]


@functools.cache
def cases(*kinds: str) -> tuple[Case, ...]:
    """All cases of the kinds, those of one factory together."""
    return tuple(
        case
        for kind in kinds
        for name, factory in sorted(factories(kind).items())
        for case in variants(kind, factory)
    )


def each(*kinds: str, where: Callable[[Case], Any] = bool) -> pytest.MarkDecorator:
    """Run a test on every case of the kinds.

    Of module scope, so that the laws of one case follow each other and share its programs.
    """
    chosen = [case for case in cases(*kinds) if where(case)]
    return pytest.mark.parametrize("case", chosen, ids=str, scope="module")


def variants(kind: str, factory: Callable[..., Any]) -> Iterator[Case]:
    """The plain call, and one call for each structural choice, optional numbers given."""
    parameters = inspect.signature(factory).parameters
    case = Case(kind, factory, "plain", {}, ())
    numeric = tuple(name for name in parameters if name in VALUES or case.interval(name))
    optional = tuple(name for name in numeric if parameters[name].default is None)
    options = {name: _options(factory, name, p.default) for name, p in parameters.items()}
    required = {}
    for name, parameter in parameters.items():
        if name not in numeric and parameter.default is parameter.empty:
            if not options[name]:
                raise LookupError(f"{case.name}: nothing says what {name!r} may be; add to VALUES")
            required[name] = options[name][0]
    yield case._replace(structure=required, numbers=tuple(n for n in numeric if n not in optional))
    full = case._replace(structure=required, numbers=numeric)
    if optional:
        yield full._replace(variant="with_" + "_".join(optional))
    for name in parameters:
        for option in options[name]:
            text = getattr(option, "__name__", str(option))
            structure = {**required, name: option}
            yield full._replace(variant=f"{name}={text}", structure=structure)


def _options(factory: Callable[..., Any], name: str, default: Any) -> tuple:
    if isinstance(default, bool):
        return (not default,)
    if (interval := ranges.interval_of(factory, name)) and interval.static:
        return (2,)  # less than an axis of the matrix, and no more than the other
    if name.startswith("dtype") or name.endswith("dtype"):
        return (jnp.bfloat16,)
    return OPTIONS.get(name, ())


def _value(case: Case, name: str, i: int) -> Any:
    if name in VALUES:
        return VALUES[name](i)
    low, high, _, integer, *_ = case.interval(name)
    position = case.numbers.index(name)
    if integer:
        return int(low) + 4 + i + position
    if high < float("inf"):
        return low + (high - low) * (0.6 + 0.1 * i + 0.01 * position)
    return (0.7 if low < 0 else low + 0.05) + 0.05 * i + 0.003 * position
