"""States of the trials that wait for their turn, in the host's memory."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


class Store:
    """What training changes, of as many trials as wait: leaves ``[row, seed, ...]``.

    Args:
      like: shapes and dtypes of one run.
      trials: how many there are; a trial has a row while it waits.
      seeds: runs of each trial.
    """

    def __init__(self, like: Any, trials: int, seeds: int):
        self._like, self._seeds = like, seeds
        self._row = np.full(trials, -1)
        self._free: list[int] = []
        self.leaves = [np.empty((0, seeds, *x.shape), x.dtype) for x in map(_plain, _leaves(like))]

    def put(self, trials: np.ndarray, seed: np.ndarray, weights: Any) -> None:
        """Keep runs: ``trials`` and ``seed`` are ``int[n]``, leaves ``[n, ...]``."""
        self._make_rows(trials)
        for kept, leaf in zip(self.leaves, _leaves(weights), strict=True):
            kept[self._row[trials], seed] = to_host(leaf)

    def take(self, trials: np.ndarray, seed: np.ndarray, wanted: Any = True) -> Any:
        """Runs by trial and seed, of any one shape; anything for those that have no row.

        Zeros are no work: the memory of runs that are not ``wanted`` is not even touched.
        """
        row, seed = self._row[trials], np.broadcast_to(seed, trials.shape)
        held = (row >= 0) & wanted
        found = [np.zeros((*trials.shape, *leaf.shape[2:]), leaf.dtype) for leaf in self.leaves]
        for leaf, kept in zip(found, self.leaves, strict=True):
            leaf[held] = kept[row[held], seed[held]]
        return jax.tree.unflatten(
            jax.tree.structure(self._like), map(_as_like, found, _leaves(self._like))
        )

    def copy(self, children: np.ndarray, parents: np.ndarray) -> None:
        """Give children what their parents have now, all seeds: ``int[n]`` each."""
        states = [leaf[self._row[parents]] for leaf in self.leaves]  # a parent may be a child too
        self._make_rows(children)
        for kept, state in zip(self.leaves, states, strict=True):
            kept[self._row[children]] = state

    def keep(self, wanted: np.ndarray) -> None:
        """Give up the rows of trials that are not wanted, ``bool[trial]``."""
        dropped = np.flatnonzero((self._row >= 0) & ~wanted)
        self._free.extend(self._row[dropped].tolist())
        self._row[dropped] = -1

    @property
    def trials(self) -> np.ndarray:
        """Those that have a row."""
        return np.flatnonzero(self._row >= 0)

    def rows(self) -> list[np.ndarray]:
        """Leaves ``[n, seed, ...]`` of those trials."""
        return [leaf[self._row[self.trials]] for leaf in self.leaves]

    def restore(self, trials: np.ndarray, leaves: list[np.ndarray]) -> None:
        """What :meth:`rows` returned, into an empty store."""
        self._row[trials] = np.arange(len(trials))
        self.leaves = [np.array(leaf) for leaf in leaves]

    def _make_rows(self, trials: np.ndarray) -> None:
        new = np.unique(trials[self._row[trials] < 0])
        self._grow(len(new) - len(self._free))
        self._row[new] = [self._free.pop() for _ in new]

    def _grow(self, rows: int) -> None:
        if rows <= 0:
            return
        first = len(self.leaves[0]) if self.leaves else 0
        rows = max(rows, first)  # doubled, so that what is copied stays in proportion
        self._free.extend(reversed(range(first, first + rows)))
        self.leaves = [
            np.concatenate([leaf, np.zeros((rows, *leaf.shape[1:]), leaf.dtype)])
            for leaf in self.leaves
        ]


def to_host(x: Any) -> np.ndarray:
    """An array of the host; of PRNG keys the numbers that they hold."""
    return np.asarray(jax.random.key_data(x) if _is_key(x) else x)


def _leaves(tree: Any) -> list[Any]:
    return jax.tree.leaves(tree)


def _is_key(x: Any) -> bool:
    return jnp.issubdtype(x.dtype, jax.dtypes.prng_key)


def _plain(x: Any) -> Any:
    """Shape and dtype that a leaf has on the host."""
    return jax.eval_shape(jax.random.key_data, x) if _is_key(x) else x


def _as_like(x: np.ndarray, like: Any) -> Any:
    if not _is_key(like):
        return x
    return jax.random.wrap_key_data(
        jnp.asarray(x), impl=jax.random.key_impl(jnp.empty((), like.dtype))
    )
