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
# # The learning rate: too high, too low
#
# **Symptom.** The loss rises, jumps up and down, or becomes NaN: the rate is too high. It falls so
# slowly that the run ends before it has arrived: too low. Between the two lies a cliff, and the
# best rate is close to its edge.
#
# **Detector.** The sharpness times the rate over 2 (`stability`), `overshoot`, and the cosine
# between successive gradients.
#
# **Remedy.** Search a rate with many short runs, lower it by a schedule, or use an optimizer that
# scales its steps itself.

# %%
import os

import jax
import matplotlib.pyplot as plt
import numpy as np

import gdjax
from gdjax import curvature, diagnostics
from gdjax.report import canvas, draw_learning_rates
from gdjax.report.scales import FAMILY_COLOURS, GREY

FAST = os.environ.get("GDJAX_FAST") == "1"
SEEDS = 2 if FAST else 8
NOTEBOOK = {"figure.dpi": 90, "figure.constrained_layout.use": True, "text.parse_math": True}
plt.style.use(["default", canvas.STYLE, NOTEBOOK])
BLUE, RED, GREEN, *_ = FAMILY_COLOURS

# %% [markdown]
# ## Predicted: gradient descent diverges above 2 / λmax
#
# A line is fitted to four points, by half the mean squared error. The loss is quadratic, so one
# Hessian tells all. Along an eigenvector with eigenvalue λ each update multiplies the distance from
# the optimum by `1 - learning_rate * λ`: it shrinks below `1 / λ`, changes its sign at each update
# above it, and grows above `2 / λ`.

# %%
task = gdjax.problems.four_points()
key = jax.random.key(0)
params, batch = task.init(key), task.batch(key, 0)


@jax.jit
def extremes(params):
    product = curvature.hessian_product(lambda params: task.loss(params, batch, key), params)
    return curvature.extreme_eigenvalues(product, params, key)


ends = extremes(params)
lowest, sharpness = float(ends.smallest.value), float(ends.largest.value)
edge = 2 / sharpness
print(f"eigenvalues {lowest:.4f} and {sharpness:.4f}: stable below {edge:.4f}")

# %%
x, y = np.asarray(batch["x"]), np.asarray(batch["y"])
_, squares, *_ = np.linalg.lstsq(np.hstack([x, np.ones_like(x)]), y)
optimum = squares[0] / (2 * len(y))  # half the mean squared error of least squares
shares = {0.02: "far too low", 0.5: "steep axis at once", 0.95: "best", 1.02: "too high"}
result = gdjax.sweep(
    task, gdjax.sgd, {"learning_rate": [share * edge for share in shares]}, steps=100
)
figure, axes = plt.subplots(figsize=(7, 3.2))
for losses, (share, word), colour in zip(
    result.traces["loss"][:, 0], shares.items(), [GREY, GREEN, BLUE, RED], strict=True
):
    axes.plot(losses - optimum, color=colour, label=f"{share:g} · 2/λmax: {word}")
axes.set(
    yscale="log", ylim=(1e-5, 1e4), xlabel="update", ylabel="loss above its minimum\n(one seed)"
)
figure.legend(loc="outside upper left", ncols=2)
plt.show()

# %% [markdown]
# ## Found: 256 learning rates in one program
#
# Each rate is trained from the same starts, one for each seed. A run counts as diverging where it
# ends above its start or is no longer finite.

# %%
rates = np.geomspace(1e-3, 1.0, 32 if FAST else 256)
TOLERANCE = 1e-3  # above the minimal loss


def updates_needed(losses):
    """Updates until the loss is first within the tolerance; infinite where it never is."""
    reached = losses - optimum < TOLERANCE
    return np.where(reached.any(axis=-1), reached.argmax(axis=-1), np.inf)


found = gdjax.sweep(
    task,
    {"sgd": gdjax.sgd, "adam": gdjax.adam},
    {"learning_rate": rates.tolist()},
    seeds=SEEDS,
    steps=1000 if FAST else 4000,
)
plain = found.traces["loss"][found.family == "sgd"]  # [rate, seed, step]
diverging = (~(plain[..., -1] < plain[..., 0])).any(axis=1)  # [rate]
first = diverging.argmax()
print(f"predicted: {edge:.4f}")
print(f"found: between {rates[first - 1]:.4f} and {rates[first]:.4f}")
print(f"all higher rates diverge: {diverging[first:].all()}")
at = found.diverged_at[found.family == "sgd"][-1]
print(f"at rate {rates[-1]:g} the loss is no longer finite after {at.min()} to {at.max()} updates")

