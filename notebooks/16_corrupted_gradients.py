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
# # Corrupted gradients
#
# **Symptom.** Many workers send gradients, some of them garbage: broken hardware, bad data, bad
# will. The mean of all is garbage too, and training fails at every learning rate.
#
# **Detector.** `diagnostics.disagreement` of workers, the `tail_index` of their gradients' norms,
# and the noise scale.
#
# **Remedy.** Another rule than the mean: a median, a trimmed mean, or a bound on what each worker
# may send.

# %%
import os
from typing import NamedTuple

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from jax.flatten_util import ravel_pytree

import gdjax
from gdjax import diagnostics, trees
from gdjax.report import canvas
from gdjax.report.scales import FAMILY_COLOURS, GREY

jax.config.update("jax_num_cpu_devices", 2)  # a sweep lays trials over both
FAST = os.environ.get("GDJAX_FAST") == "1"
SEEDS, STEPS, RATES = (2, 20, [0.1]) if FAST else (5, 250, [0.1, 0.3, 1.0])
NOTEBOOK = {"figure.dpi": 90, "figure.constrained_layout.use": True, "text.parse_math": True}
plt.style.use(["default", canvas.STYLE, NOTEBOOK])
BLUE, RED, GREEN, *_ = FAMILY_COLOURS

# %% [markdown]
# ## Ten workers, two of which send garbage
#
# A linear classifier of digits; each worker has 8 images a step. What takes the gradient is a part
# of a task: here it returns one for each worker, by giving each a copy of the parameters, and puts
# garbage in the place of two of them. The rules that make one gradient of many stand first in the
# optimizer.

# %%
WORKERS, BROKEN, IMAGES = 10, 2, 8
GARBAGE = ["none", "Cauchy noise", "-10 times its gradient", "NaN"]
digits = gdjax.problems.digits(hidden=(), batch_size=WORKERS * IMAGES)


class Copies(NamedTuple):
    """Parameters of each worker, leaves ``[worker, ...]``."""

    params: dict


def loss(params, batch, key):
    """Mean over workers of their losses."""
    batch = jax.tree.map(lambda x: x.reshape(WORKERS, IMAGES, *x.shape[1:]), batch)
    params, axis = (params.params, 0) if isinstance(params, Copies) else (params, None)
    return jax.vmap(digits.loss, (axis, 0, None))(params, batch, key).mean()


def by_worker(loss_fn, has_aux, garbage):
    """The loss and the gradient that each worker sends."""

    def value_and_grad(params, key):
        copies = jax.tree.map(lambda p: jnp.broadcast_to(p, (WORKERS, *p.shape)), params)
        value, sent = jax.value_and_grad(loss_fn, has_aux=has_aux)(Copies(copies))
        sent = WORKERS * jax.vmap(lambda g: ravel_pytree(g)[0])(sent.params)  # [worker, number]
        own = sent[:BROKEN]
        cauchy = jax.random.cauchy(key, own.shape)
        kinds = jnp.stack([own, cauchy, -10 * own, jnp.full_like(own, jnp.nan)])
        return value, jax.vmap(ravel_pytree(params)[1])(sent.at[:BROKEN].set(kinds[garbage]))

    return value_and_grad


task = gdjax.Task(
    digits.init,
    loss,
    digits.batch,
    digits.evaluate,
    objective="heldout_accuracy",
    mode="max",
    value_and_grad=gdjax.bind(by_worker, garbage=0),
)

# %% [markdown]
# ## Detected
#
# At the start of training, for 40 batches: how far each worker points away from the median of all,
# and how long its gradient is. The noise scale is that of the monitor `noise`, with workers for its
# microbatches.


# %%
@jax.jit
def look(params, keys, garbage):
    """Disagreement of each worker, tail index of all norms, noise scale."""

    def one(key):
        batch = task.batch(key, 0)
        _, gradients = by_worker(lambda p: loss(p, batch, key), False, garbage)(params, key)
        mean, _ = gdjax.mean_of_workers().update(gradients, None)
        norms = jax.vmap(trees.global_norm)(gradients)
        return diagnostics.disagreement(gradients), norms, trees.global_norm(mean) ** 2

    apart, norms, of_mean = jax.vmap(one)(keys)  # [draw, ...]
    of_each = (norms**2).mean(axis=1)
    variance = (of_each - of_mean) / (1 / IMAGES - 1 / (WORKERS * IMAGES))
    signal = (WORKERS * of_mean - of_each) / (WORKERS - 1)
    index = diagnostics.tail_index(norms.ravel())
    return apart, index, diagnostics.noise_scale(variance, signal).value


