"""Results as files of other programs, read back by other readers than wrote them."""

import builtins
import csv
import math

import numpy as np
import pytest
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData

from gdjax import InvalidValue, MissingExtra
from gdjax.sweep.table import Status
from tests.synthetic import THREE, synthetic

FAILURE, SUCCESS = 2, 1  # of TensorBoard's api.proto


@pytest.fixture
def result():
    """27 trials of three families; the last diverged at step 5, and the first was stopped."""
    result = synthetic(THREE, ["adam"] * 9 + ["sgd"] * 9 + ["lion"] * 9)
    result.width[0, 2:] = 0
    result.status[0] = Status.STOPPED
    result.reason = result.reason.astype("U40")
    result.reason[0] = 'halving: place 2, "kept" 1'
    return result


def test_csv_holds_the_table_of_pandas(result, tmp_path):
    path = result.to_csv(tmp_path / "runs.csv")
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    table = result.to_pandas()
    assert list(rows[0]) == list(table)
    assert len(rows) == 54
    assert [float(row["learning_rate"]) for row in rows] == table.learning_rate.tolist()
    losses = [float(row["heldout_loss"] or "nan") for row in rows]
    np.testing.assert_array_equal(losses, table.heldout_loss)
    assert np.isnan(losses).sum() == (result.status == Status.DIVERGED).sum() > 0
    assert rows[0]["reason"] == 'halving: place 2, "kept" 1'
    assert rows[0]["momentum"] == ""
    result.to_csv(path)
    assert list(tmp_path.iterdir()) == [path]


def test_a_csv_that_cannot_be_written_is_told(result, tmp_path):
    with pytest.raises(InvalidValue, match=r"nowhere/runs\.csv cannot be written: No such file"):
        result.to_csv(tmp_path / "nowhere" / "runs.csv")


def events(path):
    """Events of a file, by TensorBoard's format of records."""
    content, found = (path / "events.out.tfevents.gdjax").read_bytes(), []
    while content:
        length = int.from_bytes(content[:8], "little")  # and a checksum of 4 bytes; so after it
        found.append(Event.FromString(content[12 : 12 + length]))
        content = content[16 + length :]
    return found


def of_plugin(event):
    """What an event tells the HParams plugin."""
    (value,) = event.summary.value
    assert value.metadata.plugin_data.plugin_name == "hparams"
    return value.tag, HParamsPluginData.FromString(value.metadata.plugin_data.content)


def scalars(events):
    """Values by tag and step."""
    return {
        (value.tag, event.step): value.simple_value
        for event in events
        for value in event.summary.value
    }


def test_tensorboard_gets_settings_scalars_and_status_of_each_run(result, tmp_path):
    directory = result.to_tensorboard(tmp_path / "board")
    assert len(list(directory.iterdir())) == 27
    first, start, *measured, end = events(directory / "trial_09" / "seed_1")
    assert first.file_version == "brain.Event:2"
    tag, data = of_plugin(start)
    assert tag == "_hparams_/session_start_info"
    assert data.session_start_info.group_name == "trial_09"
    told = {
        name: value.string_value or value.number_value
        for name, value in data.session_start_info.hparams.items()
    }
    assert told == {"family": "sgd", "learning_rate": 1e-4, "momentum": 0.0}
    values, loss = scalars(measured), result.traces["loss"][9, 1]
    assert [event.step for event in measured] == [10, 20, 30, 40]
    assert values["loss", 20] == np.float32(loss[10:20].mean(dtype=float))
    assert values["heldout_loss", 40] == np.float32(result.evaluations["heldout_loss"][9, 1, 3])
    tag, data = of_plugin(end)
    assert (tag, data.session_end_info.status) == ("_hparams_/session_end_info", SUCCESS)


def test_tensorboard_sees_where_runs_ended(result, tmp_path):
    directory = result.to_tensorboard(tmp_path)
    steps = {step for _, step in scalars(events(directory / "trial_00" / "seed_0")[2:-1])}
    assert steps == {10, 20}
    lost = int(np.flatnonzero(result.status[:, 0] == Status.DIVERGED)[0])
    *_, end = told = events(directory / f"trial_{lost:02}" / "seed_0")
    assert of_plugin(end)[1].session_end_info.status == FAILURE
    values = scalars(told[2:-1])
    assert result.diverged_at[lost, 0] == 5
    assert all(math.isnan(values["loss", step]) for step in (10, 20, 30, 40))


def test_one_seed_is_one_directory_a_trial_and_what_never_began_has_none(tmp_path):
    result = synthetic({"learning_rate": [0.1, 0.2, 0.3]}, seeds=1)
    result.width[1] = 0
    result.to_tensorboard(tmp_path)
    files = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.gdjax"))
    assert files == [f"trial_{i}/events.out.tfevents.gdjax" for i in (0, 2)]


def test_an_export_is_not_mixed_with_another(result, tmp_path):
    result.to_tensorboard(tmp_path)
    with pytest.raises(InvalidValue, match="holds an export already"):
        result.to_tensorboard(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(InvalidValue, match="cannot be written to"):
        result.to_tensorboard(tmp_path / "file")


def test_a_missing_tensorboardx_is_said_with_its_extra(result, tmp_path, monkeypatch):
    known = builtins.__import__

    def without(name, *rest):
        if name.startswith("tensorboardX"):
            raise ImportError(name)
        return known(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtra, match=r'pip install "gdjax\[tensorboard\]"'):
        result.to_tensorboard(tmp_path / "new")
    assert not (tmp_path / "new").exists()
