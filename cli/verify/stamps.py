"""What an answer and a store's item both have, and another application of the same command would not: IDs and times."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from google.protobuf.message import Message
from polystream.v1.contents_pb2 import Content
from polystream.v1.payments_pb2 import Payment
from polystream.v1.preferences_pb2 import Preferences
from polystream.v1.sessions_pb2 import Session
from polystream.v1.subscriptions_pb2 import Subscription
from polystream.v1.users_pb2 import User

# By the result's full name. Times are in the store's own unit.
_STAMPS: Final[Mapping[str, tuple[type[Message], Callable[[Any], int]]]] = {
    str(message.DESCRIPTOR.full_name): (message, read)
    for message, read in (
        (Payment, lambda result: result.payment_id),
        (Subscription, lambda result: result.subscription_id),
        (Session, lambda result: result.expire_time.ToMilliseconds()),
        (Content, lambda result: result.cache_time.ToMilliseconds()),
        (Preferences, lambda result: result.update_time.ToMicroseconds()),
        (User, lambda result: result.create_time.ToMicroseconds()),
    )
}


def stamp_of(type_url: str, value: bytes) -> int:
    """Return the stamp of a result by its type and its serialized message; 0 where it has none."""
    found = _STAMPS.get(type_url.rpartition("/")[2])
    if found is None:
        return 0
    message, read = found
    return int(read(message.FromString(value)))
