"""Dead letters as the admin service's messages have them."""

from collections.abc import Sequence
from typing import Final

from polystream.admin.v1 import dead_letters_pb2 as pb
from polystream.options.v1.options_pb2 import Store

from mesh.dead_letters.redrive import RedriveResult
from mesh.errors import FieldFault, PolystreamError, Reason
from mesh.health.messages import timestamp
from processor.dead_letters.listed import ListedDeadLetter, ParkingStatus
from processor.dead_letters.settlement import DeadLetterChoice

ENTRIES_MAX: Final = 1000  # of one message
_WAITING_MAX: Final = 100  # of the commands behind one
_TEXT_MAX_CHARACTERS: Final = 1000  # anybody may write a dead letter, and a message has 4 MiB


def dead_letter_message(entry: ListedDeadLetter) -> pb.DeadLetter:
    """Return a dead letter's message; none of the command's fields are in it."""
    one = entry.dead_letter
    return pb.DeadLetter(
        name="" if entry.position is None else str(entry.position),
        status=entry.status.name,
        correlation_id=one.correlation_id,
        command=one.command[:_TEXT_MAX_CHARACTERS],
        reason=one.reason[:_TEXT_MAX_CHARACTERS],
        error=one.error[:_TEXT_MAX_CHARACTERS],
        store=store_name(one.store),
        lane=one.lane[:_TEXT_MAX_CHARACTERS],
        time=timestamp(one.time_ms),
        source_partition=one.source.partition,
        source_offset=one.source.offset,
        redrives=one.redrives,
        value_bytes=one.omitted_bytes or len(one.value or b""),
        user_id=entry.user_id or 0,
        waiting=entry.waiting[:_WAITING_MAX],
        waiting_count=len(entry.waiting),
    )


def result_message(result: RedriveResult) -> pb.SettleDeadLettersResponse.Result:
    """Return what came of a command."""
    return pb.SettleDeadLettersResponse.Result(
        correlation_id=result.dead_letter.correlation_id,
        command=result.dead_letter.command[:_TEXT_MAX_CHARACTERS],
        store=store_name(result.dead_letter.store),
        outcome=result.outcome.name,
        error=result.error[:_TEXT_MAX_CHARACTERS],
    )


def choice_of(message: pb.DeadLetterFilter) -> DeadLetterChoice:
    """Return what a filter leaves. Raises PolystreamError INVALID_FIELD for a number that stands for nothing."""
    faults = [
        FieldFault(
            f"filter.{name}", f"{number} stands for nothing; there are {', '.join(kind.keys()[1:])}", "enum.known"
        )
        for name, number, kind in (
            ("store", message.store, Store),
            ("status", message.status, pb.DeadLetter.ParkingStatus),
        )
        if number not in kind.values()
    ]
    if faults:
        raise PolystreamError(Reason.INVALID_FIELD, faults=faults)
    status = pb.DeadLetter.ParkingStatus.Name(message.status) if message.status else ""
    return DeadLetterChoice(
        reason=message.reason or None,
        command=message.command or None,
        user_id=message.user_id or None,
        store=Store.Name(message.store) if message.store else None,
        status=ParkingStatus[status] if status else None,
        since_ms=message.start_time.ToMilliseconds() if message.HasField("start_time") else None,
        until_ms=message.end_time.ToMilliseconds() if message.HasField("end_time") else None,
    )


def causes(entries: Sequence[ListedDeadLetter]) -> list[pb.DeadLetterCause]:
    """Count dead letters by cause: those with the most parked ones first, 1,000 causes at most."""
    found: dict[tuple[str, str, str], pb.DeadLetterCause] = {}
    for entry in entries:
        one = entry.dead_letter
        key = (one.reason[:_TEXT_MAX_CHARACTERS], one.command[:_TEXT_MAX_CHARACTERS], one.store)
        if key not in found and len(found) >= ENTRIES_MAX:
            continue
        cause = found.setdefault(key, pb.DeadLetterCause(reason=key[0], command=key[1], store=store_name(one.store)))
        cause.total_count += 1
        cause.parked_count += entry.status is ParkingStatus.PARKED
        cause.waiting_count += len(entry.waiting)
        cause.last_time.CopyFrom(timestamp(max(one.time_ms, cause.last_time.ToMilliseconds())))
    return sorted(found.values(), key=lambda cause: (-cause.parked_count, -cause.total_count, cause.reason))


def store_name(name: str) -> str:
    """Return a store's name as the messages take it: one that is not told is unspecified."""
    return name or "STORE_UNSPECIFIED"
