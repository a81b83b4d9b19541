"""Whatever is passed: a result, or a gdjax error of one readable line.

``GDJAX_EXAMPLES=10000`` tries as many.
"""

import os

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gdjax import GdjaxError, InvalidValue, load_space
from gdjax.sweep import spacefile, specs
from tests.sweep import malformed
from tests.sweep.malformed import told

tried = settings(
    max_examples=int(os.environ.get("GDJAX_EXAMPLES", "200")),
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@tried
@given(malformed.DRAWS)
def test_spaces(arguments):
    told(lambda: malformed.draw(*arguments))


@tried
@given(st.dictionaries(malformed.NAMES, malformed.SOUND, min_size=1), malformed.POINTS)
def test_points_of_sound_spaces(dimensions, first):
    told(lambda: malformed.draw(dimensions, first, "random", 5, 0))


@tried
@given(malformed.DISTRIBUTION_CALLS)
def test_distributions(make):
    told(lambda: malformed.use(make))


@tried
@given(malformed.DOCUMENTS)
def test_documents(document):
    told(lambda: spacefile.parse(document[0], "space.yaml", document[1]))


@tried
@given(data=malformed.FILES, name=st.sampled_from(["a.yaml", "a.json", "a" * 200]))
def test_files(data, name, tmp_path_factory):
    told(lambda: malformed.load(data, tmp_path_factory.getbasetemp() / name))


@tried
@given(malformed.JUNK)
def test_paths(path):
    if not isinstance(path, int):
        told(lambda: load_space(path))


@tried
@given(st.one_of(st.text(), st.text("loguniftn:,.-+e019", max_size=20)))
def test_specs(spec):
    told(lambda: specs.parse("a", spec))


def test_the_check_sees_another_exception_and_an_unreadable_message():
    with pytest.raises(ZeroDivisionError):
        told(lambda: 1 / 0)
    for message in ("two\nlines", "x" * 601, ""):
        with pytest.raises(AssertionError):
            told(lambda message=message: _raise(InvalidValue(message)))
    assert isinstance(told(lambda: _raise(InvalidValue("what is wrong"))), GdjaxError)


def test_the_strategies_make_sound_spaces_too():
    """Else every example would end at the first check."""
    found = []

    @tried
    @given(malformed.DRAWS)
    def count(arguments):
        found.append(told(lambda: malformed.draw(*arguments)))

    count()
    assert np.mean([isinstance(result, dict) for result in found]) > 0.2


def _raise(error):
    raise error
