import datetime

from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from polystream.options.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetHealthRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Health(_message.Message):
    __slots__ = ("status", "components")
    class Status(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATUS_UNSPECIFIED: _ClassVar[Health.Status]
        HEALTHY: _ClassVar[Health.Status]
        DEGRADED: _ClassVar[Health.Status]
        UNHEALTHY: _ClassVar[Health.Status]
    STATUS_UNSPECIFIED: Health.Status
    HEALTHY: Health.Status
    DEGRADED: Health.Status
    UNHEALTHY: Health.Status
    class Component(_message.Message):
        __slots__ = ("name", "status", "detail", "since_time", "lag_records", "oldest_command_age")
        NAME_FIELD_NUMBER: _ClassVar[int]
        STATUS_FIELD_NUMBER: _ClassVar[int]
        DETAIL_FIELD_NUMBER: _ClassVar[int]
        SINCE_TIME_FIELD_NUMBER: _ClassVar[int]
        LAG_RECORDS_FIELD_NUMBER: _ClassVar[int]
        OLDEST_COMMAND_AGE_FIELD_NUMBER: _ClassVar[int]
        name: str
        status: Health.Status
        detail: str
        since_time: _timestamp_pb2.Timestamp
        lag_records: int
        oldest_command_age: _duration_pb2.Duration
        def __init__(self, name: _Optional[str] = ..., status: _Optional[_Union[Health.Status, str]] = ..., detail: _Optional[str] = ..., since_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., lag_records: _Optional[int] = ..., oldest_command_age: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...
    STATUS_FIELD_NUMBER: _ClassVar[int]
    COMPONENTS_FIELD_NUMBER: _ClassVar[int]
    status: Health.Status
    components: _containers.RepeatedCompositeFieldContainer[Health.Component]
    def __init__(self, status: _Optional[_Union[Health.Status, str]] = ..., components: _Optional[_Iterable[_Union[Health.Component, _Mapping]]] = ...) -> None: ...
