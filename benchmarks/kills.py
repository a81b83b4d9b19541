"""Does a sweep that is killed again and again end with the bits of an undisturbed one?

Trials of three families and two seeds, some of which diverge, are trained by another process,
which is killed (``kill -9``) at random moments, half of them while it writes a checkpoint; each
time the next one goes on from the last checkpoint. ``--rounds`` is the number of kills. At the
end all measurements are compared with those of an undisturbed sweep, and every trial that was
started is run again and compared too. A decision is a segment of work; one that was killed before
its checkpoint was whole is repeated: at most one for each kill.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import gdjax
from benchmarks import harness
from gdjax.sweep.loop import Loop
from gdjax.sweep.table import Status

RULES: dict[str, Any] = {
    "none": (),
    "halving": gdjax.successive_halving(eta=2),
    "asha": gdjax.asha(eta=2),
    "population_based_training": gdjax.population_based_training(10),
}
TRIALS, QUICK_TRIALS = 100, 10  # of each family
STEPS, SEGMENT, SEEDS, WIDTH = 200, 2, 2, 8
HIGHEST_RATE = 1e30  # where a part of the runs diverges, at different steps, also under halving


def loss(params: jax.Array, batch: jax.Array, key: jax.Array) -> jax.Array:
    """A noisy quadratic."""
    return jnp.sum((params * batch) ** 2) + jax.random.normal(key)


TASK = gdjax.Task(
    init=lambda key: jax.random.normal(key, (16,)),
    loss=loss,
    batch=lambda key, step: jax.random.normal(key, (16,)),
    evaluate=lambda params: {"size": jnp.sum(params**2)},
    objective="size",
)


def momentum(learning_rate: Any) -> Any:
    return gdjax.sgd(learning_rate, 0.9)


def sweep(directory: pathlib.Path, rule: str, trials: int) -> gdjax.SweepResult:
    """The sweep, from where it was."""
    families = {"adam": gdjax.adam, "momentum": momentum, "sgd": gdjax.sgd}
    space = {"learning_rate": gdjax.LogUniform(1e-4, HIGHEST_RATE)}
    return gdjax.sweep(
        TASK,
        families,
        space,
        trials=trials,
        seeds=SEEDS,
        steps=STEPS,
        segment=SEGMENT,
        width=WIDTH,
        stopping=RULES[rule],
        directory=directory,
        resume=True,
        checkpoint_seconds=0,
        progress=False,
    )


def child(directory: str, rule: str, trials: str) -> None:
    """What is killed: appends a byte to ``decisions`` before each decision is carried out."""
    advance, path = Loop._advance, pathlib.Path(directory)
    path.mkdir(exist_ok=True)
    log = os.open(path / "decisions", os.O_APPEND | os.O_CREAT | os.O_WRONLY)

    def logged(self: Loop, trials: np.ndarray, segments: int) -> None:
        os.write(log, b".")
        advance(self, trials, segments)

    Loop._advance = logged
    sweep(path, rule, int(trials))


class Process:
    """A child that trains.

    Args:
      directory: of its sweep.
      rule: of the sweep.
      trials: of each family.
    """

    def __init__(self, directory: pathlib.Path, rule: str, trials: int):
        self._directory, self._before = directory, decisions(directory)
        command = [sys.executable, "-c", _CODE, str(directory), rule, str(trials)]
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)

    def kill(self, after: float | None) -> bool:
        """Kill it so many seconds after it began to train, or, where None, while it writes.

        Returns whether it was still there to be killed.
        """
        while self._process.poll() is None and decisions(self._directory) == self._before:
            time.sleep(0.001)
        if after is not None:
            time.sleep(after)
        while after is None and self._process.poll() is None and not partial(self._directory):
            pass
        self._process.kill()
        _, error = self._process.communicate()
        if self._process.returncode > 0:
            raise RuntimeError(error)
        return self._process.returncode != 0

    def end(self) -> None:
        """Wait for its end."""
        _, error = self._process.communicate()
        if self._process.returncode:
            raise RuntimeError(error)


_CODE = "import sys; from benchmarks import kills; kills.child(*sys.argv[1:])"


def decisions(directory: pathlib.Path) -> int:
    """How many were carried out, repeated ones included."""
    path = directory / "decisions"
    return path.stat().st_size if path.exists() else 0


def partial(directory: pathlib.Path) -> bool:
    """Whether a checkpoint is half written."""
    return any(name.endswith(".partial") for name in os.listdir(directory))


def same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    """Whether all is bit-equal, NaN included."""
    return a.keys() == b.keys() and all(
        np.array_equal(a[name], b[name], equal_nan=a[name].dtype.kind == "f") for name in a
    )


def measured(result: gdjax.SweepResult) -> dict[str, np.ndarray]:
    """All arrays of a result."""
    names = "status", "diverged_at", "reason", "width"
    own = {name: getattr(result, name) for name in names}
    if result.copied is not None:
        own |= result.copied.arrays()
    return own | result.traces | result.evaluations


def reruns_equal(result: gdjax.SweepResult) -> int:
    """How many trials measure the same again."""
    equal = 0
    for trial in np.flatnonzero(result.width.any(axis=1)).tolist():
        again = result.rerun(trial)
        equal += same(again.traces | again.evaluations, along_lineage(result, trial))
    return equal


def along_lineage(result: gdjax.SweepResult, trial: int) -> dict[str, np.ndarray]:
    """What was measured on the way to a trial's last state, wherever it was made."""
    measured = result.traces | result.evaluations
    found = {name: np.full_like(values[trial], np.nan) for name, values in measured.items()}
    for i, past in enumerate(result.lineage(trial)):
        for kind, part in (
            (result.traces, slice(past.begin, past.end)),
            (result.evaluations, slice(i, i + 1)),
        ):
            for name, values in kind.items():
                found[name][:, part] = values[past.trial, :, part]
    return found


