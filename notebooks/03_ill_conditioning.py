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
# # Ill-conditioning
#
# **Symptom.** The loss falls at once, then hardly at all, and no learning rate helps: the steepest
# direction allows no greater one, and along the flattest one its steps are too small.
#
# **Detector.** The condition number: the largest eigenvalue of the Hessian over the smallest, by
# Lanczos (`curvature.extreme_eigenvalues`; while training, the monitor `spectrum`).
#
# **Remedy.** Momentum, which takes its root. Optimizers that scale each parameter, where the axes
# of the parameters are those of the loss; where they are not, those that turn them.

# %%
import dataclasses
import os

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import gdjax
from gdjax import curvature, diagnostics
from gdjax.problems import quadratic, rosenbrock
from gdjax.report import canvas
from gdjax.report.scales import FAMILY_COLOURS

jax.config.update("jax_num_cpu_devices", 2)  # a sweep lays trials over both
FAST = os.environ.get("GDJAX_FAST") == "1"
CONDITION, STEPS, SEEDS = (100, 400, 2) if FAST else (10_000, 20_000, 5)
NOTEBOOK = {"figure.dpi": 90, "figure.constrained_layout.use": True, "text.parse_math": True}
plt.style.use(["default", canvas.STYLE, NOTEBOOK])
BLUE, RED, GREEN, *_ = FAMILY_COLOURS

# %% [markdown]
# ## The losses
#
# Three of two parameters: a quadratic with curvatures 1 and 10,000 along the axes, the same turned
# by 45 degrees, and Rosenbrock's valley. Each seed starts somewhere in the domain. `landscape` is a
# number of the task, so that one sweep has all three.

# %%
LANDSCAPES = ["quadratic", "turned quadratic", "Rosenbrock"]
along_axes = quadratic(CONDITION)


def formula(x, landscape):
    """One of three losses."""
    turned = jnp.stack([x[0] - x[1], x[0] + x[1]]) / np.sqrt(2)
    return jnp.stack([along_axes(x), along_axes(turned), rosenbrock(x)])[landscape]


function = dataclasses.replace(along_axes, formula=gdjax.bind(formula, landscape=0))
task = function.task(spread=1.0)

# %% [markdown]
# ## Symptom and detector
#
# Gradient descent at a rate of 1.9 / 10,000: at 2 over the largest curvature it would diverge. The
# monitor `spectrum` looks at the last update; with two parameters it is exact.

# %%
watched = gdjax.sweep(
    task.with_monitors(diagnostics.spectrum()),
    gdjax.sgd,
    {"learning_rate": 1.9e-4, "landscape": [0, 1, 2]},
    seeds=SEEDS,
    steps=STEPS,
    segment=STEPS,
)
figure, axes = plt.subplots(figsize=(7, 2.8))
for i, (name, colour) in enumerate(zip(LANDSCAPES, [BLUE, RED, GREEN], strict=True)):
    losses = watched.traces["loss"][i]  # [seed, step]
    axes.plot(range(1, STEPS + 1), np.median(losses, axis=0), color=colour, label=name)
    seen = {key: values[i, :, 0] for key, values in watched.evaluations.items()}
    condition = seen["sharpness"] / seen["lowest_curvature"]
    print(f"{name:17} condition number {condition.min():6.0f} to {condition.max():6.0f} over seeds")
print(f"Rosenbrock at its minimum: {jnp.linalg.cond(jax.hessian(rosenbrock)(jnp.ones(2))):.0f}")
axes.set(xscale="log", yscale="log", xlabel="update", ylabel="loss (median over seeds)")
figure.legend(loc="outside upper left", ncols=3)
plt.show()

# %% [markdown]
# With many parameters Lanczos finds the steep end first. Here are 100 curvatures from 1 to 10,000,
# evenly on a logarithmic scale. An iteration costs a product with the Hessian, some two gradients;
# an eigenvalue lies within the residual of each estimate.

# %%
wide = quadratic(1e4).in_dimension(100)
product = curvature.hessian_product(wide, jnp.ones(100))
print("iterations    largest ± residual     smallest ± residual")
for iterations in [30] if FAST else [3, 10, 30, 60, 100]:
    ends = curvature.extreme_eigenvalues(product, jnp.ones(100), jax.random.key(0), iterations)
    low, high = ends.smallest, ends.largest
    print(
        f"{iterations:10}  {high.value:9.0f} ± {high.residual:<9.2g}"
        f"  {low.value:9.1f} ± {low.residual:<9.2g}"
    )

# %% [markdown]
# The steep end takes few iterations. For the flat one, which is a ten thousandth of the width of
# the spectrum, they are too few as long as the residual is as large as the estimate: until then
# the ratio is a lower bound of the condition number.
#
# ## Theory and measurement
#
# On a quadratic the best rate of gradient descent shrinks the error by `1 - 2 / κ` an update, the
# best momentum with its best rate by `1 - 2 / √κ` (Polyak, 1964). So from (1, 1) the loss is
# `TOLERANCE` after some `κ / 4 · log(1 / 2 TOLERANCE)` and `√κ / 4 · log(κ / 2 TOLERANCE)` updates.
# Measured are the fewest updates, over rates 1.5 apart, after which the loss is below it for a
# hundred updates.

# %%
TOLERANCE = 1e-3


def updates_needed(losses):
    """Updates until the loss is below the tolerance for a hundred; infinite where it is not."""
    above = np.cumsum(~(losses < TOLERANCE), axis=-1, dtype=np.int32)  # NaN too
    stays = above[..., 100:] == above[..., :-100]  # [..., step]
    return np.where(stays.any(axis=-1), 1 + stays.argmax(axis=-1), np.inf)


