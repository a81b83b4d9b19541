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
# # Vanishing gradients
#
# **Symptom.** A deep network does not learn: the loss stays where guessing leaves it, whatever the
# learning rate.
#
# **Detector.** The gradient's norm by layer, first to last, of the monitor `norms`; the share of
# saturated units, of `units`.
#
# **Remedy.** ReLU with He's initialization, which keeps the size of what is passed on; residual
# connections, past which the gradient goes. For a single unit on its plateau: steps that do not
# depend on the gradient's size.

# %%
import itertools
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
SEEDS, STEPS = (2, 20) if FAST else (5, 300)
NOTEBOOK = {"figure.dpi": 90, "figure.constrained_layout.use": True, "text.parse_math": True}
plt.style.use(["default", canvas.STYLE, NOTEBOOK])
BLUE, RED, GREEN, PINK, *_ = FAMILY_COLOURS

# %% [markdown]
# ## One unit: half of (sigmoid(x) - 0.8) squared, from x = 5
#
# At 5 the slope of the logistic function is 0.007: the unit is saturated. The minimum is at
# log 4 = 1.39. Gradient descent creeps, and there is no sign of trouble but a small gradient. Rprop
# looks at the gradient's sign alone, Adam divides by its size.

# %%
plateau = gdjax.problems.sigmoid_plateau
one = gdjax.sweep(
    plateau.task(),
    {"sgd": gdjax.sgd, "adam": gdjax.adam, "rprop": gdjax.rprop},
    {"learning_rate": 0.1},
    steps=1000,
    segment=10,
)
figure, axes = plt.subplots(figsize=(7, 3))
for distance, name, colour in zip(
    one.evaluations["distance_to_minimum"][:, 0], one.family, [BLUE, GREEN, RED], strict=True
):
    axes.plot(one.evaluation_steps, distance, color=colour, label=name)
    print(f"{name}: {distance[-1]:.5f} from the minimum after 1000 updates")
axes.set(xscale="log", xlabel="update", ylabel="distance from the minimum")
figure.legend(loc="outside upper left", ncols=3)
plt.show()

# %% [markdown]
# ## Twenty layers
#
# Back through each layer the gradient is multiplied by weights and by a slope, which for a logistic
# unit is 1/4 at most. Here are twenty hidden layers of 32 units, for digits; only what the function
# `network` is given changes.

# %%
DEPTH, WIDTH = (6 if FAST else 20), 32
images = gdjax.problems.digits(batch_size=32)


def network(activation, initializer, residual=False):
    """The task of digits with a deep network."""
    shapes = list(itertools.pairwise([64, *[WIDTH] * DEPTH, 10]))

    def init(key):
        keys = jax.random.split(key, len(shapes))
        return [
            {"w": initializer(key, shape), "b": jnp.zeros(shape[1])}
            for key, shape in zip(keys, shapes, strict=True)
        ]

    def loss(params, batch, key):
        first, *hidden, last = params
        x = activation(batch["x"] @ first["w"] + first["b"][None])
        for layer in hidden:
            y = activation(x @ layer["w"] + layer["b"][None])
            x = x + y / np.sqrt(DEPTH) if residual else y
        logits = x @ last["w"] + last["b"][None]
        return optax.softmax_cross_entropy_with_integer_labels(logits, batch["y"]).mean()

    task = gdjax.Task(init, loss, images.batch)
    return task.with_monitors(diagnostics.norms(), diagnostics.units())


initializers = jax.nn.initializers
networks = {
    "sigmoid, N(0, 1)": network(jax.nn.sigmoid, initializers.normal(1.0)),
    "sigmoid, Xavier": network(jax.nn.sigmoid, initializers.glorot_normal()),
    "ReLU, He": network(jax.nn.relu, initializers.he_normal()),
    "ReLU, He, residual": network(jax.nn.relu, initializers.he_normal(), residual=True),
}
rates = [0.01, 0.1, 1.0]
results = {
    name: gdjax.sweep(
        task, gdjax.sgd, {"learning_rate": rates}, seeds=SEEDS, steps=STEPS, segment=1
    )
    for name, task in networks.items()
}

# %% [markdown]
# **Detector**: before the first update, the norm of the gradient that each layer gets.

# %%
colours = dict(zip(networks, [GREY, BLUE, RED, GREEN], strict=True))
figure, axes = plt.subplots(figsize=(7, 3.5))
for name, result in results.items():
    seen = {key: values[0, :, 0] for key, values in result.evaluations.items()}  # [seed]
    layers = np.stack([seen[f"gradient_norm.{i}"] for i in range(DEPTH + 1)])  # [layer, seed]
    axes.plot(layers.mean(axis=1), color=colours[name], label=name)
    axes.fill_between(
        range(DEPTH + 1),
        layers.min(axis=1),
        layers.max(axis=1),
        color=colours[name],
        alpha=0.2,
        lw=0,
    )
    ratio = layers[0] / layers[-1]
    off = "saturated_units" if "saturated_units" in seen else "dead_units"
    print(
        f"{name:20} first to last {ratio.min():.1e} to {ratio.max():.1e}, "
        f"{off} {seen[off].mean():.2f}"
    )
axes.set(
    yscale="log", xlabel="layer", ylabel="gradient norm at the start\n(mean and range over seeds)"
)
axes.set_xticks(range(0, DEPTH + 1, 5))
figure.legend(loc="outside upper left", ncols=4)
plt.show()

# %% [markdown]
# With weights from N(0, 1) a part of the units is saturated. With Xavier's none is, and it is
# worse: weights are smaller, and a slope of 1/4 is the best there is. `saturated_units` alone does
# not find vanishing gradients; the norms by layer do.
#
# **Result**: each network at the best of three rates, by the mean loss of the last tenth of a run.

# %%
figure, axes = plt.subplots(figsize=(7, 3.5))
for name, result in results.items():
    losses = result.traces["loss"]  # [rate, seed, step]
    last = losses[..., -STEPS // 10 :].mean(axis=-1)  # [rate, seed]
    best = np.nan_to_num(last.mean(axis=1), nan=np.inf).argmin()
    told = f"loss {last[best].mean():.3f} ± {last[best].std(ddof=1):.3f}"
    print(f"{name:20} rate {rates[best]:<4g} {told}")
    axes.plot(losses[best].mean(axis=0), color=colours[name], label=name, lw=1)
axes.axhline(np.log(10), color=GREY, linestyle="--", lw=1)
axes.set(
    xlabel="update",
    ylabel="training loss in nats\n(mean over seeds; dashed: guessing)",
    ylim=(0, 3),
)
figure.legend(loc="outside upper left", ncols=4)
plt.show()

# %% [markdown]
# Both sigmoid networks stay at the loss of guessing at every rate. He's initialization with ReLU
# learns; residual connections, with branches divided by the root of the depth, learn far faster.
