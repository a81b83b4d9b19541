"""Event files that TensorBoard reads: scalars, and the settings for its HParams plugin."""

import pathlib
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from gdjax.errors import InvalidValue, MissingExtra

EVENTS = "events.out.tfevents.gdjax"
"""Name of each file; TensorBoard knows it by its middle, and a run by its directory."""


class Run(NamedTuple):
    """One run as TensorBoard sees it."""

    directory: str  # below that of all runs; its name there
    group: str  # runs of one group are a row of the HParams table, which shows their mean
    hyperparameters: Mapping[str, float | str]
    scalars: Sequence[tuple[int, Mapping[str, float]]]  # step, values by tag
    failed: bool


def write(directory: pathlib.Path, runs: Iterable[Run]) -> None:
    """Write one event file a run.

    The HParams plugin finds the columns of its table and their ranges by itself, more of them than
    the summary holds in which other writers describe an experiment.

    Args:
      directory: made where it does not exist.
      runs: of any number.

    Raises:
      MissingExtra: tensorboardX is not installed.
      InvalidValue: there are such files, or the directory cannot be written to.
    """
    try:
        from tensorboardX.record_writer import RecordWriter
    except ImportError:
        raise MissingExtra("SweepResult.to_tensorboard", "tensorboard") from None
    for found in directory.rglob(EVENTS):
        raise InvalidValue(f"{directory} holds an export already ({found}); choose another one")
    now = time.time()
    try:
        for run in runs:
            path = directory / run.directory
            path.mkdir(parents=True, exist_ok=True)
            writer = RecordWriter(str(path / EVENTS))
            try:
                for event in _events(run, now):
                    writer.write(event.SerializeToString())
            finally:
                writer.close()
    except OSError as error:
        raise InvalidValue(f"{directory} cannot be written to: {error.strerror}") from None


def _events(run: Run, now: float) -> Iterable[Any]:
    from tensorboardX.proto import api_pb2, event_pb2, plugin_hparams_pb2, summary_pb2

    def of_plugin(**content: Any) -> Any:
        """An event that only the HParams plugin reads."""
        (name,) = content
        data = plugin_hparams_pb2.HParamsPluginData(**content).SerializeToString()
        plugin = summary_pb2.SummaryMetadata.PluginData(plugin_name="hparams", content=data)
        metadata = summary_pb2.SummaryMetadata(plugin_data=plugin)
        value = summary_pb2.Summary.Value(tag=f"_hparams_/{name}", metadata=metadata)
        return event_pb2.Event(wall_time=now, summary=summary_pb2.Summary(value=[value]))

    start = plugin_hparams_pb2.SessionStartInfo(group_name=run.group, start_time_secs=now)
    for name, value in run.hyperparameters.items():
        field = "string_value" if isinstance(value, str) else "number_value"
        setattr(start.hparams[name], field, value)
    yield event_pb2.Event(wall_time=now, file_version="brain.Event:2")
    yield of_plugin(session_start_info=start)
    for step, values in run.scalars:
        scalars = [summary_pb2.Summary.Value(tag=k, simple_value=v) for k, v in values.items()]
        summary = summary_pb2.Summary(value=scalars)
        yield event_pb2.Event(wall_time=now, step=step, summary=summary)
    status = api_pb2.STATUS_FAILURE if run.failed else api_pb2.STATUS_SUCCESS
    end = plugin_hparams_pb2.SessionEndInfo(status=status, end_time_secs=now)
    yield of_plugin(session_end_info=end)
