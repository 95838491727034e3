import datetime

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

class DeadLetter(_message.Message):
    __slots__ = ("name", "status", "correlation_id", "command", "reason", "error", "store", "lane", "time", "source_partition", "source_offset", "redrives", "value_bytes", "user_id", "waiting", "waiting_count")
    class ParkingStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        PARKING_STATUS_UNSPECIFIED: _ClassVar[DeadLetter.ParkingStatus]
        PARKED: _ClassVar[DeadLetter.ParkingStatus]
        SETTLED: _ClassVar[DeadLetter.ParkingStatus]
        FOREIGN: _ClassVar[DeadLetter.ParkingStatus]
        UNKNOWN: _ClassVar[DeadLetter.ParkingStatus]
    PARKING_STATUS_UNSPECIFIED: DeadLetter.ParkingStatus
    PARKED: DeadLetter.ParkingStatus
    SETTLED: DeadLetter.ParkingStatus
    FOREIGN: DeadLetter.ParkingStatus
    UNKNOWN: DeadLetter.ParkingStatus
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    STORE_FIELD_NUMBER: _ClassVar[int]
    LANE_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    SOURCE_PARTITION_FIELD_NUMBER: _ClassVar[int]
    SOURCE_OFFSET_FIELD_NUMBER: _ClassVar[int]
    REDRIVES_FIELD_NUMBER: _ClassVar[int]
    VALUE_BYTES_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    WAITING_COUNT_FIELD_NUMBER: _ClassVar[int]
    name: str
    status: DeadLetter.ParkingStatus
    correlation_id: str
    command: str
    reason: str
    error: str
    store: _options_pb2.Store
    lane: str
    time: _timestamp_pb2.Timestamp
    source_partition: int
    source_offset: int
    redrives: int
    value_bytes: int
    user_id: int
    waiting: _containers.RepeatedScalarFieldContainer[str]
    waiting_count: int
    def __init__(self, name: _Optional[str] = ..., status: _Optional[_Union[DeadLetter.ParkingStatus, str]] = ..., correlation_id: _Optional[str] = ..., command: _Optional[str] = ..., reason: _Optional[str] = ..., error: _Optional[str] = ..., store: _Optional[_Union[_options_pb2.Store, str]] = ..., lane: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., source_partition: _Optional[int] = ..., source_offset: _Optional[int] = ..., redrives: _Optional[int] = ..., value_bytes: _Optional[int] = ..., user_id: _Optional[int] = ..., waiting: _Optional[_Iterable[str]] = ..., waiting_count: _Optional[int] = ...) -> None: ...