def row(rule: str, kills: int, trials: int, folder: pathlib.Path) -> harness.Row:
    """Kill one sweep ``kills`` times, and compare."""
    whole, torn = folder / f"{rule}-undisturbed", folder / rule
    began = time.perf_counter()
    Process(whole, rule, trials).end()
    undisturbed = time.perf_counter() - began
    expected = sweep(whole, rule, trials)
    decision = expected.attributes["run_seconds"] / decisions(whole)
    generator = np.random.default_rng(0)
    killed, writing = 0, 0
    began = time.perf_counter()
    for number in range(kills):
        after = None if number % 2 else float(generator.uniform(0, 2 * decision))
        if not Process(torn, rule, trials).kill(after):
            break  # it came to its end before
        killed += 1
        writing += partial(torn)
        harness.progress(f"{rule}: {killed} kills, {decisions(torn)} decisions")
    Process(torn, rule, trials).end()
    seconds = time.perf_counter() - began
    result = sweep(torn, rule, trials)
    return {
        "rule": rule,
        "trials": result.trials,
        "diverged_runs": int((result.status == Status.DIVERGED).sum()),
        "kills": killed,
        "kills_while_writing": writing,
        "seconds": seconds,
        "undisturbed_seconds": undisturbed,
        "decisions": decisions(whole),
        "repeated_decisions": decisions(torn) - decisions(whole),
        "all_is_equal": same(measured(expected), measured(result)),
        "trials_started": int(result.width.any(axis=1).sum()),
        "trials_rerun_equal": reruns_equal(result),
    }


def run(arguments: argparse.Namespace) -> list[harness.Row]:
    """Every rule."""
    trials = QUICK_TRIALS if arguments.quick else TRIALS
    with tempfile.TemporaryDirectory() as folder:
        return [
            row(rule, arguments.rounds, trials, pathlib.Path(folder)) for rule in arguments.rules
        ]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What only this benchmark takes."""
    parser.add_argument("--rules", nargs="+", choices=list(RULES), default=list(RULES))


BENCHMARK = harness.Benchmark(
    "kills", __doc__ or "", run, rounds=40, quick_rounds=4, add_arguments=add_arguments
)

if __name__ == "__main__":
    harness.main(BENCHMARK)
