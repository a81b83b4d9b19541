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
# # Saddle points: the gradient vanishes, but this is no minimum
#
# At a saddle the loss has a way down that the gradient does not show: the gradient is 0, and the
# smallest eigenvalue of the Hessian is negative. Near one, descent is slow; exactly on one, or on
# the ridge that leads to it, it stays. That is no rare accident: a network whose weights are all
# equal at the start is on such a ridge.

# %%
import dataclasses
import os

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import gdjax
from gdjax.diagnostics import norms, spectrum
from gdjax.problems import beale, digits, monkey_saddle
from gdjax.report.canvas import STYLE
from gdjax.report.scales import FAMILY_COLOURS, GREY

FAST = os.environ.get("GDJAX_FAST") == "1"
SEEDS, NETWORK_SEEDS = (5, 5) if FAST else (64, 16)
STEPS = 600
plt.style.use([STYLE, {"figure.dpi": 100, "text.parse_math": True}])  # for powers of ten
# %matplotlib inline

# %% [markdown]
# ## Symptom
# Beale's function has its minimum, 0, at (3, 0.5), and a saddle at (0, 1). Started there, gradient
# descent makes no step at all, and neither do momentum and Adam: all that they do is to rescale
# and to add up gradients, and these are exactly 0.

# %%
at_saddle = beale.task(start=[0.0, 1.0])
without_noise = {
    "gradient descent": gdjax.sgd(0.002),
    "momentum": gdjax.sgd(0.002, momentum=0.9),
    "Adam": gdjax.adam(0.01),
}
for name, optimizer in without_noise.items():
    run = gdjax.train(at_saddle, optimizer, STEPS, key=0)
    print(f"{name:16} after {STEPS} steps at {run.params}, loss {run.traces['loss'][-1]:.3f}")

# %% [markdown]
# ## Detector
# Two monitors tell a saddle from a minimum: `norms` has the gradient's norm, `spectrum` the
# smallest eigenvalue of the Hessian by Lanczos, and a residual within which an eigenvalue lies. A
# small norm with an eigenvalue that is negative by more than its residual is a way down that the
# gradient does not show.
#
# The monkey saddle, `x^3 - 3 x y^2`, shows the limit of this: at its centre the Hessian is 0, and
# does not tell. From (1, 0) descent creeps along the ridge `y = 0` towards it, and on the ridge the
# detector does tell: the gradient, `3 x^2`, vanishes faster than the curvature, `-6 x`.
#
# The network is a perceptron with 16 hidden units for handwritten digits, trained on a fixed set of
# 128 images so that the gradient has no noise. With all weights equal, all hidden units have the
# same gradient, remain equal, and are worth one unit.

# %%
drawn = digits(hidden=(16,), batch_size=128)
images = drawn.batch(jax.random.key(0), 0)
random_weights = jax.vmap(drawn.init)(jax.random.split(jax.random.key(2), NETWORK_SEEDS))
equal_weights = jax.tree.map(lambda leaf: jnp.full_like(leaf, 0.1), random_weights)  # [seed, ...]


def network(weights):
    """The perceptron, trained on the same images at each step from given weights."""
    init = gdjax.bind(lambda key, weights: weights, weights=weights)
    return dataclasses.replace(drawn, init=init, batch=lambda key, step: images)


@jax.jit
def look(task, optimizer):
    """What the monitors see at the last step."""
    watched = task.with_monitors(norms(), spectrum(iterations=16))
    return gdjax.train(watched, optimizer, STEPS, key=0).evaluation


symmetric = network(jax.tree.map(lambda leaf: leaf[0], equal_weights))
cases = {
    "Beale, at (0, 1)": (at_saddle, gdjax.sgd(0.002)),
    "Beale, from (2.5, 0.4)": (beale.task(start=[2.5, 0.4]), gdjax.sgd(0.02)),
    "monkey saddle, at (0, 0)": (monkey_saddle.task(start=[0.0, 0.0]), gdjax.sgd(0.01)),
    "monkey saddle, from (1, 0)": (monkey_saddle.task(start=[1.0, 0.0]), gdjax.sgd(0.01)),
    "digits, all weights equal": (symmetric, gdjax.sgd(0.1)),
}
print(f"{'':28}gradient norm   lowest curvature ± residual")
for name, case in cases.items():
    seen = look(*case)
    low, residual = seen["lowest_curvature"], seen["lowest_residual"]
    verdict = "a way down" if low < -residual else "none seen"
    print(f"{name:28}{seen['gradient_norm']:13.4f}{low:12.3f} ± {residual:.0e}   {verdict}")

# %% [markdown]
# ## Remedies
# Each is one changed line. *Perturbed* gradient descent steps in a random direction where the
# gradient is small, and only there; *noise* is added at each step; *another start* is drawn around
# the saddle. Once a run is off the saddle by a distance `d`, each step of descent multiplies `d` by
# `1 + learning_rate * 27.75`, where -27.75 is the curvature that the detector found: few steps
# are enough.

# %%
around = beale.task(start=[0.0, 1.0], spread=0.001)
remedies = {
    "gradient descent": (at_saddle, lambda key: gdjax.sgd(0.002)),
    "perturbed": (at_saddle, lambda key: gdjax.perturbed_sgd(0.002, 1.0, 0.01, key)),
    "noise": (at_saddle, lambda key: gdjax.noisy_sgd(0.002, 0.01, key=key)),
    "another start": (around, lambda key: gdjax.sgd(0.002)),
}


@jax.jit
def losses(task, optimizers, keys):
    """The loss before each step, [seed, step]."""

    def run(optimizer, key):
        return gdjax.train(task, optimizer, STEPS, key).traces["loss"]

    return jax.vmap(run)(optimizers, keys)


