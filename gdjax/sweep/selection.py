"""Exploit and explore: who copies whom, and which settings the copies go on with."""

import math
from collections.abc import Iterable, Mapping
from typing import Literal

import numpy as np

from gdjax.errors import InvalidType, InvalidValue
from gdjax.ranges import Interval
from gdjax.sweep.arguments import choose, number_within
from gdjax.sweep.distributions import Choice, Distribution, Integer

Exploit = Literal["truncation", "tournament"]
Explore = Literal["perturb", "resample"]

HALF = Interval(0, 0.5, includes_low=False, includes_high=True)
PROBABILITY = Interval(0, 1, includes_high=True)
_POSITIVE = Interval(0, math.inf, includes_low=False)


def exploit(
    scores: np.ndarray,
    generator: np.random.Generator,
    how: Exploit = "truncation",
    fraction: float = 0.2,
) -> np.ndarray:
    """From whom each trial goes on: ``parents``, ``int[trial]``; ``parents[i] == i`` is itself.

    ``"truncation"``: the worst ``max(1, floor(fraction * trials))`` each copy one of the best as
    many. ``"tournament"``: each trial draws another and copies it where its score is lower. A
    trial whose score is infinite or NaN always copies one that is neither, as long as there is
    one, and is never copied.

    Args:
      scores: ``[trial]``, less is better; of equal ones the lower trial counts as better in a
        truncation, and none is copied in a tournament.
      generator: of the draws.
      how: the paper's truncation selection or binary tournament.
      fraction: of the trials that copy, and of those that are copied; in (0, 0.5].

    Reference:
      Jaderberg et al., Population based training of neural networks
      (https://arxiv.org/abs/1711.09846), section 4.1.1; 0.2 as there.

    >>> exploit(np.array([3.0, np.inf, 1.0, 2.0]), np.random.default_rng(0))
    array([0, 2, 2, 3])
    """
    choose("exploit: how", how, Exploit.__args__)
    fraction = number_within("exploit: fraction", fraction, HALF)
    scores = np.asarray(scores, float)
    trials, own = len(scores), np.arange(len(scores))
    able = scores < np.inf
    if trials < 2 or not able.any():
        return own
    if how == "tournament":
        rivals = (own + generator.integers(1, trials, trials)) % trials
        rivals = np.where(able, rivals, generator.choice(np.flatnonzero(able), trials))
        better = scores[rivals] < np.where(able, scores, np.inf)
        return np.where(better, rivals, own)
    # Rounded first, because 0.29 * 100 is less than 29.
    count = max(1, math.floor(round(fraction * trials, 9)))
    order = np.argsort(scores, kind="stable")
    copies = ~able
    copies[order[trials - count :]] = True
    best = order[: min(count, np.count_nonzero(able))]
    return np.where(copies, generator.choice(best, trials), own)


def explore(
    settings: Mapping[str, np.ndarray],
    changed: np.ndarray,
    distributions: Mapping[str, Distribution],
    generator: np.random.Generator,
    how: Explore = "perturb",
    factors: tuple[float, ...] = (0.8, 1.2),
    resample_probability: float = 0.25,
) -> dict[str, np.ndarray]:
    """Settings after mutation, ``[trial]`` by name; never outside their distribution.

    ``"perturb"``: each is multiplied by one of the ``factors``. Whole numbers are rounded and move
    by at least one; a choice moves to the next value in the order given, where the factor is
    above 1, or to the one before. What would leave its range stays at the bound.
    ``"resample"``: each is drawn anew from its distribution with ``resample_probability``.

    Args:
      settings: ``[trial]`` by name; where NaN, the trial has none, and gets none.
      changed: ``bool[trial]``, whose settings mutate: those that copied another.
      distributions: of the settings that mutate; those without one stay.
      generator: of the draws, each hyperparameter's and each trial's its own.
      how: the paper's perturb or resample.
      factors: positive, all equally likely.
      resample_probability: in [0, 1].

    Reference:
      Jaderberg et al., Population based training of neural networks
      (https://arxiv.org/abs/1711.09846), section 4.1.1 and, for the defaults, 4.2 and A.1; 0.25 is
      the default of Ray Tune.

    >>> from gdjax.sweep.distributions import LogUniform
    >>> explore(
    ...     {"learning_rate": np.array([0.1, 0.9]), "decay": np.array([0.5, 0.5])},
    ...     np.array([False, True]),
    ...     {"learning_rate": LogUniform(1e-4, 1.0)},
    ...     np.random.default_rng(0),
    ...     factors=(1.2,),
    ... )
    {'learning_rate': array([0.1, 1. ]), 'decay': array([0.5, 0.5])}
    """
    choose("explore: how", how, Explore.__args__)
    factors = checked_factors("explore", factors)
    probability = number_within("explore: resample_probability", resample_probability, PROBABILITY)
    mutated = {}
    for name, values in settings.items():
        mutated[name] = np.array(values)
        if name not in distributions:
            continue
        distribution, trials = distributions[name], len(values)
        moves = np.asarray(changed) & ~np.isnan(values)
        if how == "perturb":
            new = _perturbed(values, generator.choice(factors, trials), distribution)
        else:
            moves &= generator.random(trials) < probability
            new = distribution.quantile(generator.random(trials))
        mutated[name] = np.where(moves, new, values)
    return mutated


def checked_factors(rule: str, factors: Iterable[float]) -> tuple[float, ...]:
    """Factors of a perturbation, as Python's own numbers."""
    if isinstance(factors, (str, Mapping)) or not isinstance(factors, Iterable):
        raise InvalidType(f"{rule}: factors must be numbers, such as (0.8, 1.2), got {factors!r}")
    factors = tuple(number_within(f"{rule}: factors", factor, _POSITIVE) for factor in factors)
    if not factors:
        raise InvalidValue(f"{rule}: factors must be at least one number, such as (0.8, 1.2)")
    return factors


def _perturbed(
    values: np.ndarray, factors: np.ndarray, distribution: Distribution
) -> np.ndarray:  # [trial]
    if isinstance(distribution, Choice):
        choices = np.array(list(dict.fromkeys(distribution.values)))
        distance = np.abs(np.asarray(values)[:, None] - choices)  # [trial, choice]
        place = np.nan_to_num(distance, nan=np.inf).argmin(axis=1)
        return choices[np.clip(place + np.sign(factors - 1).astype(int), 0, len(choices) - 1)]
    moved = values * factors
    if isinstance(distribution, Integer):
        away = np.sign(moved - values) + (values == 0) * np.sign(factors - 1)
        whole = np.rint(moved)
        moved = np.where(whole == values, values + away, whole)
    clipped = np.clip(moved, distribution.low, distribution.high)
    return clipped.astype(values.dtype) if isinstance(distribution, Integer) else clipped
