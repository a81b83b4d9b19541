"""Non-convexity: seeds end in different valleys; what a population predicts together."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import ttest_1samp

import gdjax
from gdjax import diagnostics
from gdjax.problems.images import perceptron

EXAMPLES, MEMBERS, GROUPS, STEPS = 200, 8, 5, 600
plain = gdjax.problems.digits(hidden=(16, 16, 16), batch_size=None)
every = plain.batch(jax.random.key(0), 0)
train = {name: column[:EXAMPLES] for name, column in every.items()}
test = {name: column[EXAMPLES:] for name, column in every.items()}


def batch(key, step):
    rows = jax.random.randint(key, (32,), 0, EXAMPLES)
    return {name: column[rows] for name, column in train.items()}


def training_loss(params):
    return plain.loss(params, train, None)


@pytest.fixture(scope="module")
def params():
    """The ends of SGD and of SAM, leaves ``[rho, population, member, ...]``."""
    task = dataclasses.replace(plain, batch=batch, evaluate=None)

    def end(optimizer, key):
        return gdjax.train(task, optimizer, STEPS, key).params

    runs = GROUPS * MEMBERS  # of each optimizer, with the same keys
    rho = jnp.repeat(jnp.array([0.0, 0.1]), runs)
    optimizers = jax.vmap(lambda rho: gdjax.sam(gdjax.sgd(0.1), rho=rho))(rho)
    keys = jnp.tile(jax.random.split(jax.random.key(0), runs), 2)
    ends = jax.jit(jax.vmap(end))(optimizers, keys)
    return jax.tree.map(lambda x: x.reshape(2, GROUPS, MEMBERS, *x.shape[1:]), ends)


@jax.jit
def predicted(params):
    """Of populations ``[population, member, image, class]``."""
    logits = jax.vmap(jax.vmap(perceptron, in_axes=(0, None)), in_axes=(0, None))
    return jax.nn.softmax(logits(params, test["x"]))


def accuracy(probabilities):
    """On the test, as a fraction."""
    return np.mean(np.asarray(probabilities).argmax(axis=-1) == np.asarray(test["y"]), axis=-1)


def test_each_seed_ends_elsewhere_with_a_barrier_between(params):
    first = jax.tree.map(lambda x: x[0, 0], params)
    losses = jax.jit(jax.vmap(training_loss))(first)
    norm = np.sqrt(sum(np.sum(x**2) for x in jax.tree.leaves(first)) / MEMBERS)
    found = diagnostics.Basins(
        jax.tree.map(lambda x: x[:, None], first), losses[:, None], ~jnp.isfinite(losses[:, None])
    )
    ends = diagnostics.distinct_ends(found, tolerance=norm / 2)
    assert len(ends[0]["w"]) == MEMBERS
    start, end = (jax.tree.map(lambda x, i=i: x[i : i + 4], first) for i in (0, 4))
    barriers = jax.jit(
        jax.vmap(lambda start, end: diagnostics.loss_line(training_loss, start, end, 11).barrier)
    )(start, end)
    assert (barriers > 0.5 + losses.max()).all()


def test_predictions_together_beat_the_best_member_and_weights_together_guess(params):
    probabilities = predicted(jax.tree.map(lambda x: x[0], params))
    best = accuracy(probabilities).max(axis=1)  # [population], on the test itself
    together = accuracy(probabilities.mean(axis=1))
    assert (together > best).all()
    mean = predicted(jax.tree.map(lambda x: x[0].mean(axis=1, keepdims=True), params))[:, 0]
    assert (accuracy(mean) < 0.5).all()


def test_sam_helps_members(params):
    sgd, sam = (accuracy(predicted(jax.tree.map(lambda x, i=i: x[i], params))) for i in (0, 1))
    assert (sam - sgd).mean() > 0.005
    assert ttest_1samp((sam - sgd).ravel(), 0, alternative="greater").pvalue < 0.01
