import pathlib
import shutil
import signal

import jax
import jax.numpy as jnp
import pytest

from gdjax import Task
from tests.sweep import killed
from tests.sweep.stopping import Interrupted, checkpoints, interrupt, stop_at


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


@pytest.fixture(scope="session")
def whole():
    """The undisturbed sweeps, by rule, that write nothing."""
    return {
        rule: killed.train(None, rule, resume=False, checkpoint_seconds=None)
        for rule in killed.RULES
    }


@pytest.fixture(scope="session")
def interrupted(tmp_path_factory):
    """A directory with the two checkpoints of a sweep that got through four decisions."""
    directory = tmp_path_factory.mktemp("sweep")
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, 5, interrupt)
        with pytest.raises(Interrupted):
            killed.train(directory, "halving")
    assert len(checkpoints(directory)) == 2
    return directory


@pytest.fixture
def stopped(interrupted, tmp_path):
    """A copy of it."""
    return pathlib.Path(shutil.copytree(interrupted, tmp_path / "sweep"))


@pytest.fixture
def handlers():
    """Python's own handlers of signals, which are afterwards what they were."""
    own = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    before = {kind: signal.signal(kind, handler) for kind, handler in own.items()}
    yield list(own.values())
    assert [signal.getsignal(kind) for kind in own] == list(own.values())
    for kind, handler in before.items():
        signal.signal(kind, handler)
