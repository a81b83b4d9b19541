"""Log lines that programs read: one JSON object a line."""

import datetime
import json
import math
import os
import pathlib
from collections.abc import Callable
from typing import Any, TextIO

from gdjax.errors import InvalidType, InvalidValue, shown
from gdjax.sweep.snapshots import Snapshot


def log_lines(file: str | os.PathLike | TextIO) -> Callable[[Snapshot], None]:
    """A callback that writes one line of JSON each time it is called.

    A line has an ``event`` (start, segment or end), its ``time`` (ISO 8601, UTC) and the numbers
    of the :class:`gdjax.Snapshot`; what is not known or not finite is ``null``. A file is opened
    for each line and appended to, so a sweep that goes on goes on there.

    Args:
      file: a path, or an open text file such as ``sys.stderr``.

    Raises:
      InvalidType: neither of them.
      InvalidValue: the file cannot be written.

    >>> import io, json
    >>> import gdjax, jax.numpy as jnp
    >>> task = gdjax.Task(
    ...     init=lambda key: jnp.ones(()),
    ...     loss=lambda params, batch, key: 0.5 * params**2,
    ...     batch=lambda key, step: None,
    ... )
    >>> lines = io.StringIO()
    >>> space = {"learning_rate": [0.5, 0.25]}
    >>> result = gdjax.sweep(task, gdjax.sgd, space, steps=2, callbacks=gdjax.log_lines(lines))
    >>> last = json.loads(lines.getvalue().splitlines()[-1])
    >>> last["event"], last["done"], last["best_trial"], last["best_settings"]
    ('end', 2, 0, {'learning_rate': 0.5})
    """
    is_path = isinstance(file, (str, bytes, os.PathLike))
    write = _to_path(file) if is_path else _to_open(file)

    def log(snapshot: Snapshot) -> None:
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        write(json.dumps(_line(snapshot, now), allow_nan=False) + "\n")

    return log


def _to_path(file: Any) -> Callable[[str], None]:
    """What appends whole lines to a file, each by one call of the system."""
    try:
        path = pathlib.Path(os.fsdecode(file)).absolute()
    except Exception:  # whatever a foreign __fspath__ does
        raise InvalidType(f"log_lines takes a path or a text file, got {shown(file)}") from None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "ab") as opened:
            if path.is_file() and path.read_bytes()[-1:] not in (b"", b"\n"):
                opened.write(b"\n")  # behind half a line, of who was killed
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or error
        raise InvalidValue(f"log_lines: {shown(file)} cannot be written: {reason}") from None

    def append(line: str) -> None:
        with open(path, "ab", buffering=0) as opened:
            opened.write(line.encode())

    return append


def _to_open(file: Any) -> Callable[[str], None]:
    """What writes to a file that is open, and flushes it."""
    for method in ("write", "flush"):
        if isinstance(file, type) or not callable(getattr(file, method, None)):
            raise InvalidType(f"log_lines takes a path or a text file, got {shown(file)}")

    def write(line: str) -> None:
        file.write(line)
        file.flush()

    return write


def _line(snapshot: Snapshot, time: str) -> dict[str, Any]:
    numbers = snapshot._asdict()
    best, trials = numbers.pop("best"), len(numbers.pop("status"))
    del numbers["scores"]
    line = {"event": numbers.pop("event"), "time": time, "trials": trials, **numbers}
    line["best"] = None if best is None else best.score
    line["best_trial"] = None if best is None else best.trial
    line["best_family"] = None if best is None else best.family
    line["best_settings"] = None if best is None else dict(best.settings)
    return _finite(line)


def _finite(value: Any) -> Any:
    """JSON has neither NaN nor infinities."""
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
