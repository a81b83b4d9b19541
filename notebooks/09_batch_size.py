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
# # Batch size
#
# **Symptom.** A run takes too many updates, each of a small batch; or too many examples, in
# batches that are larger than they need be.
#
# **Detector.** The noise scale: the variance of one example's gradient over the squared norm of
# the mean gradient, by the monitor `noise` and `diagnostics.noise_scale`. It predicts the critical
# batch size, at which returns diminish.
#
# **Remedy.** A batch near it; larger by accumulation where memory is short; growing where the
# learning rate would fall.

# %%
import dataclasses
import os

import jax
import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import least_squares

import gdjax
from gdjax import diagnostics
from gdjax.report import canvas
from gdjax.report.scales import CURVE_COLOURS, FAMILY_COLOURS, GREY

jax.config.update("jax_num_cpu_devices", 2)  # a sweep lays trials over both
FAST = os.environ.get("GDJAX_FAST") == "1"
HIDDEN, SIZES, SEEDS, STAGE = ((), [4, 16], 2, 16) if FAST else ((32,), [1, 4, 16, 64, 256], 5, 160)
RATES = [0.02 * 1.5**i for i in range(0, 12, 4 if FAST else 1)]
NOTEBOOK = {"figure.dpi": 90, "figure.constrained_layout.use": True, "text.parse_math": True}
plt.style.use(["default", canvas.STYLE, NOTEBOOK])
BLUE, RED, GREEN, *_ = FAMILY_COLOURS

# %% [markdown]
# ## One sampler, all batch sizes
#
# A perceptron for digits, from single examples to batches of 256, drawn by the same sampler. The
# loss of all 1437 training images is evaluated on the way. Each size is swept over learning rates
# 1.5 apart, for the best one depends on it. Batches of 16 are watched by the monitor `noise`.

# %%
TARGET, MEASURED = 0.5, 16


def loss_of_all(params, data, loss):
    """That of all training data."""
    return {"loss_of_all": loss(params, data, jax.random.key(0))}


def perceptron(batch_size):
    """The task, evaluated on its training data."""
    task = gdjax.problems.digits(HIDDEN, batch_size)
    evaluate = gdjax.bind(loss_of_all, data=task.batch.leaves["data"], loss=task.loss)
    return dataclasses.replace(task, evaluate=evaluate, objective="loss_of_all")


