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
# # Overfitting
#
# **Symptom.** The training loss goes to 0, and the loss on other data rises.
#
# **Detector.** `diagnostics.generalization_gap`: the gap between held-out and training loss, its
# slope, and how far the held-out loss has risen above its least.
#
# **Remedies.** What keeps weights small (L2, decoupled weight decay, L1), what disturbs the fit
# (dropout, noise), what stops it in time (early stopping), and averages of the parameters.

# %%
import dataclasses
import os

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from scipy.stats import t as student

import gdjax
from gdjax import diagnostics
from gdjax.problems.images import perceptron
from gdjax.report import canvas
from gdjax.report.scales import FAMILY_COLOURS, GREY

FAST = os.environ.get("GDJAX_FAST") == "1"
SEEDS, STEPS, SEGMENT = (2, 40, 10) if FAST else (16, 400, 10)
NOTEBOOK = {"figure.dpi": 90, "figure.constrained_layout.use": True, "text.parse_math": True}
plt.style.use(["default", canvas.STYLE, NOTEBOOK])
BLUE, RED, *_ = FAMILY_COLOURS

# %% [markdown]
# ## Sixty images of digits
#
# One hidden layer of 64 units, 60 images, all of them in each update, Adam. Each seed draws its own
# 60 from the 1437 for training; the 1377 that are left over are its test. The 360 held-out images
# serve to detect, to stop and to choose. Everything is done twice: with the labels as they are, and
# with those of 6 images replaced by wrong ones, for data are seldom as clean as these.

# %%
EXAMPLES = 60
WRONG = {"right labels": 0, "6 of 60 labels wrong": 6}
plain = gdjax.problems.digits(hidden=(64,), batch_size=None, dropout=0.0, l2=0.0)
draw = np.random.default_rng(0)
every = plain.batch(jax.random.key(0), 0)
order = np.stack([draw.permutation(len(every["y"])) for _ in range(SEEDS)])
shift = draw.integers(1, 10, (SEEDS, EXAMPLES))
images = {name: column[order] for name, column in every.items()}  # [seed, image, ...]
trains, tests = (
    {name: column[:, rows] for name, column in images.items()}
    for rows in (slice(EXAMPLES), slice(EXAMPLES, None))
)
wrong = np.arange(EXAMPLES) < np.array([*WRONG.values()])[:, None, None]
labels = (trains["y"] + wrong * shift) % 10  # [kind, seed, image]


def evaluate(params, train, test):
    logits = [perceptron(params, images["x"]) for images in (train, test)]
    losses = [
        optax.softmax_cross_entropy_with_integer_labels(x, images["y"]).mean()
        for x, images in zip(logits, (train, test), strict=True)
    ]
    hits = jnp.argmax(logits[1], axis=-1) == test["y"]
    return plain.evaluate(params) | {
        "training_loss": losses[0],
        "test_loss": losses[1],
        "test_accuracy": hits.mean(),
        "zeros": jnp.mean(params[0]["w"] == 0),
    }


# %% [markdown]
# ## The remedies, one number each
#
# Each is a number that is 0 in the plain run. So all of them, at several strengths, with both kinds
# of labels and all seeds, are one program. `keep_best=True` is early stopping: it returns the
# parameters of the best held-out loss. The averages (an exponential one, and the mean of all since
# update 20, as in SWA) ride along and change nothing.

# %%
STRENGTHS = {
    "l2": [1e-3, 1e-2],
    "weight_decay": [1.0, 3.0],
    "l1": [1e-4, 3e-4],
    "dropout": [0.2, 0.5],
    "noise": [1e-4, 1e-2],
}
OFF = dict.fromkeys(STRENGTHS, 0.0)
SETTINGS = [OFF, *(OFF | {name: x} for name, xs in STRENGTHS.items() for x in xs)]


def optimizer(weight_decay, l1, noise, key):
    return gdjax.named_chain(
        ("noise", gdjax.add_noise(noise, gamma=0.0, key=key)),
        ("adamw", gdjax.adamw(0.01, weight_decay=weight_decay)),
        ("l1", gdjax.soft_threshold(l1)),
        ("ema", gdjax.ema_params(0.99)),
        ("swa", gdjax.average_params(start_step=20)),
    )


def run(labels, setting, key, train, test):
    """The evaluations along one run, and single ones: the best, and those of the averages."""
    train, setting = train | {"y": labels}, dict(setting)
    task = dataclasses.replace(
        gdjax.replace(plain, l2=setting.pop("l2"), dropout=setting.pop("dropout")),
        batch=lambda key, step: train,
        evaluate=lambda params: evaluate(params, train, test),
    )
    rule = optimizer(**setting, key=key)
    result = gdjax.train(task, rule, STEPS, key, segment=SEGMENT, keep_best=True)
    averages = {
        name: task.evaluate(gdjax.averaged_params(result.state[name])) for name in ("ema", "swa")
    }
    return result.evaluations, {"best": result.evaluation} | averages


