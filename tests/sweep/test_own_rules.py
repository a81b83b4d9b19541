"""Rules that a user writes, of which nothing is known but their methods."""

import numpy as np
import pytest

import gdjax
from gdjax import InvalidType, InvalidValue
from gdjax.sweep import rules
from tests.sweep import killed
from tests.sweep.comparing import check_same
from tests.sweep.stopping import Interrupted, interrupt, stop_at


class First:
    """Stops the first trial, once some segments are made."""

    def __init__(self, after):
        self.after, self.seen = after, []

    def stops(self, table):
        self.seen.append(table)
        due = int(table.done[0] == self.after and table.active[0])
        return np.array([0] * due, int), ["it is the first"] * due


class Broken:
    def decide(self, table):
        return {}["advance"]


def test_it_stops_whom_it_says():
    result = killed.train(None, "none", stopping=First(3), resume=False)
    assert result.segments.tolist()[:2] == [3, 8]
    assert result.reason[0].tolist() == ["it is the first"] * 2


def test_what_it_raises_is_told(tmp_path):
    with pytest.raises(InvalidType, match=r"the rule <.*Broken.*> cannot say who advances: KeyErr"):
        killed.train(None, "none", stopping=Broken(), resume=False)
    rule = First(3)
    rule.seen = None  # where it would append
    with pytest.raises(
        InvalidType, match=r"the rule <.*First.*> cannot say who stops: AttributeError"
    ):
        killed.train(tmp_path, "none", stopping=rule)
    check_same(
        killed.train(tmp_path, "none", stopping=First(3)),
        killed.train(None, "none", stopping=First(3), resume=False),
    )


def test_a_sweep_goes_on_with_the_same_rule_only(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        stop_at(patch, 5, interrupt)
        with pytest.raises(Interrupted):
            killed.train(tmp_path, "none", stopping=First(3))
    with pytest.raises(InvalidValue, match=r"First\(after=3\), is .*First\(after=2\)"):
        killed.train(tmp_path, "none", stopping=First(2))
    killed.train(tmp_path, "none", stopping=First(3))


def test_a_rule_without_attributes_goes_by_its_name():
    class Bare:
        __slots__ = ()

        def stops(self, table):
            return np.array([], int), []

    described = rules.gather([Bare(), gdjax.plateau(3)], "min").described
    assert described.split(", ", 1)[1].startswith("Bare(), Plateau(")
