"""What users pass by mistake: strategies of malformed arguments, and what must come of them."""

import datetime
import decimal
import fractions
import json
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

import gdjax
from gdjax import Choice, GdjaxError, Integer, LogUniform, Space, Uniform

MAX_MESSAGE = 600


class Hostile:
    """Whatever is asked of it raises."""

    def __repr__(self):
        raise RuntimeError("no repr")

    __str__ = __len__ = __iter__ = __float__ = __int__ = __array__ = __bool__ = __eq__ = __repr__
    __lt__ = __le__ = __index__ = __fspath__ = __repr__
    __hash__ = None


class Verbose:
    def __repr__(self):
        return "many\nlines\r\n\x1b" * 500


def told(call: Callable[[], Any]) -> Any:
    """The result of ``call``, or the error that it told in one readable line."""
    try:
        return call()
    except GdjaxError as error:
        message = str(error)
        assert message.isprintable(), message
        assert 5 < len(message) <= MAX_MESSAGE, (len(message), message)
        return error


def _shared_tail(values: list) -> list:
    values.append(values)
    return values


NAMES = st.sampled_from(["learning_rate", "weight_decay", "b1", "momentum", "a", "first"])
NUMBERS = st.one_of(
    st.integers(-3, 20),
    st.integers(),
    st.builds(lambda: -(10**5000)),  # not as a sample: it cannot be printed
    st.floats(),
    st.floats(width=16).map(np.float16),
    st.sampled_from([0, 1, -1, 0.0, -0.0, 0.1, 5e-324, 1.7e308, -1.7e308, 2**53 + 1, 2**63, 2**64]),
    st.sampled_from([10**400, 10**9, 10**12, 1e30, np.nan, np.inf, np.longdouble(2)]),
    st.sampled_from([np.int8(3), np.uint64(2**63), np.float32(0.1), jnp.float32(0.1)]),
)
SCALARS = st.one_of(
    NUMBERS,
    st.none(),
    st.booleans(),
    st.complex_numbers(),
    st.text(max_size=8),
    st.text(min_size=700, max_size=900),
    st.binary(max_size=4),
    st.sampled_from(["1e-4", "log:1e-4:1", "a\nb", "\ud800", "grid", "sobol"]),
    st.sampled_from([decimal.Decimal("0.1"), fractions.Fraction(1, 3), datetime.date(2024, 1, 1)]),
    st.sampled_from(
        [np.bool_(True), np.datetime64(0, "ns"), np.timedelta64(3, "s"), jnp.bfloat16(1)]
    ),
    st.sampled_from([LogUniform, Choice, len, Ellipsis, NotImplemented, object(), range(3)]),
    st.builds(Hostile),
    st.builds(Verbose),
    st.builds(lambda: (x for x in [0.1, 0.2])),
)
ARRAYS = st.one_of(
    npst.arrays(
        st.one_of(
            npst.scalar_dtypes(),
            npst.nested_dtypes(max_itemsize=64),
            npst.array_dtypes(max_size=2),
        ),
        npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
    ),
    st.sampled_from([jnp.arange(3), jnp.ones(2, jnp.bfloat16), np.array([1, None], object)]),
    st.builds(lambda: np.ma.array([1.0, 2.0], mask=[0, 1])),
)
JUNK = st.recursive(
    st.one_of(SCALARS, ARRAYS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=3).map(tuple),
        st.lists(inner, max_size=2).map(_shared_tail),
        st.dictionaries(st.one_of(NAMES, st.text(max_size=3), st.integers()), inner, max_size=3),
        st.sets(st.integers(), max_size=3),
    ),
    max_leaves=8,
)
BOUNDS = st.one_of(NUMBERS, JUNK)
# Each is a call that makes a distribution, or tells why not.
DISTRIBUTION_CALLS = st.one_of(
    st.builds(
        lambda kind, low, high, points: lambda: kind(low, high, points),
        st.sampled_from([Uniform, LogUniform]),
        BOUNDS,
        BOUNDS,
        st.one_of(st.none(), BOUNDS),
    ),
    st.builds(lambda low, high: lambda: Integer(low, high), BOUNDS, BOUNDS),
    st.builds(
        lambda values: lambda: Choice(values), st.one_of(st.lists(NUMBERS, max_size=4), JUNK)
    ),
)
SOUND = st.sampled_from(
    [
        Uniform(0, 1),
        Uniform(0, 1, 3),
        LogUniform(1e-4, 1.0, 2),
        Integer(0, 3),
        Integer(0, 10**15),
        Choice((1, 2)),
        [0.1, 0.2],
        0.5,
    ]
)
DIMENSIONS = st.one_of(
    st.dictionaries(NAMES, SOUND, min_size=1, max_size=4),
    st.dictionaries(NAMES, st.one_of(SOUND, NUMBERS, JUNK), max_size=4),
    st.dictionaries(st.one_of(NAMES, st.text(), st.integers(), st.none()), SOUND, max_size=4),
    JUNK,
)
POINTS = st.one_of(
    st.just(()),
    st.lists(st.dictionaries(NAMES, st.one_of(st.just(0.5), NUMBERS), max_size=2), max_size=3),
    st.lists(st.dictionaries(NAMES, JUNK, max_size=2), max_size=3),
    JUNK,
)
METHODS = st.one_of(st.sampled_from([None, "grid", "random", "sobol"]), JUNK)
TRIALS = st.one_of(st.none(), st.integers(0, 9), NUMBERS, JUNK)
SEEDS = st.one_of(st.just(0), NUMBERS, JUNK)
# What `draw` takes; every other one is sound, so that what comes behind the checks is tried too.
DRAWS = st.one_of(
    st.tuples(
        st.dictionaries(NAMES, SOUND, min_size=1, max_size=4),
        st.just(()),
        st.sampled_from([None, "random", "sobol"]),
        st.integers(1, 9),
        st.just(0),
    ),
    st.tuples(DIMENSIONS, POINTS, METHODS, TRIALS, SEEDS),
)


