"""What a mark tells of a store: which row, document or hash has to be there, or has gone."""

from dataclasses import dataclass
from typing import Final

from google.protobuf.message import Message
from polystream.v1.contents_pb2 import Content
from polystream.v1.events_pb2 import CommandReceipt
from polystream.v1.operations_pb2 import Operation
from polystream.v1.payments_pb2 import Payment
from polystream.v1.preferences_pb2 import Preferences
from polystream.v1.recommendations_pb2 import Recommendations
from polystream.v1.sessions_pb2 import Session
from polystream.v1.subscriptions_pb2 import Subscription
from polystream.v1.users_pb2 import User
from polystream.v1.views_pb2 import View

from mesh.store_names.mongodb import RECOMMENDATIONS, VIEWS
from mesh.store_names.redis import CONTENT_PREFIX, SESSION_PREFIX

_RESULTS: Final = {
    kind.DESCRIPTOR.full_name: kind
    for kind in (Content, Payment, Preferences, Recommendations, Session, Subscription, User, View)
}
# By result: the place, and the field that is the key there. Recommendations have the command's correlation ID.
_PLACES: Final[dict[type[Message], tuple[str, str]]] = {
    Payment: ("pagamentos", "payment_id"),
    Subscription: ("assinaturas", "subscription_id"),
    Preferences: ("preferencias", "user_id"),
    User: ("usuarios", "user_id"),
    View: (VIEWS, "view_id"),
    Recommendations: (RECOMMENDATIONS, ""),
    Content: (CONTENT_PREFIX, "content_id"),
    Session: (SESSION_PREFIX, "session_id"),
}
_ENDS: Final = frozenset({"DeleteView", "DeleteContent", "DeleteSession", "DeleteUser"})
# What tells of a row in other words than its own: nothing is known of it from such a mark.
_SILENT: Final = frozenset({"UpdateUser"})


@dataclass(frozen=True, slots=True)
class ToldEffect:
    """What a mark tells of."""

    place: str
    key: str
    user_id: int | None
    is_end: bool  # whether it is gone since
    result: Message
    receipt: CommandReceipt

    @property
    def expire_ms(self) -> int | None:
        """When it goes by itself, in milliseconds since the epoch; None where it does not."""
        if isinstance(self.result, (Content, Session)) and self.result.HasField("expire_time"):
            return self.result.expire_time.ToMilliseconds()
        return None

    def is_after(self, other: "ToldEffect") -> bool:
        """Whether its command came after another one, by their offsets or the time at which they were done."""
        mine, others = self.receipt, other.receipt
        if (
            mine.HasField("command_offset")
            and others.HasField("command_offset")
            and mine.command_partition == others.command_partition
            and mine.command_offset > others.command_offset
        ):
            return True
        return mine.complete_time.ToNanoseconds() >= others.complete_time.ToNanoseconds()


def effect_of(receipt: CommandReceipt) -> ToldEffect | None:
    """Return what a mark tells of; None where the command was refused, or has no such effect."""
    result = result_of(receipt)
    if result is None or receipt.command in _SILENT:
        return None
    place, field = _PLACES[type(result)]
    key = str(getattr(result, field)) if field else receipt.correlation_id
    # Of a user, the store where it is a row: elsewhere a DeleteUser ends what is the user's.
    user_id = getattr(result, "user_id", None)
    return ToldEffect(place, key, user_id, receipt.command in _ENDS, result, receipt)


def result_of(receipt: CommandReceipt) -> Message | None:
    """Return what a command made or changed; None where it was refused."""
    kind = _RESULTS.get(receipt.result.type_url.rpartition("/")[2])
    if receipt.state != Operation.SUCCEEDED or kind is None:
        return None
    result = kind()
    result.ParseFromString(receipt.result.value)
    return result
