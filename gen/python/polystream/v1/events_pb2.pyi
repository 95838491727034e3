import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from polystream.options.v1 import options_pb2 as _options_pb2
from polystream.v1 import operations_pb2 as _operations_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CommandReceipt(_message.Message):
    __slots__ = ("correlation_id", "command", "store", "state", "accept_time", "receive_time", "complete_time", "duplicate", "dead_lettered", "user_id", "result", "error", "command_partition", "command_offset", "waits_behind", "request_fingerprint")
    class Result(_message.Message):
        __slots__ = ("type_url", "value")
        TYPE_URL_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        type_url: str
        value: bytes
        def __init__(self, type_url: _Optional[str] = ..., value: _Optional[bytes] = ...) -> None: ...
    class FieldFault(_message.Message):
        __slots__ = ("field", "description", "rule")
        FIELD_FIELD_NUMBER: _ClassVar[int]
        DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
        RULE_FIELD_NUMBER: _ClassVar[int]
        field: str
        description: str
        rule: str
        def __init__(self, field: _Optional[str] = ..., description: _Optional[str] = ..., rule: _Optional[str] = ...) -> None: ...
    class Error(_message.Message):
        __slots__ = ("code", "reason", "message", "field", "metadata", "faults", "retry_delay")
        class MetadataEntry(_message.Message):
            __slots__ = ("key", "value")
            KEY_FIELD_NUMBER: _ClassVar[int]
            VALUE_FIELD_NUMBER: _ClassVar[int]
            key: str
            value: str
            def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
        CODE_FIELD_NUMBER: _ClassVar[int]
        REASON_FIELD_NUMBER: _ClassVar[int]
        MESSAGE_FIELD_NUMBER: _ClassVar[int]
        FIELD_FIELD_NUMBER: _ClassVar[int]
        METADATA_FIELD_NUMBER: _ClassVar[int]
        FAULTS_FIELD_NUMBER: _ClassVar[int]
        RETRY_DELAY_FIELD_NUMBER: _ClassVar[int]
        code: int
        reason: str
        message: str
        field: str
        metadata: _containers.ScalarMap[str, str]
        faults: _containers.RepeatedCompositeFieldContainer[CommandReceipt.FieldFault]
        retry_delay: _duration_pb2.Duration
        def __init__(self, code: _Optional[int] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ..., field: _Optional[str] = ..., metadata: _Optional[_Mapping[str, str]] = ..., faults: _Optional[_Iterable[_Union[CommandReceipt.FieldFault, _Mapping]]] = ..., retry_delay: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    STORE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ACCEPT_TIME_FIELD_NUMBER: _ClassVar[int]
    RECEIVE_TIME_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_TIME_FIELD_NUMBER: _ClassVar[int]
    DUPLICATE_FIELD_NUMBER: _ClassVar[int]
    DEAD_LETTERED_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    COMMAND_PARTITION_FIELD_NUMBER: _ClassVar[int]
    COMMAND_OFFSET_FIELD_NUMBER: _ClassVar[int]
    WAITS_BEHIND_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    correlation_id: str
    command: str
    store: _options_pb2.Store
    state: _operations_pb2.Operation.State
    accept_time: _timestamp_pb2.Timestamp
    receive_time: _timestamp_pb2.Timestamp
    complete_time: _timestamp_pb2.Timestamp
    duplicate: bool
    dead_lettered: bool
    user_id: int
    result: CommandReceipt.Result
    error: CommandReceipt.Error
    command_partition: int
    command_offset: int
    waits_behind: str
    request_fingerprint: bytes
    def __init__(self, correlation_id: _Optional[str] = ..., command: _Optional[str] = ..., store: _Optional[_Union[_options_pb2.Store, str]] = ..., state: _Optional[_Union[_operations_pb2.Operation.State, str]] = ..., accept_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., receive_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., complete_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., duplicate: _Optional[bool] = ..., dead_lettered: _Optional[bool] = ..., user_id: _Optional[int] = ..., result: _Optional[_Union[CommandReceipt.Result, _Mapping]] = ..., error: _Optional[_Union[CommandReceipt.Error, _Mapping]] = ..., command_partition: _Optional[int] = ..., command_offset: _Optional[int] = ..., waits_behind: _Optional[str] = ..., request_fingerprint: _Optional[bytes] = ...) -> None: ...
