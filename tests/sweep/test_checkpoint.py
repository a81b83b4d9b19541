import os
import signal
import subprocess
import sys

import pytest

from gdjax import InvalidValue
from gdjax.sweep import checkpoint


def test_atomic_replaces_at_the_end(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with checkpoint.atomic(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["file"]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError), checkpoint.atomic(path) as temporary:
        temporary.write_text("half \ud800")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_killed_writer_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    code = f"""
import os, pathlib, signal
from gdjax.sweep import checkpoint
with checkpoint.atomic(pathlib.Path({str(path)!r})) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == -signal.SIGKILL
    assert path.read_text() == "old"


def test_prepare_makes_a_directory_and_refuses_one_that_is_taken(tmp_path):
    directory = checkpoint.prepare(tmp_path / "a" / "b", ["results.nc"])
    assert directory.is_dir()
    assert os.listdir(directory) == []
    (directory / "results.nc").touch()
    with pytest.raises(InvalidValue, match=r"already holds a sweep \(results.nc\)"):
        checkpoint.prepare(directory, ["results.nc"])
