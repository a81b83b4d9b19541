"""What does a sweep pay for batches that the host reads, over data on the device?

Trials of the network of ``gdjax.problems.digits`` are trained by Adam: with all images on the
device; with a stream of batches of as many images, drawn by NumPy; and with one whose batches are
compressed npz files in memory, which take far longer to read. ``read_seconds`` is what reading
alone takes. It is done while the devices compute, so on a CPU whose cores all train it takes from
these.
"""

import argparse
import dataclasses
import functools
import io
import itertools
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

import gdjax
from benchmarks import harness

BATCH = 64
FILES = 200


def images() -> dict[str, np.ndarray]:
    """All of scikit-learn's digits: ``x``, ``[image, 64]``, and ``y``."""
    from sklearn.datasets import load_digits

    pixels, labels = map(np.asarray, load_digits(return_X_y=True))
    return {"x": (pixels / 16).astype(np.float32), "y": labels.astype(np.int32)}


def drawn(data: dict[str, np.ndarray]) -> Iterator[Any]:
    """Batches, drawn with replacement."""
    draw = np.random.default_rng(0)
    while True:
        rows = draw.integers(len(data["y"]), size=BATCH)
        yield {name: values[rows] for name, values in data.items()}


class Files:
    """Such batches, each compressed as one file."""

    def __init__(self, data: dict[str, np.ndarray]):
        self._files = []
        for batch in itertools.islice(drawn(data), FILES):
            file = io.BytesIO()
            np.savez_compressed(file, **batch)
            self._files.append(file.getvalue())

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, number: int) -> Any:
        with np.load(io.BytesIO(self._files[number])) as file:
            return dict(file)


def streams() -> dict[str, gdjax.Stream]:
    """By name of the row."""
    data = images()
    return {
        "drawn by NumPy": gdjax.Stream(functools.partial(drawn, data)),
        "compressed files": gdjax.Stream(Files(data)),
    }


def reading(stream: gdjax.Stream, steps: int) -> float:
    """Seconds of reading alone."""
    began = time.perf_counter()
    for _ in itertools.islice(stream.read(()), steps):
        pass
    return time.perf_counter() - began


def run(arguments: argparse.Namespace) -> list[harness.Row]:
    """Measure every stream."""
    task, found = gdjax.problems.digits(batch_size=BATCH), streams()
    tasks = {name: dataclasses.replace(task, batch=stream) for name, stream in found.items()}
    candidates = {
        name: functools.partial(harness.train, each, arguments)
        for name, each in {"on the device": task, **tasks}.items()
    }
    times = harness.interleaved(candidates, arguments.rounds, lambda candidate: candidate())
    ratios = harness.ratios(times, "on the device")
    return [
        {
            "batches": name,
            "trials": arguments.trials,
            "steps": arguments.steps,
            "read_seconds": reading(found[name], arguments.steps) if name in found else 0.0,
            "seconds": harness.quartiles(times[name]),
            "over_on_the_device": ratios[name],
        }
        for name in candidates
    ]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What only this benchmark takes."""
    parser.add_argument("--trials", type=int, default=64, help="default: 64")
    parser.add_argument("--steps", type=int, default=1000, help="updates in a run; default: 1000")
    parser.add_argument("--devices", type=int, default=2, help="of the CPU; default: 2")


BENCHMARK = harness.Benchmark(
    "streams", __doc__ or "", run, rounds=5, quick_rounds=2, add_arguments=add_arguments
)

if __name__ == "__main__":
    harness.main(BENCHMARK)
