"""Malformed tasks, optimizers and options: strategies, and what a sweep makes of them."""

import os
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from hypothesis import strategies as st

import gdjax
from gdjax import Bound, Task
from tests.sweep.malformed import ARRAYS, JUNK, NUMBERS, SCALARS, Hostile, Verbose


class Reached(Exception):
    """Whatever was passed, it would have been compiled."""


class Unsayable(Exception):
    def __str__(self):
        raise RuntimeError("no words")


class Path(os.PathLike):
    """A path that is none."""

    def __init__(self, path):
        self.path = path

    def __fspath__(self):
        return self.path if isinstance(self.path, str | bytes) else [][self.path]


def start(arguments: dict[str, Any]) -> Any:
    """A sweep up to its compilation, where ``jax.stages.Lowered.compile`` raises ``Reached``."""
    try:
        return gdjax.sweep(**arguments)
    except Reached:
        return Reached


def _raises(error):
    def function(*args, **kwargs):
        raise error

    return function


def _loops(params, batch, key):
    """Has no derivative that goes backwards."""
    return jax.lax.while_loop(lambda x: x < 3, lambda x: x + 1.0, jnp.sum(params))


def _branches(params, batch, key):
    return params.sum() if params.sum() > 0 else 0.0


def _loss(params, batch, key):
    return sum(jnp.sum(jnp.abs(leaf)) for leaf in jax.tree.leaves((params, batch)))


def _measured(params, batch, key):
    return _loss(params, batch, key), {"size": _loss(params, batch, key)}


ERRORS = st.sampled_from(
    [
        KeyError("x"),
        ZeroDivisionError("division by zero"),
        RuntimeError("two\nlines \x1b[31m"),
        AttributeError(),
        NotImplementedError("y" * 2000),
        StopIteration(),
        RecursionError(),
        TypeError("first\nsecond"),
        ValueError(Verbose()),
        OSError(2, "no such file"),
        Unsayable(),
        AssertionError(),
        optax.ScaleState,
    ]
).filter(lambda error: isinstance(error, Exception))
RETURNED = st.one_of(SCALARS, ARRAYS, JUNK, st.sampled_from([jnp.nan, jnp.ones(3), 0.5, {}, ()]))
# What a function returns that is not what it should: anything, an error, or too few arguments.
WRONG = st.one_of(
    RETURNED.map(lambda value: lambda *args: value),
    ERRORS.map(_raises),
    st.sampled_from(
        [lambda: 1.0, lambda a, b, c, d: 1.0, len, jnp.sin, gdjax.adam, Task, callable]
    ),
    st.sampled_from([_loops, _branches, jax.random.key, jnp.ones, float, max, np.asarray]),
    JUNK,
)
NAMED = st.dictionaries(
    st.one_of(
        st.text(max_size=3),
        st.sampled_from(["loss", "a/b", "seed", "b1", "x" * 900]),
        JUNK.filter(
            lambda value: (
                not isinstance(value, list | dict | set | np.ndarray | jax.Array | Hostile)
            )
        ).filter(lambda value: _hashable(value)),
    ),
    st.one_of(st.just(0.5), RETURNED),
    max_size=3,
)


def _hashable(value):
    try:
        return hash(value) is not None
    except Exception:
        return False


INITS = st.one_of(
    st.sampled_from(
        [
            lambda key: jnp.ones(3),
            lambda key: {"w": jax.random.normal(key, (2, 3)), "b": jnp.zeros(3)},
            lambda key: [],
            lambda key: None,
            lambda key: jnp.ones(0),
            lambda key: jnp.ones(3, jnp.bfloat16),
            lambda key: jnp.ones(3, jnp.complex64),
            lambda key: {1: jnp.ones(3), "b": jnp.ones(3)},
            lambda key: np.ones(3),
            lambda key: key,
            lambda key: jnp.full(3, jnp.nan),
            lambda key: "w",
        ]
    ),
    WRONG,
)
LOSSES = st.one_of(
    st.sampled_from(
        [
            _loss,
            _measured,
            _loops,
            _branches,
            lambda params, batch, key: params,
            lambda params, batch, key: (_loss(params, batch, key), 3),
            lambda params, batch, key: (_loss(params, batch, key), {}, {}),
            lambda params, batch, key: (),
            lambda params, batch, key: 1j * _loss(params, batch, key),
            lambda params, batch, key: jnp.argmax(batch),
            lambda params, batch, key: float(jnp.sum(batch)),
            lambda params, batch, key: jax.random.normal(key) + 0 * _loss(params, batch, key),
            Bound(lambda params, batch, key, c: c * _loss(params, batch, key), {"c": np.nan}),
            Bound(lambda params, batch, key, c: c, {"c": "text"}),
        ]
    ),
    NAMED.map(lambda metrics: lambda params, batch, key: (_loss(params, batch, key), metrics)),
    WRONG,
)
BATCHES = st.one_of(
    st.sampled_from(
        [
            lambda key, step: None,
            lambda key, step: jnp.ones(4),
            lambda key, step: jnp.full(4, jnp.nan),
            lambda key, step: {"x": np.ones((2, 2)), "y": 3},
            lambda key, step: jnp.ones(int(step)),
        ]
    ),
    WRONG,
)
EVALUATIONS = st.one_of(
    st.none(),
    st.just(lambda params: {"size": _loss(params, None, None)}),
    NAMED.map(lambda metrics: lambda params: metrics),
    WRONG,
)
GRADIENTS = st.one_of(
    st.just(jax.value_and_grad),
    st.sampled_from([jax.grad, jax.vmap, gdjax.bind(gdjax.spsa, sigma=0.01), gdjax.spsa]),
    WRONG,
)
OBJECTIVES = st.one_of(st.sampled_from(["loss", "size", "lose"]), JUNK)
MODES = st.one_of(st.sampled_from(["min", "max", "MIN"]), JUNK)
SOUND_TASK = {
    "init": lambda key: jnp.ones(3),
    "loss": _loss,
    "batch": lambda key, step: jnp.ones(4),
}
PARTS = {
    "init": INITS,
    "loss": LOSSES,
    "batch": BATCHES,
    "evaluate": EVALUATIONS,
    "objective": OBJECTIVES,
    "mode": MODES,
    "value_and_grad": GRADIENTS,
}