conditions = np.geomspace(10, CONDITION, 2 if FAST else 5)
momenta = ((np.sqrt(conditions) - 1) / (np.sqrt(conditions) + 1)) ** 2  # the best by theory
rates = 1.9 / CONDITION * 1.5 ** np.arange(-3, 21, 3 if FAST else 1)
swept = gdjax.sweep(
    quadratic().task(),
    gdjax.sgd,
    {
        "condition": conditions.tolist(),
        "momentum": [0.0, *momenta.tolist()],
        "learning_rate": rates.tolist(),
    },
    steps=STEPS,
)
needed = updates_needed(swept.traces["loss"][:, 0]).reshape(len(conditions), -1, len(rates))
fewest = needed.min(axis=-1)  # [condition, momentum]
root = np.sqrt(conditions)
predicted = {
    "gradient descent": conditions / 4 * np.log(1 / (2 * TOLERANCE)),
    "momentum": root / 4 * np.log(conditions / (2 * TOLERANCE)),
}
found = {"gradient descent": fewest[:, 0], "momentum": fewest.min(axis=-1)}
figure, axes = plt.subplots(figsize=(7, 3.2))
for (name, updates), colour in zip(found.items(), [BLUE, RED], strict=True):
    axes.plot(conditions, updates, "o", color=colour, label=f"{name}, measured")
    axes.plot(conditions, predicted[name], color=colour, lw=1, label=f"{name}, theory")
    slope = np.polyfit(np.log(conditions), np.log(updates), 1)[0]
    ratio = updates / predicted[name]
    print(f"{name:17} slope {slope:.2f}, {ratio.min():.2f} to {ratio.max():.2f} of the prediction")
axes.set(xscale="log", yscale="log", xlabel="condition number κ")
axes.set(ylabel=f"updates to a loss of {TOLERANCE:g}")
figure.legend(loc="outside upper left", ncols=2)
plt.show()

# %% [markdown]
# ## Remedies, each at the best rate of a sweep
#
# Momentum and Nesterov's have the best of three decays too. All else is at its default, but for
# SOAP: it is to turn vectors too, which it otherwise leaves to Adam, and its `eps` is above the
# rounding errors of gradients of thousands, along which its first basis would take steps.

# %%
families = {
    "gradient descent": lambda learning_rate: gdjax.sgd(learning_rate),
    "momentum": lambda learning_rate, momentum: gdjax.sgd(learning_rate, momentum),
    "Nesterov": lambda learning_rate, momentum: gdjax.sgd(learning_rate, momentum, nesterov=True),
    "AdaGrad": gdjax.adagrad,
    "RMSProp": lambda learning_rate: gdjax.rmsprop(learning_rate),
    "Adam": gdjax.adam,
    "Shampoo": gdjax.shampoo,
    "SOAP": lambda learning_rate: gdjax.soap(
        learning_rate, eps=1e-3, weight_decay=0.0, precondition_1d=True
    ),
}
if FAST:  # the others take long to compile
    families = {name: families[name] for name in ("momentum", "Adam")}
result = gdjax.sweep(
    task,
    families,
    {
        "landscape": [0, 1, 2],
        "momentum": [0.9, 0.96, 0.99],
        "learning_rate": rates.tolist(),
    },
    seeds=SEEDS,
    steps=STEPS,
)

# %%
figure, axes = plt.subplots(figsize=(7, 3.6))
marks = dict(zip(LANDSCAPES, [(BLUE, "o"), (RED, "s"), (GREEN, "^")], strict=True))
print("updates, mean and range over seeds, at rate (and momentum)")
for j, (name, (colour, marker)) in enumerate(marks.items()):
    print(name)
    for i, family in enumerate(families):
        of = (result.family == family) & (result.settings["landscape"] == j)
        needed = updates_needed(result.traces["loss"][of])  # [setting, seed]
        best = needed.mean(axis=-1).argmin()
        updates = needed[best]
        setting = {key: values[of][best] for key, values in result.settings.items()}
        y, told = i + 0.2 * (j - 1), "not reached by all seeds"
        if np.isinf(updates).any():
            axes.plot(1, y, "x", color=colour, transform=axes.get_yaxis_transform(), clip_on=False)
        else:
            decay = setting["momentum"]
            told = f"{updates.mean():7.0f} ({updates.min():.0f} to {updates.max():.0f})"
            told += f"  rate {setting['learning_rate']:.2g}"
            told += "" if np.isnan(decay) else f", {decay:g}"
            axes.plot(updates, [y] * SEEDS, marker, color=colour, ms=3, mew=0, alpha=0.6)
            axes.plot(updates.mean(), y, marker, color=colour, ms=6, label=name if i < 1 else None)
        print(f"  {family:17}{told}")
axes.set_yticks(range(len(families)), families)
axes.invert_yaxis()
axes.set(
    xscale="log",
    xlabel=f"updates to a loss of {TOLERANCE:g} (small: seeds, large: mean; x: not all reach it)",
)
figure.legend(loc="outside upper left", ncols=3)
plt.show()

# %% [markdown]
# - *Momentum* does what theory says: some 30 times fewer updates on the quadratics. Which way they
#   are turned makes no difference to it, as to gradient descent.
# - *Scaling each parameter* (AdaGrad, RMSProp, Adam) makes the curvatures equal where their axes
#   are those of the parameters, and is ten times slower, or fails, where they are turned.
# - *Shampoo and SOAP* find the axes: turned or not is nearly the same to them. Rosenbrock's valley
#   bends, and with it the axes. SOAP, which averages over some 20 gradients, follows; Shampoo,
#   which averages over a thousand, is no better than gradient descent there. Adam is as good as
#   SOAP.
