import jax
import jax.numpy as jnp
import pytest

from gdjax import Task


def _draw(key, step):
    return jax.random.normal(key, (4,))


def _loss(params, batch, key):
    return jnp.sum((params * batch) ** 2) + 0.01 * jax.random.normal(key)


@pytest.fixture(scope="session")
def noisy() -> Task:
    """A random start, random batches and a random loss: whatever depends on a key shows."""
    return Task(
        init=lambda key: jax.random.normal(key, (4,)),
        loss=_loss,
        batch=_draw,
        evaluate=lambda params: {"size": jnp.sum(params**2)},
        objective="size",
    )


@pytest.fixture(scope="session")
def halving() -> Task:
    """Loss = params**2 / 2 from a start of +-1 by seed: exact in binary."""
    return Task(
        init=lambda key: jnp.where(jax.random.bernoulli(key), 1.0, -2.0),
        loss=lambda params, batch, key: params**2 / 2,
        batch=lambda key, step: None,
    )
