"""Optax's own tests, run on gdjax: they fail where the documentation says that they do."""

import re
from pathlib import Path

import optax
import pytest

from tests import swapped

PAGE = Path(__file__).parents[1] / ".github" / "docs" / "from-optax.md"


def test_what_both_have_is_swapped():
    names = swapped.shared()
    assert {"adam", "chain", "masked", "clip", "cosine_decay_schedule", "sam"} <= set(names)
    assert "apply_updates" not in names  # which is Optax's own


# The numbers of its parametrized tests are those of one release.
@pytest.mark.skipif(optax.__version__ != "0.2.8", reason="the page lists the tests of Optax 0.2.8")
def test_only_documented_tests_of_optax_fail():
    documented = set(re.findall(r"`(\w+_test::[\w:]+)`", PAGE.read_text()))
    failed = swapped.only_ours()
    assert failed.keys() == documented, {k: v for k, v in failed.items() if k not in documented}
