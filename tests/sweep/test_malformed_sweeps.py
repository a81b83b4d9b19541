"""Whatever task and options are passed: a sweep begins, or a gdjax error of one readable line.

``GDJAX_EXAMPLES=10000`` tries as many.
"""

import jax
import pytest
from hypothesis import given

import gdjax
from tests.sweep import malformed_sweeps
from tests.sweep.malformed import told
from tests.sweep.malformed_sweeps import Reached, start
from tests.sweep.test_malformed import tried


@pytest.fixture(autouse=True)
def _nothing_is_compiled(monkeypatch, tmp_path):
    def refuse(*args):
        raise Reached

    monkeypatch.setattr(jax.stages.Lowered, "compile", refuse)
    monkeypatch.chdir(tmp_path)


def begin(arguments):
    outcome = told(lambda: start(arguments))
    assert outcome is Reached or isinstance(outcome, gdjax.GdjaxError)
    return outcome


@tried
@given(malformed_sweeps.TASKS)
def test_tasks(parts):
    options = {"optimizer": gdjax.sgd, "space": {"learning_rate": [0.1, 0.2]}, "steps": 2}
    begin(options | {"task": gdjax.Task(**parts), "progress": False})


@tried
@given(malformed_sweeps.ARGUMENTS)
def test_options(arguments):
    begin(arguments)