tasks = {size: perceptron(size) for size in SIZES}
tasks[MEASURED] = tasks[MEASURED].with_monitors(diagnostics.noise())
results = {}
for size, task in tasks.items():
    steps = 150 + 4000 // size
    results[size] = gdjax.sweep(
        task,
        gdjax.sgd,
        {"learning_rate": RATES},
        seeds=SEEDS,
        steps=steps,
        segment=max(1, steps // 200),
    )

# %%
needed, best = {}, {}
for size, result in results.items():
    reached = result.evaluations["loss_of_all"] <= TARGET  # [rate, seed, evaluation]
    first = np.where(reached.any(axis=-1), result.evaluation_steps[reached.argmax(axis=-1)], np.inf)
    best[size] = first.mean(axis=1).argmin()
    needed[size] = first[best[size]]  # [seed]
    of = needed[size]
    told = f"{of.mean():5.0f} ± {of.std(ddof=1):3.0f} updates, {size * of.mean():5.0f} images"
    print(f"batches of {size:3}: rate {RATES[best[size]]:.2f}, {told} to a loss of {TARGET}")

# %% [markdown]
# ## Predicted
#
# The noise scale changes as the loss falls, so it is measured in four parts of the way to the
# target, at the best rate of batches of 16.

# %%
watched = results[MEASURED]
seen = {name: values[best[MEASURED]] for name, values in watched.evaluations.items()}
way = needed[MEASURED][:, None]  # [seed, 1]
part = np.where(watched.evaluation_steps <= way, 4 * (watched.evaluation_steps - 1) // way, -1)
noise = [
    diagnostics.noise_scale(*(seen[f"gradient_{x}"][part == i] for x in ("variance", "signal")))
    for i in range(4)
]
for i, (scale, error) in enumerate(noise):
    loss = seen["loss_of_all"][part == i].mean()
    print(f"part {i + 1}, mean loss {loss:.2f}: noise scale {scale:4.1f} ± {error:.1f} images")
predicted = np.mean([scale for scale, _ in noise])

# %% [markdown]
# ## Measured
#
# Updates follow `least * (1 + critical / batch)`, equation 2.11 of McCandlish et al.
# (https://arxiv.org/abs/1812.06162): far below `critical` twice the batch halves them, far above it
# saves nothing. It is fitted to the logarithms of the updates.

# %%
sizes = np.array(SIZES)
updates = np.array([needed[size].mean() for size in SIZES])


def law(logs, sizes):
    """Updates, from the logarithms of the fewest and of the critical size."""
    return np.exp(logs[0]) * (1 + np.exp(logs[1]) / sizes)


fitted = least_squares(
    lambda logs: np.log(law(logs, sizes) / updates), [np.log(updates.min()), np.log(10)]
).x
critical = np.exp(fitted[1])
print(f"critical batch size {critical:.1f} images; the noise scale predicted {predicted:.1f}")
line = np.geomspace(sizes[0], sizes[-1], 100)
figure, (left, right) = plt.subplots(1, 2, figsize=(7, 3.2))
for axes, each in ((left, 1), (right, sizes)):
    spread = np.array([needed[size].std(ddof=1) for size in SIZES])
    axes.errorbar(sizes, updates * each, spread * each, fmt="o", color=BLUE, ms=4, label="measured")
    axes.plot(
        line, law(fitted, line) * (1 if axes is left else line), color=BLUE, lw=1, label="fit"
    )
    axes.axvline(critical, color=BLUE, ls="--", lw=1, label="critical size of the fit")
    axes.axvline(predicted, color=RED, ls="--", lw=1, label="noise scale")
    axes.set(xscale="log", yscale="log", xlabel="batch size, images")
left.set(ylabel=f"updates to a loss of {TARGET}")
right.set(ylabel=f"images to a loss of {TARGET}")
figure.legend(*left.get_legend_handles_labels(), loc="outside upper left", ncols=4)
plt.show()

# %% [markdown]
# What the noise scale tells from some runs at one batch size, the sweep over all sizes confirms.
# The best learning rate grows with the batch up to the critical size, and little beyond it.
#
# ## A fixed budget of examples
#
# The same runs at 4096 images, each size at the rate that is best there.

# %%
BUDGET = 4096
figure, axes = plt.subplots(figsize=(7, 3))
for size, colour in zip(SIZES, CURVE_COLOURS[::2], strict=False):
    result = results[size]
    images = size * result.evaluation_steps
    at = np.searchsorted(images, BUDGET, side="right") - 1
    losses = result.evaluations["loss_of_all"]  # [rate, seed, evaluation]
    losses = losses[np.nan_to_num(losses[..., at].mean(axis=1), nan=np.inf).argmin()]
    end = losses[:, at]
    print(
        f"batches of {size:3}: {result.evaluation_steps[at]:4} updates, "
        f"loss {end.mean():.3f} ± {end.std(ddof=1):.3f}"
    )
    axes.plot(images[: at + 1], losses.mean(axis=0)[: at + 1], color=colour, label=str(size))
axes.set(yscale="log", xlabel="images", ylabel="loss of all training images\n(mean over seeds)")
figure.legend(loc="outside upper left", ncols=5, title="batch size")
plt.show()

# %% [markdown]
# Up to the critical size batches make the same of the same images, with ever fewer updates, which
# several devices can share. Beyond it the updates are too few.
#
# ## Larger batches in little memory, and growing ones
#
# `multi_steps` collects the gradients of some batches of 16 before each update. Their number may be
# a schedule, so the batch can grow where otherwise the learning rate would fall (Smith et al.,
# https://arxiv.org/abs/1711.00489): here in three stages of 160 batches, by 4 or to a quarter.


# %%
def staged(rate, first, growth, decay):
    """Descent with ``first`` batches an update, more by ``growth`` and a rate less by ``decay``."""
    batches = gdjax.batch_size_schedule(
        gdjax.step_decay_schedule(1.0, STAGE, 1 / growth), first, 16 * first
    )
    return gdjax.multi_steps(gdjax.sgd(gdjax.step_decay_schedule(rate, STAGE, decay)), batches)


result = gdjax.sweep(
    perceptron(MEASURED),
    staged,
    {"rate": 0.5, "first": [1, 4], "growth": [1, 4], "decay": [1.0, 0.25]},
    seeds=SEEDS,
    steps=3 * STAGE,
    segment=max(1, STAGE // 40),
)

# %%
cases = {
    "batches of 16": (1, 1, 1.0, GREY),
    "four collected": (4, 1, 1.0, GREEN),
    "rate falls": (1, 1, 0.25, BLUE),
    "batch grows": (1, 4, 1.0, RED),
}
first, growth, decay = (result.settings[name] for name in ("first", "growth", "decay"))
figure, axes = plt.subplots(figsize=(7, 3))
for name, (batches, grows, falls, colour) in cases.items():
    (trial,) = np.flatnonzero((first == batches) & (growth == grows) & (decay == falls))
    losses = result.evaluations["loss_of_all"][trial]  # [seed, evaluation]
    end = losses[:, -1]
    count = sum(STAGE // (batches * grows**stage) for stage in range(3))
    print(f"{name:15} {count:3} updates, loss {end.mean():.4f} ± {end.std(ddof=1):.4f}")
    axes.plot(MEASURED * result.evaluation_steps, losses.mean(axis=0), color=colour, label=name)
axes.set(yscale="log", xlabel="images", ylabel="loss of all training images\n(mean over seeds)")
figure.legend(loc="outside upper left", ncols=4)
plt.show()

# %% [markdown]
# - *Four batches collected* are one of 64: beyond the critical size, and worse for these images.
# - *A batch that grows* ends where a rate that falls does, with fewer than half of the updates, and
#   its curve lies on the other's. Batches of 16 at a constant rate come lower at times, but end
#   with a spread over seeds ten times as large: the last batches decide.
