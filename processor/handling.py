"""What the handlers share: requests with their type, refusals, times."""

from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar, cast

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from mesh.errors import FieldFault, PolystreamError, Reason
from processor.model import Delivery, Outcome

M = TypeVar("M", bound=Message)


def requests_of(batch: Sequence[Delivery], message_class: type[M]) -> list[M]:
    """Return the deliveries' requests, whose type the handler's command fixes."""
    del message_class  # names the type for the checker: looking at each request would be paid by every command
    return cast(list[M], [delivery.request for delivery in batch])


def refuse(reason: Reason, field: str) -> Outcome:
    """Return the outcome of a command that the store refuses, with the request field at fault."""
    return Outcome(refusal=PolystreamError(reason, faults=[FieldFault(field, reason.value.message)]))


def timestamp(moment: datetime) -> Timestamp:
    """Return a store's time, which has its zone, as a message."""
    message = Timestamp()
    message.FromDatetime(moment)
    return message
