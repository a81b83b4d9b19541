"""Results of several sweeps as one, and some trials of a result as another."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gdjax.errors import InvalidType, InvalidValue, shown
from gdjax.stream import Stream
from gdjax.sweep import lineage
from gdjax.sweep.lineage import Lineage
from gdjax.sweep.results import Rerun, SweepResult
from gdjax.task import Task

_TIMES = ("compile_seconds", "run_seconds")
_MACHINE = ("device", "python")  # may change without a change of any trial's bits
_RENUMBERED = "renumbered"  # attribute of a result whose trials had other numbers in a sweep
_BY_FAMILY = ("widths", "tried_widths")
_OF_TRIALS = ("families", "hyperparameters of ", "width of ")  # in an identity
_PER_TRIAL = ("family", "status", "diverged_at", "reason", "width", "lost")


def concatenate(results: Sequence[SweepResult]) -> SweepResult:
    """All trials of several sweeps as one result, numbered in their order.

    ``rerun`` works as it did in each of them, also of trials that copied others.

    Args:
      results: of the same task, steps, segments, seeds, key and rules.

    Raises:
      InvalidValue: there is none, or they differ in anything but their trials, times and number
        of devices.

    >>> import gdjax, jax.numpy as jnp
    >>> task = gdjax.Task(
    ...     init=lambda key: jnp.ones(()),
    ...     loss=lambda params, batch, key: 0.5 * params**2,
    ...     batch=lambda key, step: None,
    ... )
    >>> halves = [gdjax.sweep(task, gdjax.sgd, {"learning_rate": x}, steps=2) for x in (0.5, 0.1)]
    >>> concatenate(halves).settings
    {'learning_rate': array([0.5, 0.1])}
    """
    if not results or not all(isinstance(result, SweepResult) for result in results):
        raise InvalidType(f"concatenate takes a list of sweeps' results, got {shown(results)}")
    _check_alike(results)
    names = dict.fromkeys(name for result in results for name in result.settings)

    def joined(values: Callable[[SweepResult], np.ndarray]) -> np.ndarray:
        return np.concatenate([values(result) for result in results])

    def column(result: SweepResult, name: str) -> np.ndarray:
        return result.settings.get(name, np.full(result.trials, np.nan))

    first = results[0]
    whole = SweepResult(
        settings={name: joined(lambda r, name=name: column(r, name)) for name in names},
        traces={name: joined(lambda r, name=name: r.traces[name]) for name in first.traces},
        evaluations={
            name: joined(lambda r, name=name: r.evaluations[name]) for name in first.evaluations
        },
        evaluation_steps=first.evaluation_steps,
        attributes={},
        copied=_copied(results),
        again=_again(results),
        **{name: joined(lambda r, name=name: getattr(r, name)) for name in _PER_TRIAL},
    )
    whole.attributes.update(_attributes(results, whole.family))
    return whole


def take(result: SweepResult, trials: np.ndarray) -> SweepResult:
    """Some trials of a result, ``int[n]``, numbered in that order; ``rerun`` works as before.

    Raises:
      InvalidValue: one of them copied a trial that is not among them.
    """
    again, width, copied = result.again, result.width, result.copied
    family = result.family[trials]
    attributes = result.attributes | {
        key: _in_order(_by_family(result, key), family) for key in _BY_FAMILY
    }
    attributes[_RENUMBERED] = "yes"
    return SweepResult(
        settings={name: values[trials] for name, values in result.settings.items()},
        traces={name: values[trials] for name, values in result.traces.items()},
        evaluations={name: values[trials] for name, values in result.evaluations.items()},
        evaluation_steps=result.evaluation_steps,
        attributes=attributes,
        copied=None if copied is None else lineage.take(copied, trials),
        again=again and (lambda chosen, *_: again(trials[chosen], width, copied)),
        **{name: getattr(result, name)[trials] for name in _PER_TRIAL},
    )


def check_numbers(result: SweepResult, task: Task) -> None:
    """Raise where trials of a loaded result have lost the numbers by which a stream was read."""
    apart = isinstance(task.batch, Stream) and task.batch.per == "trial"
    if apart and _RENUMBERED in result.attributes:
        raise InvalidValue(
            "trials of a concatenated result have other numbers than in their sweeps, by which a "
            "stream with per='trial' was read; reconnect the results that it was made of, and "
            "concatenate those"
        )


def _copied(results: Sequence[SweepResult]) -> Lineage | None:
    """Who copied whom; None where nobody could."""
    pasts = [result.copied for result in results if result.copied is not None]
    return lineage.concatenate(pasts) if pasts else None


def _again(results: Sequence[SweepResult]) -> Callable[..., list[Rerun]] | None:
    """Runs trials again in the sweeps that they come from; None where one of those cannot."""
    rerun = [result.again for result in results if result.again is not None]
    ends = np.cumsum([0, *(result.trials for result in results)]).tolist()

    def again(trials: np.ndarray, widths: np.ndarray, copied: Lineage | None = None) -> list[Rerun]:
        index = np.searchsorted(ends, trials, side="right") - 1
        found: dict[int, Rerun] = {}
        for i in np.unique(index).tolist():
            theirs, mine = np.arange(ends[i], ends[i + 1]), np.flatnonzero(index == i)
            past = None if copied is None else lineage.take(copied, theirs)
            made = rerun[i](trials[mine] - ends[i], widths[theirs], past)
            found |= dict(zip(mine.tolist(), made, strict=True))
        return [found[i] for i in range(len(trials))]

    return again if len(rerun) == len(results) else None


def _check_alike(results: Sequence[SweepResult]) -> None:
    """Raise where not the same was measured, or under other conditions."""
    own = {*_TIMES, *_MACHINE, *_BY_FAMILY, _RENUMBERED, "integers", "identity"}

    def facts(result: SweepResult) -> dict[str, Any]:
        same = {k: v for k, v in result.attributes.items() if k not in own}
        same |= {"seeds": result.seeds, "evaluations at steps": result.evaluation_steps.tolist()}
        same |= {"lineage": "none" if result.copied is None else "one"}
        return same | {"metrics": [*result.traces, *result.evaluations]}

    expected, identity = facts(results[0]), _identity(results[0])
    for number, result in enumerate(results):
        found, other = facts(result), _identity(result)
        pairs = [(name, expected.get(name), found.get(name)) for name in expected | found]
        pairs += [(name, identity[name], other[name]) for name in identity.keys() & other.keys()]
        for name, a, b in pairs:
            if a != b and not name.startswith(_OF_TRIALS):
                raise InvalidValue(
                    f"results[{number}] is of another sweep than results[0]: its {name} is "
                    f"{shown(b)}, not {shown(a)}"
                )


def _attributes(results: Sequence[SweepResult], family: np.ndarray) -> dict[str, Any]:
    """How they were made, together."""
    each = [result.attributes for result in results]
    merged = {k: v for k, v in each[0].items() if k != "identity"} | {_RENUMBERED: "yes"}
    for name in _TIMES:
        merged[name] = sum(attributes[name] for attributes in each)
    for name in _MACHINE:
        merged[name] = _several(attributes[name] for attributes in each)
    integers = {name for attributes in each for name in json.loads(attributes["integers"])}
    merged["integers"] = json.dumps(sorted(integers))
    widths, tried = {}, {}
    for result in results:
        tried |= {
            k: v for k, v in _by_family(result, "tried_widths").items() if v or k not in tried
        }
        for name, width in _by_family(result, "widths").items():
            if widths.setdefault(name, width) != width:
                raise InvalidValue(
                    f"family {name!r} was trained {widths[name]} and {width} runs side by side; "
                    "give sweeps that are to be joined the same width=..."
                )
    merged |= {"widths": _in_order(widths, family), "tried_widths": _in_order(tried, family)}
    parts = [_identity(result) for result in results]
    if all(parts):
        keys = dict.fromkeys(key for part in parts for key in part)
        same = {key: _several(part[key] for part in parts if key in part) for key in keys}
        merged["identity"] = json.dumps(same)
    return merged


def _identity(result: SweepResult) -> dict[str, str]:
    """What a sweep in a directory tells of itself; nothing of another one."""
    return json.loads(result.attributes.get("identity", "{}"))


def _by_family(result: SweepResult, key: str) -> dict[str, Any]:
    """What an attribute has for each family, which stand in it in the order of the trials."""
    names = dict.fromkeys(result.family.tolist())
    return dict(zip(names, json.loads(result.attributes[key]), strict=True))


def _in_order(values: dict[str, Any], family: np.ndarray) -> str:
    """Such an attribute for the families of some trials."""
    return json.dumps([values[name] for name in dict.fromkeys(family.tolist())])


def _several(values: Any) -> str:
    """Each that there is, once."""
    return " + ".join(dict.fromkeys(values))
