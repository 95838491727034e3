"""An event log with many operations in it, such as a busy day leaves behind: the same one in every run."""

import random
from collections.abc import Iterator
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp
from polystream.v1.operations_pb2 import Event

from mesh.errors import PolystreamError, Reason
from monitor.records import ACCEPTED, FAILED, RECEIVED, SUCCEEDED, TracedEvent
from monitor.store.port import EventStore

USERS: Final = 5000
RARE_USER: Final = 1_000_000  # of one command in ten thousand
SPAN_MS: Final = 86_400_000  # of time, over which the operations are spread evenly
REFUSED_SHARE: Final = 0.02
OPEN_SHARE: Final = 0.002  # of commands that no store has answered yet
_BATCH_COMMANDS: Final = 500
_COMMANDS: Final = (
    *(("CreateUser", "POSTGRESQL"), ("CreatePayment", "POSTGRESQL"), ("CreateSubscription", "POSTGRESQL")),
    *(("RecordView", "MONGODB"), ("GenerateRecommendations", "MONGODB")),
    *(("CreateSession", "REDIS"), ("PutContent", "REDIS")),
)
_REFUSALS: Final = (
    (Reason.USER_NOT_FOUND, "there is no such user; create it first"),
    (Reason.EMAIL_ALREADY_EXISTS, "another user has this e-mail address"),
)


def load_operations(store: EventStore, commands: int, end_ms: int) -> None:
    """Append the events of so many commands, the last of which was accepted at `end_ms` since the epoch.

    Each has been accepted; nearly all were then received and answered by their store, a few of them refused.
    """
    chance = random.Random(5)
    for first in range(0, commands, _BATCH_COMMANDS):
        numbers = range(first, min(first + _BATCH_COMMANDS, commands))
        at_ms = (end_ms - SPAN_MS * (commands - 1 - number) // commands for number in numbers)
        told = [event for number, when in zip(numbers, at_ms, strict=True) for event in _command(number, when, chance)]
        store.append([TracedEvent(event, sampled=False) for event in told])


def _command(number: int, accepted_ms: int, chance: random.Random) -> Iterator[Event]:
    correlation_id = _identifier(number, accepted_ms, chance)
    command, store = chance.choice(_COMMANDS)
    base = Event(
        correlation_id=correlation_id,
        transaction_id=correlation_id,
        command=command,
        trace_id=f"{chance.getrandbits(128):032x}",
        user_id=chance.randint(1, USERS) if number % 10_000 else RARE_USER,
        partition=number % 6,
        offset=number,
    )
    yield _event(base, ACCEPTED, "ACCEPTED", accepted_ms, 1.25, "gateway-0", "user_events")
    if chance.random() < OPEN_SHARE:
        return
    waited_ms, took_ms = chance.randint(1, 40), chance.randint(1, 60)
    done_by = "processor", "response_events", store
    received_ms = accepted_ms + waited_ms
    yield _event(base, RECEIVED, "ACCEPTED", received_ms, waited_ms, *done_by)
    is_refused = chance.random() < REFUSED_SHARE
    kind, status = (FAILED, "FAILED") if is_refused else (SUCCEEDED, "SUCCEEDED")
    done = _event(base, kind, status, received_ms + took_ms, took_ms, *done_by)
    if is_refused:
        reason, message = chance.choice(_REFUSALS)
        done.error = f"{reason.name}: {message}"
        done.error_status.CopyFrom(PolystreamError(reason, message).to_status())
    yield done


def _identifier(number: int, at_ms: int, chance: random.Random) -> str:
    """Return a UUID of version 7, as the gateway makes them."""
    digits = f"{at_ms:012x}7{number & 0xFFF:03x}{0x8 | chance.getrandbits(2):x}{chance.getrandbits(60):015x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _event(
    base: Event, event_type: str, status: str, at_ms: int, duration_ms: float, service: str, topic: str, store: str = ""
) -> Event:
    when = Timestamp()
    when.FromMilliseconds(at_ms)
    event = Event(event_type=event_type, status=status, timestamp=when, duration_ms=duration_ms)
    event.service, event.topic, event.store = service, topic, store
    event.MergeFrom(base)
    event.event_id = f"{event.correlation_id}:{event_type}:{event.store}:{event.partition}:{event.offset}"
    return event
