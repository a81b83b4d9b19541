"""Population-based training: the worst trials go on from the best, with new settings.

The engine copies the states; here are only the decisions, on the host.
"""

import dataclasses
import math
import zlib
from collections.abc import Iterable, Mapping
from typing import ClassVar

import numpy as np

from gdjax.errors import InvalidType, InvalidValue, nearest, shown
from gdjax.ranges import Interval
from gdjax.sweep.arguments import choose, number_within, settle
from gdjax.sweep.rungs import advance, may_go_on, rungs_every, segments_ahead
from gdjax.sweep.selection import (
    HALF,
    PROBABILITY,
    Exploit,
    Explore,
    checked_factors,
    exploit,
    explore,
)
from gdjax.sweep.table import Copies, Decision, Population, Table

_COUNT = Interval(1, math.inf, integer=True)


def population_based_training(
    interval_steps: int,
    exploit: Exploit = "truncation",
    fraction: float = 0.2,
    explore: Explore = "perturb",
    factors: tuple[float, ...] = (0.8, 1.2),
    resample_probability: float = 0.25,
    frequencies: Mapping[str, int] | None = None,
) -> "PopulationBasedTraining":
    """All trials train at once; from time to time the worst go on from the best, with new settings.

    A round is held at the first evaluation from each multiple of ``interval_steps`` on, short of
    the end, as soon as all its scores are known. :func:`exploit` says who copies whom: only inside
    of a family, for others have other states, and all seeds of a trial together. :func:`explore`
    gives the copies new settings, inside of what the space says; whoever copies nobody keeps its
    own. A trial with a run that diverged takes part as the worst, so a copy lives on in its place.
    Who diverges after the last round stays so. What a rule beside this one has stopped takes no
    more part. No trial is ever dropped.

    :meth:`gdjax.SweepResult.lineage` tells from which trials each came, and a result's
    ``settings`` are those of the last segment; measurements stay with the place in which they were
    made. Rules beside this one judge a place by all that was measured in it.

    Args:
      interval_steps: updates between two rounds, at least 1; with as many as a run has, none.
      exploit: ``"truncation"`` or ``"tournament"``: how :func:`exploit` finds who copies whom.
      fraction: of the trials that a truncation replaces, in (0, 0.5].
      explore: ``"perturb"`` or ``"resample"``: how :func:`explore` mutates what was copied.
      factors: of a perturbation.
      resample_probability: of each hyperparameter in a resampling, in [0, 1].
      frequencies: by name, every how many rounds a hyperparameter is mutated: 1 where missing.
        What belongs to the long run, such as a weight decay, is better changed less often.

    Reference:
      Jaderberg et al., Population based training of neural networks
      (https://arxiv.org/abs/1711.09846), algorithm 1.

    >>> rule = population_based_training(100, frequencies={"weight_decay": 3})
    >>> [rule.due(turn, ["learning_rate", "weight_decay"]) for turn in (1, 3)]
    [['learning_rate'], ['learning_rate', 'weight_decay']]

    Trial 1 is the worst after two steps, and goes on from trial 0 with 0.8 of its learning rate.

    >>> import gdjax, jax.numpy as jnp
    >>> task = gdjax.Task(
    ...     init=lambda key: jnp.ones(()),
    ...     loss=lambda params, batch, key: 0.5 * params**2,
    ...     batch=lambda key, step: None,
    ... )
    >>> result = gdjax.sweep(
    ...     task,
    ...     gdjax.sgd,
    ...     gdjax.Space(
    ...         {"learning_rate": gdjax.Uniform(0, 1)},
    ...         first=[{"learning_rate": 0.5}, {"learning_rate": 0.1}],
    ...     ),
    ...     trials=2,
    ...     steps=4,
    ...     segment=2,
    ...     stopping=population_based_training(2, factors=(0.8,)),
    ... )
    >>> [(ancestor.trial, ancestor.settings) for ancestor in result.lineage(1)]
    [(0, {'learning_rate': 0.5}), (1, {'learning_rate': 0.4})]
    """
    return PopulationBasedTraining(
        interval_steps, exploit, fraction, explore, factors, resample_probability, frequencies
    )


