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
# # Local minima: a run that settles in the wrong place
#
# A gradient tells the way down, not how far down there is to go. Descent stops in the first minimum
# that it comes to. This notebook measures that on `x^4 - 5 x^2 + 3 x`, which has two minima, and on
# Rastrigin's function, which has many; shows how to detect it; and compares what helps.

# %%
import functools
import os

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import binomtest

import gdjax
from gdjax.diagnostics import basins, distinct_ends, nearest_minimum
from gdjax.problems import rastrigin, two_wells
from gdjax.report import draw_basins
from gdjax.report.canvas import STYLE
from gdjax.report.scales import FAMILY_COLOURS, GREY

FAST = os.environ.get("GDJAX_FAST") == "1"
SEEDS = 16 if FAST else 64
STEPS = 500
BLUE, RED = FAMILY_COLOURS[:2]
plt.style.use([STYLE, {"figure.dpi": 100}])
# %matplotlib inline

# %% [markdown]
# ## Symptom
# From `x = 1.5` gradient descent converges, and its gradient vanishes: nothing in the run itself
# looks wrong. Yet the loss is -1.76 where -11.20 is to be had.

# %%
plain = gdjax.train(two_wells.task(start=[1.5]), gdjax.sgd(0.01), STEPS, key=0)
slope = jax.grad(two_wells)(plain.params)
print(f"end {plain.params[0]:.4f}, loss {plain.traces['loss'][-1]:.4f}, slope {slope[0]:.0e}")
print(f"global minimum {two_wells.minima[0, 0]:.4f}, loss {two_wells.minimum:.4f}")

# %%
x = np.linspace(-2.7, 2.4, 300)
left, right = two_wells.minima[0, 0], two_wells.local_minima[0, 0]
top = -left - right  # the three stationary points add up to 0: f' has no term in x^2
figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
axes.plot(x, np.polyval([1, 0, -5, 3, 0], x), color=GREY)
axes.plot(1.5, two_wells([1.5]), "o", color=RED, mfc="white", label="start")
axes.plot(plain.params[0], two_wells(plain.params), "o", color=RED, label="end")
axes.plot(left, two_wells.minimum, "*", ms=10, color=BLUE, label="global minimum")
axes.set(xlabel="x", ylabel="loss")
_ = axes.legend()

# %% [markdown]
# ## Detector
# Start again from other places. If runs that all converged end at different points with different
# losses, there are several minima, and a single run is worth little. `basins` trains from many
# starts as one program, and `distinct_ends` lists the points at which the runs ended.

# %%
starts = jnp.linspace(*two_wells.domain, 64)[:, None]  # [start, dimension]
found = basins(two_wells, gdjax.sgd, starts, [0.01], STEPS)
points = distinct_ends(found, tolerance=1e-2)
share = [float((nearest_minimum(found.params, points, 0.01) == i).mean()) for i in range(2)]
print(f"spread of end points {found.params.std():.2f}, of losses {found.loss.std():.2f}")
for point, part in zip(points, share, strict=True):
    print(f"{part:.0%} of starts end at {point[0]:.3f}, loss {two_wells(point):.2f}")

# %% [markdown]
# The same over learning rates, for four optimizers. Blue ends at the global minimum, red at the
# other one.

# %%
MINIMA = np.concatenate([two_wells.minima, two_wells.local_minima])
starts = jnp.linspace(*two_wells.domain, 31 if FAST else 121)[:, None]
rates = jnp.geomspace(1e-3, 2.0, 17 if FAST else 57)
cooling = gdjax.linear_schedule(6.0, 0.0, STEPS)


def map_of(make_optimizer):
    found = basins(two_wells, make_optimizer, starts, rates, STEPS)
    labels = nearest_minimum(found.params, MINIMA, tolerance=0.2)
    names = [f"global minimum, {left:.2f}", f"local minimum, {right:.2f}"]
    figure = draw_basins(labels, starts[:, 0], rates, found.diverged, names, xlabel="start x")
    figure.set_dpi(100)
    return figure


# %% [markdown]
# **Gradient descent.** Each start falls into its own side, as long as the rate is small. From 2
# over the curvature of a minimum on, it is unstable there: above 0.079 at the global one (curvature
# 25.3), above 0.147 at the local one (13.6). Between the two no run settles at the global minimum:
# a larger rate prefers the flatter minimum, not the deeper one.

# %%
map_of(gdjax.sgd)

# %% [markdown]
# **Momentum** rolls over the hill from starts well above its top, in both directions: from the far
# left it rolls out of the good minimum too. At small rates it loses height on the way and climbs no
# hill that is higher than its start: from 1.5 it never leaves.

# %%
map_of(lambda rate: gdjax.sgd(rate, momentum=0.95))

# %% [markdown]
# **Adam**'s steps have about the length of its rate, however steep the slope. A rate as large as
# the distance between the minima jumps from one to the other.

# %%
map_of(gdjax.adam)

# %% [markdown]
# **Annealed noise**: Langevin dynamics whose temperature falls to 0. At temperature `T` it is at
# `x` with a density proportional to `exp(-loss / T)`: the deeper minimum holds most runs, if they
# have the time to cross before it is cold. The start then matters no more; the draw of the noise,
# here one for all, does.

# %%
map_of(lambda rate: gdjax.sgld(rate, key=0, temperature=cooling))

# %% [markdown]
# ## Remedies
# All start near 1.5, and each is one changed line. A seed draws the start, from 1.275 to 1.575, and
# the noise. Restarts change the task instead: 8 starts from the whole domain, of which the best
# counts, at 8 times the work.

