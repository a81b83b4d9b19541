"""How many runs one program trains side by side."""

import math

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
    width = min(width or _default(trials, seeds, devices, run_bytes), trials)
    wide = _shape(width, trials, seeds, devices, run_bytes)
    narrow = width // NARROWER
    if not on_cpu or narrow == 0 or trials <= narrow:
        return [wide]
    return [wide, _shape(narrow, width, seeds, devices, run_bytes)]


def _default(trials: int, seeds: int, devices: list[Device], run_bytes: int) -> int:
    widest = DEFAULT_WIDTH
    if devices[0].platform == "cpu":
        widest = max(1, min(CPU_WIDEST, CPU_CACHE // max(run_bytes, 1)))
    blocks = -(-trials // 2 ** int(math.log2(widest)))
    while blocks * seeds % len(devices) and blocks < trials:
        blocks += 1  # so that no device is idle while others finish
    return -(-trials // blocks)


def _shape(width: int, trials: int, seeds: int, devices: list[Device], run_bytes: int) -> Shape:
    blocks = -(-trials // width)
    held = max(1, min(MOST_RUNS, _memory(devices) // (4 * max(run_bytes, 1))) // (width * seeds))
    return Shape(len(devices), -(-min(blocks, held) * seeds // len(devices)), width)


def _memory(devices: list[Device]) -> int:
    """Bytes that a sweep may fill."""
    stats = [device.memory_stats() or {} for device in devices]
    if all("bytes_limit" in s for s in stats):
        return sum(s["bytes_limit"] for s in stats)
    return host_memory() // 2


def host_memory() -> int:
    """Bytes of the machine's main memory."""
    import os

    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
