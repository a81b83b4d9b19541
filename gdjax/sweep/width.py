"""How many runs one program trains side by side."""

import math
import os

from gdjax.errors import InvalidValue
from gdjax.sweep.packing import Shape
from gdjax.sweep.population import Device

CPU_CACHE = 2 << 20
"""Bytes: about what a core has for itself. What is trained side by side should fit into it."""
CPU_WIDEST, DEFAULT_WIDTH = 32, 256
NARROWER = 8  # times: the program for few trials
MOST_RUNS = 1 << 14  # on all devices: more would make calls long, and save nothing


def shapes(
    width: int | None, trials: int, seeds: int, devices: list[Device], run_bytes: int
) -> list[Shape]:
    """Shapes of a family's programs: the wide one, and on a CPU one for when few trials are left.

    Args:
      width: runs side by side, or None for a default.
      trials: of the family.
      seeds: runs of each.
      devices: that share the work.
      run_bytes: size of what training changes in one run.

    >>> import jax
    >>> cpu = jax.devices("cpu")[:1]
    >>> shapes(None, trials=40, seeds=1, devices=cpu, run_bytes=4000)
    [Shape(devices=1, chunks=2, width=20), Shape(devices=1, chunks=10, width=2)]
    """
    on_cpu = devices[0].platform == "cpu"
    width = min(width or default_width(trials, seeds, devices, run_bytes), trials)
    wide = _shape(width, trials, seeds, devices, run_bytes)
    narrow = width // NARROWER
    if not on_cpu or narrow == 0 or trials <= narrow:
        return [wide]
    return [wide, _shape(narrow, width, seeds, devices, run_bytes)]


def runs_paid(trials: int, seeds: int, shape: Shape) -> int:
    """What a call for as many trials costs on a CPU, in runs.

    A chunk costs about one run beside those that it holds, filled or not.
    """
    return -(-trials // shape.width) * seeds * (1 + shape.width)


def capacity(run_bytes: int) -> int:
    """Runs whose states fit into half of the host's memory, where they wait for their turn."""
    return max(1, host_memory() // 2 // max(run_bytes, 1))


def check_memory(trials: int, seeds: int, steps: int, metrics: int) -> None:
    """Raise where the measurements of all steps take more than half of the machine's memory.

    Args:
      trials: of the sweep.
      seeds: runs of each.
      steps: of each run.
      metrics: measured at each step.
    """
    needed, there = 4 * trials * seeds * steps * metrics, host_memory() // 2  # float32
    if needed > there:
        raise InvalidValue(
            f"{trials} trials of {seeds} seeds and {steps} steps measure {needed / 2**30:.3g} GiB, "
            f"more than half of this machine's memory; take fewer trials, seeds or steps"
        )


def default_width(trials: int, seeds: int, devices: list[Device], run_bytes: int) -> int:
    """By the size of a run: on a CPU what a core's cache holds, elsewhere what the memory does."""
    widest = min(DEFAULT_WIDTH, _fitting(devices, run_bytes) // seeds)
    if devices[0].platform == "cpu":
        widest = min(CPU_WIDEST, CPU_CACHE // max(run_bytes, 1))
    return _balanced(2 ** int(math.log2(max(widest, 1))), trials, seeds, devices)


def candidates(trials: int, seeds: int, devices: list[Device]) -> list[int]:
    """Widths that are worth a try, each about twice the one before; the default one among them.

    >>> import jax
    >>> candidates(trials=40, seeds=1, devices=jax.devices("cpu")[:1])
    [1, 2, 4, 8, 14, 20, 40]
    """
    powers = range(max(trials - 1, 0).bit_length() + 1)
    return sorted({_balanced(2**power, trials, seeds, devices) for power in powers})


def _balanced(widest: int, trials: int, seeds: int, devices: list[Device]) -> int:
    """As wide as ``widest``, less where so a chunk or a device would have less than others."""
    blocks = -(-trials // widest)
    while blocks * seeds % len(devices) and blocks < trials:
        blocks += 1  # so that no device is idle while others finish
    return -(-trials // blocks)


def _shape(width: int, trials: int, seeds: int, devices: list[Device], run_bytes: int) -> Shape:
    held = min(MOST_RUNS, _fitting(devices, run_bytes)) // (width * seeds)
    blocks = min(-(-trials // width), max(held, 1))  # a trial's seeds are in one call, in any case
    return Shape(len(devices), -(-blocks * seeds // len(devices)), width)


def _fitting(devices: list[Device], run_bytes: int) -> int:
    """Runs that the devices' memory holds, with what else a program needs beside their states."""
    return len(devices) * memory(devices) // (4 * max(run_bytes, 1))


def memory(devices: list[Device]) -> int:
    """Bytes that a device has: the smallest of them, or its part of half the host's memory."""
    stats = [device.memory_stats() or {} for device in devices]
    if all("bytes_limit" in s for s in stats):
        return min(s["bytes_limit"] for s in stats)
    return host_memory() // 2 // len(devices)


def host_memory() -> int:
    """Bytes of the machine's main memory; a small machine's where the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError):  # Windows
        return 8 << 30
