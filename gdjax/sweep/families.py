"""Families: trials whose optimizers have one tree structure, and so share one program."""

import inspect
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gdjax.errors import InvalidType, InvalidValue, nearest
from gdjax.sweep.space import Method, Space
from gdjax.transformation import GradientTransformation

Factory = Callable[..., GradientTransformation]


class Family(NamedTuple):
    """The trials of one factory."""

    name: str
    settings: dict[str, np.ndarray]  # [trial of this family]
    optimizers: GradientTransformation  # leaves [trial of this family, ...]

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
    """Draw each family's settings from the dimensions that its factory names."""
    return [
        make(name, factories[name], own.draw(method, trials, seed))
        for name, own in restricted(factories, space).items()
    ]


def restricted(factories: Mapping[str, Factory], space: Space) -> dict[str, Space]:
    """Of the space what each family's factory names.

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
    spaces = {}
    for name in factories:
        own = space.restricted(accepted[name])
        missing = [
            k for k, required in accepted[name].items() if required and k not in space.dimensions
        ]
        if missing or own is None:
            raise InvalidValue(
                f"family {name!r} needs {', '.join(missing) or 'a dimension of the space'}; add "
                "it to the space, or give it a value in the factory"
            )
        spaces[name] = own
    return spaces


def make(name: str, factory: Factory, settings: dict[str, np.ndarray]) -> Family:
    """Build a family's optimizers as one stacked tree.

    The factory is called once with each setting, which holds it to every rule that concerns
    concrete values, and once with all of them together.

    Raises:
      InvalidType: the factory makes something else, or structure that depends on a value.
      InvalidValue: a setting outside its hyperparameter's range.
    """
    for row in zip(*(values.tolist() for values in settings.values()), strict=True):
        optimizer = factory(**dict(zip(settings, row, strict=True)))
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
    return Family(name, settings, optimizers)


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
