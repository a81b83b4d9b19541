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
# # Non-convexity: every seed ends elsewhere
#
# **Symptom.** The same settings with another seed give another model: as good on the data that it
# was trained on, better or worse on others.
#
# **Detector.** `diagnostics.distinct_ends` over a population of seeds, and the barrier of
# `diagnostics.loss_line` between two ends.
#
# **Remedies.** Take the best of a population; average what its members predict; average their
# weights; look for flat minima (SAM).

# %%
import dataclasses
import os

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import gdjax
from gdjax import diagnostics
from gdjax.problems.images import perceptron
from gdjax.report import canvas
from gdjax.report.scales import FAMILY_COLOURS, GREY

FAST = os.environ.get("GDJAX_FAST") == "1"
MEMBERS, GROUPS, STEPS = (4, 2, 100) if FAST else (32, 5, 600)
NOTEBOOK = {"figure.dpi": 90, "figure.constrained_layout.use": True, "text.parse_math": True}
plt.style.use(["default", canvas.STYLE, NOTEBOOK])
BLUE, RED, *_ = FAMILY_COLOURS

# %% [markdown]
# ## A population
#
# Three hidden layers of 16 units learn 200 images of digits. The 360 held-out images serve to
# choose a member; the 1237 images for training that are left over are the test. SAM is one line
# around the optimizer, and with `rho=0` it is plain SGD: both are trials of one sweep. Five sweeps
# of 32 seeds are five populations that have nothing but the images in common.

# %%
EXAMPLES, BATCH = 200, 32
plain = gdjax.problems.digits(hidden=(16, 16, 16), batch_size=None)
every = plain.batch(jax.random.key(0), 0)  # in an order at random
train = {name: column[:EXAMPLES] for name, column in every.items()}
test = {name: column[EXAMPLES:] for name, column in every.items()}


def batch(key, step):
    rows = jax.random.randint(key, (BATCH,), 0, EXAMPLES)
    return {name: column[rows] for name, column in train.items()}


def optimizer(learning_rate, rho):
    return gdjax.sam(gdjax.sgd(learning_rate), rho=rho)


def training_loss(params):
    return plain.loss(params, train, None)


task = dataclasses.replace(plain, batch=batch)
SPACE = {"learning_rate": 0.1, "rho": [0.0, 0.1]}
TRIALS = {"SGD": 0, "SAM": 1}
populations = [
    gdjax.sweep(task, optimizer, SPACE, seeds=MEMBERS, steps=STEPS, key=group)
    for group in range(GROUPS)
]
params = {
    name: [population.rerun(trial).params for population in populations]
    for name, trial in TRIALS.items()
}  # leaves [member, ...]

# %% [markdown]
# ## Symptom and detector
#
# The members of the first population. The ends are far from each other, and between two of them is
# a barrier: on the line from one to the other the training loss rises far above that of both. That
# alone may be no more than units of a layer that trade places, which leaves the network as it is.
# But two networks that disagree on the test are different ones.


# %%
@jax.jit
def predicted(params):
    """Of each member the probabilities, ``[member, image, class]``."""
    return jax.nn.softmax(jax.vmap(perceptron, in_axes=(0, None))(params, test["x"]))


def accuracy(probabilities):
    """On the test, in percent, ``[...]``."""
    return 100 * np.mean(probabilities.argmax(axis=-1) == np.asarray(test["y"]), axis=-1)


def member(params, i):
    return jax.tree.map(lambda x: x[i], params)


first = params["SGD"][0]
losses = jax.jit(jax.vmap(training_loss))(first)
of_first = predicted(first)
hits, classes = accuracy(of_first), of_first.argmax(axis=-1)
print(f"training loss {losses.mean():.3f} ± {losses.std(ddof=1):.3f}")
print(f"test accuracy {hits.mean():.1f} ± {hits.std(ddof=1):.1f} %, from {hits.min():.1f}")
print(f"two neighbours disagree on {(classes[1:] != classes[:-1]).mean():.0%} of the test")

norm = np.sqrt(sum(np.sum(x**2) for x in jax.tree.leaves(first)) / MEMBERS)
found = diagnostics.Basins(
    jax.tree.map(lambda x: x[:, None], first), losses[:, None], ~jnp.isfinite(losses[:, None])
)  # with one learning rate
ends = diagnostics.distinct_ends(found, tolerance=norm / 2)
print(f"{len(ends[0]['b'])} distinct ends of {MEMBERS}, half a norm ({norm / 2:.1f}) apart or more")

