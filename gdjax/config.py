"""What decides a sweep of the command, in a file beside its results."""

import dataclasses
import json
import os
import pathlib
from typing import Any, Literal

from gdjax.errors import InvalidValue
from gdjax.sweep import Space, checkpoint, spacefile
from gdjax.sweep.running import environment
from gdjax.sweep.space import Method
from gdjax.sweep.specs import parse

CONFIG_FILE = "config.json"
Monitors = Literal["economy", "full"]


@dataclasses.dataclass(frozen=True)
class Config:
    """What decides a sweep: the content of ``config.json``."""

    task: str
    optimizer: str
    space: dict[str, str]
    trials: int | None
    method: Method | None
    seeds: int
    steps: int
    key: int
    width: int | Literal["measured"] | None
    space_file: dict[str, Any] | None = None  # its content, which the SPECs of `space` override
    stopping: str | None = None
    monitors: Monitors | None = None
    devices: int | None = None  # of the CPU

    def write(self, directory: pathlib.Path) -> None:
        """Write it into a directory, whole or not at all."""
        with checkpoint.atomic(directory / CONFIG_FILE) as path:
            content = {"sweep": dataclasses.asdict(self), "made_with": environment()}
            path.write_text(json.dumps(content, indent=2) + "\n")

    @classmethod
    def read(cls, directory: str | os.PathLike) -> "Config":
        """That of a directory.

        Raises:
          InvalidValue: there is none, or it is not what :meth:`write` wrote.
        """
        path = pathlib.Path(directory) / CONFIG_FILE
        if not path.is_file():
            raise InvalidValue(
                f"{directory} holds no {CONFIG_FILE}, which says how to run it again"
            )
        try:
            return cls(**json.loads(path.read_text())["sweep"])
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidValue(f"{path} is not what gdjax wrote: {error}") from None

    def dimensions(self) -> Space:
        """The space, of what was given by name and in a file."""
        chosen = {name: parse(name, spec) for name, spec in self.space.items()}
        if self.space_file is None:
            return Space(chosen)
        told = f"{CONFIG_FILE}: space_file"
        in_file = spacefile.parse(json.dumps(self.space_file), told, as_json=True)
        return Space(in_file.dimensions | chosen, in_file.first)
