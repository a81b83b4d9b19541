"""Two workers of ten send garbage: the mean fails, a median does not."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import gdjax
from gdjax import diagnostics, trees

WORKERS, BROKEN, IMAGES, SEEDS = 10, 2, 8, 5
GARBAGE = ["none", "opposite", "noise", "nan"]
DIGITS = gdjax.problems.digits(hidden=(), batch_size=WORKERS * IMAGES)
NOISE = np.random.default_rng(0).standard_cauchy((BROKEN, 650)).astype(np.float32)


class Copies(NamedTuple):
    """Parameters of each worker, leaves ``[worker, ...]``."""

    params: list


def loss(params, batch, key):
    """Mean over workers."""
    batch = jax.tree.map(lambda x: x.reshape(WORKERS, IMAGES, *x.shape[1:]), batch)
    params, axis = (params.params, 0) if isinstance(params, Copies) else (params, None)
    return jax.vmap(DIGITS.loss, (axis, 0, None))(params, batch, key).mean()


def by_worker(loss_fn, has_aux, garbage):
    """The loss, and a gradient for each worker, with garbage in the place of some."""

    def value_and_grad(params, key):
        copies = jax.tree.map(lambda p: jnp.broadcast_to(p, (WORKERS, *p.shape)), params)
        value, sent = jax.value_and_grad(loss_fn, has_aux=has_aux)(Copies(copies))
        sent = WORKERS * jax.vmap(lambda g: ravel_pytree(g)[0])(sent.params)  # [worker, number]
        own = sent[:BROKEN]
        kinds = jnp.stack([own, -10 * own, jnp.asarray(NOISE), jnp.full_like(own, jnp.nan)])
        return value, jax.vmap(ravel_pytree(params)[1])(sent.at[:BROKEN].set(kinds[garbage]))

    return value_and_grad


def test_the_mean_fails_and_the_geometric_median_does_not():
    rules = {"mean": gdjax.mean_of_workers, "median": gdjax.geometric_median_of_workers}
    task = gdjax.Task(
        DIGITS.init,
        loss,
        DIGITS.batch,
        DIGITS.evaluate,
        value_and_grad=gdjax.bind(by_worker, garbage=0),
    )
    result = gdjax.sweep(
        task,
        {
            name: lambda rate, rule=rule: gdjax.chain(rule(), gdjax.sgd(rate))
            for name, rule in rules.items()
        },
        {"rate": [0.1, 0.5], "garbage": list(range(len(GARBAGE)))},
        seeds=SEEDS,
        steps=100,
    )
    accuracy = np.nan_to_num(result.final("heldout_accuracy"), nan=0.1)  # diverged: chance
    accuracy = {
        (name, kind): accuracy[(result.family == name) & (result.settings["garbage"] == i)]
        for name in rules
        for i, kind in enumerate(GARBAGE)
    }
    assert accuracy["mean", "none"].max(axis=0).min() > 0.85
    for kind in GARBAGE[1:]:
        assert accuracy["mean", kind].max() < 0.5
        assert accuracy["median", kind].max(axis=0).min() > 0.85


@pytest.fixture(scope="module")
def seen():
    """Disagreement ``[draw, worker]`` and norms of what workers send, for each kind of garbage."""

    @jax.jit
    def look(params, keys, garbage):
        def one(key):
            batch = DIGITS.batch(key, 0)
            _, sent = by_worker(lambda p: loss(p, batch, key), False, garbage)(params, key)
            return diagnostics.disagreement(sent), jax.vmap(trees.global_norm)(sent)

        return jax.vmap(one)(keys)

    params, keys = DIGITS.init(jax.random.key(0)), jax.random.split(jax.random.key(1), 40)
    return {kind: look(params, keys, i) for i, kind in enumerate(GARBAGE)}


def test_disagreement_tells_the_broken_workers(seen):
    for kind in GARBAGE[1:]:
        apart = seen[kind][0].mean(axis=0)
        assert apart[:BROKEN].min() > apart[BROKEN:].max() + 0.2, kind
    apart = seen["none"][0].mean(axis=0)
    assert np.ptp(apart) < 0.1


def test_the_tail_index_tells_of_norms_without_a_mean(seen):
    honest, broken = (
        diagnostics.tail_index(seen[kind][1].ravel()).value for kind in ("none", "nan")
    )
    assert honest > 5
    assert broken == 0
