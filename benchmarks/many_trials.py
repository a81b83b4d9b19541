"""What does the engine of a sweep add to the programs that it calls?

Very many trials of a tiny task are trained by ``gdjax.sweep``, and by a loop that calls the same
compiled program on the same inputs and does nothing else: what the sweep takes longer is its
bookkeeping on the host. What happens before the first segment (drawing settings, building one
optimizer a trial and checking it, compiling) stands in ``seconds_before_run``; ``peak_mebibytes``
is the process's own memory at its highest so far.
"""

import argparse
import os
import resource
import time

import jax
import jax.numpy as jnp
import numpy as np

import gdjax
from benchmarks import harness
from gdjax.sweep import families
from gdjax.sweep.packing import pack
from gdjax.sweep.population import Chunks
from gdjax.sweep.setup import Options, Sweep
from gdjax.sweep.space import Space

STEPS, SEGMENT = 500, 50
SPACE = {"learning_rate": gdjax.LogUniform(1e-3, 1e-1)}


def loss(params: jax.Array, batch: jax.Array, key: jax.Array) -> jax.Array:
    """A noisy quadratic."""
    del key
    return jnp.mean((params[None] - batch) ** 2)


TASK = gdjax.Task(
    init=lambda key: jax.random.normal(key, (64,)),
    loss=loss,
    batch=lambda key, step: jax.random.normal(key, (16, 64)),
)


def by_sweep(trials: int) -> tuple[float, float]:
    """Seconds of all and of the run of a sweep."""
    began = time.perf_counter()
    result = gdjax.sweep(
        TASK, gdjax.adam, SPACE, trials=trials, steps=STEPS, segment=SEGMENT, progress=False
    )
    return time.perf_counter() - began, result.attributes["run_seconds"]


def bare_loop(trials: int) -> harness.Candidate:
    """The same calls of the same program, and nothing else."""
    (family,) = families.draw({"adam": gdjax.adam}, Space(SPACE), None, trials, 0)
    sweep = Sweep(TASK, [family], Options(STEPS, SEGMENT, 1, 0, None), jax.devices())
    (program, *_), (part,) = sweep.programs[0], sweep.parts(sweep.ledger())
    jobs = pack(np.arange(trials), np.zeros(trials, int), 1, program.shape)
    inputs = []
    for job in jobs:
        optimizers = jax.tree.map(lambda x, job=job: x[job.trials], family.optimizers)
        weights = part.executor.store.take(job.trials, job.seed[:, None])
        inputs.append((job, optimizers, weights))

    def call() -> list[jax.Array]:
        losses = []
        for job, optimizers, weights in inputs:
            for begin in range(0, STEPS, SEGMENT * program.segments):
                some = begin + SEGMENT * np.arange(program.segments) < STEPS
                lengths = job.busy[:, None] * some * SEGMENT
                numbers = (job.seed, np.full(len(job.seed), begin), lengths)
                chunks = Chunks(*(jnp.asarray(x, jnp.int32) for x in numbers))
                weights, measured = program.compiled(
                    sweep.plan.task, sweep.plan.key, chunks, optimizers, weights
                )
                losses.append(measured.traces["loss"])
        return losses

    return call


def run(arguments: argparse.Namespace) -> list[harness.Row]:
    """Measure every number of trials."""
    rows = []
    for trials in arguments.trials[: 1 if arguments.quick else None]:
        harness.progress(f"{trials} trials")
        loop, times = bare_loop(trials), {"sweep": [], "loop": [], "before": []}
        for warm_up in (lambda n=trials: by_sweep(n), loop):
            warm_up()
        for order in harness.turns(["sweep", "loop"], arguments.rounds):
            for name in order:
                if name == "loop":
                    times["loop"].append(harness.seconds(loop))
                else:
                    whole, running = by_sweep(trials)
                    times["sweep"].append(running)
                    times["before"].append(whole - running)
        ratio = np.array(times["sweep"]) / np.array(times["loop"])
        rows.append(
            {
                "trials": trials,
                "sweep_seconds": harness.quartiles(times["sweep"]),
                "loop_seconds": harness.quartiles(times["loop"]),
                "sweep_over_loop": harness.quartiles(ratio),
                "seconds_before_run": harness.quartiles(times["before"]).median,
                "peak_mebibytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            }
        )
    return rows


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What only this benchmark takes."""
    sizes = [64, 1000, 10000]
    parser.add_argument("--trials", type=int, nargs="+", default=sizes, help=f"default: {sizes}")
    cores = os.cpu_count() or 1
    parser.add_argument("--devices", type=int, default=cores, help="of the CPU; default: cores")


BENCHMARK = harness.Benchmark(
    "many_trials", __doc__ or "", run, rounds=5, quick_rounds=1, add_arguments=add_arguments
)

if __name__ == "__main__":
    harness.main(BENCHMARK)
