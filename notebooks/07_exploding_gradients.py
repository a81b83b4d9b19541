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
# # Exploding gradients
#
# **Symptom.** A recurrent network learns nothing at any learning rate: the loss overflows, or stays
# where guessing leaves it. Or a run that went well is spoilt from one update to the next.
#
# **Detector.** `gradient_norm` of the monitor `norms`: large at the start, or with `spikes` above
# what it was before; `bad_gradients`, arrays that are not finite. In half precision `underflow`,
# the share of the gradient's numbers that are lost to 0.
#
# **Remedy.** Clipping: by value, by block, by the global norm, against the parameters' norms, or
# at a quantile of the norms before; or division by the norm. What is not finite cannot be clipped,
# but skipped. In half precision a scale of the loss, between what is lost to 0 and what overflows.

# %%
import dataclasses
import os

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax

import gdjax
from gdjax import diagnostics
from gdjax.report import canvas
from gdjax.report.scales import FAMILY_COLOURS, GREY

FAST = os.environ.get("GDJAX_FAST") == "1"
jax.config.update("jax_num_cpu_devices", 2)
SEEDS, STEPS = (2, 50) if FAST else (5, 1500)
NOTEBOOK = {"figure.dpi": 80, "figure.constrained_layout.use": True, "text.parse_math": True}
plt.style.use(["default", canvas.STYLE, NOTEBOOK])
BLUE, RED, GREEN, PINK, SKY, ORANGE, _ = FAMILY_COLOURS

# %% [markdown]
# ## Long sequences
#
# The adding problem: in a sequence of numbers two are marked, and their sum is asked for at its
# end. A recurrent network sends the gradient back through one matrix, once for each step. Here that
# is the identity times a scale, and the units are rectified: unlike tanh they never saturate.
#
# What that does to a gradient on its way back, before the first update:

# %%
LENGTH = 20
adding = gdjax.problems.adding(LENGTH, hidden=32, batch_size=4096, rectified=True)
key = jax.random.key(0)
sequences = adding.batch(key, 0)
scales = jnp.array([0.8, 1.0, 1.2])


@jax.jit
def slopes(task, keys):
    """The norm of the loss's derivative with respect to each step of the input, [seed, step]."""

    def slope(key):
        params = task.init(key)
        by_input = jax.grad(lambda x: task.loss(params, sequences | {"x": x}, key))
        return jnp.linalg.norm(by_input(sequences["x"]), axis=(0, 2))

    return jax.vmap(slope)(keys)


figure, axes = plt.subplots(figsize=(7, 3.2))
for scale, colour in zip(scales, [BLUE, GREEN, RED], strict=True):
    scaled = gdjax.replace(adding, recurrent_scale=scale)
    found = np.asarray(slopes(scaled, jax.random.split(key, SEEDS)))[:, ::-1]
    axes.plot(np.median(found, axis=0), color=colour, label=f"scale {scale:.1f}")
    axes.fill_between(
        range(LENGTH), found.min(axis=0), found.max(axis=0), color=colour, alpha=0.2, lw=0
    )
axes.set(yscale="log", xlabel="steps back from the end of the sequence")
axes.set_xticks(range(0, LENGTH, 5))
axes.set(ylabel="norm of the derivative\n(median and range over seeds)")
figure.legend(loc="outside upper left", ncols=3)
plt.show()

# %% [markdown]
# Below 1 the derivative vanishes on its way back, above 1 it explodes. At 1 each step gets about
# the same, and the matrix, which is at work in each of them, gets the sum.
#
# **Remedy**: one line before the optimizer. The thresholds are leaves, so that one program has all
# rules, each at several learning rates; a threshold of 1e30 clips nothing.

# %%


def batch(key, step):
    """16 of the sequences."""
    rows = jax.random.randint(key, (16,), 0, 4096)
    return jax.tree.map(lambda x: x[rows], sequences)


def clipped(learning_rate, value, block, norm, ratio):
    return gdjax.chain(
        gdjax.clip(value),
        gdjax.clip_by_block_rms(block),
        gdjax.clip_by_global_norm(norm),
        gdjax.adaptive_grad_clip(ratio),
        gdjax.sgd(learning_rate),
    )


