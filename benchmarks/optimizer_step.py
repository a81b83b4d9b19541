"""What does one optimizer step cost against Optax's?

Both libraries get the same expression. A step updates the parameters from given gradients in
one jitted program, parameters and state donated. ``gdjax`` closes over its optimizer, as Optax
must; ``gdjax as argument`` passes it to the program, whose hyperparameters may then change
without another compilation.

Bytes and temporaries are the compiler's own figures, per byte of the parameters. Seconds of
tracing, lowering and compiling are medians of fresh compilations from empty caches.
"""

import argparse
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import gdjax
from benchmarks import harness

OPTIMIZERS: dict[str, Callable[[Any], optax.GradientTransformation]] = {
    "sgd": lambda library: library.sgd(1e-3),
    "sgd with momentum": lambda library: library.sgd(1e-3, momentum=0.9),
    "adam": lambda library: library.adam(1e-3),
    "adamw": lambda library: library.adamw(1e-3),
    "clip and adamw": lambda library: library.chain(
        library.clip_by_global_norm(1.0), library.adamw(1e-3)
    ),
}
BASELINE = "optax"
BYTES_IN_A_ROUND = 2**25  # of parameters stepped over, so that a round outlasts the clock's noise


def step(params: Any, state: Any, gradients: Any, optimizer: Any) -> tuple[Any, Any]:
    """One update of the parameters."""
    updates, state = optimizer.update(gradients, state, params)
    return optax.apply_updates(params, updates), state


def transformer_shapes(width: int, layers: int, vocabulary: int, length: int) -> dict[str, Any]:
    """Shapes of a small decoder: 16 leaves a layer and 8 more; 200 with 12 layers."""

    def dense(inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
        return {"kernel": (inputs, outputs), "bias": (outputs,)}

    norm = {"scale": (width,), "bias": (width,)}
    attention = {name: dense(width, width) for name in ("query", "key", "value", "output")}
    mlp = {"up": dense(width, 4 * width), "down": dense(4 * width, width)}
    layer = {"attention_norm": norm, "attention": attention, "mlp_norm": norm, "mlp": mlp}
    return {
        "embedding": {"token": (vocabulary, width), "position": (length, width), "norm": norm},
        "layers": [layer] * layers,
        "norm": norm,
        "head": dense(width, vocabulary),
    }


def shapes_by_name(quick: bool, large: bool) -> dict[str, Any]:
    """The parameter trees that are stepped over."""
    side = 4096 if large else 1024 if quick else 2048
    layers = 4 if quick else 12
    transformer = transformer_shapes(width=128, layers=layers, vocabulary=1024, length=256)
    leaves = len(jax.tree.leaves(transformer, is_leaf=_is_shape))
    return {
        "matrix 1024 x 1024": {"w": (1024, 1024)},
        f"2 matrices {side} x {side}": {"a": (side, side), "b": (side, side)},
        f"transformer of {leaves} leaves": transformer,
    }


def make(shapes: Any, seed: int) -> Any:
    """Normal float32 arrays of the given shapes."""
    generator = np.random.default_rng(seed)

    def leaf(shape: tuple[int, ...]) -> jax.Array:
        return jnp.asarray(generator.standard_normal(shape, dtype=np.float32))

    return jax.tree.map(leaf, shapes, is_leaf=_is_shape)


def programs(expression: Callable[[Any], Any], params: Any, gradients: Any) -> dict[str, tuple]:
    """By candidate a jitted step and its arguments."""
    candidates: dict[str, tuple] = {}
    for name, library in ((BASELINE, optax), ("gdjax", gdjax)):
        optimizer = expression(library)
        jitted = jax.jit(functools.partial(step, optimizer=optimizer), donate_argnums=(0, 1))
        candidates[name] = jitted, (params, optimizer.init(params), gradients)
    optimizer = expression(gdjax)
    jitted = jax.jit(step, donate_argnums=(0, 1))
    arguments = params, optimizer.init(params), gradients, optimizer
    return {**candidates, "gdjax as argument": (jitted, arguments)}


def runner(compiled: Any, arguments: tuple, steps: int) -> harness.Candidate:
    """A candidate that makes some steps, each from where the last one ended."""
    carry, rest = jax.tree.map(jnp.array, arguments[:2]), arguments[2:]

    def run() -> Any:
        nonlocal carry
        for _ in range(steps):
            carry = compiled(*carry, *rest)
        return carry

    return run


def rows(name: str, optimizer: str, shapes: Any, rounds: int, compilations: int) -> list[Any]:
    """Measure one optimizer on one parameter tree."""
    params, gradients = make(shapes, 0), make(shapes, 1)
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(params))
    steps = max(1, BYTES_IN_A_ROUND // size)
    candidates = programs(OPTIMIZERS[optimizer], params, gradients)
    costs = harness.interleaved_costs(candidates, compilations)
    runners = {k: runner(costs[k].compiled, args, steps) for k, (_, args) in candidates.items()}
    times = {k: v / steps for k, v in harness.interleaved(runners, rounds).items()}
    ratios = harness.ratios(times, BASELINE)
    return [
        {
            "parameters": name,
            "optimizer": optimizer,
            "library": library,
            "bytes_accessed_per_parameter_byte": _per(cost.bytes_accessed, size),
            "temporary_bytes_per_parameter_byte": _per(cost.temporary_bytes, size),
            "flops_per_parameter": _per(cost.flops, size / 4),
            "trace_seconds": cost.trace_seconds,
            "lower_seconds": cost.lower_seconds,
            "compile_seconds": cost.compile_seconds,
            "seconds_per_step": harness.quartiles(times[library]),
            "step_time_ratio_to_optax": ratios[library],
        }
        for library, cost in costs.items()
    ]


def run(arguments: argparse.Namespace) -> list[harness.Row]:
    """Measure every optimizer on every parameter tree."""
    compilations = arguments.compilations or (1 if arguments.quick else 3)
    trees = shapes_by_name(arguments.quick, arguments.large)
    measured = []
    for name, shapes in trees.items():
        for optimizer in arguments.optimizers or OPTIMIZERS:
            harness.progress(f"{name}: {optimizer}")
            measured += rows(name, optimizer, shapes, arguments.rounds, compilations)
    return measured


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What only this benchmark takes."""
    parser.add_argument("--large", action="store_true", help="two matrices of 16.8 M numbers")
    parser.add_argument("--optimizers", nargs="+", choices=OPTIMIZERS, help="default: all")
    parser.add_argument("--compilations", type=int, help="fresh compilations of each program")


def _is_shape(x: Any) -> bool:
    return isinstance(x, tuple)


def _per(amount: float | None, size: float) -> float | None:
    return None if amount is None else amount / size


BENCHMARK = harness.Benchmark(
    "optimizer_step", __doc__ or "", run, rounds=15, quick_rounds=5, add_arguments=add_arguments
)

if __name__ == "__main__":
    harness.main(BENCHMARK)
