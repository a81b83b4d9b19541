"""What names on the command line stand for: tasks and optimizers, gdjax's or a user's own."""

import importlib
import inspect
from typing import Any

from gdjax import optimizers, problems
from gdjax.errors import InvalidValue, nearest
from gdjax.problems.functions import Function
from gdjax.sweep.families import Factory
from gdjax.task import Task


def load_task(name: str) -> Task:
    """A problem of gdjax, or what ``package.module:task`` names or makes."""
    if ":" in name:
        task = _load(name)
        if callable(task) and not isinstance(task, Task):
            try:
                inspect.signature(task).bind()
            except TypeError as error:
                raise InvalidValue(f"{name} makes no task without arguments: {error}") from None
            task = task()
    elif name in problems.__all__:
        problem = getattr(problems, name)
        made = problem if isinstance(problem, Function) else problem()
        task = made.task() if isinstance(made, Function) else made
    else:
        raise InvalidValue(
            f"no problem {name!r}: {nearest(name, problems.__all__)}; your own: package.module:task"
        )
    if not isinstance(task, Task):
        raise InvalidValue(
            f"{name} must be a gdjax.Task or a function that makes one, got {task!r}"
        )
    return task


def load_factory(name: str) -> Factory:
    """An optimizer of gdjax, or what ``package.module:function`` names."""
    if ":" in name:
        return _load(name)
    known = {known: getattr(optimizers, known) for known in optimizers.__all__}
    if name not in known:
        raise InvalidValue(f"no optimizer {name!r}: {nearest(name, known)}")
    return known[name]


def _load(name: str) -> Any:
    """What ``package.module:attribute`` names."""
    module_name, _, attribute = name.partition(":")
    if not all(part.isidentifier() for part in (*module_name.split("."), attribute)):
        raise InvalidValue(f"{name!r} must be package.module:name")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # whatever the user's module does
        raise InvalidValue(
            f"{module_name} cannot be imported from the current directory or the environment: "
            f"{type(error).__name__}: {error}"
        ) from error
    if not hasattr(module, attribute):
        raise InvalidValue(
            f"{module_name} has no {attribute!r}: {nearest(attribute, vars(module))}"
        )
    return getattr(module, attribute)
