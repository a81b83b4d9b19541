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
# # Unseen trouble
#
# **Symptom.** A run ends badly, and the loss does not say why.
#
# **Detector.** `gdjax.diagnose`: runs with all monitors, others beside them that differ in one
# thing, and rules that name what they find. In a sweep: monitors, whose measurements go into its
# report, into files and to TensorBoard, and `gdjax.diagnose_sweep`.
#
# **Remedy.** The code that each finding brings.

# %%
import dataclasses
import os
import pathlib
import tempfile

import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import gdjax
from gdjax import diagnostics
from gdjax.report import canvas
from gdjax.report.scales import FAMILY_COLOURS

FAST = os.environ.get("GDJAX_FAST") == "1"
SEEDS, STEPS = (2, 120) if FAST else (5, 600)
NOTEBOOK = {"figure.dpi": 90, "figure.constrained_layout.use": True, "text.parse_math": True}
plt.style.use(["default", canvas.STYLE, NOTEBOOK])
BLUE, RED, *_ = FAMILY_COLOURS

# %% [markdown]
# ## A run that ends badly
#
# A perceptron learns digits. In one batch of 50 the pixels have not been scaled to [0, 1]: they go
# up to 16, and then once more are multiplied by 16. Nothing in the code below says so.

# %%
digits = gdjax.problems.digits(hidden=(32,))


def batch(key, step):
    """A batch as it comes from somewhere."""
    images = digits.batch(key, step)
    return images | {"x": images["x"] * jnp.where(step % 50 == 49, 256, 1)}


task = dataclasses.replace(digits, batch=batch)
optimizer = gdjax.sgd(0.1)
run = gdjax.train(task, optimizer, STEPS, key=0)
print(f"held-out accuracy {run.evaluation['heldout_accuracy']:.0%}")

# %% [markdown]
# ## What is wrong?

# %%
diagnosis = gdjax.diagnose(task, optimizer, steps=STEPS, seeds=SEEDS)
print(diagnosis)

# %% [markdown]
# ## In the log of a sweep
#
# The same evidence, where it is collected while one trains. The economy set costs a quarter to a
# third of an update at every one (`python -m benchmarks.monitors`); here it looks at each, since a
# single batch is to be found. The page that `gdjax.report.write` makes has the diagnosis of the
# best trial above the curves, of which those that tell most come first.

# %%
watched = task.with_monitors(*diagnostics.economy())
directory = pathlib.Path(tempfile.mkdtemp())
space = {"learning_rate": [0.01, 0.1]}
result = gdjax.sweep(watched, gdjax.sgd, space, seeds=SEEDS, steps=STEPS, segment=1)
result.save(directory)
result.to_tensorboard(directory / "tensorboard")
gdjax.report.write(result, directory)
page = (directory / "report.html").read_text()
best = gdjax.diagnose_sweep(result)
print(best.challenges, "in the page:", all(name in page for name in best.challenges))
print(*sorted(path.name for path in directory.iterdir()), sep=", ")

# %% [markdown]
# The gradient's norm at each update, of one seed; marked is what `diagnostics.spikes` finds: a
# value far above those before it.

# %%
norms = result.evaluations["gradient_norm"][1, 0]  # [update]
marked = np.flatnonzero(diagnostics.spikes(norms, factor=30.0))
figure, axes = plt.subplots(figsize=(7, 3))
axes.plot(range(1, STEPS + 1), norms, color=BLUE, lw=1)
axes.plot(marked + 1, norms[marked], "o", color=RED, ms=5)
axes.set(yscale="log", xlabel="update", ylabel="gradient norm")
plt.show()
print("marked updates:", *(marked + 1).tolist())

# %% [markdown]
# ## The remedy
#
# The first finding's code, pasted as it is printed above, and the same number of updates again.

# %%
pasted = {"gdjax": gdjax, "task": task, "optimizer": optimizer}
remedy = next(f for f in diagnosis.findings if f.challenge == "exploding gradients").remedy
print(remedy)
exec(remedy, pasted)
cured = pasted["optimizer"]

# %%
with_rate = {
    "plain": lambda rate: gdjax.chain(optimizer, gdjax.scale(rate)),
    "clipped": lambda rate: gdjax.chain(cured, gdjax.scale(rate)),
}
compared = gdjax.sweep(task, with_rate, {"rate": 1.0}, seeds=SEEDS, steps=STEPS, segment=10)
figure, axes = plt.subplots(figsize=(7, 3))
for i, (name, colour) in enumerate(zip(with_rate, (RED, BLUE), strict=True)):
    accuracy = 100 * compared.evaluations["heldout_accuracy"][i]  # [seed, evaluation]
    steps = compared.evaluation_steps
    axes.plot(steps, accuracy.mean(axis=0), color=colour, label=name)
    axes.fill_between(
        steps, accuracy.min(axis=0), accuracy.max(axis=0), color=colour, alpha=0.2, lw=0
    )
    print(
        f"{name:8} held-out accuracy {accuracy[:, -1].mean():.1f} ± {accuracy[:, -1].std():.1f} %"
    )
axes.set(xlabel="update", ylabel="held-out accuracy in %\n(mean and range over seeds)")
figure.legend(loc="outside upper left", ncols=2)
plt.show()

# %%
again = gdjax.diagnose(task, cured, steps=STEPS, seeds=SEEDS)
print(again.challenges or "nothing found")

# %% [markdown]
# The batches are still what they were, and gradients still jump; but an optimizer that clips them
# is no patient. The page and `gdjax diagnose DIRECTORY` tell the same of a sweep on disk.
