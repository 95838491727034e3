"""A part's report as the message that services send one another."""

from collections.abc import Mapping
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp
from polystream.monitor.v1 import part_health_pb2 as pb
from polystream.monitor.v1.lane_control_pb2 import LanePause
from polystream.v1.system_pb2 import Health

from mesh.health.report import NEWEST_MS, HealthState, Lag, PartReport, Pause, Wait

_STATES: Final[Mapping[Health.Status, HealthState]] = {
    Health.HEALTHY: HealthState.HEALTHY,
    Health.DEGRADED: HealthState.DEGRADED,
    Health.UNHEALTHY: HealthState.UNHEALTHY,
}


def to_message(report: PartReport) -> pb.PartHealth:
    """Return the message of a report."""
    message = pb.PartHealth(
        name=report.name,
        kind=report.kind,
        pid=report.pid,
        state=report.state.value,
        doing=report.doing,
        since_time=timestamp(report.since_ms),
        counts=report.counts,
        note=report.note,
        partitions=report.partitions,
    )
    if report.pause is not None:
        message.pause.CopyFrom(pause_message(report.pause))
    for wait in report.waits:
        message.waits.add(
            dependency=wait.dependency, reason=wait.reason, detail=wait.detail, since_time=timestamp(wait.since_ms)
        )
    if report.lag is not None:
        message.lag.records = report.lag.records
        message.lag.oldest_age.FromMilliseconds(report.lag.oldest_age_ms)
    return message


def from_message(message: pb.PartHealth) -> PartReport:
    """Return the report that a message tells of, as bounded as `PartReport.from_dict` has it. Raises ValueError."""
    state = _STATES.get(message.state)
    if state is None:
        raise ValueError("the report has no state")
    report = PartReport(
        name=message.name,
        kind=message.kind,
        pid=message.pid,
        state=state,
        doing=message.doing,
        since_ms=_time_ms(message.since_time),
        waits=tuple(Wait(w.dependency, w.reason, w.detail, _time_ms(w.since_time)) for w in message.waits),
        lag=Lag(message.lag.records, message.lag.oldest_age.ToMilliseconds()) if message.HasField("lag") else None,
        counts=dict(message.counts),
        note=message.note,
        pause=pause_of(message.pause) if message.HasField("pause") else None,
        partitions=tuple(message.partitions),
    )
    return PartReport.from_dict(report.to_dict())


def pause_message(pause: Pause) -> LanePause:
    """Return the message of a pause."""
    return LanePause(principal=pause.principal, justification=pause.justification, since_time=timestamp(pause.since_ms))


def pause_of(message: LanePause) -> Pause:
    """Return the pause that a message tells of. Raises ValueError for a time that is none."""
    return Pause(message.principal, message.justification, _time_ms(message.since_time))


def timestamp(time_ms: int) -> Timestamp:
    """Return a time in milliseconds since the epoch as protobuf has it."""
    told = Timestamp()
    told.FromMilliseconds(time_ms)
    return told


def _time_ms(told: Timestamp) -> int:
    time_ms = told.ToMilliseconds()
    if not 0 <= time_ms <= NEWEST_MS:
        raise ValueError("a time is before 1970 or after 9999")
    return time_ms