@dataclasses.dataclass(frozen=True)
class PopulationBasedTraining:
    """See ``population_based_training``."""

    lags: ClassVar[bool] = True
    copies: ClassVar[bool] = True
    interval_steps: int
    exploit: Exploit = "truncation"
    fraction: float = 0.2
    explore: Explore = "perturb"
    factors: tuple[float, ...] = (0.8, 1.2)
    resample_probability: float = 0.25
    frequencies: Mapping[str, int] | None = dataclasses.field(default=None, hash=False)

    def __post_init__(self):
        name = "population_based_training"
        settle(
            self,
            name,
            interval_steps=_COUNT,
            fraction=HALF,
            resample_probability=PROBABILITY,
        )
        choose(f"{name}: exploit", self.exploit, Exploit.__args__)
        choose(f"{name}: explore", self.explore, Explore.__args__)
        object.__setattr__(self, "factors", checked_factors(name, self.factors))
        if self.frequencies is not None:
            if not isinstance(self.frequencies, Mapping):
                raise InvalidType(
                    f"{name}: frequencies must map hyperparameter names to whole numbers, such as "
                    f"{{'weight_decay': 3}}, got {self.frequencies!r}"
                )
            every = {
                key: number_within(f"{name}: frequencies[{key!r}]", value, _COUNT)
                for key, value in self.frequencies.items()
            }
            object.__setattr__(self, "frequencies", every)

    def due(self, turn: int, names: Iterable[str]) -> list[str]:
        """Those of ``names`` that round ``turn`` mutates; the first is 1."""
        every = self.frequencies or {}
        return [name for name in names if turn % every.get(name, 1) == 0]

    def check(self, dimensions: Iterable[str]) -> None:
        """Raise where there is a frequency of what is not in the space."""
        known = sorted(dimensions)
        for name in self.frequencies or {}:
            if name not in known:
                raise InvalidValue(
                    f"population_based_training: frequencies has {shown(name)}, which is not in "
                    f"the space; {nearest(str(name), known)}"
                )

    def decide(self, table: Table) -> Decision:
        """The next segment of all; in a round, from whom each goes on."""
        going = may_go_on(table)
        if not going.any():
            return advance(np.flatnonzero(going))
        lowest = table.done[going].min()
        here = going & (table.done == lowest)
        rounds = rungs_every(table.steps, self.interval_steps)
        ahead = segments_ahead(rounds, table, np.flatnonzero(here))
        if table.population is None or lowest not in rounds:
            return advance(np.flatnonzero(here), ahead)
        if table.pending.any():
            return advance(np.zeros(0, int))
        turn = int(np.searchsorted(rounds, lowest)) + 1
        copies = self._copies(table.population, here, table.scores[:, lowest - 1], turn)
        on = np.union1d(np.flatnonzero(here), copies.children)
        return Decision(on, np.zeros(0, int), [], ahead, copies)

    def _copies(
        self, population: Population, here: np.ndarray, scores: np.ndarray, turn: int
    ) -> Copies:
        """Each family by itself, by draws of its own: others change nothing in it."""
        trials = np.arange(len(here))
        scores, parents = np.where(here, scores, np.inf), trials.copy()
        settings = {name: np.array(values) for name, values in population.settings.items()}
        for family, dimensions in population.dimensions.items():
            members = np.flatnonzero((population.family == family) & (here | population.diverged))
            # Draws go by place, so that the order of trials changes nothing.
            members = members[np.argsort(scores[members], kind="stable")]
            generator = np.random.default_rng([population.key, turn, zlib.crc32(family.encode())])
            chosen = exploit(scores[members], generator, self.exploit, self.fraction)
            mutated = explore(
                {name: population.settings[name][members[chosen]] for name in dimensions},
                chosen != np.arange(len(members)),
                {name: dimensions[name] for name in self.due(turn, dimensions)},
                generator,
                self.explore,
                self.factors,
                self.resample_probability,
            )
            parents[members] = members[chosen]
            for name, values in mutated.items():
                settings[name][members] = values
        children = np.flatnonzero(parents != trials)
        new = {name: values[children] for name, values in settings.items()}
        return Copies(children, parents[children], new)
