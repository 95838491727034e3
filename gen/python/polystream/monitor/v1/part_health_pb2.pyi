import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from polystream.monitor.v1 import lane_control_pb2 as _lane_control_pb2
from polystream.v1 import system_pb2 as _system_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PartHealth(_message.Message):
    __slots__ = ("name", "kind", "pid", "state", "doing", "since_time", "waits", "lag", "counts", "note", "pause", "partitions")
    class Wait(_message.Message):
        __slots__ = ("dependency", "reason", "detail", "since_time")
        DEPENDENCY_FIELD_NUMBER: _ClassVar[int]
        REASON_FIELD_NUMBER: _ClassVar[int]
        DETAIL_FIELD_NUMBER: _ClassVar[int]
        SINCE_TIME_FIELD_NUMBER: _ClassVar[int]
        dependency: str
        reason: str
        detail: str
        since_time: _timestamp_pb2.Timestamp
        def __init__(self, dependency: _Optional[str] = ..., reason: _Optional[str] = ..., detail: _Optional[str] = ..., since_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
    class Lag(_message.Message):
        __slots__ = ("records", "oldest_age")
        RECORDS_FIELD_NUMBER: _ClassVar[int]
        OLDEST_AGE_FIELD_NUMBER: _ClassVar[int]
        records: int
        oldest_age: _duration_pb2.Duration
        def __init__(self, records: _Optional[int] = ..., oldest_age: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...
    class CountsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    DOING_FIELD_NUMBER: _ClassVar[int]
    SINCE_TIME_FIELD_NUMBER: _ClassVar[int]
    WAITS_FIELD_NUMBER: _ClassVar[int]
    LAG_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    PAUSE_FIELD_NUMBER: _ClassVar[int]
    PARTITIONS_FIELD_NUMBER: _ClassVar[int]
    name: str
    kind: str
    pid: int
    state: _system_pb2.Health.Status
    doing: str
    since_time: _timestamp_pb2.Timestamp
    waits: _containers.RepeatedCompositeFieldContainer[PartHealth.Wait]
    lag: PartHealth.Lag
    counts: _containers.ScalarMap[str, int]
    note: str
    pause: _lane_control_pb2.LanePause
    partitions: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, name: _Optional[str] = ..., kind: _Optional[str] = ..., pid: _Optional[int] = ..., state: _Optional[_Union[_system_pb2.Health.Status, str]] = ..., doing: _Optional[str] = ..., since_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., waits: _Optional[_Iterable[_Union[PartHealth.Wait, _Mapping]]] = ..., lag: _Optional[_Union[PartHealth.Lag, _Mapping]] = ..., counts: _Optional[_Mapping[str, int]] = ..., note: _Optional[str] = ..., pause: _Optional[_Union[_lane_control_pb2.LanePause, _Mapping]] = ..., partitions: _Optional[_Iterable[int]] = ...) -> None: ...

class ReportHealthRequest(_message.Message):
    __slots__ = ("part", "leaving")
    PART_FIELD_NUMBER: _ClassVar[int]
    LEAVING_FIELD_NUMBER: _ClassVar[int]
    part: PartHealth
    leaving: bool
    def __init__(self, part: _Optional[_Union[PartHealth, _Mapping]] = ..., leaving: _Optional[bool] = ...) -> None: ...

class ReportHealthResponse(_message.Message):
    __slots__ = ("pause",)
    PAUSE_FIELD_NUMBER: _ClassVar[int]
    pause: _lane_control_pb2.LanePause
    def __init__(self, pause: _Optional[_Union[_lane_control_pb2.LanePause, _Mapping]] = ...) -> None: ...

class ListPartHealthRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListPartHealthResponse(_message.Message):
    __slots__ = ("parts",)
    class HeardPart(_message.Message):
        __slots__ = ("part", "silence")
        PART_FIELD_NUMBER: _ClassVar[int]
        SILENCE_FIELD_NUMBER: _ClassVar[int]
        part: PartHealth
        silence: _duration_pb2.Duration
        def __init__(self, part: _Optional[_Union[PartHealth, _Mapping]] = ..., silence: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...
    PARTS_FIELD_NUMBER: _ClassVar[int]
    parts: _containers.RepeatedCompositeFieldContainer[ListPartHealthResponse.HeardPart]
    def __init__(self, parts: _Optional[_Iterable[_Union[ListPartHealthResponse.HeardPart, _Mapping]]] = ...) -> None: ...