# %%
figure, axes = plt.subplots(figsize=(7, 3.5))
for name, colour in {"sgd": BLUE, "adam": GREEN}.items():
    needed = updates_needed(found.traces["loss"][found.family == name])  # [rate, seed]
    arrived = np.isfinite(needed).all(axis=1)
    low, median, high = np.quantile(needed[arrived], [0.25, 0.5, 0.75], axis=1)
    axes.plot(rates[arrived], median, color=colour, label=name)
    axes.fill_between(rates[arrived], low, high, color=colour, alpha=0.2, lw=0)
    print(f"{name}: best rate {rates[arrived][median.argmin()]:.3f}, {median.min():.0f} updates")
axes.axvline(edge, color=RED, linestyle="--", lw=1, label="2 / λmax")
axes.set(xscale="log", yscale="log", xlabel="learning rate")
axes.set(ylabel=f"updates to {TOLERANCE:g} above the minimum\n(median and quartiles over seeds)")
figure.legend(loc="outside upper left", ncols=3)
plt.show()

# %% [markdown]
# The left branch of gradient descent has slope -1: a tenth of the rate, ten times the updates. The
# price of a rate that is too low is a factor, the price of one that is too high is the run. The
# best rate is within a tenth of the edge, where a slightly different problem would diverge: so the
# greatest rate that a run survives is no good choice. Adam's curve has no such edge here.
#
# ## Detected while training
#
# Nobody computes the Hessian of a network beforehand. Monitors measure the same numbers in a run:
# here at the 20th update, for each rate.

# %%
watched = task.with_monitors(diagnostics.norms(), diagnostics.spectrum())
seen = gdjax.sweep(
    watched, gdjax.sgd, {"learning_rate": rates.tolist()}, seeds=SEEDS, steps=20, segment=20
)
raised = (np.diff(seen.traces["loss"], axis=-1) > 0).mean(axis=(1, 2))  # [rate]
stability, overshoot, cosine = (
    seen.evaluations[name][..., -1].mean(axis=1)
    for name in ("stability", "overshoot", "gradient_cosine")
)
figure, (above, below) = plt.subplots(2, figsize=(7, 4.5), sharex=True)
above.plot(rates, stability, color=BLUE, label="stability = sharpness · rate / 2")
above.plot(rates, overshoot, color=GREEN, label="overshoot")
above.axhline(1, color=GREY, lw=1)
above.set(yscale="log", ylabel="at update 20\n(mean over seeds)")
below.plot(rates, cosine, color=BLUE, label="cosine between gradients")
below.plot(rates, raised, color=GREEN, label="share of updates that raise the loss")
below.set(xscale="log", ylim=(-1.1, 1.1), xlabel="learning rate")
for axes in (above, below):
    axes.axvline(edge, color=RED, linestyle="--", lw=1)
    axes.legend(loc="upper left" if axes is above else "center left")
plt.show()

# %%
print("rate    stability  overshoot  cosine  share that raises the loss")
for share in shares:
    i = np.abs(rates - share * edge).argmin()
    numbers = f"{stability[i]:9.2f}  {overshoot[i]:9.2f}  {cosine[i]:6.2f}  {raised[i]:.2f}"
    print(f"{rates[i]:.4f}  {numbers}")

# %% [markdown]
# - *Too high*: `stability` and `overshoot` above 1, `gradient_cosine` at -1. Just below the edge
#   the cosine is -1 too, and the loss still falls: the cosine tells of oscillation, `overshoot` of
#   divergence.
# - *Too low*: the cosine is 1, each update repeats the one before, and `stability` far below 1 says
#   by how much the rate may grow.
#
# ## Remedy 1: search the rate
#
# One line, from short runs side by side.

# %%
searched = gdjax.find_learning_rate(task, gdjax.sgd, seeds=SEEDS)
print(f"suggestion {searched.suggestion:.3f}, workable up to {searched.high:.3f}, edge {edge:.3f}")
figure = draw_learning_rates(searched)
figure.set_dpi(90)
figure