task = gdjax.Task(adding.init, adding.loss, batch)
thresholds = {"value": 0.1, "block": 0.1, "norm": 1.0, "ratio": 0.1}
rates = np.array([1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3])[:: 3 if FAST else 1]
none = dict.fromkeys(thresholds, 1e30)
rules = [none, *(none | {name: value} for name, value in thresholds.items())]
space = gdjax.Space(
    {name: [value, 1e30] for name, value in thresholds.items()} | {"learning_rate": rates},
    first=[rule | {"learning_rate": rate} for rule in rules for rate in rates],
)
watched = task.with_monitors(diagnostics.norms())
sizes = {"seeds": SEEDS, "steps": STEPS}
result = gdjax.sweep(watched, clipped, space, trials=len(space.first), segment=1, **sizes)
others = {
    "SGD, normalized": lambda learning_rate: gdjax.chain(
        gdjax.normalize(), gdjax.sgd(learning_rate)
    ),
    "Adam": gdjax.adam,
}
unclipped = gdjax.sweep(task, others, {"learning_rate": rates}, **sizes)

# %% [markdown]
# **Result**: the mean loss of the last tenth of a run, over that of guessing, 1/12. Lines end where
# the median run diverges.

# %%
names = ["SGD", *(f"SGD, clipped by {name}" for name in thresholds), *others]
losses = np.concatenate([result.traces["loss"], unclipped.traces["loss"]])[..., -STEPS // 10 :]
shares = np.nan_to_num(12 * losses.astype(float).mean(axis=-1), nan=np.inf)  # diverged
shares = dict(zip(names, shares.reshape(len(names), len(rates), SEEDS), strict=True))
figure, axes = plt.subplots(figsize=(7, 3.6))
print("rate                  " + "".join(f"{rate:8.2g}" for rate in rates))
for (name, share), colour in zip(
    shares.items(), [RED, ORANGE, GREEN, BLUE, SKY, GREY, PINK], strict=True
):
    middle = np.median(share, axis=1)
    print(f"{name:22}" + "".join(f"{x:8.2g}" for x in middle))
    axes.plot(rates, middle, ".-", color=colour, label=name)
    if name in ("SGD", "SGD, clipped by norm"):
        axes.fill_between(
            rates, share.min(axis=1), share.max(axis=1), color=colour, alpha=0.2, lw=0
        )
axes.axhline(1, color=GREY, linestyle="--", lw=1)
axes.set(xscale="log", yscale="log", ylim=(3e-3, 30), xlabel="learning rate")
axes.set(ylabel="loss over that of guessing\n(median; range over seeds for two)")
figure.legend(loc="outside upper left", ncols=3)
plt.show()
for name in ("SGD", "SGD, clipped by norm", "Adam"):
    best = shares[name][np.median(shares[name], axis=1).argmin()]
    print(f"{name:22} at its best rate: {best.min():.2f} to {best.max():.2g} over seeds")

# %% [markdown]
# Plain SGD learns at no rate: where it is slow enough not to diverge in any seed, it stays near
# guessing. Clipped by block or by the norm it learns at rates over more than a decade; divided by
# its norm, which needs no threshold, nearly as well. By value and by ratio it gains little at these
# thresholds. Adam divides by the size of the gradient anyway: its median is best without any
# clipping, its worst seed is not.
#
# **Detector**: `gradient_norm`, which the monitor sees before it is clipped. Without clipping a
# step along the first gradient makes the next ones explode; clipped steps, at most 0.1 long, bring
# the norm down to about 1.

# %%
figure, axes = plt.subplots(figsize=(7, 3.2))
norms = result.evaluations["gradient_norm"].reshape(len(rules), len(rates), SEEDS, -1)
print(f"before the first update: {norms[3, 0, :, 0].min():.0f} to {norms[3, 0, :, 0].max():.0f}")
for rule, rate, colour in ((0, 0.01, RED), (3, 0.1, BLUE)):
    i = np.abs(np.log(rates / rate)).argmin()
    label = f"{names[rule]}, rate {rates[i]:g}"
    axes.plot(result.evaluation_steps, norms[rule, i].T, color=colour, lw=1, label=label)
axes.set(xscale="log", xlim=(0.9, 100), xlabel="update")
axes.set(yscale="log", ylabel="gradient norm\n(each seed)")
handles, labels = axes.get_legend_handles_labels()
figure.legend(handles[::SEEDS], labels[::SEEDS], loc="outside upper left", ncols=2)
plt.show()

# %% [markdown]
# ## A bad batch
#
# Handwritten digits, a small network, Adam. Every hundredth batch is bad: its inputs are multiplied
# by a factor, for the last one so large that they overflow. Nothing in the data tells; the gradient
# does.

# %%
digits = gdjax.problems.digits(hidden=(32,), batch_size=32)


def poisoned(key, step, factor):
    clean = digits.batch(key, step)
    return clean | {"x": clean["x"] * jnp.where(step % 100 == 99, factor, 1.0)}


def guarded(norm, max_errors):
    adam = gdjax.chain(gdjax.clip_by_global_norm(norm), gdjax.adam(0.003))
    return gdjax.apply_if_finite(adam, max_errors)


def by_quantile():
    return gdjax.chain(gdjax.clip_by_quantile(0.9, window=100), gdjax.adam(0.003))


spoilt = dataclasses.replace(digits, batch=gdjax.bind(poisoned, factor=1.0))
factors = [1.0, 1e2, 1e4, 3e38]
sizes = {"seeds": SEEDS, "steps": 200 if FAST else 500, "segment": 10}
result = gdjax.sweep(
    spoilt.with_monitors(diagnostics.norms()),
    guarded,
    {"norm": [1e30, 1.0], "max_errors": [0, 5], "factor": factors},
    **sizes,
)
quantiles = gdjax.sweep(spoilt, by_quantile, {"factor": factors}, **sizes)

# %% [markdown]
# **Detector**: `spikes` of the norm, and `bad_gradients`, in the runs that clip nothing and skip
# what is not finite. Of each ten updates the monitor sees the last, and so all the bad ones.

# %%
seen = {
    name: values.reshape(4, len(factors), SEEDS, -1)[1]  # [factor, seed, evaluation]
    for name, values in result.evaluations.items()
}
at = result.evaluation_steps
bad = at % 100 == 0
finite = seen["bad_gradients"] == 0
spikes = np.asarray(diagnostics.spikes(seen["gradient_norm"])) & finite
print("factor  share of bad batches (of good ones) with a spike, and not finite")
for i, factor in enumerate(factors):
    spike, lost = (
        f"{told[i][:, bad].mean():.0%} ({told[i][:, ~bad].mean():.1%})"
        for told in (spikes, ~finite)
    )
    print(f"{factor:<6g}  {spike:15} {lost}")
figure, (above, below) = plt.subplots(2, figsize=(7, 4.5), sharex=True)
for i, colour in ((0, GREY), (1, BLUE), (2, RED)):
    norm, ratio = (seen[name][i, 0] for name in ("gradient_norm", "update_ratio"))
    above.plot(at, norm, color=colour, lw=1, label=f"factor {factors[i]:g}")
    above.plot(at[spikes[i, 0]], norm[spikes[i, 0]], "o", color=colour, mfc="white")
    below.plot(at, ratio, color=colour, lw=1)
above.plot([], [], "o", color=GREY, mfc="white", label="spikes")
above.set(yscale="log", ylabel="gradient norm\n(one seed)")
below.set(yscale="log", ylabel="update ratio\n(one seed)", xlabel="update")
figure.legend(loc="outside upper left", ncols=4)
plt.show()

# %% [markdown]
# **Result**: the error on held-out digits.

# %%
names = ["Adam", "skips what is not finite", "clips", "clips and skips", "clips at a quantile"]
accuracy = np.concatenate(
    [result.final("heldout_accuracy"), quantiles.final("heldout_accuracy")]
).reshape(len(names), len(factors), SEEDS)
print("held-out error     " + "".join(f"{f'factor {factor:g}':>16}" for factor in factors))
for name, of in zip(names, 1 - accuracy, strict=True):
    cells = [f"{x.mean():.3f} ± {x.std(ddof=1):.3f}" for x in of]
    print(f"{name:25}" + "  ".join(f"{cell:14}" for cell in cells))

# %% [markdown]
# - *A norm far above the others*: Adam divides a bad step by its size, but remembers it. Its
#   average of gradients repeats the step, and the update ratio stays too large for tens of updates;
#   its average of squares, which is longer, then makes steps too short. Clipping before Adam mends
#   it. Skipping what is not finite does not, for the gradient is finite.
# - *Not finite*: clipping does not help, for NaN times anything is NaN. `apply_if_finite` skips it.
# - `clip_by_quantile` does both here, without a threshold in units of the gradient.

# %% [markdown]
# ## Half precision
#
# Numbers in float16 end at 65504, and below 6e-8 they are 0. The network here has eight layers of
# logistic units; its parameters are in float32, and what it computes in float16. Each of 1024
# examples sends back 1/1024 of the gradient, and each layer makes it smaller. A scale of the loss
# keeps it above 0; one too large lets it overflow.
#
# **Remedy**: `dynamic_loss_scale` around the optimizer. It skips an update that is not finite and
# halves the scale, and doubles it after a number of finite ones: 2000, but 10 here.

# %%
DEPTH, WIDTH, RATE = 8, 16, 0.01
images = gdjax.problems.digits(batch_size=1024)


def network(dtype):
    """A deep network of logistic units that computes in a type."""
    xavier = jax.nn.initializers.glorot_normal(batch_axis=0)

    def init(key):
        first, middle, last = jax.random.split(key, 3)
        return {
            "first": xavier(first, (1, 64, WIDTH))[0],
            "middle": xavier(middle, (DEPTH - 1, WIDTH, WIDTH)),
            "last": xavier(last, (1, WIDTH, 10))[0],
        }

    def loss(params, batch, key):
        params, x = jax.tree.map(lambda x: x.astype(dtype), (params, batch["x"]))
        x = jax.nn.sigmoid(x @ params["first"])
        x, _ = jax.lax.scan(lambda x, w: (jax.nn.sigmoid(x @ w), None), x, params["middle"])
        logits = (x @ params["last"]).astype(jnp.float32)
        return optax.softmax_cross_entropy_with_integer_labels(logits, batch["y"]).mean()

    return gdjax.Task(init, loss, images.batch)


def scaled(init_scale):
    return gdjax.dynamic_loss_scale(gdjax.adam(RATE), init_scale, growth_interval=10)


def scale(step, state):
    return {"scale": gdjax.loss_scale(step.state)}, state


half = network(jnp.float16)
powers = [0, 16, 40]
adam = {"learning_rate": RATE}
sizes = {"seeds": SEEDS, "steps": 50 if FAST else 300, "segment": 10}
runs = {
    "float32": gdjax.sweep(network(jnp.float32), gdjax.adam, adam, **sizes),
    "float16": gdjax.sweep(half.with_monitors(diagnostics.underflow()), gdjax.adam, adam, **sizes),
    "float16, scaled": gdjax.sweep(
        half.with_monitors(gdjax.Monitor(scale)),
        scaled,
        {"init_scale": [2.0**power for power in powers]},
        **sizes,
    ),
}

# %% [markdown]
# **Detector**: `underflow`, what a scale of the loss would keep, at the tenth update. Where in the
# network it is lost, and what a scale of $2^{16}$ leaves of that, the gradient in float32 tells.

# %%
lost = runs["float16"].evaluations["underflow"][0, :, 0]  # [seed]
print(f"underflow: {lost.min():.0%} to {lost.max():.0%} over seeds")
images_seen, start = images.batch(key, 0), half.init(key)


@jax.jit
def gradient(task, factor):
    return jax.grad(lambda params: factor * task.loss(params, images_seen, key))(start)


exact = gradient(network(jnp.float32), 1.0)
for power in (0, 16):
    found = gradient(half, 2.0**power)
    shares = {k: float(np.mean((found[k] == 0) & (exact[k] != 0))) for k in found}
    told = ", ".join(f"{layer} {shares[layer]:.1%}" for layer in ("first", "middle", "last"))
    print(f"0 only in float16, with a scale of 2^{power}: {told}")

# %% [markdown]
# **Result**: the loss, and the scale.

# %%
curves = {name: runs[name].traces["loss"][0] for name in ("float32", "float16")}
for power, losses in zip(powers, runs["float16, scaled"].traces["loss"], strict=True):
    curves[f"float16, scale from $2^{{{power}}}$"] = losses  # [seed, step]
colours = dict(zip(curves, [GREY, RED, SKY, BLUE, GREEN], strict=True))
figure, (left, right) = plt.subplots(ncols=2, figsize=(8, 3.4))
for name, losses in curves.items():
    left.plot(losses.mean(axis=0), color=colours[name], lw=1, label=name)
    last = losses[:, -sizes["steps"] // 10 :].mean(axis=1)
    print(f"{name.replace('$', ''):26} {last.mean():.2f} ± {last.std(ddof=1):.2f}")
left.set(ylim=(0, 2.5), xlabel="update", ylabel="training loss in nats\n(mean over seeds)")
run = runs["float16, scaled"]
for of, colour in zip(run.evaluations["scale"], list(colours.values())[2:], strict=True):
    right.plot(run.evaluation_steps, of.T, color=colour, lw=1)
right.set_yscale("log", base=2)
right.set(xlabel="update", ylabel="scale of the loss\n(each seed)")
figure.legend(loc="outside upper left", ncols=3)
plt.show()

# %% [markdown]
# In float16 most of the first layer's gradient is lost, and the loss stays at that of guessing,
# log 10 = 2.30. With a scale from $2^{16}$ or $2^{40}$ it falls nearly as in float32. The scale
# finds its place near $2^{20}$: from above it halves at each update that overflows and is skipped;
# from below it takes 20 doublings, here 200 updates, and the loss waits for it.
