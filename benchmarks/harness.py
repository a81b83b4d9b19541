"""What every benchmark shares: fair timing, a program's costs, the report.

A benchmark is a function from parsed arguments to rows; a row is a flat dict whose keys carry
their units. Timing on a shared machine drifts, so candidates take turns within each round and
only ratios within a round are compared: see :func:`interleaved` and :func:`ratios`.
"""

import argparse
import contextlib
import dataclasses
import importlib.metadata
import json
import os
import pathlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

import gdjax
from gdjax.sweep import running

Row = dict[str, Any]
Candidate = Callable[[], Any]


class Quartiles(NamedTuple):
    """What is reported of a sample: its median and how far it spreads."""

    lower_quartile: float
    median: float
    upper_quartile: float


def quartiles(sample: Sequence[float] | np.ndarray) -> Quartiles:
    """Median and quartiles, linear between neighbours.

    >>> quartiles([1.0, 2.0, 3.0, 4.0, 5.0])
    Quartiles(lower_quartile=2.0, median=3.0, upper_quartile=4.0)
    """
    return Quartiles(*np.quantile(np.asarray(sample, float), (0.25, 0.5, 0.75)).tolist())


def turns(names: list[str], rounds: int, seed: int = 0) -> Iterator[list[str]]:
    """The order of the candidates in each round: shuffled, the same for the same seed."""
    generator = np.random.default_rng(seed)
    for _ in range(rounds):
        yield [names[i] for i in generator.permutation(len(names))]


def seconds(candidate: Candidate, clock: Callable[[], float] = time.perf_counter) -> float:
    """Time of one call, until all arrays that it returns are there."""
    began = clock()
    jax.block_until_ready(candidate())
    return clock() - began


