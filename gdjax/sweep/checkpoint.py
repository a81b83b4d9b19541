"""Files that are whole or not there at all."""

import contextlib
import os
import pathlib
from collections.abc import Iterable, Iterator

from gdjax.errors import InvalidType, InvalidValue, shown


@contextlib.contextmanager
def atomic(path: pathlib.Path, new: bool = False) -> Iterator[pathlib.Path]:
    """Give a temporary path to write to; flush it to disk and put it in place at the end.

    A process that is killed while writing leaves the old file, or none, never half a file.

    Args:
      path: where the file is to be.
      new: fail with ``FileExistsError`` where there is a file by then, and keep that.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    temporary.touch()
    try:
        yield temporary
        with open(temporary, "r+b") as file:  # Windows flushes only what it may write
            os.fsync(file.fileno())
        if new:
            os.link(temporary, path)
        else:
            os.replace(temporary, path)
        _flush_directory(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def prepare(directory: str | os.PathLike, taken: Iterable[str]) -> pathlib.Path:
    """Make ``directory`` ready for a sweep.

    Args:
      directory: made where it does not exist.
      taken: patterns of files whose presence says that another sweep lives there.

    Raises:
      InvalidType: it is no path.
      InvalidValue: it holds another sweep, is a file, or cannot be written to.
    """
    try:
        path = pathlib.Path(os.fsdecode(directory))
        os.fsencode(path)
    except Exception:  # whatever a foreign __fspath__ does, or a name that no system takes
        raise InvalidType(f"directory must be a path, got {shown(directory)}") from None
    try:
        found = [file.name for pattern in taken for file in path.glob(pattern)]
        if not found:
            path.mkdir(parents=True, exist_ok=True)
            with atomic(path / ".writable"):
                pass
            (path / ".writable").unlink()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or error
        raise InvalidValue(f"{shown(str(path))} cannot be written to: {reason}") from None
    if found:
        raise InvalidValue(
            f"{path} already holds a sweep ({found[0]}); sweep(..., resume=True) goes on "
            "with it, or choose another directory or remove it"
        )
    return path


@contextlib.contextmanager
def locked(directory: pathlib.Path) -> Iterator[None]:
    """Keep other processes from writing to ``directory``; the system lets go when this one ends.

    Raises:
      InvalidValue: another process has it.
    """
    descriptor = _open_for_lock(directory)
    try:
        try:
            _lock(descriptor)
        except OSError:
            raise InvalidValue(
                f"another process writes to {directory}; wait for it, or choose another directory"
            ) from None
        for partial in directory.glob(".*.partial"):  # of a process that was killed
            partial.unlink()
        yield
    finally:
        os.close(descriptor)


def _open_for_lock(directory: pathlib.Path) -> int:
    """The directory itself, where the system locks one; else a file in it, which stays."""
    if os.name == "posix":
        return os.open(directory, os.O_RDONLY)
    return os.open(directory / ".lock", os.O_RDWR | os.O_CREAT)


def _lock(descriptor: int) -> None:
    if os.name == "posix":
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    else:
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]


def _flush_directory(path: pathlib.Path) -> None:
    """Make a new name durable, where the system can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
