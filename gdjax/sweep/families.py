"""Families: trials whose optimizers have one tree structure, and so share one program.

What a trial is made from is its setting: an optimizer, and those numbers of the task that are
dimensions of the space.
"""

import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gdjax import inspection
from gdjax.errors import InvalidType, InvalidValue, shown
from gdjax.sweep import task_numbers
from gdjax.sweep.distributions import Distribution
from gdjax.sweep.population import Individual
from gdjax.sweep.space import Method, Space
from gdjax.task import Task
from gdjax.transformation import GradientTransformation

Factory = Callable[..., GradientTransformation]


class Maker(NamedTuple):
    """A factory that takes all dimensions of its family's trials, also those of the task."""

    factory: Factory
    task: Task  # of all trials
    own: dict[str, tuple[str, Any]]  # by dimension: dotted name and value of a number of the task

    def __call__(self, **setting: Any) -> GradientTransformation:
        """The optimizer."""
        return self.factory(**{k: v for k, v in setting.items() if k not in self.own})

    def numbers(self, settings: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The task's numbers in each setting, by dotted name: in its dtypes, in their ranges."""
        numbers = {
            dotted: inspection.like(name, settings[name], np.full(settings[name].shape, value))
            for name, (dotted, value) in self.own.items()
        }
        if numbers:
            inspection.check(inspection.put(self.task, numbers))
        return numbers

    @property
    def arguments(self) -> dict[str, bool]:
        """Dimensions that it takes, and whether it cannot do without them."""
        return _arguments(self.factory) | dict.fromkeys(self.own, False)


class Family(NamedTuple):
    """The trials of one factory."""

    name: str
    settings: dict[str, np.ndarray]  # [trial of this family]
    individuals: Individual  # leaves [trial of this family, ...]
    maker: Maker
    dimensions: Mapping[str, Distribution]  # what the settings were drawn from

    @property
    def trials(self) -> int:
        """Number of trials."""
        return len(next(iter(self.settings.values())))

    @property
    def optimizer(self) -> GradientTransformation:
        """That of its first trial."""
        return jax.tree.map(lambda x: x[0], self.individuals.optimizer)


def by_name(optimizer: Factory | Mapping[str, Factory]) -> dict[str, Factory]:
    """Factories by family name; a single one goes by its own."""
    factories = (
        dict(optimizer)
        if isinstance(optimizer, Mapping)
        else {getattr(optimizer, "__name__", "optimizer").strip("<>"): optimizer}
    )
    if not factories:
        raise InvalidValue("no optimizer given; pass a factory such as gdjax.adam")
    for name, factory in factories.items():
        if not callable(factory) or isinstance(factory, tuple):
            raise InvalidType(
                f"family {shown(name)} must be a function that makes an optimizer, such as "
                f"gdjax.adam without a call, got {shown(factory)}"
            )
    return factories


def makers(
    task: Task, factories: Mapping[str, Factory], values: Mapping[str, Any]
) -> tuple[Task, dict[str, Maker]]:
    """What makes the trials of each family, and the task of which they have numbers of their own.

    A dimension is a factory's where one names it, else it is the task's, and every family's.

    Args:
      task: what is trained.
      factories: by family name.
      values: by dimension of the space one of its values.

    Raises:
      InvalidValue, InvalidType: as :func:`gdjax.sweep.task_numbers.opened` tells.
    """
    taken = dict.fromkeys(name for factory in factories.values() for name in _arguments(factory))
    task, own = task_numbers.opened(task, values, taken, ", ".join(factories))
    numbers = inspection.hyperparameters(task)
    named = {name: (dotted, numbers[dotted]) for name, dotted in own.items()}
    return task, {name: Maker(factory, task, named) for name, factory in factories.items()}


def draw(
    makers: Mapping[str, Maker],
    space: Space,
    method: Method | None,
    trials: int | None,
    seed: int,
) -> list[Family]:
    """Draw each family's settings from the dimensions that it takes."""
    return [
        make(name, makers[name], own.draw(method, trials, seed))._replace(dimensions=own.dimensions)
        for name, own in restricted(makers, space).items()
    ]


def restricted(makers: Mapping[str, Maker], space: Space) -> dict[str, Space]:
    """Of the space what each family takes.

    Raises:
      InvalidValue: a required argument that the space does not have.
    """
    spaces = {}
    for name, maker in makers.items():
        accepted = maker.arguments
        own = space.restricted(accepted)
        missing = [k for k, required in accepted.items() if required and k not in space.dimensions]
        if missing or own is None:
            raise InvalidValue(
                f"family {name!r} needs {', '.join(missing) or 'a dimension of the space'}; add "
                "it to the space, or give it a value in the factory"
            )
        spaces[name] = own
    return spaces


def make(name: str, maker: Maker, settings: dict[str, np.ndarray]) -> Family:
    """Build a family's individuals as one stacked tree.

    The factory is called once with each setting, which holds it to every rule that concerns
    concrete values, and once with all of them together.

    Raises:
      InvalidType: the factory makes something else, or structure that depends on a value.
      InvalidValue: a setting outside its hyperparameter's range.
    """
    for row in _rows(settings):
        optimizer = maker(**row)
        if not isinstance(optimizer, GradientTransformation):
            raise InvalidType(
                f"family {shown(name)} must return one of gdjax's optimizers, whose "
                f"hyperparameters are leaves, got {shown(optimizer)}"
            )
    try:
        individuals = _stack(maker, settings)
    except jax.errors.TracerBoolConversionError:
        raise InvalidType(
            f"family {name!r} decides by the value of a hyperparameter what to compute, so its "
            "settings cannot share a program; make each alternative a family of its own"
        ) from None
    except TypeError as error:
        raise InvalidType(
            f"family {name!r} cannot be built with all its settings at once; compute with "
            "jax.numpy, not with math, numpy, float() or int(), and leave what is not a number to "
            f"families of their own ({str(error).splitlines()[0]})"
        ) from None
    return Family(name, settings, individuals, maker, {})


def remake(family: Family, settings: Mapping[str, np.ndarray]) -> Individual:
    """The individuals of a family with other ``settings``, those of all its trials.

    All together, because the bits of what a factory computes may depend on how many they are.
    """
    own = {name: settings[name].astype(old.dtype) for name, old in family.settings.items()}
    return _stack(family.maker, own)


def accepted(
    family: Family, settings: Mapping[str, np.ndarray], known: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:  # [n] by name
    """``settings``, in whose place stand the ``known`` ones where the factory refuses them.

    Each was drawn inside of its range, so a factory refuses only what does not go together. That
    ends no sweep: a warning tells it.
    """
    taken = {name: np.array(values) for name, values in settings.items()}
    own = {name: settings[name].astype(old.dtype) for name, old in family.settings.items()}
    for i, row in enumerate(_rows(own)):
        try:
            family.maker(**row)
            family.maker.numbers({name: values[i : i + 1] for name, values in own.items()})
        except Exception as error:  # whatever a user's function raises
            for name, values in taken.items():
                values[i] = known[name][i]
            warnings.warn(
                f"family {family.name!r} refuses {row}, which population-based training would go "
                f"on with; it goes on with what that was made from ({error})",
                stacklevel=2,
            )
    return taken


def columns(drawn: Sequence[Family]) -> dict[str, np.ndarray]:
    """Each hyperparameter in all trials of a sweep, ``[trial]``; NaN where a family has none."""
    names = dict.fromkeys(name for family in drawn for name in family.settings)

    def column(family: Family, name: str) -> np.ndarray:
        return family.settings.get(name, np.full(family.trials, np.nan))

    return {name: np.concatenate([column(family, name) for family in drawn]) for name in names}


def _rows(settings: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    """Each trial's settings, in Python's own numbers."""
    rows = zip(*(values.tolist() for values in settings.values()), strict=True)
    return [dict(zip(settings, row, strict=True)) for row in rows]


def _stack(maker: Maker, settings: Mapping[str, np.ndarray]) -> Individual:
    """One individual a setting as one tree, leaves ``[setting, ...]``."""
    numbers = maker.numbers(settings)
    given = {name: values for name, values in settings.items() if name not in maker.own}
    columns = {name: jnp.asarray(values) for name, values in given.items()}
    for name, values in given.items():
        if values.dtype.kind in "iu" and not np.array_equal(columns[name], values):
            raise InvalidValue(
                f"{name} takes whole numbers that {columns[name].dtype} cannot hold, such as "
                f"{np.abs(values).max()}; jax.config.update('jax_enable_x64', True) makes room"
            )
    size = len(next(iter(settings.values())))
    stacked = jax.vmap(lambda values: maker(**values), axis_size=size)(columns)
    # On the host, where taking rows compiles nothing; PRNG keys have no form there.
    optimizers = jax.tree.map(
        lambda x: x if jnp.issubdtype(x.dtype, jax.dtypes.extended) else np.asarray(x), stacked
    )
    return Individual(optimizers, numbers)


def _arguments(factory: Factory) -> dict[str, bool]:
    """A factory's arguments, and whether it cannot do without them."""
    parameters = inspect.signature(factory).parameters.values()
    variadic = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    return {p.name: p.default is p.empty for p in parameters if p.kind not in variadic}