# %%
line = jax.jit(lambda start, end: diagnostics.loss_line(training_loss, start, end, points=31))
figure, axes = plt.subplots(figsize=(7, 3.2))
for name, colour in {"SGD": GREY, "SAM": BLUE}.items():
    pairs = [
        line(member(params[name][0], i), member(params[name][0], i + 1))
        for i in range(0, MEMBERS, 2)
    ]
    barriers = np.array([pair.barrier for pair in pairs])
    print(f"{name}: barrier {barriers.mean():.2f} ± {barriers.std(ddof=1):.2f} nats")
    for pair in pairs:
        axes.plot(pair.fractions, pair.losses, color=colour, lw=0.7)
    axes.plot([], [], color=colour, label=f"two seeds, {name}")
same = [line(member(first, i), member(params["SAM"][0], i)) for i in range(MEMBERS)]
print(f"SGD to SAM of one seed: barrier, median {np.median([pair.barrier for pair in same]):.2f}")
for pair in same[::2]:
    axes.plot(pair.fractions, pair.losses, color=RED, lw=0.7)
axes.plot([], [], color=RED, label="SGD to SAM, one seed")
axes.set(xlabel="part of the way from one end to the other", ylabel="training loss in nats")
figure.legend(loc="outside upper left", ncols=3)
plt.show()

# %% [markdown]
# ## Remedies
#
# Of each population: one member; the member with the least held-out loss; the best of all *on the
# test*, which nobody can know; the mean of all members' probabilities; the network with the mean of
# all members' weights. The same with SAM. Mean and standard deviation over populations.

# %%
probabilities = {
    name: np.stack([predicted(group) for group in groups]) for name, groups in params.items()
}  # [group, member, image, class]
outcomes = {}
for name, trial in TRIALS.items():
    each = accuracy(probabilities[name])  # [group, member]
    heldout = np.stack([population.final("heldout_loss")[trial] for population in populations])
    means = [jax.tree.map(lambda x: x.mean(axis=0, keepdims=True), group) for group in params[name]]
    outcomes |= {
        f"{name}, one member": each.mean(axis=1),
        f"{name}, best held out": each[np.arange(GROUPS), heldout.argmin(axis=1)],
        f"{name}, best on the test": each.max(axis=1),
        f"{name}, mean of predictions": accuracy(probabilities[name].mean(axis=1)),
        f"{name}, mean of weights": np.concatenate([accuracy(predicted(mean)) for mean in means]),
    }
soups = [accuracy(predicted(population.weight_average(2))).mean() for population in populations]
outcomes["SGD and SAM of a seed, mean of weights"] = np.array(soups)
for name, values in outcomes.items():
    print(f"{name:38} {values.mean():.1f} ± {values.std(ddof=1):.1f} %")
ahead = outcomes["SGD, mean of predictions"] - outcomes["SGD, best on the test"]
print(f"SGD, predictions less best on the test: {np.round(ahead, 1)}")

# %%
figure, axes = plt.subplots(figsize=(7, 3.5))
sizes = 2 ** np.arange(int(np.log2(MEMBERS)) + 1)
for name, colour in {"SGD": GREY, "SAM": BLUE}.items():
    curves = np.stack(
        [accuracy(probabilities[name][:, :size].mean(axis=1)) for size in sizes], axis=1
    )  # [group, size]
    axes.plot(sizes, curves.mean(axis=0), "o-", ms=4, color=colour, label=f"{name}, ensemble")
    axes.fill_between(sizes, curves.min(axis=0), curves.max(axis=0), color=colour, alpha=0.2, lw=0)
    best = outcomes[f"{name}, best on the test"].mean()
    axes.axhline(best, color=colour, linestyle="--", lw=1, label=f"{name}, best member on the test")
axes.set(
    xscale="log", xlabel="members", ylabel="test accuracy, %\n(mean and range over populations)"
)
axes.set_xticks(sizes, labels=sizes)
axes.minorticks_off()
axes.legend(loc="lower right")
plt.show()

# %% [markdown]
# The mean of predictions beats the best member of its population, though that was picked on the
# test itself: for SGD in each of the five. Four members are enough for that on average. The member
# with the least held-out loss gains little. SAM helps its members, and their ensemble by less; its
# barriers are hardly lower. The mean of weights over seeds only guesses: between them the loss is
# high. Of a seed's two ends, most with a low barrier between them, it is worse than either.
#
# `result.ensemble(1, predict)` is the ensemble of the best trial's seeds as one compiled function.
