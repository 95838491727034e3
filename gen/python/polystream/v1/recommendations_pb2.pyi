import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from polystream.options.v1 import options_pb2 as _options_pb2
from polystream.v1 import contents_pb2 as _contents_pb2
from polystream.v1 import operations_pb2 as _operations_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Recommendations(_message.Message):
    __slots__ = ("user_id", "generate_time", "items")
    class Item(_message.Message):
        __slots__ = ("content_id", "title", "kind", "score", "reason")
        class Reason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
            __slots__ = ()
            REASON_UNSPECIFIED: _ClassVar[Recommendations.Item.Reason]
            CO_VIEWED: _ClassVar[Recommendations.Item.Reason]
            KIND_AFFINITY: _ClassVar[Recommendations.Item.Reason]
            POPULAR: _ClassVar[Recommendations.Item.Reason]
        REASON_UNSPECIFIED: Recommendations.Item.Reason
        CO_VIEWED: Recommendations.Item.Reason
        KIND_AFFINITY: Recommendations.Item.Reason
        POPULAR: Recommendations.Item.Reason
        CONTENT_ID_FIELD_NUMBER: _ClassVar[int]
        TITLE_FIELD_NUMBER: _ClassVar[int]
        KIND_FIELD_NUMBER: _ClassVar[int]
        SCORE_FIELD_NUMBER: _ClassVar[int]
        REASON_FIELD_NUMBER: _ClassVar[int]
        content_id: int
        title: str
        kind: _contents_pb2.Content.Kind
        score: float
        reason: Recommendations.Item.Reason
        def __init__(self, content_id: _Optional[int] = ..., title: _Optional[str] = ..., kind: _Optional[_Union[_contents_pb2.Content.Kind, str]] = ..., score: _Optional[float] = ..., reason: _Optional[_Union[Recommendations.Item.Reason, str]] = ...) -> None: ...
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    GENERATE_TIME_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    user_id: int
    generate_time: _timestamp_pb2.Timestamp
    items: _containers.RepeatedCompositeFieldContainer[Recommendations.Item]
    def __init__(self, user_id: _Optional[int] = ..., generate_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., items: _Optional[_Iterable[_Union[Recommendations.Item, _Mapping]]] = ...) -> None: ...

class GenerateRecommendationsRequest(_message.Message):
    __slots__ = ("user_id", "max_items", "request_id")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    MAX_ITEMS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    user_id: int
    max_items: int
    request_id: str
    def __init__(self, user_id: _Optional[int] = ..., max_items: _Optional[int] = ..., request_id: _Optional[str] = ...) -> None: ...

class GetRecommendationsRequest(_message.Message):
    __slots__ = ("user_id",)
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    user_id: int
    def __init__(self, user_id: _Optional[int] = ...) -> None: ...
