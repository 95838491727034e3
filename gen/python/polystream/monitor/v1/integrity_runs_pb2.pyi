from polystream.admin.v1 import integrity_pb2 as _integrity_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RecordIntegrityRunRequest(_message.Message):
    __slots__ = ("run",)
    RUN_FIELD_NUMBER: _ClassVar[int]
    run: _integrity_pb2.IntegrityRun
    def __init__(self, run: _Optional[_Union[_integrity_pb2.IntegrityRun, _Mapping]] = ...) -> None: ...

class RecordIntegrityRunResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListIntegrityRunsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListIntegrityRunsResponse(_message.Message):
    __slots__ = ("runs",)
    RUNS_FIELD_NUMBER: _ClassVar[int]
    runs: _containers.RepeatedCompositeFieldContainer[_integrity_pb2.IntegrityRun]
    def __init__(self, runs: _Optional[_Iterable[_Union[_integrity_pb2.IntegrityRun, _Mapping]]] = ...) -> None: ...
