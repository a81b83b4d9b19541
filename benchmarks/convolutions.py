"""What do XLA's own convolutions cost in a sweep, over those by patches and a matrix product?

Trials of a network of two convolutions (3 x 3, the second of stride 2) and a linear layer are
trained by Adam on scikit-learn's digits, in the sweep's own program: with
``gdjax.conv_general_dilated``, as the task ``digits_cnn`` is, and with JAX's. On a CPU the former
gathers patches; on other devices both are the same.
"""

import argparse
import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import optax

import gdjax
from benchmarks import harness

CONVOLUTIONS = {"gdjax": gdjax.conv_general_dilated, "jax": jax.lax.conv_general_dilated}
SIZES = (((16, 32), 32), ((16, 32), 64), ((32, 64), 64))  # channels and batch size


def loss(params: Any, batch: Any, key: jax.Array, convolve: Callable[..., jax.Array]) -> jax.Array:
    """Cross-entropy of the network of ``gdjax.problems.digits_cnn``."""
    del key
    *layers, last = params
    x = batch["x"]
    for layer, stride in zip(layers, (1, 2), strict=True):
        strides, layouts = (stride, stride), ("NHWC", "HWIO", "NHWC")
        x = convolve(x, layer["w"], strides, "SAME", dimension_numbers=layouts)
        x = jax.nn.relu(x + layer["b"][None, None, None])
    logits = x.reshape(len(x), -1) @ last["w"] + last["b"][None]
    return optax.softmax_cross_entropy_with_integer_labels(logits, batch["y"]).mean()


def tasks(channels: tuple[int, int], batch_size: int) -> dict[str, gdjax.Task]:
    """The same training by each convolution."""
    whole = gdjax.problems.digits_cnn(channels, batch_size)
    return {
        name: dataclasses.replace(
            whole,
            loss=gdjax.Bound(loss, structure={"convolve": convolve}),
            evaluate=None,
            objective="loss",
        )
        for name, convolve in CONVOLUTIONS.items()
    }


def run(arguments: argparse.Namespace) -> list[harness.Row]:
    """Measure every size."""
    rows = []
    for channels, batch_size in SIZES[: 1 if arguments.quick else None]:
        harness.progress(f"channels {channels}, batches of {batch_size}")
        candidates = {
            n: functools.partial(harness.train, t, arguments)
            for n, t in tasks(channels, batch_size).items()
        }
        times = harness.interleaved(candidates, arguments.rounds, lambda candidate: candidate())
        rows.append(
            {
                "channels": " ".join(map(str, channels)),
                "batch_size": batch_size,
                "trials": arguments.trials,
                "steps": arguments.steps,
                "gdjax_seconds": harness.quartiles(times["gdjax"]),
                "jax_seconds": harness.quartiles(times["jax"]),
                "jax_over_gdjax": harness.quartiles(np.divide(times["jax"], times["gdjax"])),
            }
        )
    return rows


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What only this benchmark takes."""
    parser.add_argument("--trials", type=int, default=8, help="default: 8")
    parser.add_argument("--steps", type=int, default=20, help="updates in a run; default: 20")
    parser.add_argument("--devices", type=int, default=1, help="of the CPU; default: 1")


BENCHMARK = harness.Benchmark(
    "convolutions", __doc__ or "", run, rounds=5, quick_rounds=2, add_arguments=add_arguments
)

if __name__ == "__main__":
    harness.main(BENCHMARK)