# %%
near = two_wells.task(start=[1.5], spread=0.05)
anywhere = two_wells.task(spread=1.0)
cycles = functools.partial(gdjax.cosine_restarts_schedule, period_steps=50)

remedies = {
    "gradient descent": (near, lambda key: gdjax.sgd(0.01), 1),
    "momentum": (near, lambda key: gdjax.sgd(0.01, momentum=0.95), 1),
    "cycles of the rate": (near, lambda key: gdjax.sgd(cycles(0.2)), 1),
    "Adam, same rate": (near, lambda key: gdjax.adam(0.01), 1),
    "Adam, cycles": (near, lambda key: gdjax.adam(cycles(2.0)), 1),
    "noise on gradients": (near, lambda key: gdjax.noisy_sgd(0.01, 3e4, 1.0, key=key), 1),
    "Langevin, T = 1.5": (near, lambda key: gdjax.sgld(0.01, key, temperature=1.5), 1),
    "Langevin, T from 6 to 0": (near, lambda key: gdjax.sgld(0.01, key, temperature=cooling), 1),
    "best of 8 restarts": (anywhere, lambda key: gdjax.sgd(0.01), 8),
}


def ends(task, make_optimizer, restarts):
    """Where the best restart of each seed ends, [seed]."""
    keys, noise = (jax.random.split(jax.random.key(i), (SEEDS, restarts)) for i in range(2))

    def end(optimizer, key):
        return gdjax.train(task, optimizer, STEPS, key).params

    train = jax.jit(jax.vmap(jax.vmap(end)))
    params = train(jax.vmap(jax.vmap(make_optimizer))(noise), keys)  # [seed, restart, dimension]
    best = jax.vmap(jax.vmap(two_wells))(params).argmin(axis=1)
    return np.asarray(params)[np.arange(SEEDS), best, 0]


# %% [markdown]
# ## Result
# The share of seeds that end on the global minimum's side of the hill, with its 95 % confidence
# interval (Wilson's), and how far from that minimum they end.

# %%
results = {name: ends(*remedy) for name, remedy in remedies.items()}
intervals = {}
for name, end in results.items():
    hits = end < top
    low, high = binomtest(int(hits.sum()), SEEDS).proportion_ci(method="wilson")
    intervals[name] = hits.mean(), low, high
    away = np.abs(end[hits] - left)
    distance = f"{away.mean():.3f} ± {away.std():.3f}" if hits.any() else "none there"
    print(f"{name:24} {hits.mean():5.0%}  ({low:4.0%} to {high:4.0%})  distance {distance}")

# %%
figure, (where, share) = plt.subplots(1, 2, figsize=(7, 3.5), sharey=True, layout="constrained")
jitter = np.linspace(-0.3, 0.3, SEEDS)
for row, (name, end) in enumerate(results.items()):
    where.plot(end, row + jitter, ".", ms=3, color=GREY)
    middle, low, high = intervals[name]
    share.plot([100 * low, 100 * high], [row, row], color=BLUE)
    share.plot(100 * middle, row, "o", color=BLUE)
where.axvline(left, color=BLUE, lw=0.8)
where.axvline(right, color=RED, lw=0.8)
where.set(xlabel=f"end x of each of {SEEDS} seeds", yticks=range(len(results)))
where.set_yticklabels(results)
where.invert_yaxis()
_ = share.set(xlabel="at the global minimum, % of seeds", xlim=(-3, 103))

# %% [markdown]
# Restarts and annealed noise work; noise that does not end in the cold crosses but does not settle;
# momentum alone does not help a start below the hill; cycles help only where the good minimum is
# not the sharper one, or the optimizer's steps do not grow with the slope.

# %% [markdown]
# ## Many minima
# Rastrigin's function has a minimum near each point with whole coordinates, all about equally
# sharp. In 2 dimensions 121 of them are in the domain, and about one restart in a hundred is right:
# enough restarts find it. In 10 dimensions there are 11^10, and restarts alone are lost. There a
# schedule with cycles, or annealed noise, makes nearly every restart better.

# %%
RESTARTS, LONG = (64, 500) if FAST else (512, 2000)
makers = {
    "gradient descent": lambda key: gdjax.sgd(0.002),
    "cycles of the rate": lambda key: gdjax.sgd(gdjax.cosine_restarts_schedule(0.02, 100)),
    "annealed noise": lambda key: gdjax.sgld(0.002, key, gdjax.linear_schedule(10.0, 0.0, LONG)),
}


def losses(dimension, make_optimizer):
    """The loss at the end of each restart, [restart]."""
    task = rastrigin.in_dimension(dimension).task(spread=1.0)
    keys, noise = (jax.random.split(jax.random.key(i), RESTARTS) for i in range(2))

    def last(optimizer, key):
        return gdjax.train(task, optimizer, LONG, key).traces["loss"][-1]

    return np.sort(jax.jit(jax.vmap(last))(jax.vmap(make_optimizer)(noise), keys))


# %%
figure, panels = plt.subplots(1, 2, figsize=(7, 3.2), sharey=True, layout="constrained")
for axes, dimension in zip(panels, (2, 10), strict=True):
    for (name, make), hue in zip(makers.items(), FAMILY_COLOURS, strict=False):
        loss = losses(dimension, make)
        axes.step(loss, 100 * np.arange(1, RESTARTS + 1) / RESTARTS, color=hue, label=name)
        print(
            f"{dimension:2} dimensions, {name:18}: best {loss[0]:5.2f}, "
            f"median {np.median(loss):5.1f}, global minimum {np.mean(loss < 0.5):.1%} of restarts"
        )
    axes.set(xlabel=f"loss at the end, {dimension} dimensions")
panels[0].set(ylabel="restarts that reach it, %")
_ = panels[1].legend(loc="lower right")
