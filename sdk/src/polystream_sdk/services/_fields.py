"""What each field of a request takes. Generated from the protos: do not edit."""

from collections.abc import Mapping

from polystream_api.google.type import Money
from polystream_api.polystream.v1 import (
    ContentKind,
    OperationState,
    PaymentMethod,
    PreferencesTheme,
    SessionDevice,
    SubscriptionPlan,
)
from polystream_sdk.kinds import Choice, Entries, Flag, Float, Group, Integer, Kind, Maybe, Several, Span, Text, Time

CACHE_CONTENT_REQUEST_FIELDS: Mapping[str, Kind] = {
    "content_id": Integer(64),
    "title": Text(),
    "kind": Choice(ContentKind),
    "duration_seconds": Integer(32),
    "genres": Several(Text()),
    "attributes": Entries(Text(), Text()),
    "ttl_seconds": Integer(32),
    "request_id": Text(),
}
GET_CONTENT_REQUEST_FIELDS: Mapping[str, Kind] = {
    "content_id": Integer(64),
}
LIST_CONTENTS_REQUEST_FIELDS: Mapping[str, Kind] = {
    "page_size": Integer(32),
    "page_token": Text(),
}
DELETE_CONTENT_REQUEST_FIELDS: Mapping[str, Kind] = {
    "content_id": Integer(64),
    "request_id": Text(),
}
GET_OPERATION_REQUEST_FIELDS: Mapping[str, Kind] = {
    "correlation_id": Text(),
}
WAIT_OPERATION_REQUEST_FIELDS: Mapping[str, Kind] = {
    "correlation_id": Text(),
    "timeout": Maybe(Span()),
}
WATCH_OPERATION_REQUEST_FIELDS: Mapping[str, Kind] = {
    "correlation_id": Text(),
}
LIST_OPERATIONS_REQUEST_FIELDS: Mapping[str, Kind] = {
    "page_size": Integer(32),
    "page_token": Text(),
    "state": Choice(OperationState),
    "command": Text(),
    "user_id": Integer(64),
    "filter": Text(),
    "order_by": Text(),
}
LIST_EVENTS_REQUEST_FIELDS: Mapping[str, Kind] = {
    "page_size": Integer(32),
    "page_token": Text(),
    "filter": Text(),
    "order_by": Text(),
}
LIST_SPANS_REQUEST_FIELDS: Mapping[str, Kind] = {
    "page_size": Integer(32),
    "page_token": Text(),
    "filter": Text(),
    "order_by": Text(),
}
EXPLAIN_OPERATION_REQUEST_FIELDS: Mapping[str, Kind] = {
    "correlation_id": Text(),
}
MONEY_FIELDS: Mapping[str, Kind] = {
    "currency_code": Text(),
    "units": Integer(64),
    "nanos": Integer(32),
}
CREATE_PAYMENT_REQUEST_FIELDS: Mapping[str, Kind] = {
    "user_id": Integer(64),
    "amount": Maybe(Group(Money, MONEY_FIELDS)),
    "method": Choice(PaymentMethod),
    "request_id": Text(),
}
GET_PAYMENT_REQUEST_FIELDS: Mapping[str, Kind] = {
    "user_id": Integer(64),
    "payment_id": Integer(64),
}
LIST_PAYMENTS_REQUEST_FIELDS: Mapping[str, Kind] = {
    "user_id": Integer(64),
    "page_size": Integer(32),
    "page_token": Text(),
}
CANCEL_PAYMENT_REQUEST_FIELDS: Mapping[str, Kind] = {
    "user_id": Integer(64),
    "payment_id": Integer(64),
    "request_id": Text(),
}
UPDATE_PREFERENCES_REQUEST_FIELDS: Mapping[str, Kind] = {
    "user_id": Integer(64),
    "language": Maybe(Text()),
    "notifications": Maybe(Flag()),
    "theme": Maybe(Choice(PreferencesTheme)),
    "request_id": Text(),
}
GET_PREFERENCES_REQUEST_FIELDS: Mapping[str, Kind] = {
    "user_id": Integer(64),
}
GENERATE_RECOMMENDATIONS_REQUEST_FIELDS: Mapping[str, Kind] = {
    "user_id": Integer(64),
    "max_items": Integer(32),
    "request_id": Text(),
}
GET_RECOMMENDATIONS_REQUEST_FIELDS: Mapping[str, Kind] = {
    "user_id": Integer(64),
}
CREATE_SESSION_REQUEST_FIELDS: Mapping[str, Kind] = {
    "user_id": Integer(64),
    "device": Choice(SessionDevice),
    "ttl_seconds": Integer(32),
    "request_id": Text(),
}
GET_SESSION_REQUEST_FIELDS: Mapping[str, Kind] = {
    "session_id": Text(),
}
LIST_SESSIONS_REQUEST_FIELDS: Mapping[str, Kind] = {
    "user_id": Integer(64),
    "page_size": Integer(32),
    "page_token": Text(),
}
UPDATE_SESSION_REQUEST_FIELDS: Mapping[str, Kind] = {
    "session_id": Text(),
    "ttl_seconds": Integer(32),
    "request_id": Text(),
}
DELETE_SESSION_REQUEST_FIELDS: Mapping[str, Kind] = {
    "session_id": Text(),
    "request_id": Text(),
}
CREATE_SUBSCRIPTION_REQUEST_FIELDS: Mapping[str, Kind] = {
    "user_id": Integer(64),
    "plan": Choice(SubscriptionPlan),
    "months": Integer(32),
    "request_id": Text(),
}
GET_SUBSCRIPTION_REQUEST_FIELDS: Mapping[str, Kind] = {
    "user_id": Integer(64),
    "subscription_id": Integer(64),
}
LIST_SUBSCRIPTIONS_REQUEST_FIELDS: Mapping[str, Kind] = {
    "user_id": Integer(64),
    "page_size": Integer(32),
    "page_token": Text(),
}
CANCEL_SUBSCRIPTION_REQUEST_FIELDS: Mapping[str, Kind] = {
    "user_id": Integer(64),
    "subscription_id": Integer(64),
    "request_id": Text(),
}
GET_HEALTH_REQUEST_FIELDS: Mapping[str, Kind] = {
}
CREATE_USER_REQUEST_FIELDS: Mapping[str, Kind] = {
    "user_id": Integer(64),
    "name": Text(),
    "email": Text(),
    "cpf": Text(),
    "request_id": Text(),
}
GET_USER_REQUEST_FIELDS: Mapping[str, Kind] = {
    "user_id": Integer(64),
}
LIST_USERS_REQUEST_FIELDS: Mapping[str, Kind] = {
    "page_size": Integer(32),
    "page_token": Text(),
}
UPDATE_USER_REQUEST_FIELDS: Mapping[str, Kind] = {
    "user_id": Integer(64),
    "name": Maybe(Text()),
    "email": Maybe(Text()),
    "request_id": Text(),
}
DELETE_USER_REQUEST_FIELDS: Mapping[str, Kind] = {
    "user_id": Integer(64),
    "request_id": Text(),
}
RECORD_VIEW_REQUEST_FIELDS: Mapping[str, Kind] = {
    "user_id": Integer(64),
    "content_id": Integer(64),
    "title": Text(),
    "kind": Choice(ContentKind),
    "watched_seconds": Integer(32),
    "position_percent": Float(),
    "completed": Flag(),
    "watch_time": Maybe(Time()),
    "request_id": Text(),
}
GET_VIEW_REQUEST_FIELDS: Mapping[str, Kind] = {
    "user_id": Integer(64),
    "view_id": Text(),
}
LIST_VIEWS_REQUEST_FIELDS: Mapping[str, Kind] = {
    "user_id": Integer(64),
    "page_size": Integer(32),
    "page_token": Text(),
}
DELETE_VIEW_REQUEST_FIELDS: Mapping[str, Kind] = {
    "user_id": Integer(64),
    "view_id": Text(),
    "request_id": Text(),
}
