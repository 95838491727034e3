import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from polystream.options.v1 import options_pb2 as _options_pb2
from polystream.v1 import operations_pb2 as _operations_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Content(_message.Message):
    __slots__ = ("content_id", "title", "kind", "duration_seconds", "genres", "attributes", "cache_time", "expire_time")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[Content.Kind]
        MOVIE: _ClassVar[Content.Kind]
        SERIES: _ClassVar[Content.Kind]
        DOCUMENTARY: _ClassVar[Content.Kind]
    KIND_UNSPECIFIED: Content.Kind
    MOVIE: Content.Kind
    SERIES: Content.Kind
    DOCUMENTARY: Content.Kind
    class AttributesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    CONTENT_ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    DURATION_SECONDS_FIELD_NUMBER: _ClassVar[int]
    GENRES_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    CACHE_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    content_id: int
    title: str
    kind: Content.Kind
    duration_seconds: int
    genres: _containers.RepeatedScalarFieldContainer[str]
    attributes: _containers.ScalarMap[str, str]
    cache_time: _timestamp_pb2.Timestamp
    expire_time: _timestamp_pb2.Timestamp
    def __init__(self, content_id: _Optional[int] = ..., title: _Optional[str] = ..., kind: _Optional[_Union[Content.Kind, str]] = ..., duration_seconds: _Optional[int] = ..., genres: _Optional[_Iterable[str]] = ..., attributes: _Optional[_Mapping[str, str]] = ..., cache_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class CacheContentRequest(_message.Message):
    __slots__ = ("content_id", "title", "kind", "duration_seconds", "genres", "attributes", "ttl_seconds", "request_id")
    class AttributesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    CONTENT_ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    DURATION_SECONDS_FIELD_NUMBER: _ClassVar[int]
    GENRES_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    TTL_SECONDS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    content_id: int
    title: str
    kind: Content.Kind
    duration_seconds: int
    genres: _containers.RepeatedScalarFieldContainer[str]
    attributes: _containers.ScalarMap[str, str]
    ttl_seconds: int
    request_id: str
    def __init__(self, content_id: _Optional[int] = ..., title: _Optional[str] = ..., kind: _Optional[_Union[Content.Kind, str]] = ..., duration_seconds: _Optional[int] = ..., genres: _Optional[_Iterable[str]] = ..., attributes: _Optional[_Mapping[str, str]] = ..., ttl_seconds: _Optional[int] = ..., request_id: _Optional[str] = ...) -> None: ...

class GetContentRequest(_message.Message):
    __slots__ = ("content_id",)
    CONTENT_ID_FIELD_NUMBER: _ClassVar[int]
    content_id: int
    def __init__(self, content_id: _Optional[int] = ...) -> None: ...

class ListContentsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListContentsResponse(_message.Message):
    __slots__ = ("contents", "next_page_token")
    CONTENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    contents: _containers.RepeatedCompositeFieldContainer[Content]
    next_page_token: str
    def __init__(self, contents: _Optional[_Iterable[_Union[Content, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DeleteContentRequest(_message.Message):
    __slots__ = ("content_id", "request_id")
    CONTENT_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    content_id: int
    request_id: str
    def __init__(self, content_id: _Optional[int] = ..., request_id: _Optional[str] = ...) -> None: ...