start, keys = task.init(jax.random.key(0)), jax.random.split(jax.random.key(1), 40)
figure, columns = plt.subplots(1, len(GARBAGE), figsize=(7, 2.6), sharey=True)
print(f"{'':24}tail index   noise scale, images   disagreement: honest  broken")
for i, (axes, name) in enumerate(zip(columns, GARBAGE, strict=True)):
    apart, (index, error), scale = jax.tree.map(np.asarray, look(start, keys, i))
    for worker in range(WORKERS):
        x = worker + np.linspace(-0.3, 0.3, len(apart))
        axes.plot(x, apart[:, worker], ".", color=RED if worker < BROKEN and i else BLUE, ms=2)
    axes.set(title=name, xlabel="worker", xticks=[0, 5, 9])
    honest, broken = apart[:, BROKEN:].mean(), apart[:, :BROKEN].mean()
    print(f"{name:24}{index:5.2f} ± {error:.2f}{scale:18.2g}{honest:27.2f}{broken:8.2f}")
columns[0].set(ylabel="1 - cosine with the median")
plt.show()

# %% [markdown]
# - *Disagreement*, averaged over batches, tells the broken workers from the others in each case.
#   One batch does not always: workers with few images disagree much by themselves.
# - *The tail index* is below 2 for Cauchy noise, and 0 where a norm is not finite. It does not see
#   gradients that are all ten times too long: their tail is no power.
# - *The noise scale* is 33 images without garbage, and beyond all batch sizes with it: no batch is
#   large enough.

# %% [markdown]
# ## Remedies
#
# Each at the best of three learning rates, by the mean over seeds of the held-out accuracy.

# %%
mean = gdjax.mean_of_workers
rules = {
    "mean": lambda rate: gdjax.chain(mean(), gdjax.sgd(rate)),
    "mean, momentum": lambda rate: gdjax.chain(mean(), gdjax.sgd(rate, momentum=0.9)),
    "mean of 4 batches": lambda rate: gdjax.chain(mean(), gdjax.multi_steps(gdjax.sgd(rate), 4)),
    "mean, clipped": lambda rate: gdjax.chain(
        mean(), gdjax.zero_nans(), gdjax.clip_by_global_norm(1.0), gdjax.sgd(rate)
    ),
    "each clipped, mean": lambda rate: gdjax.chain(
        gdjax.zero_nans(), gdjax.dpsgd(rate, l2_norm_clip=1.0, noise_multiplier=0.0, key=0)
    ),
    "median": lambda rate: gdjax.chain(gdjax.median_of_workers(), gdjax.sgd(rate)),
    "trimmed mean": lambda rate: gdjax.chain(gdjax.trimmed_mean_of_workers(0.2), gdjax.sgd(rate)),
    "geometric median": lambda rate: gdjax.chain(
        gdjax.geometric_median_of_workers(), gdjax.sgd(rate)
    ),
}
if FAST:
    rules = {name: rules[name] for name in ("mean", "median")}
result = gdjax.sweep(
    task,
    rules,
    {"rate": RATES, "garbage": list(range(len(GARBAGE)))},
    seeds=SEEDS,
    steps=STEPS,
)

# %%
accuracy = np.nan_to_num(result.final("heldout_accuracy"), nan=0.1)  # diverged: chance
figure, axes = plt.subplots(figsize=(7, 3.6))
print("held-out accuracy, mean ± deviation over seeds\n" + " " * 18 + "  ".join(GARBAGE))
for i, rule in enumerate(rules):
    told = f"{rule:18}"
    for j, colour in enumerate([GREY, BLUE, RED, GREEN]):
        of = accuracy[(result.family == rule) & (result.settings["garbage"] == j)]  # [rate, seed]
        best = of[of.mean(axis=1).argmax()]
        told += f"{best.mean():6.3f} ± {best.std(ddof=1):.3f}  "
        y = i + 0.18 * (j - 1.5)
        axes.plot(best, [y] * SEEDS, "|", color=colour, ms=6)
        axes.plot(best.mean(), y, "o", color=colour, ms=5, label=None if i else GARBAGE[j])
    print(told)
axes.set_yticks(range(len(rules)), rules)
axes.invert_yaxis()
axes.set(xlabel=f"held-out accuracy after {STEPS} updates (strokes: seeds, dots: mean)")
figure.legend(loc="outside upper left", ncols=4, title="garbage of 2 workers of 10")
plt.show()

# %% [markdown]
# - *The mean* fails with any garbage, at its best rate. Momentum and larger batches average more of
#   it; clipping the mean bounds a step whose direction is garbage. None of them helps.
# - *Bounding each worker* before the mean does, at no cost here where all are honest; the bound has
#   to be chosen. The robust rules need none. Of them the geometric median loses least: it is nearly
#   as good as the mean of honest workers, where the median of each coordinate and the trimmed mean
#   cost two to three hundredths of accuracy.
