"""Spaces in YAML and JSON files; what is wrong in one is told with its line.

Nothing in a file is ever constructed: PyYAML only composes it into nodes, which know where they
stand, and numbers are read from their text.
"""

import importlib.util
import json
import os
import re
from typing import Any

from gdjax.errors import GdjaxError, InvalidType, InvalidValue, MissingExtra, nearest, shown
from gdjax.sweep.distributions import Choice, Distribution, Integer, LogUniform, Uniform
from gdjax.sweep.space import Space, checked_value

# No name of a Python argument has a space in it: the key cannot be a hyperparameter's.
FIRST = "try first"
KINDS = {"log": LogUniform, "uniform": Uniform, "integer": Integer}
MAX_BYTES = 2**20  # a space is written by hand: what is longer is another file
# Decimal numbers that all readers take for the same. To YAML 1.1 010 is eight and 1:30 is ninety;
# 1e-4 is a string to it, but one that can only mean a number.
_NUMBER = re.compile(r"[-+]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?")
_TAGS = {"bool", "float", "int", "map", "merge", "null", "seq", "str", "timestamp", "value"}
_DIMENSION = (
    "a number, a list of numbers, or one of {log: [low, high]}, {uniform: [low, high]}, "
    "{integer: [low, high]}"
)


def load_space(path: str | os.PathLike[str]) -> Space:
    """Read a space from a YAML or JSON file.

    By hyperparameter name a fixed number, a list of numbers to choose from, or a distribution::

        learning_rate: {log: [1.0e-4, 1.0], points: 16}   # points: only for a grid
        momentum: {uniform: [0.0, 0.99]}
        layers: {integer: [1, 4]}
        weight_decay: [0.0, 1.0e-4, 1.0e-2]
        loss.dropout: [0.0, 0.5]                          # a number of the task
        b2: 0.999
        try first:                                        # two words: no hyperparameter's name
          - {learning_rate: 1.0e-3, momentum: 0.9}

    Args:
      path: the file. It is JSON where its name ends in ``.json``, else YAML.

    Raises:
      InvalidType: ``path`` is no path.
      InvalidValue: no such file, or what is wrong in it, with its line and column.
      MissingExtra: PyYAML is not installed.
    """
    try:
        path = os.fsdecode(path)
    except Exception:  # TypeError of what is no path, or whatever a foreign __fspath__ does
        raise InvalidType(f"load_space takes the path of a file, got {shown(path)}") from None
    where = _plain(path)
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or error
        raise InvalidValue(f"{where}: cannot be read: {reason}") from None
    if len(data) > MAX_BYTES:
        raise InvalidValue(f"{where}: longer than {MAX_BYTES} bytes, which no space is")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, byte = data.count(b"\n", 0, error.start) + 1, data[error.start]
        raise InvalidValue(
            f"{where}, line {line}: not UTF-8 (byte 0x{byte:02x}); save it as UTF-8"
        ) from None
    return parse(text, where, as_json=path.lower().endswith(".json"))


def parse(text: str, where: str, as_json: bool = False) -> Space:
    """The space that the content of a file describes; ``where`` names it in messages.

    >>> parse("learning_rate: {log: [1e-4, 1]}", "space.yaml").dimensions
    {'learning_rate': LogUniform(low=0.0001, high=1.0, points=None)}
    """
    root = _compose(text, where, as_json)
    if root is None:
        raise InvalidValue(f"{where}: is empty; write a line such as learning_rate: [0.01, 0.1]")
    tell = _Teller(where)
    dimensions, first = {}, []
    for key, value in tell.pairs(root, "a mapping of hyperparameter names"):
        if key.value == FIRST:
            first = tell.items(value, "a list of points such as {learning_rate: 1.0e-3}")
        elif all(part.isidentifier() for part in key.value.split(".")):
            dimensions[key.value] = _dimension(tell, value)
        else:
            hint = nearest(key.value, [FIRST]).partition("Valid")[0]
            raise tell(
                key, f"{shown(key.value)} is no name of a hyperparameter; {hint}".rstrip("; ")
            )
    if not dimensions:
        raise tell(root, "the space is empty; write a line such as learning_rate: [0.01, 0.1]")
    return Space(dimensions, [_point(tell, dimensions, node) for node in first])


