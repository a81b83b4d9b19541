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
# # Unvalidated settings
#
# **Symptom.** Settings that were best in one run are not best in the next.
#
# **Detector.** The spread over seeds beside the differences between settings: `result.best()` and
# `result.ranks()` tell how sure the best is, `gdjax.diagnose_sweep` whether there are seeds at all
# and whether the best lies at an end of what was tried.
#
# **Remedy.** Seeds: `seeds=8` in place of `seeds=1`. A range of rates that has the best of each
# optimizer inside.

# %%
import os

import jax
import matplotlib.pyplot as plt
import numpy as np

import gdjax
from gdjax.report import canvas
from gdjax.report.scales import FAMILY_COLOURS, GREY

jax.config.update("jax_num_cpu_devices", 2)  # a sweep lays trials over both
FAST = os.environ.get("GDJAX_FAST") == "1"
SEEDS, STEPS = (3, 30) if FAST else (8, 200)
NOTEBOOK = {"figure.dpi": 90, "figure.constrained_layout.use": True, "text.parse_math": True}
plt.style.use(["default", canvas.STYLE, NOTEBOOK])
BLUE, RED, *_ = FAMILY_COLOURS

# %% [markdown]
# ## One sweep, eight seeds
#
# Digits, 32 hidden units, 360 images held out. Each optimizer has one number to be found, its
# learning rate; the others are at their defaults. A seed is other initial parameters and other
# batches, the same for all settings.

# %%
NAMES = ["sgd", "adam", "adagrad", "rmsprop", "lion", "nadam"]
NAMES += ["adabelief", "adamax", "radam", "yogi", "adan", "ademamix"]
optimizers = {name: getattr(gdjax, name) for name in (NAMES[:3] if FAST else NAMES)}
rates = np.geomspace(1e-4, 10, 6 if FAST else 21)
task = gdjax.problems.digits(hidden=(32,), batch_size=32)
result = gdjax.sweep(task, optimizers, {"learning_rate": rates.tolist()}, seeds=SEEDS, steps=STEPS)
final = result.final("heldout_loss").reshape(len(optimizers), len(rates), SEEDS)
final = np.where(np.isfinite(final), final, np.inf)
print(f"{result.trials} settings, {SEEDS} seeds, {STEPS} updates")

# %% [markdown]
# ## Symptom
#
# What if there had been one seed? Each seed has a best setting; here is how often it is that of
# the seed before, and what it costs: the held-out loss of the setting that one seed chose, in all
# the others, over that of the setting that is best in the mean.

# %%
runs = final.reshape(-1, SEEDS)  # [setting, seed]
chosen = runs.argmin(axis=0)  # [seed]
best = runs.mean(axis=1).argmin()
print("best settings by single seeds:")
for setting, count in zip(*np.unique(chosen, return_counts=True), strict=True):
    name, rate = result.family[setting], result.settings["learning_rate"][setting]
    others = np.delete(runs[setting], np.flatnonzero(chosen == setting))
    print(f"  {name:10} {rate:<8.2g} {count} times, loss of other seeds {others.mean():.3f}")
name, rate = result.family[best], result.settings["learning_rate"][best]
print(f"best in the mean: {name} {rate:.2g}, {runs[best].mean():.3f}")
own = runs[chosen, np.arange(SEEDS)].mean()
print(f"what one seed says of its best: {own:.3f}, too good by {runs[best].mean() - own:.3f}")

# %% [markdown]
# ## Detector

# %%
sure = result.best()
print(f"the best of {sure.peers + 1} with a probability of {sure.probability:.0%}")
print(f"{sure.rivals:.0f} others may be as good (paired t-tests over seeds, 5 %)")
single = gdjax.sweep(task, gdjax.sgd, {"learning_rate": [1e-3, 1e-2, 1e-1]}, steps=STEPS)
print()
print(gdjax.diagnose_sweep(single))

# %% [markdown]
# The twelve best settings, mean over seeds with the standard error: what is between the first and
# the next is less than chance makes.

# %%
ranks = result.ranks()
shown = slice(12)
figure, axes = plt.subplots(figsize=(7, 3.2))
places = np.arange(len(ranks.trial[shown]))
errors = result.final("heldout_loss")[ranks.trial[shown]].std(axis=1, ddof=1) / np.sqrt(SEEDS)
axes.errorbar(runs[ranks.trial[shown]].mean(axis=1), places, xerr=errors, fmt="o", ms=4, color=BLUE)
axes.set_yticks(
    places,
    [
        f"{result.family[i]} {result.settings['learning_rate'][i]:.2g}"
        for i in ranks.trial[shown].tolist()
    ],
)
axes.invert_yaxis()
axes.set(xlabel="held-out loss in nats (mean ± standard error over seeds)")
plt.show()

# %% [markdown]
# ## Every optimizer's rates
#
# Held-out loss against the learning rate, mean and range over seeds. Shaded is the width of good
# settings: the rates whose mean is at most a tenth of a nat above the best of all optimizers.

# %%
GOOD = 0.1
mean = final.mean(axis=2)  # [optimizer, rate]
good = mean <= mean.min() + GOOD
columns = 3 if FAST else 4
figure, panels = plt.subplots(
    -(-len(optimizers) // columns), columns, figsize=(7, 4.6), sharex=True, sharey=True
)
decade = np.log10(rates[1] / rates[0])
for i, (axes, name) in enumerate(zip(panels.flat, optimizers, strict=True)):
    axes.fill_between(
        rates, final[i].min(axis=1), final[i].max(axis=1), color=BLUE, alpha=0.3, lw=0
    )
    axes.plot(rates, mean[i], color=BLUE)
    for rate in rates[good[i]]:
        axes.axvspan(
            rate / 10 ** (decade / 2), rate * 10 ** (decade / 2), color=GREY, alpha=0.3, lw=0
        )
    axes.set(xscale="log", ylim=(0, 2.5), title=f"{name}: {good[i].sum() * decade:.2g} decades")
figure.supxlabel("learning rate", size=9)
figure.supylabel("held-out loss in nats", size=9)
plt.show()
inside = [0 < final[i].mean(axis=1).argmin() < len(rates) - 1 for i in range(len(optimizers))]
print(f"{sum(inside)} of {len(inside)} optimizers have their best rate inside of what was tried")

# %% [markdown]
# Most optimizers come to the same loss where their learning rate is right; they differ in which
# rate that is, and in how wide the range of good ones is, which is what one pays for finding it. A
# comparison at one rate compares rates. The setting that a single seed would have chosen is often
# another, and what that seed says of it is too good: it was chosen for it.
