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
import pytest

import gdjax
from gdjax import binding, ranges
from tests import runs
from tests.vocabulary import OPTIONS, VALUES

KINDS = ("transformation", "optimizer", "schedule")
TESTS = "\n".join(path.read_text() for path in Path(__file__).parent.rglob("test_*.py"))


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
        return gdjax.chain(runs.spread(), thing) if self.aggregates else thing

    @property
    def aggregates(self) -> bool:
        """Whether a rule in it reduces a leading axis of its updates."""
        if self.kind == "schedule":
            return False
        rules = _functions(self.factory(**self.structure, **self.values()).update)
        return any(rule.__module__.endswith(".aggregation") for rule in rules)

    @property
    def reals(self) -> bool:
        """Whether it has a number that is not whole."""
        leaves = jax.tree.leaves(self.values())
        return any(jnp.issubdtype(jnp.result_type(x), jnp.floating) for x in leaves)

    @property
    def composed(self) -> bool:
        """Whether it is made of transformations, each of which rounds what it hands on."""
        values = jax.tree.leaves(self.values(), is_leaf=_is_pair)
        return self.kind == "optimizer" or any(map(_is_pair, values))

    @property
    def draws(self) -> bool:
        """Whether it draws random numbers."""
        return "key" in self.numbers

    @property
    def decays(self) -> list[str]:
        """Names of the decay rates."""
        decays = (ranges.Interval(0, 1), ranges.Interval(0, 1, includes_high=True))
        return [name for name in self.numbers if self.interval(name) in decays]


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
        and _makes_a_rule(function)
    }
    if kind == "transformation":
        found["identity"] = gdjax.identity  # beside chain
    return found


def _makes_a_rule(function: Callable[..., Any]) -> bool:
    """Whether it makes a rule, and does not read a state, say; its annotation tells."""
    product = inspect.signature(function).return_annotation
    if product is inspect.Parameter.empty:
        raise LookupError(f"{function.__name__}: annotate what it returns")
    return product in (gdjax.GradientTransformation, binding.Schedule)


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
    if name in OPTIONS:
        return OPTIONS[name]
    if choices := ranges.choices_of(factory, name):
        return tuple(choice for choice in choices if choice != default)
    if isinstance(default, bool):
        return (not default,)
    if (interval := ranges.interval_of(factory, name)) and interval.static:
        return (2,)  # less than an axis of the matrix, and no more than the other
    if name.startswith("dtype") or name.endswith("dtype"):
        return (jnp.bfloat16,)
    return ()


def _functions(tree: Any) -> Iterator[Callable[..., Any]]:
    """The functions of all bindings in ``tree``."""
    for leaf in jax.tree.leaves(tree, is_leaf=binding.is_bound):
        if binding.is_bound(leaf):
            yield leaf.function
            yield from _functions(leaf.leaves)


def _is_pair(x: Any) -> bool:
    return isinstance(x, gdjax.GradientTransformation)


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
