"""Families: trials whose optimizers have one tree structure, and so share one program."""

import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gdjax.errors import InvalidType, InvalidValue, nearest
from gdjax.sweep.distributions import Distribution
from gdjax.sweep.space import Method, Space
from gdjax.transformation import GradientTransformation

Factory = Callable[..., GradientTransformation]


class Family(NamedTuple):
    """The trials of one factory."""

    name: str
    settings: dict[str, np.ndarray]  # [trial of this family]
    optimizers: GradientTransformation  # leaves [trial of this family, ...]
    factory: Factory
    dimensions: Mapping[str, Distribution]  # what the settings were drawn from

    @property
    def trials(self) -> int:
        """Number of trials."""
        return len(next(iter(self.settings.values())))


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
                f"family {name!r} must be a function that makes an optimizer, such as gdjax.adam "
                f"without a call, got {factory!r}"
            )
    return factories


def draw(
    factories: Mapping[str, Factory],
    space: Space,
    method: Method | None,
    trials: int | None,
    seed: int,
) -> list[Family]:
    """Draw each family's settings from the dimensions that its factory names.

    Raises:
      InvalidValue: a dimension that no factory names, or a required argument that the space
        does not have.
    """
    accepted = {name: _arguments(factory) for name, factory in factories.items()}
    everything = {name for arguments in accepted.values() for name in arguments}
    for name in space.dimensions:
        if name not in everything:
            raise InvalidValue(
                f"{', '.join(factories)}: no hyperparameter {name!r}; {nearest(name, everything)}"
            )
    families = []
    for name, factory in factories.items():
        own = space.restricted(accepted[name])
        missing = [
            k for k, required in accepted[name].items() if required and k not in space.dimensions
        ]
        if missing or own is None:
            raise InvalidValue(
                f"family {name!r} needs {', '.join(missing) or 'a dimension of the space'}; add "
                "it to the space, or give it a value in the factory"
            )
        settings = own.draw(method, trials, seed)
        families.append(make(name, factory, settings)._replace(dimensions=own.dimensions))
    return families


def make(name: str, factory: Factory, settings: dict[str, np.ndarray]) -> Family:
    """Build a family's optimizers as one stacked tree.

    The factory is called once with each setting, which holds it to every rule that concerns
    concrete values, and once with all of them together.

    Raises:
      InvalidType: the factory makes something else, or structure that depends on a value.
      InvalidValue: a setting outside its hyperparameter's range.
    """
    for row in _rows(settings):
        optimizer = factory(**row)
        if not isinstance(optimizer, GradientTransformation):
            raise InvalidType(
                f"family {name!r} must return one of gdjax's optimizers, whose hyperparameters "
                f"are leaves, got {optimizer!r}"
            )
    try:
        optimizers = _stack(factory, settings)
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
    return Family(name, settings, optimizers, factory, {})


def remake(family: Family, settings: Mapping[str, np.ndarray]) -> GradientTransformation:
    """The optimizers of a family with other ``settings``, those of all its trials.

    All together, because the bits of what a factory computes may depend on how many they are.
    """
    own = {name: settings[name].astype(old.dtype) for name, old in family.settings.items()}
    return _stack(family.factory, own)


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
            family.factory(**row)
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


def _stack(factory: Factory, settings: Mapping[str, np.ndarray]) -> GradientTransformation:
    """One optimizer a setting as one tree, leaves ``[setting, ...]``."""
    columns = {name: jnp.asarray(values) for name, values in settings.items()}
    for name, values in settings.items():
        if values.dtype.kind in "iu" and not np.array_equal(columns[name], values):
            raise InvalidValue(
                f"{name} takes whole numbers that {columns[name].dtype} cannot hold, such as "
                f"{np.abs(values).max()}; jax.config.update('jax_enable_x64', True) makes room"
            )
    stacked = jax.vmap(lambda values: factory(**values))(columns)
    # On the host, where taking rows compiles nothing; PRNG keys have no form there.
    return jax.tree.map(
        lambda x: x if jnp.issubdtype(x.dtype, jax.dtypes.extended) else np.asarray(x), stacked
    )


def _arguments(factory: Factory) -> dict[str, bool]:
    """A factory's arguments, and whether it cannot do without them."""
    parameters = inspect.signature(factory).parameters.values()
    variadic = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    return {p.name: p.default is p.empty for p in parameters if p.kind not in variadic}
