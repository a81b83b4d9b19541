"""Whatever task and options are passed: a sweep begins, or a gdjax error of one readable line.

``GDJAX_EXAMPLES=10000`` tries as many.
"""

import os
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings

import gdjax
from tests.sweep import malformed_sweeps
from tests.sweep.malformed import Verbose, told
from tests.sweep.malformed_sweeps import Reached, start
from tests.sweep.test_malformed import tried as tried_more

# Tracing a task takes longer than drawing from a space.
tried = settings(tried_more, max_examples=int(os.environ.get("GDJAX_EXAMPLES", "60")))


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


def whole(parts):
    """A sweep of two trials, of a task of which these parts are changed."""
    task = gdjax.Task(**malformed_sweeps.SOUND_TASK | parts)
    space = {"learning_rate": [0.1, 0.2]}
    return {"task": task, "optimizer": gdjax.sgd, "space": space, "steps": 2, "progress": False}


@tried
@given(malformed_sweeps.TASKS)
def test_tasks(parts):
    begin(whole(parts))


@tried
@given(malformed_sweeps.ARGUMENTS)
def test_options(arguments):
    begin(arguments)


@pytest.mark.parametrize("strategy", ["TASKS", "ARGUMENTS"])
def test_the_strategies_make_sound_ones_too(strategy):
    """Else every example would end at the first check."""
    found = []

    @tried
    @given(getattr(malformed_sweeps, strategy))
    def count(arguments):
        found.append(arguments if strategy == "ARGUMENTS" else whole(arguments))

    count()
    assert np.mean([begin(arguments) is Reached for arguments in found]) > 0.05


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"steps": 10**9, "seeds": 10**6},
            r"2 trials of 1000000 seeds .* take fewer trials, seeds",
        ),
        ({"steps": 2**31}, "steps must be a whole number of at least 1 and below 2147483648"),
        ({"resume": 1}, "resume must be True or False, got 1"),
        ({"progress": "yes"}, "progress must be True, False or None, got 'yes'"),
        ({"directory": malformed_sweeps.Path(3)}, "directory must be a path, got"),
        ({"directory": "a" * 300}, "'aaa.* cannot be written to: File name too long"),
        ({"directory": "a\0b"}, r"'a\\x00b' cannot be written to: "),
        ({"stopping": [Verbose()]}, "stopping takes rules .* got <?m"),
    ],
)
def test_what_was_found(changes, words):
    assert re.search(words, str(begin(whole({}) | changes)))


@pytest.mark.parametrize("part", ["init", "loss", "batch", "evaluate"])
def test_what_holds_itself_is_not_searched(part):
    """JAX would do so until the memory is full."""
    endless = [{}]
    endless[0]["again"] = endless
    words = str(begin(whole({part: endless})))
    assert words.startswith(f"Task.{part} must be a function, got [{{'again': [")
    words = str(begin(whole({part: lambda *args: (jnp.ones(3), endless)})))
    assert words == f"Task.{part} must return arrays; a container in it holds itself"


def test_what_shows_only_in_the_gradient_or_in_the_optimizer():
    without_gradient = whole({"loss": malformed_sweeps._loops})
    message = "family 'sgd' cannot be trained: ValueError: Reverse-mode differentiation does not"
    assert message in str(begin(without_gradient))
    broken = gdjax.transformation()(malformed_sweeps._raises(KeyError("x")))
    words = str(begin(whole({}) | {"optimizer": {"own": lambda learning_rate: broken()}}))
    assert re.fullmatch(
        r"family 'own' cannot be trained: KeyError: 'x' \(malformed_sweeps.py, line \d+\)", words
    )


def test_an_exception_in_a_factory_keeps_its_cause():
    def factory(learning_rate):
        raise cause

    cause = LookupError("no table")
    error = begin(whole({}) | {"optimizer": factory})
    assert re.match(r"an optimizer cannot be made: LookupError: no table \(test_mal", str(error))
    assert error.__cause__ is cause
