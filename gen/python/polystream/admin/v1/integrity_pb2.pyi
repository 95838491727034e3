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

class CheckIntegrityRequest(_message.Message):
    __slots__ = ("principal",)
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    principal: str
    def __init__(self, principal: _Optional[str] = ...) -> None: ...

class RepairIntegrityRequest(_message.Message):
    __slots__ = ("validate_only", "force", "erase_orphans", "accept_content", "principal", "justification")
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    ERASE_ORPHANS_FIELD_NUMBER: _ClassVar[int]
    ACCEPT_CONTENT_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    JUSTIFICATION_FIELD_NUMBER: _ClassVar[int]
    validate_only: bool
    force: bool
    erase_orphans: bool
    accept_content: bool
    principal: str
    justification: str
    def __init__(self, validate_only: _Optional[bool] = ..., force: _Optional[bool] = ..., erase_orphans: _Optional[bool] = ..., accept_content: _Optional[bool] = ..., principal: _Optional[str] = ..., justification: _Optional[str] = ...) -> None: ...

class IntegrityRun(_message.Message):
    __slots__ = ("kind", "outcome", "start_time", "duration", "principal", "justification", "compared_count", "counts", "findings", "findings_left_out_count", "contents_without_hash_count", "lags", "problem")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[IntegrityRun.Kind]
        CHECK: _ClassVar[IntegrityRun.Kind]
        PLAN: _ClassVar[IntegrityRun.Kind]
        REPAIR: _ClassVar[IntegrityRun.Kind]
    KIND_UNSPECIFIED: IntegrityRun.Kind
    CHECK: IntegrityRun.Kind
    PLAN: IntegrityRun.Kind
    REPAIR: IntegrityRun.Kind
    class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        OUTCOME_UNSPECIFIED: _ClassVar[IntegrityRun.Outcome]
        SOUND: _ClassVar[IntegrityRun.Outcome]
        DRIFT: _ClassVar[IntegrityRun.Outcome]
        NOTHING_TO_COMPARE: _ClassVar[IntegrityRun.Outcome]
        LANES_BEHIND: _ClassVar[IntegrityRun.Outcome]
        FAILED: _ClassVar[IntegrityRun.Outcome]
    OUTCOME_UNSPECIFIED: IntegrityRun.Outcome
    SOUND: IntegrityRun.Outcome
    DRIFT: IntegrityRun.Outcome
    NOTHING_TO_COMPARE: IntegrityRun.Outcome
    LANES_BEHIND: IntegrityRun.Outcome
    FAILED: IntegrityRun.Outcome
    class Count(_message.Message):
        __slots__ = ("kind", "count")
        KIND_FIELD_NUMBER: _ClassVar[int]
        COUNT_FIELD_NUMBER: _ClassVar[int]
        kind: str
        count: int
        def __init__(self, kind: _Optional[str] = ..., count: _Optional[int] = ...) -> None: ...
    class Finding(_message.Message):
        __slots__ = ("kind", "store", "place", "key", "action", "done")
        KIND_FIELD_NUMBER: _ClassVar[int]
        STORE_FIELD_NUMBER: _ClassVar[int]
        PLACE_FIELD_NUMBER: _ClassVar[int]
        KEY_FIELD_NUMBER: _ClassVar[int]
        ACTION_FIELD_NUMBER: _ClassVar[int]
        DONE_FIELD_NUMBER: _ClassVar[int]
        kind: str
        store: _options_pb2.Store
        place: str
        key: str
        action: str
        done: bool
        def __init__(self, kind: _Optional[str] = ..., store: _Optional[_Union[_options_pb2.Store, str]] = ..., place: _Optional[str] = ..., key: _Optional[str] = ..., action: _Optional[str] = ..., done: _Optional[bool] = ...) -> None: ...
    class LaneLag(_message.Message):
        __slots__ = ("store", "records")
        STORE_FIELD_NUMBER: _ClassVar[int]
        RECORDS_FIELD_NUMBER: _ClassVar[int]
        store: _options_pb2.Store
        records: int
        def __init__(self, store: _Optional[_Union[_options_pb2.Store, str]] = ..., records: _Optional[int] = ...) -> None: ...
    KIND_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    DURATION_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    JUSTIFICATION_FIELD_NUMBER: _ClassVar[int]
    COMPARED_COUNT_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    FINDINGS_FIELD_NUMBER: _ClassVar[int]
    FINDINGS_LEFT_OUT_COUNT_FIELD_NUMBER: _ClassVar[int]
    CONTENTS_WITHOUT_HASH_COUNT_FIELD_NUMBER: _ClassVar[int]
    LAGS_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    kind: IntegrityRun.Kind
    outcome: IntegrityRun.Outcome
    start_time: _timestamp_pb2.Timestamp
    duration: _duration_pb2.Duration
    principal: str
    justification: str
    compared_count: int
    counts: _containers.RepeatedCompositeFieldContainer[IntegrityRun.Count]
    findings: _containers.RepeatedCompositeFieldContainer[IntegrityRun.Finding]
    findings_left_out_count: int
    contents_without_hash_count: int
    lags: _containers.RepeatedCompositeFieldContainer[IntegrityRun.LaneLag]
    problem: str
    def __init__(self, kind: _Optional[_Union[IntegrityRun.Kind, str]] = ..., outcome: _Optional[_Union[IntegrityRun.Outcome, str]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., principal: _Optional[str] = ..., justification: _Optional[str] = ..., compared_count: _Optional[int] = ..., counts: _Optional[_Iterable[_Union[IntegrityRun.Count, _Mapping]]] = ..., findings: _Optional[_Iterable[_Union[IntegrityRun.Finding, _Mapping]]] = ..., findings_left_out_count: _Optional[int] = ..., contents_without_hash_count: _Optional[int] = ..., lags: _Optional[_Iterable[_Union[IntegrityRun.LaneLag, _Mapping]]] = ..., problem: _Optional[str] = ...) -> None: ...
