"""What tasks on data share: what comes inside packages, what is held out, batches."""

import contextlib
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gdjax.errors import InvalidValue, MissingExtra
from gdjax.ranges import number


@contextlib.contextmanager
def needing_data(task: str) -> Iterator[None]:
    """Tell which extra an import needs that fails inside.

    Args:
      task: whose data it is.
    """
    try:
        yield
    except ImportError:
        raise MissingExtra(f"gdjax.problems.{task}", "data") from None


def check_sizes(task: str, **sizes: int | tuple[int, ...] | None) -> None:
    """Raise where a size, or one of several, is no whole number of at least 1; None passes."""
    given = {name: size for name, size in sizes.items() if size is not None}
    if not all(isinstance(n := number(x), int) and n >= 1 for x in jax.tree.leaves(given)):
        listed = ", ".join(f"{name}={size!r}" for name, size in given.items())
        raise InvalidValue(f"{task}: sizes must be whole numbers of at least 1, got {listed}")


def split(
    x: Any, y: Any, heldout: int, by_class: bool = False
) -> tuple[dict[str, jax.Array], dict[str, jax.Array]]:
    """Rows for training and rows that are held out, drawn once and for all by scikit-learn.

    Args:
      x: ``[row, ...]``.
      y: ``[row]``: targets in float32, or labels, whole numbers, in int32.
      heldout: how many are held out.
      by_class: whether each class has the same share in both.

    Returns:
      Twice ``x``, in float32, and ``y``.
    """
    from sklearn.model_selection import train_test_split

    x, x_heldout, y, y_heldout = train_test_split(
        x, y, test_size=heldout, random_state=0, stratify=y if by_class else None
    )
    dtype = jnp.int32 if np.issubdtype(y.dtype, np.integer) else jnp.float32
    train = {"x": jnp.asarray(x, jnp.float32), "y": jnp.asarray(y, dtype)}
    heldout_rows = {"x": jnp.asarray(x_heldout, jnp.float32), "y": jnp.asarray(y_heldout, dtype)}
    return train, heldout_rows


def draw(key: jax.Array, step: jax.Array, data: Any, batch_size: int | None) -> Any:
    """A mini-batch, drawn with replacement; all data where ``batch_size`` is None."""
    if batch_size is None:
        return data
    rows = jax.random.randint(key, (batch_size,), 0, len(jax.tree.leaves(data)[0]))
    return jax.tree.map(lambda column: column[rows], data)