def content(space: Space) -> dict[str, Any]:
    """What a file says that describes ``space``, ready for JSON: the inverse of :func:`parse`.

    >>> content(Space({"b1": Uniform(0, 1), "b2": 0.5}, first=[{"b1": 0.9}]))
    {'b1': {'uniform': [0.0, 1.0]}, 'b2': [0.5], 'try first': [{'b1': 0.9}]}
    """
    written = {name: _written(distribution) for name, distribution in space.dimensions.items()}
    return written | ({FIRST: list(space.first)} if space.first else {})


def _written(distribution: Distribution) -> Any:
    if isinstance(distribution, Choice):
        return list(distribution.values)
    kind = next(name for name, kind in KINDS.items() if isinstance(distribution, kind))
    bounds = {kind: [distribution.low, distribution.high]}
    points = getattr(distribution, "points", None)
    return bounds if points is None else bounds | {"points": points}


class _Teller:
    """Takes nodes apart, and says where and what is wrong with one."""

    def __init__(self, where: str):
        self.where = where

    def __call__(self, node: Any, problem: object) -> InvalidValue:
        mark = node.start_mark
        return InvalidValue(f"{_place(self.where, mark.line, mark.column)}: {problem}")

    def pairs(self, node: Any, expected: str) -> list[tuple[Any, Any]]:
        """Keys, which are scalars, and values of a mapping."""
        self._expect("mapping", node, expected)
        seen = set()
        for key, _ in node.value:
            self._expect("scalar", key, "a name")
            if key.value == "<<":
                raise self(key, "merge keys (<<) are not read; write the entries out")
            if key.value in seen:
                raise self(key, f"{shown(key.value)} stands here twice; leave one out")
            seen.add(key.value)
        return node.value

    def items(self, node: Any, expected: str) -> list[Any]:
        """Entries of a list."""
        self._expect("sequence", node, expected)
        return node.value

    def number(self, node: Any) -> int | float:
        """A decimal number; of too many digits it is infinite, which a distribution refuses."""
        self._expect("scalar", node, "a number")
        text, plain = node.value, node.style is None
        if plain and (match := _NUMBER.fullmatch(text)):
            whole = match[3] is None and match[4] is None and not text.lstrip("+-").startswith(".")
            return int(text) if whole and len(text) < 300 else float(text)
        if not plain and _NUMBER.fullmatch(text):
            raise self(node, f"{shown(text)} is a string; write the number without quotes")
        if plain and node.tag.endswith((":int", ":float")):
            raise self(node, f"{shown(text)} is no decimal number; write it as in 90 or 1.0e-4")
        raise self(
            node,
            f"expected a number such as 1.0e-4, got {_seen(node)}; what is not a number is "
            "compared as families",
        )

    def _expect(self, kind: str, node: Any, expected: str) -> None:
        prefix, _, tag = node.tag.rpartition(":")
        if prefix != "tag:yaml.org,2002" or tag not in _TAGS:
            written = _plain(node.tag.replace("tag:yaml.org,2002:", "!!"), 60)
            raise self(node, f"the tag {written} is not read; leave it out")
        if node.id != kind:
            raise self(node, f"expected {expected}, got {_seen(node)}")


def _dimension(tell: _Teller, node: Any) -> Distribution:
    if node.id == "mapping":
        return _range(tell, node)
    if node.id == "scalar":
        numbers = [tell.number(node)]
    else:
        entries = tell.items(node, _DIMENSION)
        if any(entry.id == "mapping" for entry in entries):
            raise tell(node, f"points to try first stand under the key {FIRST!r}")
        numbers = [tell.number(entry) for entry in entries]
    return _made(tell, node, Choice, tuple(numbers))


