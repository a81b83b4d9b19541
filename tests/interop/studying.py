"""A small search by an Optuna study, in a process that may be killed.

``python -m tests.interop.studying DIRECTORY 9`` is killed at the 9th decision of its sweeps. It
goes on with what there is in the directory.
"""

import os
import pathlib
import sys

import optuna

import gdjax
from gdjax.interop.optuna import optimize
from tests.sweep import killed

SPACE = gdjax.Space(
    {"learning_rate": gdjax.LogUniform(1e-3, 1e3), "decay": [0.0, 0.5, 0.9]},
    first=[{"learning_rate": 0.125}],
)
TRIALS, BATCH = 7, 3
RATES = {"learning_rate": gdjax.LogUniform(1e-3, 0.5)}
SMALL = {"trials": 4, "batch": 4, "seeds": 2, "steps": 6, "segment": 2}


def momentum(learning_rate, decay):
    return gdjax.sgd(learning_rate, decay)


FAMILIES = {"sgd": gdjax.sgd, "momentum": momentum}


def make(sampler=None, **options):
    """A study of no storage."""
    return optuna.create_study(sampler=sampler or optuna.samplers.RandomSampler(0), **options)


def storage(directory):
    return f"sqlite:///{directory}/study.db"


def study_in(directory, sampler=None):
    """A study that outlives the process, with one trial in its queue."""
    os.makedirs(directory, exist_ok=True)
    study = optuna.create_study(
        storage=storage(directory),
        study_name="study",
        sampler=sampler or optuna.samplers.RandomSampler(seed=1),
        load_if_exists=True,
    )
    study.enqueue_trial({"family": "momentum", "decay": 0.9}, skip_if_exists=True)
    return study


def train(study, directory, **changes):
    """The search, or the rest of it; six segments."""
    options = {
        "task": killed.TASK,
        "optimizer": FAMILIES,
        "space": SPACE,
        "trials": TRIALS,
        "batch": BATCH,
        "seeds": 2,
        "steps": 6,
        "segment": 1,
        "stopping": gdjax.successive_halving(eta=2),
        "directory": directory,
        "resume": directory is not None,
        "checkpoint_seconds": 0,
    }
    return optimize(study, **(options | changes))


def main(directory, number="0"):
    """What the command line says."""
    study = study_in(directory)
    killed.log_decisions(directory, killed._at(int(number), killed._die))
    train(study, pathlib.Path(directory) / "search")


if __name__ == "__main__":
    main(*sys.argv[1:])
