from google.protobuf import descriptor_pb2 as _descriptor_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Store(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STORE_UNSPECIFIED: _ClassVar[Store]
    POSTGRESQL: _ClassVar[Store]
    MONGODB: _ClassVar[Store]
    REDIS: _ClassVar[Store]
STORE_UNSPECIFIED: Store
POSTGRESQL: Store
MONGODB: Store
REDIS: Store
COMMAND_FIELD_NUMBER: _ClassVar[int]
command: _descriptor.FieldDescriptor
INHERITED_FIELD_NUMBER: _ClassVar[int]
inherited: _descriptor.FieldDescriptor
EVENT_FIELD_NUMBER: _ClassVar[int]
event: _descriptor.FieldDescriptor
DEMO_FIELD_NUMBER: _ClassVar[int]
demo: _descriptor.FieldDescriptor
PERSONAL_FIELD_NUMBER: _ClassVar[int]
personal: _descriptor.FieldDescriptor

class CommandOptions(_message.Message):
    __slots__ = ("key", "stores", "result", "creates", "checks_user", "erases_user")
    KEY_FIELD_NUMBER: _ClassVar[int]
    STORES_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    CREATES_FIELD_NUMBER: _ClassVar[int]
    CHECKS_USER_FIELD_NUMBER: _ClassVar[int]
    ERASES_USER_FIELD_NUMBER: _ClassVar[int]
    key: str
    stores: _containers.RepeatedScalarFieldContainer[Store]
    result: str
    creates: bool
    checks_user: bool
    erases_user: bool
    def __init__(self, key: _Optional[str] = ..., stores: _Optional[_Iterable[_Union[Store, str]]] = ..., result: _Optional[str] = ..., creates: _Optional[bool] = ..., checks_user: _Optional[bool] = ..., erases_user: _Optional[bool] = ...) -> None: ...

class InheritedPath(_message.Message):
    __slots__ = ("path", "query_aliases")
    class QueryAliasesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    PATH_FIELD_NUMBER: _ClassVar[int]
    QUERY_ALIASES_FIELD_NUMBER: _ClassVar[int]
    path: str
    query_aliases: _containers.ScalarMap[str, str]
    def __init__(self, path: _Optional[str] = ..., query_aliases: _Optional[_Mapping[str, str]] = ...) -> None: ...

class EventOptions(_message.Message):
    __slots__ = ("topic",)
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    topic: str
    def __init__(self, topic: _Optional[str] = ...) -> None: ...
