"""Batches that the host reads, for data that do not fit the device."""

import dataclasses
import functools
import inspect
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal, Protocol, get_args

import jax
import jax.numpy as jnp
import numpy as np

from gdjax.errors import InvalidType, InvalidValue, shown, telling

Per = Literal["sweep", "seed", "trial"]


class Indexed(Protocol):
    """A sequence of batches, as far as a stream needs it to be one."""

    def __len__(self) -> int: ...
    def __getitem__(self, number: int, /) -> Any: ...


Batches = Indexed | Iterable[Any]


@functools.partial(
    jax.tree_util.register_dataclass, data_fields=["batches", "seed", "first"], meta_fields=[]
)
@dataclasses.dataclass(frozen=True)
class Block:
    """A task's ``batch`` for some steps, once the host has read them.

    Args:
      batches: leaves ``[seed, step, ...]``, or ``[1, step, ...]`` where all seeds share them.
      seed: whose batches are wanted, ``int32[]``.
      first: step of the first one, ``int32[]``.
    """

    batches: Any
    seed: Any
    first: Any

    def __call__(self, key: jax.Array, step: Any) -> Any:
        """The batch of a step."""
        del key  # what is random in a stream, it has drawn itself
        return jax.tree.map(lambda x: x[self.seed % x.shape[0], step - self.first], self.batches)


@jax.tree_util.register_static
class Stream:
    """A task's ``batch`` that the host reads, in blocks, while the devices compute.

    :func:`gdjax.sweep` hands the batches of one segment to the devices, and reads those of the
    next one meanwhile. The batch of step ``t`` is the ``t``-th of the stream; after its last one
    a stream begins again. A rerun, and a sweep that goes on after it was killed, get the same
    batches at the same steps, so a stream must give the same ones each time that it is read:
    what is random in it follows from a seed that it has.

    Args:
      batches: trees of arrays, of equal shapes: a sequence of them, such as a list, an array or
        Grain's ``MapDataset``, of which any one can be read without those before it; or what can
        be iterated over more than once, such as a ``DataLoader`` that does not shuffle; or a
        function that begins the one or the other, such as a generator function.
      per: who sees the same batches: all runs (``"sweep"``); those of one seed (``"seed"``),
        with a function ``batches(seed)``; or each run its own (``"trial"``), with a function
        ``batches(trial, seed)`` of the numbers that they have in the sweep.

    Raises:
      InvalidType: what can be read only once, or is no sequence of batches.
      InvalidValue: an unknown ``per``.

    >>> import gdjax, jax.numpy as jnp
    >>> def batches(seed):
    ...     draw = np.random.default_rng(seed)  # or files that are opened here
    ...     while True:
    ...         yield draw.normal(size=(4, 2))
    >>> task = gdjax.Task(
    ...     init=lambda key: jnp.zeros(2),
    ...     loss=lambda params, batch, key: jnp.mean((params[None] - batch) ** 2),
    ...     batch=Stream(batches, per="seed"),
    ... )
    >>> result = gdjax.sweep(task, gdjax.sgd, {"learning_rate": [0.1, 0.2]}, seeds=2, steps=20)
    >>> result.traces["loss"].shape
    (2, 2, 20)
    """

    def __init__(self, batches: Batches | Callable[..., Batches], per: Per = "sweep"):
        if not isinstance(per, str) or per not in get_args(Per):
            raise InvalidValue(f"per must be one of {', '.join(get_args(Per))}, got {shown(per)}")
        if isinstance(batches, Iterator):
            raise InvalidType(
                f"batches must be what can be read more than once, got {shown(batches)}, which "
                "cannot; give the function that makes it, or the data set behind it"
            )
        if not _gives_batches(batches):
            _check_function(batches, per)
        elif per != "sweep":
            call = f"batches({', '.join(_ARGUMENTS[per])})"
            raise InvalidType(f"per={per!r} needs a function {call}, got {shown(batches)}")
        self.batches, self.per = batches, per
        self._first: dict[bool, Block] = {}  # by whether numbers have 64 bits

    def __call__(self, key: jax.Array, step: Any) -> Any:
        """Raises: a compiled function reads nothing from the host."""
        raise InvalidType(
            "a gdjax.Stream is read by gdjax.sweep, on the host; gdjax.train is one compiled "
            "function, and needs a task whose batch(key, step) is one too"
        )

    @property
    def first(self) -> Block:
        """The first batch; of several streams that of the first one.

        Raises:
          InvalidType, InvalidValue: it cannot be read, or is another one the second time.
        """
        x64 = in_64_bits()
        if x64 not in self._first:
            self._first[x64] = self._read_first()
        return self._first[x64]

    def _read_first(self) -> Block:
        who = (0,) * len(_ARGUMENTS[self.per])
        once, again = (next(self.read(who)) for _ in range(2))
        leaves = zip(jax.tree.leaves(once), jax.tree.leaves(again), strict=False)
        same = jax.tree.structure(once) == jax.tree.structure(again)
        if not same or not all(_same(x, y) for x, y in leaves):
            raise InvalidValue(
                "the stream gave another first batch when it was read again, so no run could be "
                "repeated; draw what is random in it from a seed of its own"
            )
        return Block(jax.tree.map(lambda x: x[None, None], once), np.int32(0), np.int32(0))

    def read(self, who: tuple[int, ...], first: int = 0) -> Iterator[Any]:
        """Batches from one on, without an end, leaves NumPy's.

        Args:
          who: what the function gets, if it is one: nothing, a seed, or a trial and a seed.
          first: number of the first batch; what is no sequence is read up to there.

        Raises:
          InvalidType: one cannot be read, or holds something else than numbers.
          InvalidValue: there is none.
        """
        source = self._begin(who)
        if _is_sequence(source):
            batches, begun = _from_sequence(source, first), first
        else:
            batches, begun = self._endless(source, who), 0
        for number in itertools.count(begun):
            with telling(f"Stream: batch {number} cannot be read"):
                batch = next(batches)
                if number >= first:
                    batch = jax.tree.map(_as_array, batch)
            if number >= first:
                yield batch

    def _begin(self, who: tuple[int, ...]) -> Any:
        """What gives batches from the first one on."""
        if not callable(self.batches) or _gives_batches(self.batches):
            return self.batches
        call = f"Stream: batches({', '.join(map(str, who))})"
        with telling(f"{call} cannot be called"):
            source = self.batches(*who)
        if not _gives_batches(source):
            raise InvalidType(f"{call} must return what gives batches, got {shown(source)}")
        return source

    def _endless(self, source: Iterable[Any], who: tuple[int, ...]) -> Iterator[Any]:
        """What iterating gives, again and again."""
        while True:
            empty = True
            for batch in source:
                empty = False
                yield batch
            if empty:
                raise InvalidValue(_EMPTY)
            source = self._begin(who)