def _mutated(text: str, edits: list[tuple[int, str]]) -> str:
    for at, piece in edits:
        at %= len(text) + 1
        text = text[:at] + piece + text[at + (len(piece) % 3) :]
    return text


_PIECES = [
    *"[]{}:,-?&*!|>%@`'\"#~<\n\t\r \0.1e",
    "\n- ",
    ": ",
    "!!python/name:os.system ",
    "&a",
    "*a",
]
_PIECES += [
    "<<: ",
    "log",
    "1e-4",
    "1:30",
    "\\U",
    "\x85",
    "\u2028",
    "\ufeff",
    "---\n",
    "%TAG ! x\n",
    "!!",
]
_WORDS = st.one_of(
    NAMES, st.sampled_from(["log", "uniform", "integer", "points", "try first", "lgo"])
)
_DATA = st.recursive(
    st.one_of(
        st.integers(0, 9), st.floats(), st.none(), st.booleans(), _WORDS, st.text(max_size=4)
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(_WORDS, inner, min_size=1, max_size=3)
    ),
    max_leaves=12,
)
_TEXT = """learning_rate: {log: [1e-4, 1.0], points: 16}
momentum: {uniform: [0.0, 0.99]}
layers: &x {integer: [1, 4]}
b2: [0.9, 0.999]
try first:
  - {learning_rate: 1.0e-3}
"""
_EDITS = st.lists(st.tuples(st.integers(0, 300), st.sampled_from(_PIECES)), max_size=3)
# Of a file that is read as YAML or, where the flag is set, as JSON.
DOCUMENTS = st.tuples(
    st.one_of(
        st.builds(_mutated, st.just(_TEXT), _EDITS),
        st.builds(_mutated, _DATA.map(json.dumps), _EDITS),
        st.lists(st.one_of(_WORDS, st.sampled_from(_PIECES)), max_size=12).map("".join),
        st.text(),
    ),
    st.booleans(),
)
FILES = st.one_of(
    DOCUMENTS.map(lambda document: document[0].encode("utf-8", "replace")), st.binary()
)


def draw(dimensions: Any, first: Any, method: Any, trials: Any, seed: Any) -> Any:
    """Settings from a space, all of one length and finite, or an error."""
    drawn = Space(dimensions, first).draw(method, trials, seed)
    assert len({column.shape for column in drawn.values()}) == 1
    for name, column in drawn.items():
        assert column.dtype in (np.float64, np.int64), column.dtype
        assert np.isfinite(column).all(), (name, column)
    return drawn


def use(make: Callable[[], Any]) -> Any:
    """All that a distribution does."""
    distribution = make()
    for values in (distribution.quantile(np.array([0.0, 0.5, 1 - 2**-53])), distribution.grid()):
        if values is not None:
            assert all(value in distribution for value in values.tolist()), (distribution, values)
    return distribution


def load(data: bytes, path: Any) -> Any:
    path.write_bytes(data)
    return gdjax.load_space(path)
