"""From a record to a command: skipped, decoded, or rejected."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from mesh import topics
from mesh.catalog import LANE_OF_UNKNOWN_COMMANDS, Catalog, Command
from mesh.codec import Decoder, SchemaSource
from mesh.errors import PolystreamError, Reaction, Reason
from mesh.ids import CORRELATION_ID
from mesh.schemas import load_schema
from mesh.telemetry import context
from processor.lanes.records import Item, Record, Reject
from processor.model import Delivery
from processor.receipts import make_dead_letter_receipt

_MAX_COMMAND_CHARACTERS = 100  # of a command that nobody knows, in its receipt
_MAX_TIME_DIGITS = 14  # milliseconds since the epoch stay below the year 5138, which a Timestamp holds


@dataclass(frozen=True, slots=True)
class _Own:
    command: Command
    decoder: Decoder


class Intake:
    """Tells a store's commands from the others', and decodes them."""

    def __init__(self, store: str, catalog: Catalog, schemas: SchemaSource) -> None:
        self._store = store
        self._foreign = {name.encode() for name, command in catalog.commands.items() if store not in command.stores}
        self._own = {
            name.encode(): _Own(command, _decoder(command, schemas))
            for name, command in catalog.for_store(store).items()
        }

    def take(self, record: Record) -> Item | Reject | None:
        """Return the record's command; a reject where it holds none that can be read; None where it is not ours.

        Raises PolystreamError with REGISTRY_UNAVAILABLE when the schema of the record can't be had now.
        """
        name = _raw_header(record.headers, topics.COMMAND)
        if name in self._foreign:
            return None
        own = self._own.get(name)
        if own is None and self._store != LANE_OF_UNKNOWN_COMMANDS:
            return None
        headers = topics.header_text(record.headers)
        if own is None:
            return self._reject(record, headers, None, PolystreamError(Reason.UNKNOWN_COMMAND))
        try:
            return Item(record, _delivery(record, headers, own))
        except PolystreamError as error:
            if error.reason.value.reaction is Reaction.RETRY:
                raise
            return self._reject(record, headers, own.command, error)

    def _reject(
        self, record: Record, headers: Mapping[str, str], command: Command | None, cause: PolystreamError
    ) -> Reject:
        trace = _trace(headers)
        correlation_id = headers.get(topics.CORRELATION_ID, "")
        if CORRELATION_ID.fullmatch(correlation_id) is None:
            return Reject(record, cause, None, trace)
        receipt = make_dead_letter_receipt(
            correlation_id=correlation_id,
            command=headers.get(topics.COMMAND, "")[:_MAX_COMMAND_CHARACTERS],
            store=self._store,
            cause=cause,
            user_id=_user_id(record.key) if command is not None and command.about_user else None,
            accept_time_ms=_accept_time_ms(headers, record),
            receive_time_ns=record.receive_time_ns,
            complete_time_ns=time.time_ns(),
        )
        return Reject(record, cause, receipt, trace)


def _decoder(command: Command, schemas: SchemaSource) -> Decoder:
    return Decoder(command.request_class, load_schema(command.request_type), schemas)


def _delivery(record: Record, headers: Mapping[str, str], own: _Own) -> Delivery:
    correlation_id = headers.get(topics.CORRELATION_ID, "")
    if CORRELATION_ID.fullmatch(correlation_id) is None:
        raise PolystreamError(Reason.UNDECODABLE, "the record has no correlation_id header with a UUID in lower case")
    request = own.decoder.decode(record.value)
    return Delivery(
        correlation_id=correlation_id,
        command=own.command,
        request=request,
        # What the order rests on, whatever key the record's producer gave it.
        key=own.command.key_of(request).encode(),
        partition=record.partition,
        offset=record.offset,
        accept_time_ms=_accept_time_ms(headers, record),
        receive_time_ns=record.receive_time_ns,
        trace=_trace(headers),
    )


def _raw_header(headers: topics.Headers, name: str) -> bytes:
    for header, value in headers:
        if header == name:
            return value if isinstance(value, bytes) else (value or "").encode()
    return b""


def _trace(headers: Mapping[str, str]) -> context.TraceContext | None:
    return context.parse(headers.get(topics.TRACEPARENT), headers.get(topics.TRACESTATE))


def _accept_time_ms(headers: Mapping[str, str], record: Record) -> int:
    text = headers.get(topics.ACCEPT_TIME, "")
    if text.isascii() and text.isdigit() and len(text) <= _MAX_TIME_DIGITS:
        return int(text)
    return record.receive_time_ns // 1_000_000


def _user_id(key: bytes | None) -> int | None:
    return int(key) if key is not None and key.isdigit() and len(key) <= 16 else None