# %%
settings = {name: jnp.array([setting[name] for setting in SETTINGS]) for name in OFF}
keys = jax.random.split(jax.random.key(1), SEEDS)
over_seeds = jax.vmap(run, in_axes=(0, None, 0, 0, 0))
over_settings = jax.vmap(over_seeds, in_axes=(None, 0, None, None, None))
over_labels = jax.vmap(over_settings, in_axes=(0, None, None, None, None))
results = jax.jit(over_labels)(labels, settings, keys, trains, tests)
along, single = jax.tree.map(np.asarray, results)  # [kind, setting, seed, (evaluation)]
updates = np.arange(SEGMENT, STEPS + 1, SEGMENT)

# %% [markdown]
# ## Symptom and detector
#
# The plain run. A rise of the held-out loss by 5 % over its least (dotted, mean over seeds) says
# that it overfits.

# %%
figure, panels = plt.subplots(1, 2, figsize=(7, 3.2), sharey=True)
for i, (axes, name) in enumerate(zip(panels, WRONG, strict=True)):
    training, heldout = along["training_loss"][i, 0], along["heldout_loss"][i, 0]
    for losses, colour, what in ((training, BLUE, "training"), (heldout, RED, "held out")):
        axes.plot(updates, losses.mean(axis=0), color=colour, label=what)
        axes.fill_between(
            updates, losses.min(axis=0), losses.max(axis=0), color=colour, alpha=0.2, lw=0
        )
    found = diagnostics.generalization_gap(training, heldout, updates, window=3)
    rises = np.asarray(found.rise.mean(axis=0))
    print(
        f"{name:20} gap {found.gap[:, -1].mean():.2f} nats, "
        f"slope {found.slope[:, -1].mean():.1e} a update, "
        f"held-out loss {rises[-1]:.0%} above its least"
    )
    if rises[-1] > 0.05:
        axes.axvline(updates[np.argmax(rises > 0.05)], color=GREY, linestyle=":")
    axes.set(xlabel="update", title=name)
panels[0].set(ylabel="loss in nats\n(mean and range over seeds)", ylim=(0, None))
_ = panels[1].legend()

# %% [markdown]
# ## Result
#
# Each remedy at the strength of least held-out loss. The test's loss and accuracy, mean and
# standard deviation over seeds; and the accuracy less that of the plain run on the same images,
# with its 95 % interval (paired t).

# %%
NAMES = {
    "l2": "L2",
    "weight_decay": "weight decay",
    "l1": "L1",
    "dropout": "dropout",
    "noise": "noise on gradients",
}


def outcomes(label):
    """Of each remedy its strength and what the test says, ``[seed]``."""
    last = {name: values[label, :, :, -1] for name, values in along.items()}  # [setting, seed]
    yield "plain", "", {name: values[0] for name, values in last.items()}
    for name, told in NAMES.items():
        own = [i for i, setting in enumerate(SETTINGS) if setting[name]]
        best = min(own, key=lambda i: last["heldout_loss"][i].mean())
        yield told, f"{SETTINGS[best][name]:g}", {k: values[best] for k, values in last.items()}
    for name, told in {"best": "early stopping", "ema": "EMA", "swa": "SWA"}.items():
        yield told, "", {k: values[label, 0] for k, values in single[name].items()}


jitter = np.linspace(-0.3, 0.3, SEEDS)
figure, panels = plt.subplots(1, 2, figsize=(7, 3.5), sharex=True, sharey=True)
for i, (axes, name) in enumerate(zip(panels, WRONG, strict=True)):
    print(f"{name}:")
    rows = list(outcomes(i))
    reference = 100 * rows[0][2]["test_accuracy"]
    for row, (told, strength, seen) in enumerate(rows):
        loss, accuracy = seen["test_loss"], 100 * seen["test_accuracy"]
        line = f"  {told:18} {strength:6} loss {loss.mean():.2f} ± {loss.std(ddof=1):.2f}"
        line += f"  accuracy {accuracy.mean():.1f} ± {accuracy.std(ddof=1):.1f} %"
        if row:
            more = accuracy - reference
            half = student.ppf(0.975, SEEDS - 1) * more.std(ddof=1) / np.sqrt(SEEDS)
            line += f"  {more.mean():+.1f} ({more.mean() - half:+.1f} to {more.mean() + half:+.1f})"
            axes.plot(more, row + jitter, ".", ms=3, color=GREY)
            axes.errorbar(more.mean(), row, xerr=half, fmt="o", ms=4, color=BLUE)
        print(line, f" zeros {seen['zeros'].mean():.0%}" if told == "L1" else "")
    axes.axvline(0, color=RED, lw=0.8)
    axes.set(title=name, yticks=range(1, len(rows)))
    axes.set_yticklabels([told for told, *_ in rows[1:]])
figure.supxlabel("test accuracy less that of the plain run, percentage points", size=9)
panels[0].invert_yaxis()

# %% [markdown]
# With right labels the network is too sure of itself rather than wrong: L2, weight decay, early
# stopping and, by less, noise mend its loss; L2 alone raises its accuracy, by a point. With wrong
# labels, which the plain run learns by heart, L2, early stopping, weight decay and dropout raise it
# by one to two points. L1 gives exact zeros and no accuracy; noise on the gradients costs some.
# Averages do next to nothing here: an update that sees all the data has no noise to average out.
#
# In a single run `patience=` ends it some updates after its best and saves the rest; in a sweep
# `gdjax.plateau` does, and `result.rerun(i, until="best")` gives the parameters.
