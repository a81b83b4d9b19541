"""Files that are whole or not there at all."""

import contextlib
import os
import pathlib
from collections.abc import Iterator

from gdjax.errors import InvalidValue


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
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        if new:
            os.link(temporary, path)
        else:
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def prepare(directory: str | os.PathLike, results: str) -> pathlib.Path:
    """Make ``directory`` ready for a sweep.

    Args:
      directory: made where it does not exist.
      results: name of the file whose presence says that a sweep lives there.

    Raises:
      InvalidValue: it holds another sweep, is a file, or cannot be written to.
    """
    path = pathlib.Path(directory)
    if (path / results).exists():
        raise InvalidValue(
            f"{path} already holds a sweep ({results}); choose another directory or remove it"
        )
    try:
        path.mkdir(parents=True, exist_ok=True)
        for partial in path.glob(f".{results}.*.partial"):  # of a process that was killed
            partial.unlink()
        with atomic(path / ".writable"):
            pass
        (path / ".writable").unlink()
    except OSError as error:
        raise InvalidValue(f"{path} cannot be written to: {error.strerror}") from None
    return path