# %% [markdown]
# ## Remedy 2: scale the steps
#
# The edge moves with the units of the loss: where the loss is 100 times as large, the rate of
# gradient descent must be 100 times smaller. Adam divides by the size of the gradients, so that its
# rate is a distance. The same rate 0.1, the same loss in five units:

# %%
units = [0.01, 0.1, 1.0, 10.0, 100.0]


def in_units(params, batch, key, units):
    """The task's loss in other units."""
    return units * task.loss(params, batch, key)


scaled = gdjax.sweep(
    gdjax.Task(task.init, gdjax.bind(in_units, units=1.0), task.batch),
    {"sgd": gdjax.sgd, "adam": gdjax.adam},
    {"learning_rate": 0.1, "units": units},
    seeds=SEEDS,
    steps=2000,
)
print("updates needed, median over seeds\nunits  " + "".join(f"{u:>8g}" for u in units))
for name in ("sgd", "adam"):
    losses = scaled.traces["loss"][scaled.family == name] / np.array(units)[:, None, None]
    print(f"{name:7}" + "".join(f"{n:8.0f}" for n in np.median(updates_needed(losses), axis=1)))

# %% [markdown]
# ## Remedy 3: a schedule, on a network
#
# The network for digits is not quadratic: its sharpness changes as it learns, and early steps that
# are too long may leave it where nothing is learned. The changed line: the rate becomes the peak of
# a schedule that warms up over half of the run and decays by a cosine.

# %%
digits = gdjax.problems.digits(hidden=(32,), batch_size=32)
STEPS = 100 if FAST else 300


def warmed(learning_rate):
    schedule = gdjax.warmup_cosine_decay_schedule(0.0, learning_rate, STEPS // 2, STEPS)
    return gdjax.sgd(schedule)


families = {"sgd": gdjax.sgd, "sgd, warm-up and cosine": warmed, "adam": gdjax.adam}
suggested = gdjax.find_learning_rate(
    digits, gdjax.sgd, steps=STEPS // 3, horizon=STEPS, seeds=SEEDS
).suggestion
told = [0.001, suggested, 1.4]
rates = np.unique([*told, *np.geomspace(1e-3, 10, 3 if FAST else 9)])
result = gdjax.sweep(digits, families, {"learning_rate": rates.tolist()}, seeds=SEEDS, steps=STEPS)
error = 1 - np.nan_to_num(result.final("heldout_accuracy"), nan=0.1)  # diverged: chance

figure, axes = plt.subplots(figsize=(7, 3.5))
for name, colour in zip(families, [BLUE, RED, GREEN], strict=True):
    of = error[result.family == name]  # [rate, seed]
    axes.plot(rates, of.mean(axis=1), color=colour, label=name)
    axes.plot(rates, of, ".", color=colour, alpha=0.4, markersize=4, mew=0)
axes.set(xscale="log", yscale="log", xlabel="learning rate (the schedule's peak)")
axes.set(ylabel=f"held-out error after {STEPS} updates\n(points: seeds, line: mean)")
figure.legend(loc="outside upper left", ncols=3)
plt.show()

# %% [markdown]
# Three of these rates: one that is far too low, the one that a search suggests, and 1.4, just too
# high. The detectors are read at the 10th update of the constant rate.

# %%
watched = digits.with_monitors(diagnostics.norms(), diagnostics.spectrum())
seen = gdjax.sweep(watched, gdjax.sgd, {"learning_rate": told}, seeds=SEEDS, steps=10, segment=10)
seen = {name: values[..., 0].mean(axis=1) for name, values in seen.evaluations.items()}
for i, rate in enumerate(told):
    print(
        f"rate {rate:.3f}: stability {seen['stability'][i]:.4f}, "
        f"update ratio {seen['update_ratio'][i]:.5f}; held-out error"
    )
    for name in list(families)[:2]:
        of = error[result.family == name][rates == rate]  # [1, seed]
        print(f"  {name:24} {of.mean():.3f} ± {of.std(ddof=1):.3f}, worst seed {of.max():.3f}")

# %% [markdown]
# - *Too high*: `stability` is above 1 at the 10th update. The schedule mends most seeds, but the
#   figure shows that it moves the edge not far: a rate from the middle of the workable ones, which
#   the search suggests, is the surer remedy.
# - *Too low*: `stability` far below 1, and an `update_ratio` far below the usual 1e-3. A schedule
#   that begins with small steps is no help.
