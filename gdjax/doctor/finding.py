"""What a rule is, and what it finds."""

import dataclasses
from collections.abc import Callable

import numpy as np

from gdjax.doctor.case import Case

HALF = "chosen: sound runs of `python -m benchmarks.doctor` have at most half of it"
"""Where a threshold comes from that no paper tells."""


@dataclasses.dataclass(frozen=True)
class Finding:
    """A challenge that is present, by one rule.

    Args:
      challenge: its name.
      number: what was measured, the median over the seeds that show it.
      threshold: from which on it is a sign of the challenge.
      meaning: what the number is.
      source: where the threshold comes from.
      confidence: the share of seeds that show it.
      remedy: code that helps, for a ``task`` and an ``optimizer``.
    """

    challenge: str
    number: float
    threshold: float
    meaning: str
    source: str
    confidence: float
    remedy: str

    def __str__(self) -> str:
        indented = "\n".join(f"    {line}" for line in self.remedy.splitlines())
        return (
            f"{self.challenge} (in {self.confidence:.0%} of the seeds)\n"
            f"  {self.number:.3g}, threshold {self.threshold:.3g}: {self.meaning}\n"
            f"  threshold: {self.source}\n{indented}"
        )


@dataclasses.dataclass(frozen=True)
class Rule:
    """A sign of a challenge: a number, from which value on it is one, and what to do.

    Args:
      challenge: what it is a sign of.
      measure: ``measure(case) -> [seed]``; None where the case does not tell, NaN for seeds of
        which the number means nothing. Its docstring's first line says what the number is.
      threshold: the least number that is a sign.
      source: where it comes from.
      remedy: ``remedy(case, number) -> code``.
      share: the least share of seeds that must show the sign.
    """

    challenge: str
    measure: Callable[[Case], np.ndarray | None]
    threshold: float
    source: str
    remedy: Callable[[Case, float], str]
    share: float = 0.5

    @property
    def name(self) -> str:
        """That of the function that measures."""
        return self.measure.__name__

    def find(self, numbers: np.ndarray, case: Case) -> Finding | None:
        """What the numbers that were measured, ``[seed]``, tell."""
        signs = np.nan_to_num(numbers, nan=-np.inf) >= self.threshold
        if not signs.any() or signs.mean() < self.share:
            return None
        number = float(np.median(numbers[signs]))
        return Finding(
            challenge=self.challenge,
            number=number,
            threshold=self.threshold,
            meaning=(self.measure.__doc__ or "").splitlines()[0].rstrip("."),
            source=self.source,
            confidence=float(signs.mean()),
            remedy=self.remedy(case, number),
        )


def rule(
    challenge: str,
    threshold: float,
    source: str,
    remedy: Callable[[Case, float], str],
    share: float = 0.5,
) -> Callable[[Callable[[Case], np.ndarray | None]], Rule]:
    """Make a rule of the function that measures its number."""
    return lambda measure: Rule(challenge, measure, threshold, source, remedy, share)
