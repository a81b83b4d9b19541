"""Functions that bind the hyperparameters of a rule: what a decorator makes of it."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

from gdjax.binding import Bound
from gdjax.errors import InvalidType, nearest
from gdjax.ranges import interval_of


def factory_signature(rule: Callable[..., Any], skip: int, returns: Any) -> inspect.Signature:
    """The signature of what makes bindings of ``rule``: its hyperparameters, ranges shown.

    Args:
      rule: a pure function; its first ``skip`` parameters and its keyword-only ones are given
        at each call, the others are bound.
      skip: how many parameters come before the hyperparameters.
      returns: what the factory returns.
    """
    parameters = [
        p.replace(annotation=interval_of(rule, p.name) or p.annotation)
        for p in list(inspect.signature(rule).parameters.values())[skip:]
        if p.kind is p.POSITIONAL_OR_KEYWORD
    ]
    return inspect.Signature(parameters, return_annotation=returns)


def factory(
    rule: Callable[..., Any], signature: inspect.Signature, make: Callable[[dict[str, Any]], Any]
) -> Callable[..., Any]:
    """A function with the name and docstring of ``rule`` that gives its arguments to ``make``."""

    @functools.wraps(rule)
    def build(*args: Any, **kwargs: Any) -> Any:
        try:
            call = signature.bind(*args, **kwargs)
        except TypeError as error:
            names = ", ".join(signature.parameters)
            what = str(error)
            if not _takes_any(signature):  # Python would name what is missing for a misspelt one
                for name in sorted(kwargs.keys() - signature.parameters.keys()):
                    what = f"no argument {name!r}: {nearest(name, signature.parameters)}"
            raise InvalidType(f"{Bound(rule).name}({names}): {what}") from None
        call.apply_defaults()
        return make(call.arguments)

    vars(build).update(__signature__=signature)
    return build


def _takes_any(signature: inspect.Signature) -> bool:
    return any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())