def escape(loss):
    """The first step at which the loss is half of that of the saddle, [seed]; NaN if none is."""
    out = np.asarray(loss < beale([0.0, 1.0]) / 2)
    return np.where(out.any(axis=1), out.argmax(axis=1), np.nan)


def mean_and_spread(steps):
    return f"{steps.mean():5.1f} ± {steps.std():.1f} steps" if steps.size else "never"


keys, noise = (jax.random.split(jax.random.key(i), SEEDS) for i in range(2))
curves = {name: losses(t, jax.vmap(make)(noise), keys) for name, (t, make) in remedies.items()}
for name, loss in curves.items():
    steps = escape(loss)
    out = steps[~np.isnan(steps)]
    print(f"{name:17} {out.size:2} of {SEEDS} seeds escape: {mean_and_spread(out)}")

# %%
distances = jnp.geomspace(1e-6, 1e-1, 6 if FAST else 21)
way_down = jnp.array([1.0, -1.0]) / jnp.sqrt(2)
near = jax.vmap(beale.task)(jnp.array([[0.0, 1.0]]) + distances[:, None] * way_down[None])

figure, (left, right) = plt.subplots(1, 2, figsize=(7, 3.4), layout="constrained")
for (name, loss), hue in zip(curves.items(), (GREY, *FAMILY_COLOURS), strict=False):
    left.plot(np.asarray(loss[:16]).T, color=hue, lw=0.6, alpha=0.6)
    left.plot([], [], color=hue, label=name)
left.set(xlabel="step", ylabel="loss", title="from the saddle, up to 16 seeds each")
left.set(xlim=(0, 400), ylim=(0, 21))
left.legend(loc="upper right")
for (name, optimizer), hue in zip(without_noise.items(), (GREY, *FAMILY_COLOURS[4:]), strict=False):
    train = jax.jit(jax.vmap(lambda task, o=optimizer: gdjax.train(task, o, STEPS, key=0)))
    steps = escape(train(near).traces["loss"])
    slope = -np.polyfit(np.log10(distances), steps, 1)[0]
    print(f"{name:17} {slope:4.1f} steps for each factor of 10 nearer")
    right.semilogx(distances, steps, ".-", color=hue, label=name)
print(f"predicted for gradient descent: {np.log(10) / np.log1p(0.002 * 27.75):.1f}")
right.set(xlabel="distance of the start from the saddle", ylabel="steps to escape", ylim=(0, None))
_ = right.legend()

# %% [markdown]
# The runs leave the saddle in two directions: towards the minimum, and into a flat valley on the
# other side, where the loss is near 1.8. Near the saddle the steps to escape grow with the
# logarithm of the distance alone. Momentum takes fewer, and those of Adam, whose steps do not
# depend on the gradient's length, hardly grow. So both help near a saddle, and rounding alone is
# often enough of a distance. On the saddle they do not.

# %% [markdown]
# ## A symmetric network
# Here the ridge is the set of all weights with equal units, and it is wide: the loss falls on it.
# Momentum and Adam go on faster, but along the ridge; nothing but rounding can take them off it.
# Small noise does, and so does what everyone does: an initialization whose weights differ (He's).

# %%
trained = {
    "gradient descent": (equal_weights, lambda key: gdjax.sgd(0.1, momentum=0.0)),
    "momentum": (equal_weights, lambda key: gdjax.sgd(0.1, momentum=0.9)),
    "Adam": (equal_weights, lambda key: gdjax.adam(0.01)),
    "perturbed": (equal_weights, lambda key: gdjax.perturbed_sgd(0.1, 1.0, 0.1, key)),
    "noise": (equal_weights, lambda key: gdjax.noisy_sgd(0.1, 1e-4, key=key)),
    "random weights": (random_weights, lambda key: gdjax.sgd(0.1, momentum=0.0)),
}
if FAST:
    del trained["noise"]  # it takes long to compile


@jax.jit
def results(tasks, optimizers):
    """Loss of each step, [seed, step], and what is evaluated at the end, [seed]."""

    def run(task, optimizer):
        run = gdjax.train(task, optimizer, STEPS, key=0)
        units = run.params[0]["w"]  # [pixel, unit]
        return run.traces["loss"], run.evaluation["heldout_accuracy"], units.std(axis=1).max()

    return jax.vmap(run)(tasks, optimizers)


figure, axes = plt.subplots(figsize=(7, 3.2), layout="constrained")
hues = (GREY, *FAMILY_COLOURS[4:6], *FAMILY_COLOURS[:3])
for (name, (weights, make)), hue in zip(trained.items(), hues, strict=False):
    optimizers = jax.vmap(make)(noise[:NETWORK_SEEDS])
    loss, accuracy, apart = results(jax.vmap(network)(weights), optimizers)
    middle, low, high = np.quantile(loss, [0.5, 0, 1], axis=0)
    axes.plot(middle, color=hue, label=name)
    axes.fill_between(np.arange(STEPS), low, high, color=hue, alpha=0.2, lw=0)
    print(
        f"{name:17} held-out accuracy {accuracy.mean():.1%} ± {accuracy.std():.1%}, "
        f"units differ by {apart.mean():.0e}"
    )
axes.set(xlabel="step", ylabel="cross-entropy, nats", yscale="log")
_ = axes.legend(loc="lower left")

# %% [markdown]
# The runs on the ridge end far above the others. Those that leave it lose some 200 steps on it,
# then fall as from random weights. The noise of mini-batches does not help: it is the same for all
# units.
