"""Which numeric arguments of Optax's factories can be traced, vmapped and differentiated?

For every public factory of Optax and each of its numeric arguments: in Optax itself, where the
factory is called with a tracer; through ``gdjax.lift``; and in gdjax's own factory of that name.
A short run on a quadratic loss is made of it, in which one coordinate's gradient is always 0 and
all gradients are 0 in the first step. Arguments that have a default are at it.

``j``: the run is traced under ``jax.jit`` with that argument as an input. ``v``: it goes through
``jax.vmap`` over it. ``d``: the derivative of the run's result with respect to it is finite. A
dash stands for what fails, ``static`` for what is structure (``lift`` must be told so). Nothing
stands for an argument that is not there, or whose factory needs here what Optax's does not take;
``d`` has no place where the argument is a whole number or a key.
"""

import argparse
import functools
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import gdjax
from benchmarks import factories, harness
from benchmarks.factories import Factory
from gdjax import ranges

Make = Callable[..., Any]


def verdicts(make: Make, factory: Factory, names: list[str]) -> dict[str, str]:
    """By name the letters of what can be done with each argument of ``make``."""
    arguments = factory.defaults()
    values = {k: jax.tree.map(jnp.asarray, arguments[k]) for k in names}

    def run(given: dict[str, Any]) -> Any:
        return factories.run(make(**{**arguments, **given}), factory)

    def batched(given: dict[str, Any]) -> Any:
        stacked = jax.tree.map(lambda x: jnp.stack([x, x]), given)
        return jax.vmap(run)(stacked)

    traced = _possible(run, values)
    vmapped = _possible(batched, {k: values[k] for k in traced})
    floats = {k: v for k, v in values.items() if _is_float(v)}
    finite = _finite(run, {k: v for k, v in floats.items() if k in traced})
    return {
        k: ("j" if k in traced else "-")
        + ("v" if k in vmapped else "-")
        + (("d" if k in finite else "-") if k in floats else "")
        for k in names
    }


def _possible(run: Callable[[dict], Any], values: dict[str, Any]) -> set[str]:
    """Names of the values that ``run`` takes as tracers."""

    def works(*names: str) -> bool:
        try:
            jax.eval_shape(run, {k: values[k] for k in names})
        except Exception:
            return False
        return True

    return set(values) if works(*values) else {k for k in values if works(k)}


def _finite(run: Callable[[dict], Any], values: dict[str, Any]) -> set[str]:
    """Names of the values with respect to which the result has a finite derivative."""

    def result(given: dict[str, Any]) -> Any:
        leaves = jax.tree.leaves(run(given))
        return sum(jnp.sum(x) for x in leaves if jnp.issubdtype(x.dtype, jnp.floating))

    def finite(names: tuple[str, ...]) -> set[str]:
        # Each program runs once: compiling it quickly is what counts.
        options = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
        tangents = jax.jit(jax.jacfwd(result), compiler_options=options)(
            {k: values[k] for k in names}
        )
        leaves = {k: jax.tree.leaves(v) for k, v in tangents.items()}
        return {k for k, v in leaves.items() if all(np.isfinite(x).all() for x in v)}

    def tried(*names: str) -> set[str]:
        try:
            return finite(names)
        except Exception:
            return set().union(*map(tried, names)) if len(names) > 1 else set()

    return tried(*values) if values else set()


def _is_float(value: Any) -> bool:
    return all(jnp.issubdtype(x.dtype, jnp.floating) for x in jax.tree.leaves(value))


def rows(factory: Factory) -> list[harness.Row]:
    """One row for each numeric argument."""
    names = list(factory.numbers())
    static = set(factory.static())
    native = _counterpart(factory)
    known = [k for k in names if native and k in factories.parameters(native)]
    sizes = {k for k in known if (i := ranges.interval_of(native, k)) and i.static}
    kept = {k: v for k, v in factory.defaults().items() if k in static}
    lifted = functools.partial(_called, factory.lifted(), kept)
    in_optax = verdicts(factory.function, factory, names)
    in_lift = verdicts(lifted, factory, [k for k in names if k not in static])
    numbers = [k for k in known if k not in sizes]
    in_gdjax = verdicts(functools.partial(_native, native), factory, numbers) if native else {}
    return [
        {
            "factory": str(factory),
            "argument": name,
            "Optax": in_optax[name],
            "gdjax.lift": "static" if name in static else in_lift[name],
            "gdjax": "static" if name in sizes else in_gdjax.get(name, ""),
        }
        for name in names
    ]


def _counterpart(factory: Factory) -> Any:
    """The factory of gdjax of that name, if it needs nothing that Optax's does not take."""
    native = getattr(gdjax, factory.name, None)
    if native is None:
        return None
    needed = {k for k, p in factories.parameters(native).items() if p.default is p.empty}
    return native if needed <= factories.parameters(factory.function).keys() else None


def _called(make: Make, kept: dict[str, Any], **arguments: Any) -> Any:
    return make(**{**arguments, **kept})


def _native(make: Make, **arguments: Any) -> Any:
    known = factories.parameters(make)
    return make(**{k: v for k, v in arguments.items() if k in known})


def run(arguments: argparse.Namespace) -> list[harness.Row]:
    """A row for every numeric argument of every factory."""
    found = [f for f in factories.factories() if f.trained() and f.numbers()]
    chosen = found[:: len(found) // 3] if arguments.quick else found
    if arguments.factories:
        chosen = [f for f in found if f.name in arguments.factories]
    measured = []
    for factory in chosen:
        harness.progress(str(factory))
        measured += rows(factory)
    if arguments.markdown:
        pathlib.Path(arguments.markdown).write_text(markdown(measured))
    return measured


def markdown(measured: list[harness.Row]) -> str:
    """The rows as a document."""
    question, text = (__doc__ or "").split("\n", 1)
    versions = harness.environment()
    names = ("gdjax", "jax", "optax")
    columns = list(measured[0])
    counts = [_counts(column, measured) for column in columns[2:]]
    table = [columns, ["---"] * len(columns), *([row[k] for k in columns] for row in measured)]
    lines = ["| " + " | ".join(map(str, line)) + " |" for line in table]
    return "\n".join(
        [
            f"# {question}",
            text,
            "Made by `python -m benchmarks.arguments --markdown .github/docs/arguments.md` with "
            + ", ".join(f"{name} {versions[name]}" for name in names)
            + ".\n",
            *counts,
            "",
            *lines,
            "",
        ]
    )


def _counts(column: str, measured: list[harness.Row]) -> str:
    cells = [row[column] for row in measured if row[column] not in ("", "static")]
    floats = [cell for cell in cells if len(cell) == 3]
    n = {letter: sum(letter in cell for cell in cells) for letter in "jvd"}
    return (
        f"- {column}: {n['j']} of {len(cells)} are traced, {n['v']} vmapped; {n['d']} of "
        f"{len(floats)} that are floats have finite derivatives."
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What only this benchmark takes."""
    parser.add_argument("--markdown", help="document to write")
    parser.add_argument("--factories", nargs="+", help="names; default: all")


BENCHMARK = harness.Benchmark(
    "arguments", __doc__ or "", run, rounds=1, quick_rounds=1, add_arguments=add_arguments
)

if __name__ == "__main__":
    harness.main(BENCHMARK)