def _range(tell: _Teller, node: Any) -> Distribution:
    """A mapping of a kind to its bounds, with points where there is to be a grid."""
    given, points = {}, None
    for key, value in tell.pairs(node, _DIMENSION):
        if key.value in KINDS:
            given[key.value] = value
        elif key.value == "points":
            points = value
        else:
            hint = nearest(key.value, (*KINDS, "points"))
            raise tell(key, f"no kind of distribution {shown(key.value)}; {hint}")
    if len(given) != 1:
        raise tell(
            node, f"expected one kind of {', '.join(KINDS)}, got {' and '.join(given) or 'none'}"
        )
    ((kind, bounds),) = given.items()
    numbers = [tell.number(entry) for entry in tell.items(bounds, "two bounds [low, high]")]
    if len(numbers) != 2:
        hint = "; the size of a grid is written {..., points: 16}" if len(numbers) == 3 else ""
        raise tell(bounds, f"{kind} takes two bounds [low, high], got {len(numbers)} numbers{hint}")
    if points is None:
        return _made(tell, bounds, KINDS[kind], *numbers)
    if kind == "integer":
        raise tell(points, "integer takes no points: its grid has every whole number")
    _made(tell, bounds, KINDS[kind], *numbers)  # what is wrong with the bounds is told at them
    return _made(tell, points, KINDS[kind], *numbers, tell.number(points))


def _made(tell: _Teller, node: Any, kind: Any, *arguments: Any) -> Distribution:
    try:
        return kind(*arguments)
    except GdjaxError as error:
        raise tell(node, error) from None


def _point(tell: _Teller, dimensions: dict[str, Distribution], node: Any) -> dict[str, float]:
    point = {}
    for key, value in tell.pairs(node, "a point such as {learning_rate: 1.0e-3}"):
        number = tell.number(value)
        try:
            point[key.value] = checked_value(dimensions, key.value, number)
        except GdjaxError as error:
            raise tell(value if key.value in dimensions else key, error) from None
    if not point:
        raise tell(node, "a point to try first names at least one hyperparameter")
    return point


def _compose(text: str, where: str, as_json: bool) -> Any:
    """The root of the tree of nodes; None where there is nothing."""
    if importlib.util.find_spec("yaml") is None:
        raise MissingExtra("a space from a file", "sweep")
    import yaml

    if as_json and text.strip():
        try:
            json.loads(text, parse_int=str, parse_float=str)
        except json.JSONDecodeError as error:
            place = _place(where, error.lineno - 1, error.colno - 1)
            raise InvalidValue(f"{place}: no JSON: {error.msg}") from None
        except RecursionError:
            raise InvalidValue(f"{where}: nested too deeply for a space") from None
        text = text.replace("\t", " ")  # beside its tabs JSON is YAML; in its strings are none
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = _place(where, mark.line, mark.column) if mark else where
        raise InvalidValue(f"{place}: no YAML: {_plain(error.problem or error.context)}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position)
        place = _place(where, line, error.position - text.rfind("\n", 0, error.position) - 1)
        raise InvalidValue(f"{place}: no YAML: {_plain(error.reason)}") from None
    except RecursionError:
        raise InvalidValue(f"{where}: nested too deeply for a space") from None
    except (ValueError, OverflowError) as error:  # of an escape such as "\\UFFFFFFFF"
        raise InvalidValue(f"{where}: no YAML: {_plain(error)}") from None


def _place(where: str, line: int, column: int) -> str:
    return f"{where}, line {line + 1}, column {column + 1}"


def _seen(node: Any) -> str:
    if node.id != "scalar":
        return "a list" if node.id == "sequence" else "a mapping"
    return shown(node.value) if node.value or node.style else "nothing"


def _plain(text: object, limit: int = 150) -> str:
    """Foreign text in one line; its end is cut last, because a path tells most there."""
    line = "".join(c if c.isprintable() else "?" for c in str(text))
    return line if len(line) <= limit else f"...{line[-limit:]}"