class DeadLetterFilter(_message.Message):
    __slots__ = ("reason", "command", "user_id", "store", "status", "start_time", "end_time")
    REASON_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    STORE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    reason: str
    command: str
    user_id: int
    store: _options_pb2.Store
    status: DeadLetter.ParkingStatus
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    def __init__(self, reason: _Optional[str] = ..., command: _Optional[str] = ..., user_id: _Optional[int] = ..., store: _Optional[_Union[_options_pb2.Store, str]] = ..., status: _Optional[_Union[DeadLetter.ParkingStatus, str]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListDeadLettersRequest(_message.Message):
    __slots__ = ("filter", "page_size", "page_token")
    FILTER_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    filter: DeadLetterFilter
    page_size: int
    page_token: str
    def __init__(self, filter: _Optional[_Union[DeadLetterFilter, _Mapping]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class DeadLetterCause(_message.Message):
    __slots__ = ("reason", "command", "store", "parked_count", "total_count", "waiting_count", "last_time")
    REASON_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    STORE_FIELD_NUMBER: _ClassVar[int]
    PARKED_COUNT_FIELD_NUMBER: _ClassVar[int]
    TOTAL_COUNT_FIELD_NUMBER: _ClassVar[int]
    WAITING_COUNT_FIELD_NUMBER: _ClassVar[int]
    LAST_TIME_FIELD_NUMBER: _ClassVar[int]
    reason: str
    command: str
    store: _options_pb2.Store
    parked_count: int
    total_count: int
    waiting_count: int
    last_time: _timestamp_pb2.Timestamp
    def __init__(self, reason: _Optional[str] = ..., command: _Optional[str] = ..., store: _Optional[_Union[_options_pb2.Store, str]] = ..., parked_count: _Optional[int] = ..., total_count: _Optional[int] = ..., waiting_count: _Optional[int] = ..., last_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListDeadLettersResponse(_message.Message):
    __slots__ = ("dead_letters", "next_page_token", "causes", "total_size", "left_out_count", "silent_stores")
    DEAD_LETTERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    CAUSES_FIELD_NUMBER: _ClassVar[int]
    TOTAL_SIZE_FIELD_NUMBER: _ClassVar[int]
    LEFT_OUT_COUNT_FIELD_NUMBER: _ClassVar[int]
    SILENT_STORES_FIELD_NUMBER: _ClassVar[int]
    dead_letters: _containers.RepeatedCompositeFieldContainer[DeadLetter]
    next_page_token: str
    causes: _containers.RepeatedCompositeFieldContainer[DeadLetterCause]
    total_size: int
    left_out_count: int
    silent_stores: _containers.RepeatedScalarFieldContainer[_options_pb2.Store]
    def __init__(self, dead_letters: _Optional[_Iterable[_Union[DeadLetter, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., causes: _Optional[_Iterable[_Union[DeadLetterCause, _Mapping]]] = ..., total_size: _Optional[int] = ..., left_out_count: _Optional[int] = ..., silent_stores: _Optional[_Iterable[_Union[_options_pb2.Store, str]]] = ...) -> None: ...

class GetDeadLetterRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class SettleDeadLettersRequest(_message.Message):
    __slots__ = ("names", "filter", "validate_only", "principal", "justification", "keep_going", "wait")
    NAMES_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    JUSTIFICATION_FIELD_NUMBER: _ClassVar[int]
    KEEP_GOING_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    filter: DeadLetterFilter
    validate_only: bool
    principal: str
    justification: str
    keep_going: bool
    wait: _duration_pb2.Duration
    def __init__(self, names: _Optional[_Iterable[str]] = ..., filter: _Optional[_Union[DeadLetterFilter, _Mapping]] = ..., validate_only: _Optional[bool] = ..., principal: _Optional[str] = ..., justification: _Optional[str] = ..., keep_going: _Optional[bool] = ..., wait: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class SettleDeadLettersResponse(_message.Message):
    __slots__ = ("plan", "batch", "end")
    class Plan(_message.Message):
        __slots__ = ("chosen", "chosen_count", "kept", "silent_stores", "waiting_count")
        CHOSEN_FIELD_NUMBER: _ClassVar[int]
        CHOSEN_COUNT_FIELD_NUMBER: _ClassVar[int]
        KEPT_FIELD_NUMBER: _ClassVar[int]
        SILENT_STORES_FIELD_NUMBER: _ClassVar[int]
        WAITING_COUNT_FIELD_NUMBER: _ClassVar[int]
        chosen: _containers.RepeatedCompositeFieldContainer[DeadLetter]
        chosen_count: int
        kept: _containers.RepeatedCompositeFieldContainer[DeadLetter]
        silent_stores: _containers.RepeatedScalarFieldContainer[_options_pb2.Store]
        waiting_count: int
        def __init__(self, chosen: _Optional[_Iterable[_Union[DeadLetter, _Mapping]]] = ..., chosen_count: _Optional[int] = ..., kept: _Optional[_Iterable[_Union[DeadLetter, _Mapping]]] = ..., silent_stores: _Optional[_Iterable[_Union[_options_pb2.Store, str]]] = ..., waiting_count: _Optional[int] = ...) -> None: ...
    class Result(_message.Message):
        __slots__ = ("correlation_id", "command", "store", "outcome", "error")
        class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
            __slots__ = ()
            OUTCOME_UNSPECIFIED: _ClassVar[SettleDeadLettersResponse.Result.Outcome]
            SUCCEEDED: _ClassVar[SettleDeadLettersResponse.Result.Outcome]
            REFUSED: _ClassVar[SettleDeadLettersResponse.Result.Outcome]
            DEAD_LETTERED: _ClassVar[SettleDeadLettersResponse.Result.Outcome]
            DISCARDED: _ClassVar[SettleDeadLettersResponse.Result.Outcome]
            UNANSWERED: _ClassVar[SettleDeadLettersResponse.Result.Outcome]
        OUTCOME_UNSPECIFIED: SettleDeadLettersResponse.Result.Outcome
        SUCCEEDED: SettleDeadLettersResponse.Result.Outcome
        REFUSED: SettleDeadLettersResponse.Result.Outcome
        DEAD_LETTERED: SettleDeadLettersResponse.Result.Outcome
        DISCARDED: SettleDeadLettersResponse.Result.Outcome
        UNANSWERED: SettleDeadLettersResponse.Result.Outcome
        CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
        COMMAND_FIELD_NUMBER: _ClassVar[int]
        STORE_FIELD_NUMBER: _ClassVar[int]
        OUTCOME_FIELD_NUMBER: _ClassVar[int]
        ERROR_FIELD_NUMBER: _ClassVar[int]
        correlation_id: str
        command: str
        store: _options_pb2.Store
        outcome: SettleDeadLettersResponse.Result.Outcome
        error: str
        def __init__(self, correlation_id: _Optional[str] = ..., command: _Optional[str] = ..., store: _Optional[_Union[_options_pb2.Store, str]] = ..., outcome: _Optional[_Union[SettleDeadLettersResponse.Result.Outcome, str]] = ..., error: _Optional[str] = ...) -> None: ...
    class Batch(_message.Message):
        __slots__ = ("results",)
        RESULTS_FIELD_NUMBER: _ClassVar[int]
        results: _containers.RepeatedCompositeFieldContainer[SettleDeadLettersResponse.Result]
        def __init__(self, results: _Optional[_Iterable[_Union[SettleDeadLettersResponse.Result, _Mapping]]] = ...) -> None: ...
    class End(_message.Message):
        __slots__ = ("done", "sent_count", "unsent_count", "parked")
        DONE_FIELD_NUMBER: _ClassVar[int]
        SENT_COUNT_FIELD_NUMBER: _ClassVar[int]
        UNSENT_COUNT_FIELD_NUMBER: _ClassVar[int]
        PARKED_FIELD_NUMBER: _ClassVar[int]
        done: bool
        sent_count: int
        unsent_count: int
        parked: _containers.RepeatedCompositeFieldContainer[DeadLetter]
        def __init__(self, done: _Optional[bool] = ..., sent_count: _Optional[int] = ..., unsent_count: _Optional[int] = ..., parked: _Optional[_Iterable[_Union[DeadLetter, _Mapping]]] = ...) -> None: ...
    PLAN_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    plan: SettleDeadLettersResponse.Plan
    batch: SettleDeadLettersResponse.Batch
    end: SettleDeadLettersResponse.End
    def __init__(self, plan: _Optional[_Union[SettleDeadLettersResponse.Plan, _Mapping]] = ..., batch: _Optional[_Union[SettleDeadLettersResponse.Batch, _Mapping]] = ..., end: _Optional[_Union[SettleDeadLettersResponse.End, _Mapping]] = ...) -> None: ...
