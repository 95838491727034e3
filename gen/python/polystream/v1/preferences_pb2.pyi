import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from polystream.options.v1 import options_pb2 as _options_pb2
from polystream.v1 import operations_pb2 as _operations_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Preferences(_message.Message):
    __slots__ = ("user_id", "language", "notifications", "theme", "update_time")
    class Theme(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        THEME_UNSPECIFIED: _ClassVar[Preferences.Theme]
        LIGHT: _ClassVar[Preferences.Theme]
        DARK: _ClassVar[Preferences.Theme]
        SYSTEM: _ClassVar[Preferences.Theme]
    THEME_UNSPECIFIED: Preferences.Theme
    LIGHT: Preferences.Theme
    DARK: Preferences.Theme
    SYSTEM: Preferences.Theme
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    NOTIFICATIONS_FIELD_NUMBER: _ClassVar[int]
    THEME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    user_id: int
    language: str
    notifications: bool
    theme: Preferences.Theme
    update_time: _timestamp_pb2.Timestamp
    def __init__(self, user_id: _Optional[int] = ..., language: _Optional[str] = ..., notifications: _Optional[bool] = ..., theme: _Optional[_Union[Preferences.Theme, str]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class UpdatePreferencesRequest(_message.Message):
    __slots__ = ("user_id", "language", "notifications", "theme", "request_id")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    NOTIFICATIONS_FIELD_NUMBER: _ClassVar[int]
    THEME_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    user_id: int
    language: str
    notifications: bool
    theme: Preferences.Theme
    request_id: str
    def __init__(self, user_id: _Optional[int] = ..., language: _Optional[str] = ..., notifications: _Optional[bool] = ..., theme: _Optional[_Union[Preferences.Theme, str]] = ..., request_id: _Optional[str] = ...) -> None: ...

class GetPreferencesRequest(_message.Message):
    __slots__ = ("user_id",)
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    user_id: int
    def __init__(self, user_id: _Optional[int] = ...) -> None: ...
