"""Sweeps under several rules, by a process that is killed at a given moment.

``python -m tests.sweep.killed DIRECTORY call 5000`` is killed at the 5000th call of a function
inside a sweep's loop; ``... write 7`` in the middle of the 7th checkpoint that it writes;
``... term 3`` and ``... int 3`` get that signal at their 3rd decision. It goes on with what there
is in the directory, and appends a line to DIRECTORY/log before each decision that it carries out.
"""

import io
import os
import pathlib
import signal
import sys

import jax
import jax.numpy as jnp
import numpy as np

import gdjax
from gdjax.sweep.loop import Loop

RULES = {
    "none": (),
    "halving": gdjax.successive_halving(eta=2),
    "asha": [gdjax.asha(eta=2), gdjax.plateau(6)],
}
TASK = gdjax.Task(
    init=lambda key: jax.random.normal(key, (4,)),
    loss=lambda params, batch, key: jnp.sum((params * batch) ** 2) + jax.random.normal(key),
    batch=lambda key, step: jax.random.normal(key, (4,)),
    evaluate=lambda params: {"size": jnp.sum(params**2)},
    objective="size",
)


def momentum(learning_rate):
    """State for the checkpoints."""
    return gdjax.sgd(learning_rate, 0.9)


FAMILIES = {"sgd": gdjax.sgd, "momentum": momentum}


def train(directory, rule, **changes):
    """One of the sweeps; 8 segments."""
    options = {
        "task": TASK,
        "optimizer": FAMILIES,
        "space": {"learning_rate": np.geomspace(1e-3, 1e25, 9).tolist()},
        "steps": 15,
        "segment": 2,
        "seeds": 2,
        "width": 3,
        "stopping": RULES[rule],
        "directory": directory,
        "resume": True,
        "checkpoint_seconds": 0,
    }
    return gdjax.sweep(**(options | changes))


def train_all(directory):
    """All of them, each in a directory of its own."""
    directory = pathlib.Path(directory)
    directory.mkdir(exist_ok=True)
    for rule in RULES:
        train(directory / rule, rule)


def log_decisions(directory, each=lambda: None):
    """Append a line to the log before each decision that is carried out; call ``each`` then."""
    original = Loop._advance
    log = os.open(pathlib.Path(directory) / "log", os.O_APPEND | os.O_CREAT | os.O_WRONLY)

    def logged(self, trials, segments):
        os.write(log, f"{len(trials)} trials\n".encode())
        each()
        original(self, trials, segments)

    Loop._advance = logged
    return original


def _die():
    os.kill(os.getpid(), signal.SIGKILL)


def _at(number, act):
    """A function that acts when it is called for the ``number``-th time."""
    left = [number]

    def count(*args):
        left[0] -= 1
        if left[0] == 0:
            act()

    return count


def _half_written(number):
    whole, left = np.savez, [number]

    def savez(file, **arrays):
        left[0] -= 1
        if left[0]:
            return whole(file, **arrays)
        content = io.BytesIO()
        whole(content, **arrays)
        file.write(content.getvalue()[: len(content.getvalue()) // 2])
        file.flush()
        _die()

    np.savez = savez


def main(directory, kind="", number="0"):
    """What the command line says."""
    os.makedirs(directory, exist_ok=True)
    number, run = int(number), Loop.run
    signals = {"term": signal.SIGTERM, "int": signal.SIGINT}
    asked = _at(number, lambda: os.kill(os.getpid(), signals[kind]))
    log_decisions(directory, asked if kind in signals else lambda: None)
    if kind == "call":
        count = _at(number, _die)

        def counted(self, between):
            sys.setprofile(count)
            run(self, between)
            sys.setprofile(None)

        Loop.run = counted
    if kind == "write":
        _half_written(number)
    train_all(directory)


if __name__ == "__main__":
    main(*sys.argv[1:])
