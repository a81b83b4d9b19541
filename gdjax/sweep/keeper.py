"""The checkpoints of a sweep: all that it needs to go on, between two segments.

A checkpoint is one npz file: plain arrays with a checksum each (that of zip), which any NumPy
reads, without pickle and without another dependency. It is written aside, flushed and put in
place; the last two are kept, and the newest one that can be read counts.
"""

import io
import json
import pathlib
import time
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gdjax.errors import InvalidValue
from gdjax.sweep import checkpoint
from gdjax.sweep.ledger import Ledger
from gdjax.sweep.loop import Part

CHECKPOINTS = f"checkpoint-{'[0-9]' * 8}.npz"
KEPT = 2
SHARE = 0.02  # of the time that may go into checkpoints, where no interval is given


class Keeper:
    """Writes and reads the checkpoints of one sweep.

    Args:
      directory: of the sweep, locked.
      identity: what must be the same for the sweep to go on bit for bit, by name.
      every: seconds between checkpoints; 0: after each segment; None: as often as their cost is
        a fiftieth of the time.
    """

    def __init__(self, directory: pathlib.Path, identity: Mapping[str, str], every: float | None):
        self._directory, self._identity, self.every = directory, dict(identity), every
        self._number = max([-1, *map(_number, directory.glob(CHECKPOINTS))])
        self._last, self._cost = time.monotonic(), 0.0
        self._warned = False

    @property
    def holds_any(self) -> bool:
        """Whether there is a checkpoint."""
        return self._number >= 0

    def due(self) -> bool:
        """Whether it is time for the next checkpoint."""
        pause = self._cost / SHARE if self.every is None else self.every
        return time.monotonic() - self._last >= pause

    def save(self, ledger: Ledger, parts: Sequence[Part], seconds: float) -> bool:
        """Write a checkpoint; where that is impossible, warn, and keep those that there are.

        Nothing may be computing.

        Args:
          ledger: of the sweep.
          parts: its families.
          seconds: that it has run.
        """
        began = time.monotonic()
        arrays = {f"ledger/{name}": values for name, values in ledger.arrays().items()}
        for index, part in enumerate(parts):
            part.executor.land()
            store = part.executor.store
            arrays[f"{index}/trials"] = store.trials
            leaves = enumerate(store.rows())
            arrays |= {f"{index}/{i}": _as_bytes(leaf) for i, leaf in leaves}
        meta = {"identity": self._identity, "seconds": seconds, "arrays": sorted(arrays)}
        arrays["meta"] = np.frombuffer(json.dumps(meta).encode(), np.uint8)
        path = self._directory / f"checkpoint-{self._number + 1:08d}.npz"
        try:
            with checkpoint.atomic(path) as temporary, open(temporary, "wb") as file:
                np.savez(file, allow_pickle=False, **arrays)
        except OSError as error:
            if not self._warned:
                warnings.warn(
                    f"no checkpoint can be written to {self._directory}: {error.strerror}; the "
                    "sweep goes on, and tries again",
                    stacklevel=2,
                )
            self._warned = True
            return False
        finally:
            self._last = time.monotonic()
            self._cost = self._last - began
        self._number += 1
        for old in sorted(self._directory.glob(CHECKPOINTS))[:-KEPT]:
            old.unlink(missing_ok=True)
        return True

    def load(self, ledger: Ledger, parts: Sequence[Part]) -> float:
        """Go on where the newest whole checkpoint stands; the seconds that the sweep had run.

        Raises:
          InvalidValue: it was made by something else, or none can be read.
        """
        arrays = _newest(self._directory)
        meta = json.loads(bytes(arrays["meta"]))
        if found := differences(meta["identity"], self._identity):
            raise InvalidValue(f"the sweep in {self._directory} cannot go on exactly: {found}")
        prefix = "ledger/"
        ledger.restore(
            {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
        )
        for index, part in enumerate(parts):
            store, trials = part.executor.store, arrays[f"{index}/trials"]
            leaves = [
                arrays[f"{index}/{i}"].view(leaf.dtype).reshape(len(trials), *leaf.shape[1:])
                for i, leaf in enumerate(store.leaves)
            ]
            store.restore(trials, leaves)
        return meta["seconds"]


def stored_identity(directory: pathlib.Path) -> dict[str, str]:
    """That of the sweep whose checkpoints are in a directory; empty where there are none.

    Raises:
      InvalidValue: none of them can be read.
    """
    if not any(directory.glob(CHECKPOINTS)):
        return {}
    return json.loads(bytes(_newest(directory)["meta"]))["identity"]


def _newest(directory: pathlib.Path) -> dict[str, np.ndarray]:
    reasons = []
    for path in sorted(directory.glob(CHECKPOINTS), reverse=True):
        try:
            return _read(path)
        except Exception as error:  # whatever zipfile and NumPy make of a damaged file
            reasons.append(f"{path.name}: {error}")
    raise InvalidValue(f"no checkpoint in {directory} can be read: {'; '.join(reasons)}")


def differences(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """What of a sweep's identity has changed, in words; empty where nothing has.

    >>> differences({"jax": "0.7", "device": "cpu"}, {"jax": "0.8", "device": "cpu"})
    'jax was 0.7, is 0.8'
    """
    return "; ".join(
        f"{name} was {value}, is {now.get(name, 'none')}"
        for name, value in before.items()
        if now.get(name) != value
    )


def clear(directory: pathlib.Path) -> None:
    """Remove the checkpoints of a sweep that has its results."""
    for path in directory.glob(CHECKPOINTS):
        path.unlink(missing_ok=True)


def _read(path: pathlib.Path) -> dict[str, np.ndarray]:
    """All arrays of a file; each has a checksum, but the list of them in a zip file has none."""
    with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    if sorted(arrays) != sorted([*json.loads(bytes(arrays["meta"]))["arrays"], "meta"]):
        raise ValueError("its list of arrays is damaged")
    return arrays


def _number(path: pathlib.Path) -> int:
    return int(path.stem.partition("-")[2])


def _as_bytes(leaf: np.ndarray) -> Any:
    """Files know no bfloat16, nor any other type that is not NumPy's own."""
    return np.ascontiguousarray(leaf).view(np.uint8) if leaf.dtype.kind == "V" else leaf
