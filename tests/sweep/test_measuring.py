"""The width that is found by trying."""

import json

import jax
import pytest

import gdjax
from gdjax import InvalidValue
from gdjax.sweep import measuring
from gdjax.sweep.width import candidates
from tests.sweep.comparing import check_reruns, check_same
from tests.sweep.stopping import Interrupted, interrupt, stop_at

RATES = {"learning_rate": [0.01, 0.1, 0.2, 0.3, 0.4, 0.5]}


class Fake:
    """A candidate whose speed is known: updates a second by width."""

    speeds: dict
    too_large = ()

    def __init__(self, kind, width):
        self.width, self.speed, self.compile_seconds = width, 1.0, 0.0
        self.fits = width not in self.too_large


@pytest.fixture
def search(monkeypatch, noisy):
    """Finds the best width of 64 runs where speeds are given, beginning at 8."""
    drawn = gdjax.sweep(noisy, gdjax.sgd, {"learning_rate": [0.1] * 64}, steps=1)
    kind = drawn.again.__self__.kinds[0]

    def find(speeds, too_large=()):
        monkeypatch.setattr(measuring, "default_width", lambda *_: 8)
        monkeypatch.setattr(measuring, "_Candidate", Fake)
        monkeypatch.setattr(
            measuring, "_times_as_fast", lambda a, b: speeds[a.width] / speeds[b.width]
        )
        Fake.too_large = too_large
        return {timed.width: timed.speed for timed in measuring._search(kind)}

    return find


def test_search_goes_up_as_long_as_it_pays(search):
    speeds = {8: 100.0, 16: 120.0, 32: 150.0, 64: 149.0}
    assert list(search(speeds).items()) == [(32, 1.5), (8, 1.0), (16, 1.2), (64, 1.49)]


def test_search_goes_down_where_up_does_not_pay(search):
    speeds = {8: 100.0, 16: 102.0, 4: 110.0, 2: 140.0, 1: 50.0}
    assert list(search(speeds)) == [2, 8, 16, 4, 1]


def test_a_width_that_does_not_fit_is_not_timed(search):
    assert list(search({8: 100.0, 4: 90.0}, too_large=(16,))) == [8, 4]


def test_candidates_leave_no_device_idle():
    devices = jax.devices("cpu")[:1] * 2
    assert candidates(64, 1, devices) == [1, 2, 4, 8, 16, 32]
    assert candidates(3, 2, devices) == [1, 2, 3]
    assert candidates(1, 1, devices) == [1]


def test_a_measured_sweep_is_the_one_of_the_width_that_it_tells(noisy, monkeypatch):
    monkeypatch.setattr(measuring, "SECONDS", 0.0)
    measured = gdjax.sweep(noisy, gdjax.sgd, RATES, steps=4, width="measured", seeds=2)
    (width,) = json.loads(measured.attributes["widths"])
    (tried,) = json.loads(measured.attributes["tried_widths"])
    assert tried[0]["width"] == width
    assert len(tried) > 1
    check_same(measured, gdjax.sweep(noisy, gdjax.sgd, RATES, steps=4, width=width, seeds=2))
    check_reruns(measured, [0, 5])


def test_it_is_measured_once(noisy, monkeypatch, tmp_path):
    """Not again where a sweep goes on or has its results, whatever would be found now."""
    found = iter([2, 3])
    monkeypatch.setattr(measuring, "_search", lambda kind: [measuring.Timed(next(found), 1.0, 0.0)])

    def sweep(**more):
        return gdjax.sweep(noisy, gdjax.sgd, RATES, steps=4, width="measured", **more)

    monkeypatch.setattr(measuring, "_measured", {})
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, 2, interrupt)
        with pytest.raises(Interrupted):
            sweep(directory=tmp_path, checkpoint_seconds=0)
    measuring._measured.clear()
    for _ in range(2):
        again = sweep(directory=tmp_path, resume=True)
        assert json.loads(again.attributes["widths"]) == [2]
    assert json.loads(sweep().attributes["widths"]) == [3]


def test_equal_programs_are_measured_once(noisy, monkeypatch):
    monkeypatch.setattr(measuring, "_measured", {})
    searched = []
    monkeypatch.setattr(measuring, "_search", lambda kind: searched.append(kind) or [])
    for rates, steps in ([0.1, 0.2], 4), ([0.3, 0.4], 4), ([0.1, 0.2, 0.3], 4), ([0.1, 0.2], 40):
        result = gdjax.sweep(noisy, gdjax.sgd, {"learning_rate": rates}, steps=steps)
        measuring.fastest(result.again.__self__.kinds[0])
    assert len(searched) == 3


def test_another_word_is_refused(noisy):
    with pytest.raises(InvalidValue, match="width must be one of 'measured', got 'fast'"):
        gdjax.sweep(noisy, gdjax.sgd, RATES, steps=4, width="fast")
