import importlib

import gdjax
from tests import swapped


def test_what_both_have_is_swapped():
    names = swapped.shared()
    assert {"adam", "chain", "masked", "clip", "cosine_decay_schedule", "sam"} <= set(names)
    assert "apply_updates" not in names  # which is Optax's own


def test_what_fails_and_what_the_page_says_are_compared():
    reasons = {"a_test::*::test_x?": "why", "b_test::*": "sometimes", "c_test::*": "why"}
    assert not swapped.disagreements(["a_test::T::test_x1", "c_test::T::test"], reasons)
    assert swapped.disagreements(["a_test::T::test_z", "c_test::T::test"], reasons) == [
        "no reason: a_test::T::test_z",
        "does not fail: a_test::*::test_x?",
    ]
    assert len(swapped.explained()) > 5


def test_what_is_swapped_reaches_the_modules_that_tests_import(monkeypatch):
    """Those of ``optax._src`` too, which is no package."""
    alias = importlib.import_module("optax._src.alias")
    theirs = alias.adam
    changed = []
    monkeypatch.setattr(swapped, "setattr", lambda *change: changed.append(change), raising=False)
    swapped.swap()
    assert (alias, "adam", gdjax.adam) in changed
    assert alias.adam is theirs
