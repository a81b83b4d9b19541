"""Dimensions of a space that are numbers of the task, not arguments of an optimizer's factory."""

import inspect
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

from gdjax import binding, inspection
from gdjax.errors import InvalidType, InvalidValue, nearest, shown
from gdjax.ranges import interval_of, is_structure
from gdjax.task import Task

_FUNCTIONS = ("init", "loss", "batch", "evaluate", "value_and_grad")


def opened(
    task: Task, values: Mapping[str, Any], taken: Collection[str], who: str
) -> tuple[Task, dict[str, str]]:
    """Find each dimension that is the task's, and make a leaf of it.

    It is the name, or the end of the name, of a number that :func:`gdjax.hyperparameters` lists.
    Where there is none, it may be an argument at its default: a real number, or anything that its
    annotation gives a range.

    Args:
      task: whose functions are searched.
      values: by dimension one of its values, which the leaf gets.
      taken: arguments of the factories, whose dimensions are not the task's.
      who: the factories, as an error calls them.

    Returns:
      The task with these leaves, and their dotted names by dimension.

    Raises:
      InvalidValue: a name that is nobody's, that stands for two things, or one thing twice.
      InvalidType: it is structural in the task.

    >>> def loss(params, batch, key, l2=0.0):
    ...     return (params**2).sum() + l2
    >>> task = Task(lambda key: 0.0, loss, lambda key, step: None)
    >>> opened(task, {"learning_rate": 0.1, "l2": 0.5}, {"learning_rate"}, "sgd")[1]
    {'l2': 'loss.l2'}
    """
    own, numbers = {}, inspection.hyperparameters(task)
    for name, value in values.items():
        bound = _ending(numbers, name)
        if name in taken and bound and values.keys().isdisjoint(bound):
            raise InvalidValue(
                f"{shown(name)} is a hyperparameter of {who} and a number of the task; write "
                f"{bound[0]!r} for the task's (with one value, where only the other varies), or "
                "rename one of them"
            )
        if name in taken:
            continue
        if not bound:
            own[name] = _at_default(task, name, [*taken, *numbers], who)
            task = _bind(task, own[name], value)
        else:
            own[name] = inspection.resolve(name, numbers)
    if len(set(own.values())) < len(own):
        raise InvalidValue(f"two of {', '.join(own)} name one number of the task; leave one out")
    first = {dotted: values[name] for name, dotted in own.items()}
    return inspection.replace(task, **first) if own else task, own


def _ending(names: Collection[str], end: str) -> list[str]:
    return [name for name in names if f".{name}".endswith(f".{end}")]


def _at_default(task: Task, name: str, others: list[str], who: str) -> str:
    """The argument at its default that ``name`` stands for."""
    free, structural = [], []
    for dotted, is_number in _arguments(task):
        (free if is_number else structural).append(dotted)
    if _ending(free, name):
        return inspection.resolve(name, free)
    for found in _ending(structural, name)[:1]:
        raise InvalidType(
            f"{name} is structural in Task.{found.partition('.')[0]}: it decides what is computed, "
            "such as a shape, so its values cannot share a program. Sweep a task for each, or "
            "compute the largest for all and weigh with 0 what a trial does not have"
        )
    raise InvalidValue(
        f"the task, {who}: no hyperparameter {shown(name)}; {nearest(name, [*others, *free])}"
    )


def _arguments(task: Task) -> Iterator[tuple[str, bool]]:
    """Dotted names of arguments without leaves, and whether one may be bound as a number."""
    for field in _FUNCTIONS:
        bound = getattr(task, field)
        if not binding.is_bound(bound):
            continue
        try:
            parameters = inspect.signature(bound.function).parameters.values()
        except (TypeError, ValueError):  # of functions that are not Python's
            continue
        for p in parameters:
            fixed = p.name in bound.structure
            by_name = p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
            if p.name in bound.leaves or not by_name or (p.default is p.empty and not fixed):
                continue
            interval = interval_of(bound.function, p.name)
            ranged = interval is not None and not interval.static
            real = ranged or isinstance(p.default, float)
            fixed = fixed or is_structure(bound.function, p.name)
            yield f"{field}.{p.name}", real and not fixed


def _bind(task: Task, dotted: str, value: Any) -> Task:
    field, _, argument = dotted.partition(".")
    old = getattr(task, field)
    leaves = old.leaves | binding.bind(old.function, **{argument: value}).leaves
    new = type(old)(old.function, leaves, old.structure, old.label)
    return replace(task, **{field: new})
