"""The layers of the library: who may import whom, and how long a file may be."""

import ast
import graphlib
import pathlib

import pytest

from tests.layers import BUILD_ON_EACH_OTHER, LAYERS, ONLY

ROOT = pathlib.Path(__file__).parents[1]
MAX_LINES = 300
PLOTTING = {"bokeh", "matplotlib", "plotly", "seaborn"}


def modules(folder=ROOT / "gdjax"):
    """Source text of each module by its dotted name inside gdjax."""
    sources = {}
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        name = ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)
        sources[name] = path.read_text()
    return sources


def _package(name):
    return name.partition(".")[0]


def _imports(source):
    """Everything that is imported, wherever it stands: absolute names, `.` for relative ones."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield from (f"{module}.{alias.name}" for alias in node.names)


def _target(imported, names):
    """The module of gdjax that an import reads, `__init__` for its root; None where another's."""
    parts = imported.split(".")
    if parts[0] != "gdjax":
        return None
    inside = [".".join(parts[1:end]) for end in range(len(parts), 1, -1)]
    return next((name for name in inside if name in names), "__init__")


def _layer(name):
    """Line of a module in the list; None where it is missing."""
    entries = [name, f"{_package(name)}.*"] if "." in name else [name]
    return next((LAYERS.index(entry) for entry in entries if entry in LAYERS), None)


def _edge_violation(name, target):
    if _package(name) == target == _package(target):
        return f"{name} imports its own package {target}: import the file that defines it"
    allowed = ONLY.get((_package(name), _package(target)))
    if allowed is not None and target not in allowed:
        return f"{name} imports {target}: {_package(name)} may import {sorted(allowed)} of it"
    sibling = _package(name) in BUILD_ON_EACH_OTHER and _package(name) == _package(target)
    if _layer(target) > _layer(name) or (_layer(target) == _layer(name) and not sibling):
        return f"{name} imports {target}, which does not stand above it in LAYERS"
    return None


def violations(sources):
    """What is wrong with the imports of some modules, one sentence each."""
    missing = [name for name in sources if _layer(name) is None]
    if missing:
        return [f"{name} is in no layer: add it to LAYERS in tests/layers.py" for name in missing]
    found, graph = [], {}
    for name, source in sources.items():
        imported = list(_imports(source))
        found += [f"{name} imports relatively: write gdjax" for i in imported if i[0] == "."]
        if _package(name) != "report":
            plotting = sorted({_package(i) for i in imported} & PLOTTING)
            found += [f"{name} imports {package}: only report plots" for package in plotting]
        targets = {_target(i, sources) for i in imported} - {None, name}
        graph[name] = targets
        found += filter(None, (_edge_violation(name, target) for target in sorted(targets)))
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        found.append(f"a cycle of imports: {' <- '.join(error.args[1])}")
    return found


def only_reexports(source):
    """Whether a file only imports, and says what it exports."""
    names = {"__all__", "__version__"}
    return all(
        isinstance(node, (ast.Import, ast.ImportFrom))
        or (isinstance(node, ast.Assign) and {t.id for t in node.targets} <= names)
        or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        for node in ast.parse(source).body
    )


def test_each_module_imports_only_from_layers_above():
    found = violations(modules())
    assert not found, "\n".join(found)


def test_each_layer_exists():
    layers = {_layer(name) for name in modules()}
    assert [LAYERS[i] for i in range(len(LAYERS)) if i not in layers] == []


def test_init_files_only_reexport():
    inits = sorted((ROOT / "gdjax").rglob("__init__.py"))
    assert [str(p) for p in inits if not only_reexports(p.read_text())] == []


@pytest.mark.parametrize("folder", ["gdjax", "tests", "benchmarks"])
def test_files_fit_in_the_head(folder):
    """All but the ``__init__`` files, which are lists of names."""
    files = [p for p in (ROOT / folder).rglob("*.py") if p.name != "__init__.py"]
    lengths = {p: len(p.read_text().splitlines()) for p in files}
    too_long = {str(p.relative_to(ROOT)): n for p, n in lengths.items() if n > MAX_LINES}
    assert not too_long, f"split these by family: {too_long}"


GOOD = {
    "__init__": "from gdjax.optimizers import adam",
    "sweep": "from gdjax.sweep.engine import sweep",
    "report": "from gdjax.report.page import html",
    "errors": "import jax, gdjax.errors",
    "trees": "from gdjax.errors import InvalidValue",
    "transformation": "from gdjax import trees",
    "transforms": "from gdjax.transforms.adam import scale_by_adam",
    "transforms.adam": "from gdjax.transformation import transformation",
    "transforms.clipping": "from gdjax import trees",
    "optimizers": "from gdjax.transforms import scale_by_adam",
    "sweep.results": "import xarray",
    "sweep.engine": "from gdjax.sweep import results",
    "report.page": "import plotly\nfrom gdjax.report import figures",
    "report.figures": "import matplotlib.pyplot\nfrom gdjax.sweep.results import SweepResult",
    "cli": "import gdjax\nfrom gdjax import report\nfrom gdjax.sweep import engine",
}


def test_the_checker_passes_what_is_right():
    assert violations(GOOD) == []


@pytest.mark.parametrize(
    ("name", "source", "message"),
    [
        ("trees", "from gdjax import optimizers", "trees imports optimizers, which does not"),
        ("trees", "import gdjax.optimizers as o", "trees imports optimizers, which does not"),
        ("trees", "def f():\n    from gdjax.cli import main", "trees imports cli, which does"),
        ("optimizers", "import gdjax", "optimizers imports __init__, which does not"),
        ("optimizers", "from gdjax import adam", "optimizers imports __init__, which does not"),
        ("optimizers", "from . import trees", "optimizers imports relatively"),
        ("transforms.adam", "from gdjax.transforms import clipping", "imports transforms.clipp"),
        ("transforms.adam", "from gdjax.transforms import clip", "imports its own package"),
        ("sweep.results", "from gdjax.sweep.engine import sweep", "imports sweep.engine, which"),
        ("report.page", "from gdjax.sweep import engine", "imports sweep.engine: report may"),
        ("trees", "if True:\n    import matplotlib.pyplot as plt", "trees imports matplotlib:"),
        ("sweep.engine", "def f():\n    import plotly.io", "sweep.engine imports plotly: only"),
        ("report.figures", "from gdjax.report.page import html", "a cycle of imports: report"),
        ("__init__", "from gdjax import cli", "__init__ imports cli, which does not"),
        ("transform", "import jax", "transform is in no layer: add it to LAYERS"),
        ("sweep.new", "import jax", "sweep.new is in no layer: add it to LAYERS"),
    ],
)
def test_the_checker_sees_what_is_wrong(name, source, message):
    sources = GOOD | {name: source}
    assert any(message in violation for violation in violations(sources))


@pytest.mark.parametrize("source", ["x = 1", "def f(): ...", "if True:\n    import jax"])
def test_the_checker_sees_code_in_an_init(source):
    assert only_reexports('"""Doc."""\nfrom a import b\n__all__ = ["b"]\n')
    assert not only_reexports(source)
