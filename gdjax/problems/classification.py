"""What tasks of classification share: data, batches, what is measured."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from gdjax.errors import MissingExtra


def load_digits(task: str) -> tuple[dict[str, jax.Array], dict[str, jax.Array]]:
    """scikit-learn's handwritten digits, for training and held out.

    Args:
      task: who asks, for the error.

    Returns:
      Twice ``x``, ``[image, 64]`` in [0, 1], and ``y``, the labels; 1437 and 360 of them.
    """
    try:
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split
    except ImportError:
        raise MissingExtra(task, "data") from None
    pixels, labels = load_digits(return_X_y=True)
    x, x_heldout, y, y_heldout = train_test_split(
        pixels / 16, labels, test_size=360, random_state=0, stratify=labels
    )
    train = {"x": jnp.asarray(x, jnp.float32), "y": jnp.asarray(y, jnp.int32)}
    heldout = {"x": jnp.asarray(x_heldout, jnp.float32), "y": jnp.asarray(y_heldout, jnp.int32)}
    return train, heldout


def draw(key: jax.Array, step: jax.Array, data: Any, batch_size: int) -> Any:
    """A mini-batch, drawn with replacement."""
    rows = jax.random.randint(key, (batch_size,), 0, len(data["y"]))
    return jax.tree.map(lambda column: column[rows], data)


def measure(logits: jax.Array, labels: jax.Array) -> dict[str, jax.Array]:
    """Mean cross-entropy in nats and the fraction of hits, of images that are held out."""
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    hits = jnp.argmax(logits, axis=-1) == labels
    return {"heldout_loss": losses.mean(), "heldout_accuracy": hits.mean()}
