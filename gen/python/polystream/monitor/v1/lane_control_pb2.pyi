import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class LanePause(_message.Message):
    __slots__ = ("principal", "justification", "since_time")
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    JUSTIFICATION_FIELD_NUMBER: _ClassVar[int]
    SINCE_TIME_FIELD_NUMBER: _ClassVar[int]
    principal: str
    justification: str
    since_time: _timestamp_pb2.Timestamp
    def __init__(self, principal: _Optional[str] = ..., justification: _Optional[str] = ..., since_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class LaneControl(_message.Message):
    __slots__ = ("lane", "pause")
    LANE_FIELD_NUMBER: _ClassVar[int]
    PAUSE_FIELD_NUMBER: _ClassVar[int]
    lane: str
    pause: LanePause
    def __init__(self, lane: _Optional[str] = ..., pause: _Optional[_Union[LanePause, _Mapping]] = ...) -> None: ...

class PauseLaneRequest(_message.Message):
    __slots__ = ("lane", "principal", "justification")
    LANE_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    JUSTIFICATION_FIELD_NUMBER: _ClassVar[int]
    lane: str
    principal: str
    justification: str
    def __init__(self, lane: _Optional[str] = ..., principal: _Optional[str] = ..., justification: _Optional[str] = ...) -> None: ...

class ResumeLaneRequest(_message.Message):
    __slots__ = ("lane", "principal", "justification")
    LANE_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    JUSTIFICATION_FIELD_NUMBER: _ClassVar[int]
    lane: str
    principal: str
    justification: str
    def __init__(self, lane: _Optional[str] = ..., principal: _Optional[str] = ..., justification: _Optional[str] = ...) -> None: ...

class ListLaneControlsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListLaneControlsResponse(_message.Message):
    __slots__ = ("controls",)
    CONTROLS_FIELD_NUMBER: _ClassVar[int]
    controls: _containers.RepeatedCompositeFieldContainer[LaneControl]
    def __init__(self, controls: _Optional[_Iterable[_Union[LaneControl, _Mapping]]] = ...) -> None: ...
