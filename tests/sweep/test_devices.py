"""One, two, four and eight devices give the same bits at the same chunk width."""

import pathlib
import subprocess
import sys

import jax

from gdjax.sweep import running

ROOT = pathlib.Path(__file__).parents[2]
CODE = """
import sys
import jax
jax.config.update("jax_num_cpu_devices", int(sys.argv[1]))
import jax.numpy as jnp
import numpy as np
import gdjax
from tests.sweep.comparing import digest
task = gdjax.Task(
    init=lambda key: jax.random.normal(key, (4,)),
    loss=lambda params, batch, key: jnp.sum((params * batch) ** 2) + jax.random.normal(key),
    batch=lambda key, step: jax.random.normal(key, (4,)),
    evaluate=lambda params: {"size": jnp.sum(params**2)},
    objective="size",
)
def momentum(learning_rate):
    return gdjax.sgd(learning_rate, 0.9)
assert jax.device_count() == int(sys.argv[1])
for rule in [gdjax.successive_halving(eta=2), gdjax.asha(eta=2)]:
    result = gdjax.sweep(
        task, momentum, {"learning_rate": np.geomspace(1e-3, 1e20, 11).tolist()},
        seeds=3, steps=11, segment=2, width=2, stopping=rule,
    )
    print(digest(result), *np.bincount(result.status.ravel(), minlength=4))
"""


def test_the_number_of_devices_changes_no_bit():
    told = {}
    for two in [(1, 8), (2, 4)]:  # at a time
        processes = {
            n: subprocess.Popen(
                [sys.executable, "-c", CODE, str(n)],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for n in two
        }
        for n, process in processes.items():
            out, error = process.communicate(timeout=300)
            assert process.returncode == 0, error
            told[n] = out
    assert len(set(told.values())) == 1, told
    halving = told[1].splitlines()[0].split()
    assert all(int(runs) for runs in halving[2:]), "some are done, some stopped, some diverged"


def test_idle_cores_are_told_after_a_long_sweep_alone():
    one = jax.devices("cpu")[:1]
    assert "jax_num_cpu_devices', 4)" in running.idle_cores(one, cores=4, seconds=100.0)
    assert not running.idle_cores(one, cores=1, seconds=100.0)
    assert not running.idle_cores(one, cores=4, seconds=1.0)
    assert not running.idle_cores(one * 4, cores=4, seconds=100.0)