_ARGUMENTS: dict[str, tuple[str, ...]] = {
    "sweep": (),
    "seed": ("seed",),
    "trial": ("trial", "seed"),
}
_EMPTY = "the stream gives no batch at all; each time that it is begun it must give all of them"


def _from_sequence(source: Any, first: int) -> Iterator[Any]:
    with telling("Stream: batches cannot be counted"):
        empty = len(source) == 0
    if empty:
        raise InvalidValue(_EMPTY)
    for number in itertools.count(first):
        yield source[number % len(source)]


def _is_sequence(source: Any) -> bool:
    # Of its type, as Python itself looks: a class may begin a sequence without being one.
    return hasattr(type(source), "__getitem__") and hasattr(type(source), "__len__")


def _gives_batches(source: Any) -> bool:
    """Not so a dict, which is one batch, nor what gives its items in no known order, nor text."""
    nothing = isinstance(source, (Mapping, str, bytes, set, frozenset))
    return not nothing and (_is_sequence(source) or isinstance(source, Iterable))


def _check_function(function: Any, per: Per) -> None:
    """Raise where it cannot be called with what ``per`` says."""
    call = f"batches({', '.join(_ARGUMENTS[per])})"
    if not callable(function):
        raise InvalidType(f"batches must be a sequence of batches or {call}, got {shown(function)}")
    try:
        inspect.signature(function).bind(*_ARGUMENTS[per])
    except TypeError:
        raise InvalidType(
            f"per={per!r} calls {call}, which {shown(function)} cannot be called with"
        ) from None
    except ValueError:  # a function of C's, which has no signature
        return


def in_64_bits() -> bool:
    """Whether JAX keeps numbers of 64 bits, where it is asked."""
    return jax.dtypes.canonicalize_dtype(np.float64) == np.float64


def _as_array(x: Any) -> np.ndarray:
    """In the dtype that JAX would give it; a copy, for many readers fill one buffer anew."""
    array = np.asarray(x)
    if not jnp.issubdtype(array.dtype, jnp.number) and array.dtype != bool:
        raise TypeError(f"expected arrays of numbers, got {array.dtype}")
    return array.astype(jax.dtypes.canonicalize_dtype(array.dtype))


def _same(x: np.ndarray, y: np.ndarray) -> bool:
    return x.shape == y.shape and x.dtype == y.dtype and x.tobytes() == y.tobytes()
