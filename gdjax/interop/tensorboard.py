"""Event files that TensorBoard reads: scalars, and its HParams plugin's table of them."""

import pathlib
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from gdjax.errors import InvalidValue, MissingExtra

EVENTS = "events.out.tfevents.gdjax"


class Run(NamedTuple):
    """One run as TensorBoard sees it."""

    directory: str  # below that of all runs; its name there
    group: str  # runs of one group are a row of the HParams table, which shows their mean
    hyperparameters: Mapping[str, float | str]
    scalars: Sequence[tuple[int, Mapping[str, float]]]  # step, values by tag
    failed: bool


def write(
    directory: pathlib.Path, kinds: Mapping[str, type], tags: Sequence[str], runs: Iterable[Run]
) -> None:
    """Write one event file a run, and one that says what the columns of the HParams table are.

    Args:
      directory: made where it does not exist; it must hold no such files.
      kinds: hyperparameters and whether each is a ``float`` or a ``str``.
      tags: metrics of the table.
      runs: of any number.

    Raises:
      MissingExtra: tensorboardX is not installed.
      InvalidValue: there are event files, or the directory cannot be written to.
    """
    try:
        from tensorboardX.proto import api_pb2, plugin_hparams_pb2
    except ImportError:
        raise MissingExtra("SweepResult.to_tensorboard", "tensorboard") from None
    if (directory / EVENTS).exists():
        raise InvalidValue(f"{directory} holds such an export; choose another directory")
    data, now = plugin_hparams_pb2.HParamsPluginData, time.time()
    types = {float: api_pb2.DATA_TYPE_FLOAT64, str: api_pb2.DATA_TYPE_STRING}
    experiment = api_pb2.Experiment(
        hparam_infos=[api_pb2.HParamInfo(name=n, type=types[kind]) for n, kind in kinds.items()],
        metric_infos=[api_pb2.MetricInfo(name=api_pb2.MetricName(tag=tag)) for tag in tags],
    )
    try:
        for run in runs:
            start = plugin_hparams_pb2.SessionStartInfo(group_name=run.group, start_time_secs=now)
            for name, value in run.hyperparameters.items():
                field = "string_value" if isinstance(value, str) else "number_value"
                setattr(start.hparams[name], field, value)
            status = api_pb2.STATUS_FAILURE if run.failed else api_pb2.STATUS_SUCCESS
            end = plugin_hparams_pb2.SessionEndInfo(status=status, end_time_secs=now)
            summaries = [
                (0, _of_plugin("session_start_info", data(session_start_info=start))),
                *((step, _scalars(values)) for step, values in run.scalars),
                (0, _of_plugin("session_end_info", data(session_end_info=end))),
            ]
            _write_events(directory / run.directory, summaries, now)
        columns = _of_plugin("experiment", data(experiment=experiment))
        _write_events(directory, [(0, columns)], now)  # last: it says that all is there
    except OSError as error:
        raise InvalidValue(f"{directory} cannot be written to: {error.strerror}") from None


def _of_plugin(tag: str, data: Any) -> Any:
    """A summary that only the HParams plugin reads."""
    from tensorboardX.proto.summary_pb2 import Summary, SummaryMetadata

    plugin = SummaryMetadata.PluginData(plugin_name="hparams", content=data.SerializeToString())
    metadata = SummaryMetadata(plugin_data=plugin)
    return Summary(value=[Summary.Value(tag=f"_hparams_/{tag}", metadata=metadata)])


def _scalars(values: Mapping[str, float]) -> Any:
    from tensorboardX.proto.summary_pb2 import Summary

    return Summary(value=[Summary.Value(tag=k, simple_value=v) for k, v in values.items()])


def _write_events(directory: pathlib.Path, summaries: Iterable[tuple[int, Any]], now: float):
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.record_writer import RecordWriter

    directory.mkdir(parents=True, exist_ok=True)
    writer = RecordWriter(str(directory / EVENTS))
    try:
        writer.write(Event(wall_time=now, file_version="brain.Event:2").SerializeToString())
        for step, summary in summaries:
            event = Event(wall_time=now, step=step, summary=summary)
            writer.write(event.SerializeToString())
    finally:
        writer.close()