def interleaved(
    candidates: Mapping[str, Candidate],
    rounds: int,
    measure: Callable[[Candidate], float] = seconds,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Measure every candidate once a round, in an order that changes from round to round.

    Args:
      candidates: functions without arguments by name.
      rounds: how often each is measured, after one call that does not count.
      measure: takes a candidate, calls it and returns its time in seconds.
      seed: of the orders.

    Returns:
      By name the seconds of each round, ``[round]``.
    """
    for candidate in candidates.values():
        measure(candidate)
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for order in turns(list(candidates), rounds, seed):
        for name in order:
            times[name].append(measure(candidates[name]))
    return {name: np.asarray(values) for name, values in times.items()}


def ratios(times: Mapping[str, np.ndarray], baseline: str) -> dict[str, Quartiles]:
    """Each candidate's time over the baseline's of the same round; under 1 is faster.

    >>> ratios({"a": np.array([1.0, 4.0]), "b": np.array([2.0, 8.0])}, "b")["a"].median
    0.5
    """
    return {name: quartiles(values / times[baseline]) for name, values in times.items()}


def train(task: gdjax.Task, arguments: argparse.Namespace) -> float:
    """Seconds of a sweep of Adam's learning rates, without compiling.

    Args:
      task: what is trained.
      arguments: of the command, with ``trials`` and ``steps``.
    """
    result = gdjax.sweep(
        task,
        gdjax.adam,
        {"learning_rate": gdjax.LogUniform(1e-4, 1e-2)},
        trials=arguments.trials,
        steps=arguments.steps,
        progress=False,
    )
    return result.attributes["run_seconds"]


class Costs(NamedTuple):
    """What a program costs before and beside its running time.

    Bytes and operations are the compiler's own figures; None where the backend gives none.
    """

    trace_seconds: float
    lower_seconds: float
    compile_seconds: float
    bytes_accessed: float | None
    flops: float | None
    temporary_bytes: int | None
    compiled: Any  # the program, to be called like the jitted function


def program_costs(jitted: Any, *args: Any) -> Costs:
    """Trace, lower and compile a jitted function from cold caches, and read its cost analysis.

    Args:
      jitted: what ``jax.jit`` returned.
      *args: arguments, or their shapes; nothing is run.
    """
    jax.clear_caches()
    began = time.perf_counter()
    traced = jitted.trace(*args)
    at_traced = time.perf_counter()
    lowered = traced.lower()
    at_lowered = time.perf_counter()
    compiled = lowered.compile()
    at_compiled = time.perf_counter()
    analysis = compiled.cost_analysis() or {}
    memory = compiled.memory_analysis()
    return Costs(
        trace_seconds=at_traced - began,
        lower_seconds=at_lowered - at_traced,
        compile_seconds=at_compiled - at_lowered,
        bytes_accessed=analysis.get("bytes accessed"),
        flops=analysis.get("flops"),
        temporary_bytes=getattr(memory, "temp_size_in_bytes", None),
        compiled=compiled,
    )


def interleaved_costs(
    programs: Mapping[str, tuple[Any, tuple]], rounds: int, seed: int = 0
) -> dict[str, Costs]:
    """:func:`program_costs` of several programs in turns: medians of their seconds.

    Args:
      programs: by name a jitted function and its arguments.
      rounds: fresh compilations of each.
      seed: of the orders.
    """
    costs: dict[str, list[Costs]] = {name: [] for name in programs}
    for order in turns(list(programs), rounds, seed):
        for name in order:
            jitted, args = programs[name]
            costs[name].append(program_costs(jitted, *args))
    return {name: _median(sample) for name, sample in costs.items()}


def _median(sample: list[Costs]) -> Costs:
    stages = [field for field in Costs._fields if field.endswith("_seconds")]
    medians = {name: quartiles([getattr(c, name) for c in sample]).median for name in stages}
    return sample[0]._replace(**medians)


def environment() -> dict[str, Any]:
    """Devices and versions: what a measurement means nothing without."""
    device = jax.devices()[0]
    return {
        **running.environment(),
        "jaxlib": importlib.metadata.version("jaxlib"),
        "platform": device.platform,
        "device_kind": device.device_kind,
        "device_count": jax.device_count(),
        "cpu_count": os.cpu_count(),
    }


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """A question, how to answer it, and how often to measure.

    Args:
      name: of the module, as in ``python -m benchmarks.NAME``.
      question: its docstring.
      run: takes the parsed arguments, returns rows.
      rounds: default of ``--rounds``.
      quick_rounds: the same with ``--quick``.
      add_arguments: adds arguments of its own.
    """

    name: str
    question: str
    run: Callable[[argparse.Namespace], list[Row]]
    rounds: int
    quick_rounds: int
    add_arguments: Callable[[argparse.ArgumentParser], Any] = lambda parser: None


def main(benchmark: Benchmark, argv: Sequence[str] | None = None) -> None:
    """Run a benchmark from the command line: print a table, write JSON where asked to."""
    arguments = _parse(benchmark, argv)
    # A program that comes from disk has no compile time.
    jax.config.update("jax_enable_compilation_cache", False)
    if hasattr(arguments, "devices"):
        with contextlib.suppress(
            RuntimeError
        ):  # JAX has started; the environment tells of how many
            jax.config.update("jax_num_cpu_devices", arguments.devices)
    report = {
        "benchmark": benchmark.name,
        "question": benchmark.question.splitlines()[0],
        "environment": environment(),
        "arguments": {k: v for k, v in vars(arguments).items() if k != "out"},
    }
    print(report["question"])
    print(", ".join(f"{k} {v}" for k, v in report["environment"].items()))
    began = time.perf_counter()
    rows = benchmark.run(arguments)
    report |= {"benchmark_seconds": time.perf_counter() - began, "results": _plain(rows)}
    print(table(rows))
    print(f"{report['benchmark_seconds']:.0f} seconds; [a, b] are the quartiles over rounds")
    if arguments.out is not None:
        arguments.out.write_text(json.dumps(report, indent=1, allow_nan=False) + "\n")


def progress(message: str) -> None:
    """Tell on standard error what is measured now."""
    print(message, file=sys.stderr, flush=True)


def table(rows: Sequence[Row]) -> str:
    """Rows as text, one column for each key, words of its name one below the other."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    body = [[_show(row.get(name)) for name in names] for row in rows]
    heads = [name.split("_") for name in names]
    height = max(map(len, heads), default=0)
    lines = [[""] * (height - len(head)) + head for head in heads]
    cells = [*map(list, zip(*lines, strict=True)), *body]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    cells.insert(height, ["-" * width for width in widths])
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    )


def _parse(benchmark: Benchmark, argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{benchmark.name}",
        description=benchmark.question,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=pathlib.Path, help="JSON file to write")
    parser.add_argument("--rounds", type=int, help="measurements of each candidate")
    parser.add_argument("--quick", action="store_true", help="less of everything")
    benchmark.add_arguments(parser)
    arguments = parser.parse_args(argv)
    if arguments.rounds is None:
        arguments.rounds = benchmark.quick_rounds if arguments.quick else benchmark.rounds
    if arguments.rounds < 1:
        parser.error(f"--rounds must be at least 1, got {arguments.rounds}")
    if arguments.out is not None and not arguments.out.absolute().parent.is_dir():
        parser.error(f"--out: there is no directory {arguments.out.absolute().parent}")
    return arguments


def _plain(value: Any) -> Any:
    """Rows as JSON takes them: quartiles by name."""
    if isinstance(value, Quartiles):
        return value._asdict()
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return list(map(_plain, value)) if isinstance(value, list) else value


def _show(value: Any) -> str:
    if isinstance(value, Quartiles):
        return f"{value.median:.3g} [{value.lower_quartile:.3g}, {value.upper_quartile:.3g}]"
    if isinstance(value, float):
        return f"{value:.4g}"
    return "-" if value is None else str(value)
