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
# # An unstable start
#
# **Symptom.** A transformer stays where guessing by frequency leaves it, at a learning rate that
# would be a good one later.
#
# **Detector.** `update_ratio` by step, in the first steps: far above the usual 1e-3. Behind them
# the `gradient_norm` of the first layer vanishes.
#
# **Remedy.** Warm-up: a learning rate that rises to its peak. Rectified Adam, which has one built
# in. Whether it is needed depends on the network.

# %%
import dataclasses
import os

import jax
import matplotlib.pyplot as plt
import numpy as np

import gdjax
from gdjax import diagnostics
from gdjax.report import canvas
from gdjax.report.scales import FAMILY_COLOURS, GREY

FAST = os.environ.get("GDJAX_FAST") == "1"
jax.config.update("jax_num_cpu_devices", 2)
LAYERS, SEEDS, STEPS = (1, 2, 20) if FAST else (3, 5, 240)
NOTEBOOK = {"figure.dpi": 80, "figure.constrained_layout.use": True, "text.parse_math": True}
plt.style.use(["default", canvas.STYLE, NOTEBOOK])
BLUE, RED, GREEN, PINK, SKY, ORANGE, BLACK = FAMILY_COLOURS

# %% [markdown]
# ## A small transformer on text
#
# Characters of Python's documentation, three layers of width 32. It normalizes the sum behind each
# part, as the first transformer did (post-norm). Adam, with a constant learning rate or one that
# rises linearly over the first half of the run.


# %%
def language(post_norm):
    task = gdjax.problems.language_model(
        16, width=32, layers=LAYERS, heads=2, batch_size=8, post_norm=post_norm
    )
    return dataclasses.replace(task, evaluate=None, objective="loss")  # each batch is new


post, pre = language(True), language(False)
characters = post.batch.leaves["data"]
shares = np.bincount(np.ravel(characters)) / characters.size
guessing = -np.sum(shares[shares > 0] * np.log(shares[shares > 0]))
print(f"guessing by frequency: {guessing:.2f} nats a character")


def adam(learning_rate, warmup, decay, norm):
    """Adam behind clipping, with a linear warm-up and a linear decay, of 0 steps for none."""
    hold = STEPS - STEPS // 2
    schedule = gdjax.warmup_stable_decay_schedule(0.0, learning_rate, warmup, hold, decay)
    return gdjax.chain(gdjax.clip_by_global_norm(norm), gdjax.adam(schedule))


