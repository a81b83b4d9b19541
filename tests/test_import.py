import json
import subprocess
import sys

HEAVY = {
    "matplotlib",
    "pandas",
    "plotly",
    "scipy.stats",
    "sklearn",
    "tqdm",
    "tyro",
    "xarray",
    "yaml",
}
# `jax.extend.core` is JAX's own part for reading programs; `import jax` leaves it out.
SCRIPT = """
import json, sys
import jax, jax.extend.core.primitives, optax, chex
before = set(sys.modules)
import {module}
print(json.dumps([sorted(before), sorted(set(sys.modules) - before)]))
"""


def _loaded(module):
    """Modules that are loaded before and by an import of ``module``."""
    command = [sys.executable, "-c", SCRIPT.format(module=module)]
    output = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    before, new = json.loads(output.stdout)
    return set(before), set(new)


def test_import_loads_nothing_but_gdjax_beside_its_dependencies():
    before, new = _loaded("gdjax")
    packages = {name.partition(".")[0] for name in new - before}
    assert packages - sys.stdlib_module_names == {"gdjax"}
    assert not HEAVY & (before | new)


def test_the_check_sees_a_heavy_import():
    _, new = _loaded("scipy.stats")
    assert HEAVY & new == {"scipy.stats"}