def some_of(strategies: dict[str, st.SearchStrategy], most: int) -> st.SearchStrategy:
    """A dict of up to so many of them: more would never come behind the first check."""
    names = st.lists(st.sampled_from(sorted(strategies)), min_size=1, max_size=most, unique=True)
    return names.flatmap(lambda names: st.fixed_dictionaries({n: strategies[n] for n in names}))


TASKS = some_of(PARTS, 2).map(lambda parts: SOUND_TASK | parts)
FACTORIES = st.one_of(
    st.sampled_from(
        [
            gdjax.adam,
            gdjax.sgd(0.1),
            optax.sgd,
            lambda learning_rate: None,
            lambda learning_rate: gdjax.sgd(float(learning_rate)),
            lambda learning_rate: gdjax.sgd(0.1) if learning_rate > 0.15 else gdjax.adam(0.1),
            lambda learning_rate: gdjax.chain(optax.scale(learning_rate)),
            lambda *args, **kwargs: gdjax.sgd(0.1),
            lambda learning_rate, /: gdjax.sgd(learning_rate),
            lambda learning_rate, missing: gdjax.sgd(learning_rate),
            lambda learning_rate: gdjax.transformation()(
                lambda updates, state, params: (3, state)
            )(),
            lambda learning_rate: gdjax.transformation()(_raises(KeyError("x")))(),
            gdjax.transformation(init=lambda params: {}[3])(
                lambda updates, state, params, learning_rate: (updates, state)
            ),
        ]
    ),
    WRONG,
)


def _inside(path: Any) -> Any:
    """Nothing is written elsewhere."""
    text = path.path if isinstance(path, Path) else path
    text = text.decode("latin-1") if isinstance(text, bytes) else text
    return not isinstance(text, str) or ("/" not in text and ".." not in text)


DIRECTORIES = st.one_of(
    st.sampled_from(["new", "a" * 300, "a\0b", "\ud800", "/dev/null/sweep", pathlib.Path("old")]),
    st.one_of(JUNK, JUNK.map(Path)).filter(_inside),
)
# None that is sound and takes hours.
WHOLE = st.one_of(st.none(), st.integers(1, 5), NUMBERS, JUNK).filter(
    lambda value: not isinstance(value, int | np.integer) or not 5 < value < 2**50
)
RULES = st.sampled_from(
    [
        gdjax.successive_halving(eta=2),
        gdjax.asha(),
        gdjax.hyperband(),
        gdjax.plateau(3),
        gdjax.target(0.1),
        gdjax.budget(flops=1e9),
        gdjax.plateau,
        gdjax.asha,
        "asha",
    ]
)
OPTIONS = {
    "task": st.one_of(TASKS.map(lambda parts: Task(**parts)), JUNK),
    "optimizer": st.one_of(
        FACTORIES,
        st.dictionaries(
            st.one_of(st.text(max_size=3), st.integers(), st.none()), FACTORIES, max_size=2
        ),
        JUNK,
    ),
    "space": JUNK,
    "trials": WHOLE,
    "seeds": WHOLE,
    "steps": WHOLE,
    "width": WHOLE,
    "segment": WHOLE,
    "key": WHOLE,
    "method": st.one_of(st.sampled_from(["grid", "random", "sobol"]), JUNK),
    "stopping": st.one_of(RULES, st.lists(st.one_of(RULES, JUNK), max_size=3), JUNK),
    "devices": st.one_of(st.sampled_from([jax.devices(), jax.devices()[0], [], "cpu"]), JUNK),
    "directory": DIRECTORIES,
    "resume": st.one_of(st.booleans(), JUNK),
    "checkpoint_seconds": st.one_of(NUMBERS, JUNK),
    "progress": JUNK,
    "callbacks": st.one_of(st.just(callable), st.lists(st.one_of(WRONG, JUNK), max_size=2), JUNK),
}
ARGUMENTS = some_of(OPTIONS, 3).map(
    lambda changes: (
        {
            "task": Task(**SOUND_TASK),
            "optimizer": gdjax.sgd,
            "space": {"learning_rate": [0.1, 0.2]},
            "steps": 2,
            "progress": False,
        }
        | changes
    )
)