none = {"warmup": 0, "decay": 0, "norm": 1e30}
starts = {
    "constant": none,
    "warm-up": none | {"warmup": STEPS // 2},
    "same rates, reversed": none | {"decay": STEPS // 2},
    "clipped": none | {"norm": 0.1},
}
rates = [0.003, 0.012] if FAST else [0.003, 0.006, 0.012, 0.024]


def swept(task, names, segment=STEPS):
    """Some of the starts at each rate: losses, [start, rate, seed, step], and evaluations."""
    space = gdjax.Space(
        {name: sorted({start[name] for start in starts.values()}) for name in none}
        | {"learning_rate": rates},
        first=[starts[name] | {"learning_rate": rate} for name in names for rate in rates],
    )
    result = gdjax.sweep(
        task, adam, space, trials=len(space.first), seeds=SEEDS, steps=STEPS, segment=segment
    )
    shape = (len(names), len(rates), SEEDS, -1)
    seen = {name: values.reshape(shape) for name, values in result.evaluations.items()}
    return result.traces["loss"].reshape(shape), seen


losses, seen = swept(post.with_monitors(diagnostics.norms()), list(starts), segment=1)

# %% [markdown]
# **Detector**, at a rate of 0.012: each update is watched. Adam's first one changes each number by
# the rate, whatever the gradient is.

# %%
at = rates.index(0.012)
shown = {
    "update_ratio": "update ratio",
    "gradient_norm.layers.0": "gradient norm\nof the first layer",
}
figure, panels = plt.subplots(1, 2, figsize=(7, 3))
for (name, label), axes in zip(shown.items(), panels, strict=True):
    for start, values, colour in zip(starts, seen[name][:2, at], [RED, BLUE], strict=False):
        axes.plot(range(1, STEPS + 1), values.T, color=colour, lw=0.8)  # [step, seed]
        early = ", ".join(f"{x:.2g}" for x in np.median(values, axis=0)[[0, 9, STEPS // 4]])
        print(f"{name}, {start}: {early} at updates 1, 10 and {STEPS // 4 + 1} (median over seeds)")
    axes.set(xlabel="update", ylabel=label, yscale="log", xlim=(0, STEPS // 2))
for start, colour in zip(starts, [RED, BLUE], strict=False):
    panels[0].plot([], [], color=colour, label=f"{start} (each seed)")
figure.legend(loc="outside upper left", ncols=2)
plt.show()

# %% [markdown]
# The first steps change the network by several percent each, and behind them the first layer gets
# almost no gradient. With a warm-up it keeps its gradient, though later steps are longer than those
# of the constant rate.
#
# **Result**: each start at each rate, by the mean loss of the last fifth of a run. Dashed: guessing
# by frequency.

# %%


def told(losses):
    """A table and a figure of last losses, [rate, seed, step] by name."""
    print("rate                " + "".join(f"{rate:>15g}" for rate in rates))
    figure, axes = plt.subplots(figsize=(7, 3.4))
    colours = [RED, BLUE, ORANGE, PINK, SKY, BLACK, GREEN]
    for (name, of), colour in zip(losses.items(), colours, strict=False):
        last = of[..., -STEPS // 5 :].mean(axis=-1)  # [rate, seed]
        middle, spread = last.mean(axis=1), last.std(axis=1, ddof=1)
        cells = (f"{m:.2f} ± {s:.2f}" for m, s in zip(middle, spread, strict=True))
        print(f"{name:20}" + "".join(f"{cell:>15}" for cell in cells))
        axes.plot(rates, middle, color=colour, label=name)
        axes.plot(rates, last, ".", color=colour, alpha=0.5, markersize=6, mew=0)
    axes.axhline(guessing, color=GREY, linestyle="--", lw=1)
    axes.set(xscale="log", xlabel="learning rate (the schedule's peak)")
    axes.set_xticks(rates, [f"{rate:g}" for rate in rates], minor=False)
    axes.set_xticks([], minor=True)
    axes.set(ylabel="last loss in nats\n(mean, and each seed)")
    figure.legend(loc="outside upper left", ncols=4)
    plt.show()


def rising(rise):
    """Adam with another rise to the same rate, in as many steps."""

    def adam(learning_rate):
        parts = [rise(learning_rate), gdjax.constant_schedule(learning_rate)]
        return gdjax.adam(gdjax.join_schedules(parts, [STEPS // 2]))

    return adam


others = {
    "cosine": rising(lambda rate: gdjax.cosine_onecycle_schedule(STEPS, rate, pct_start=0.5)),
    "exponential": rising(lambda rate: gdjax.exponential_decay(rate / 1000, STEPS // 2, 1000.0)),
    "RAdam": gdjax.radam,
}
if FAST:
    others = {"RAdam": gdjax.radam}
found = gdjax.sweep(post, others, {"learning_rate": rates}, seeds=SEEDS, steps=STEPS)
found = found.traces["loss"].reshape(len(others), len(rates), SEEDS, -1)
told(dict(zip([*starts, *others], [*losses, *found], strict=True)))

# %% [markdown]
# - *Warm-up* widens the range: at 0.012 a constant rate ends at guessing, and a warm-up to it
#   learns, though not as well as at lower rates. Twice that is too much for it too. Half a cosine
#   does as a line does; an exponential, from a thousandth, spends most of its steps at rates that
#   teach little.
# - *The same rates reversed* begin at the peak and end at 0. They help little: it is the order that
#   matters, not that rates are smaller on the whole.
# - *Clipping* does not help at 0.012: Adam divides by the gradient's size, so that its first steps
#   are as long as before.
# - *RAdam* mends 0.012 and 0.024. It begins without a denominator, with steps as small as gradients
#   are, and its own warm-up is long: at the lowest rate it is the worst.
#
# At the lowest rate there is nothing to mend, and half of a run with smaller steps costs a little.
# Warm-up does not lower the best loss here.
#
# ## Where it is not needed
#
# The same transformer with normalization before each part (pre-norm).

# %%
losses, _ = swept(pre, ["constant", "warm-up"])
told(dict(zip(starts, losses, strict=False)))

# %% [markdown]
# No rate ends at guessing. Means with warm-up differ from those without by no more than 0.1: it is
# worse at the lowest rate, and its best mean is no better. The best loss is higher than with
# post-norm here: at a rate that suits both, that one needs no remedy.
