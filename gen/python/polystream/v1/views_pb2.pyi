import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from polystream.options.v1 import options_pb2 as _options_pb2
from polystream.v1 import contents_pb2 as _contents_pb2
from polystream.v1 import operations_pb2 as _operations_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class View(_message.Message):
    __slots__ = ("view_id", "user_id", "content_id", "title", "kind", "watched_seconds", "position_percent", "watch_time", "completed")
    VIEW_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    CONTENT_ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    WATCHED_SECONDS_FIELD_NUMBER: _ClassVar[int]
    POSITION_PERCENT_FIELD_NUMBER: _ClassVar[int]
    WATCH_TIME_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_FIELD_NUMBER: _ClassVar[int]
    view_id: str
    user_id: int
    content_id: int
    title: str
    kind: _contents_pb2.Content.Kind
    watched_seconds: int
    position_percent: float
    watch_time: _timestamp_pb2.Timestamp
    completed: bool
    def __init__(self, view_id: _Optional[str] = ..., user_id: _Optional[int] = ..., content_id: _Optional[int] = ..., title: _Optional[str] = ..., kind: _Optional[_Union[_contents_pb2.Content.Kind, str]] = ..., watched_seconds: _Optional[int] = ..., position_percent: _Optional[float] = ..., watch_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., completed: _Optional[bool] = ...) -> None: ...

class RecordViewRequest(_message.Message):
    __slots__ = ("user_id", "content_id", "title", "kind", "watched_seconds", "position_percent", "completed", "watch_time", "request_id")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    CONTENT_ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    WATCHED_SECONDS_FIELD_NUMBER: _ClassVar[int]
    POSITION_PERCENT_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_FIELD_NUMBER: _ClassVar[int]
    WATCH_TIME_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    user_id: int
    content_id: int
    title: str
    kind: _contents_pb2.Content.Kind
    watched_seconds: int
    position_percent: float
    completed: bool
    watch_time: _timestamp_pb2.Timestamp
    request_id: str
    def __init__(self, user_id: _Optional[int] = ..., content_id: _Optional[int] = ..., title: _Optional[str] = ..., kind: _Optional[_Union[_contents_pb2.Content.Kind, str]] = ..., watched_seconds: _Optional[int] = ..., position_percent: _Optional[float] = ..., completed: _Optional[bool] = ..., watch_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class GetViewRequest(_message.Message):
    __slots__ = ("user_id", "view_id")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    VIEW_ID_FIELD_NUMBER: _ClassVar[int]
    user_id: int
    view_id: str
    def __init__(self, user_id: _Optional[int] = ..., view_id: _Optional[str] = ...) -> None: ...

class ListViewsRequest(_message.Message):
    __slots__ = ("user_id", "page_size", "page_token")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    user_id: int
    page_size: int
    page_token: str
    def __init__(self, user_id: _Optional[int] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListViewsResponse(_message.Message):
    __slots__ = ("views", "next_page_token")
    VIEWS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    views: _containers.RepeatedCompositeFieldContainer[View]
    next_page_token: str
    def __init__(self, views: _Optional[_Iterable[_Union[View, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DeleteViewRequest(_message.Message):
    __slots__ = ("user_id", "view_id", "request_id")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    VIEW_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    user_id: int
    view_id: str
    request_id: str
    def __init__(self, user_id: _Optional[int] = ..., view_id: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...
