"""What a test function is: a formula, and what is known of it."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gdjax.binding import bind
from gdjax.errors import InvalidValue
from gdjax.ranges import DecayOrSum, Structure
from gdjax.task import Task


@dataclasses.dataclass(frozen=True, eq=False)
class Function:
    """A function of a few numbers to descend, and what is known of it.

    Args:
      name: for messages.
      formula: ``formula(x) -> scalar`` of ``x [dimension]``; where it is bound
        (:func:`gdjax.bind`), its numbers are the task's too.
      start: from where it is usually descended; its length is the dimension.
      domain: where each coordinate is usually looked for, low and high.
      minima: all global minimizers, ``[minimum, dimension]``, in float64; there may be none.
      minimum: the value there; minus infinity where it is unbounded.
      source: who has it, and from where the start is.
      local_minima: other minimizers, ``[minimum, dimension]``, where they are few.
      any_dimension: whether it is defined in every dimension above 1; see :meth:`in_dimension`.

    >>> import gdjax
    >>> gdjax.problems.booth(jnp.array([1.0, 2.0]))
    Array(5., dtype=float32)
    >>> task = gdjax.problems.booth.task(start=[0.0, 0.0])
    >>> gdjax.train(task, gdjax.sgd(0.1), steps=100, key=0).evaluation["distance_to_minimum"] < 1e-5
    Array(True, dtype=bool)
    """

    name: str
    formula: Callable[[jax.Array], jax.Array]
    start: tuple[float, ...]
    domain: tuple[float, float]
    minima: np.ndarray
    minimum: float
    source: str
    local_minima: np.ndarray | None = None
    any_dimension: bool = False

    @property
    def dimension(self) -> int:
        """How many numbers it takes."""
        return len(self.start)

    def __call__(self, x: Any) -> jax.Array:
        """The value at ``x [dimension]``, a scalar in its dtype.

        Raises:
          InvalidValue: ``x`` has another dimension.
        """
        x = jnp.asarray(x)
        return self._of_length(x).formula(x)

    def in_dimension(self, dimension: int) -> "Function":
        """The same function of more numbers, or fewer: 2 at least.

        Raises:
          InvalidValue: it is defined in its own dimension only, or the dimension is below 2.

        >>> import gdjax
        >>> gdjax.problems.rosenbrock.in_dimension(4).minima
        array([[1., 1., 1., 1.]])
        """
        if dimension == self.dimension:
            return self
        if not self.any_dimension or dimension < 2:
            known = "2 or more" if self.any_dimension else self.dimension
            raise InvalidValue(f"{self.name} is defined for {known} numbers, got {dimension}")
        # Each minimizer has equal coordinates, and the value is 0 or a sum over them.
        return dataclasses.replace(
            self,
            start=tuple(np.resize(self.start, dimension).tolist()),
            minima=np.resize(self.minima, (1, dimension)),
            minimum=self.minimum * dimension / self.dimension,
        )

    def task(self, start: Any = None, spread: float = 0.0) -> Task:
        """The task to descend it: no data, no batch.

        Both arguments are leaves: ``jax.vmap(function.task)(starts)`` is a batch of tasks, and a
        sweep varies ``spread``. With 1 each seed is a restart somewhere in the domain.

        Args:
          start: the first parameters, ``[dimension]``; the usual start, if not given.
          spread: how far, in [0, 1], the first parameters lie from there on the way to a point
            that each key draws anew from the domain.

        Returns:
          A task that evaluates ``distance_to_minimum``, that to the nearest global minimizer, where
          there is one.

        Raises:
          InvalidValue: ``start`` has another dimension, or ``spread`` is out of range.
        """
        start = jnp.asarray(self.start if start is None else start, float)
        function = self._of_length(start)
        return Task(
            init=bind(_start, start=start, spread=spread, domain=self.domain),
            loss=bind(_value, formula=self.formula),
            batch=_no_batch,
            evaluate=bind(_distance, minima=function.minima) if len(self.minima) else None,
        )

    def _of_length(self, x: jax.Array) -> "Function":
        if x.ndim != 1:
            raise InvalidValue(f"{self.name} takes an array [dimension], got shape {x.shape}")
        return self.in_dimension(x.size)


def _start(key: jax.Array, start: jax.Array, spread: DecayOrSum, domain: Structure) -> jax.Array:
    low, high = domain
    drawn = jax.random.uniform(key, start.shape, start.dtype, low, high)
    return start + spread * (drawn - start)


def _value(params: jax.Array, batch: None, key: jax.Array, formula: Any) -> jax.Array:
    return formula(params)


def _no_batch(key: jax.Array, step: jax.Array) -> None:
    return None


def _distance(params: jax.Array, minima: Any) -> dict[str, jax.Array]:
    away = params[None] - jnp.asarray(minima, params.dtype)  # [minimum, dimension]
    return {"distance_to_minimum": jnp.sqrt(jnp.sum(away**2, axis=1)).min()}
