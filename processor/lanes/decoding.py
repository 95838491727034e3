"""From a record to a command: skipped, decoded, or rejected."""

import time
from dataclasses import dataclass
from typing import Protocol

from polystream.v1.events_pb2 import CommandReceipt

from mesh.catalog import LANE_OF_UNKNOWN_COMMANDS, STORES, Catalog, Command
from mesh.codec import Decoder, SchemaSource
from mesh.dead_letters.dead_letter import RecordPosition, first_position
from mesh.envelope import KafkaRecord, RecordHeaders, command_and_stores
from mesh.error_classes.classes import ErrorClass
from mesh.errors import PolystreamError, Reason
from mesh.schemas import load_schema
from mesh.telemetry.context import TraceContext
from processor.model import Delivery
from processor.receipts import make_dead_letter_receipt


class Partitioned(Protocol):
    """Anything that came from a partition, and is dropped when the partition is taken away."""

    @property
    def partition(self) -> int:
        """The partition of `user_events`."""
        ...


@dataclass(frozen=True, slots=True)
class Item:
    """A command that this lane applies, beside the record that it came in."""

    record: KafkaRecord
    delivery: Delivery

    @property
    def partition(self) -> int:
        """The record's partition."""
        return self.record.partition


@dataclass(frozen=True, slots=True)
class Reject:
    """A record that this lane must dead-letter before it comes to the store."""

    record: KafkaRecord
    cause: PolystreamError
    receipt: CommandReceipt | None  # None where the record has no correlation ID to answer to
    trace: TraceContext | None

    @property
    def partition(self) -> int:
        """The record's partition."""
        return self.record.partition


@dataclass(frozen=True, slots=True)
class _Own:
    command: Command
    decoder: Decoder


class CommandDecoder:
    """Tells a store's commands from the others', and decodes them."""

    def __init__(self, store: str, catalog: Catalog, schemas: SchemaSource) -> None:
        self._store = store
        self._own_name = store.encode()
        self._other_names = {name.encode() for name in STORES} - {self._own_name}
        self._takes_unknown = store == LANE_OF_UNKNOWN_COMMANDS
        self._foreign = {name.encode() for name, command in catalog.commands.items() if store not in command.stores}
        self._own = {
            name.encode(): _Own(command, _decoder(command, schemas))
            for name, command in catalog.for_store(store).items()
        }

    def decode(self, record: KafkaRecord) -> Item | Reject | None:
        """Return the record's command; a reject where it holds none that can be read; None where it is not ours.

        Raises PolystreamError with REGISTRY_UNAVAILABLE when the schema of the record can't be had now.
        """
        name, stores = command_and_stores(record.headers)
        own = self._own.get(name)
        if own is None:
            cause = self._why_not_skipped(record, name, stores)
            return None if cause is None else self._reject(record, record.read_headers(), None, cause)
        headers = record.read_headers()
        try:
            return Item(record, _delivery(record, headers, own))
        except PolystreamError as error:
            if error.reason.value.error_class is ErrorClass.WAIT:
                raise
            return self._reject(record, headers, own.command, error)

    def _why_not_skipped(self, record: KafkaRecord, name: bytes, stores: bytes) -> PolystreamError | None:
        """Return why a command that this lane does not apply must not be passed over; None where it may be.

        An older lane knows nothing of a new command of its store, nor of one that its store has a part in since: what
        the gateway says of it counts.
        """
        named = stores.split(b",") if stores else ()
        if self._own_name in named:
            return PolystreamError(Reason.LANE_OUTDATED)
        if name in self._foreign or not self._takes_unknown or not self._other_names.isdisjoint(named):
            return None  # another lane's, be it to apply or to set apart
        return _why_unknown(record)

    def _reject(
        self, record: KafkaRecord, headers: RecordHeaders, command: Command | None, cause: PolystreamError
    ) -> Reject:
        if not headers.correlation_id:
            return Reject(record, cause, None, headers.trace)
        receipt = make_dead_letter_receipt(
            correlation_id=headers.correlation_id,
            command=headers.command,
            store=self._store,
            position=first_position(RecordPosition.of(record), headers),
            cause=cause,
            user_id=record.user_id if command is not None and command.about_user else None,
            accept_time_ms=record.accept_time_ms(headers),
            receive_time_ns=record.receive_time_ns,
            complete_time_ns=time.time_ns(),
        )
        return Reject(record, cause, receipt, headers.trace)


def _decoder(command: Command, schemas: SchemaSource) -> Decoder:
    # A field that is left out is an effect that nobody would ever miss: an older lane sets the command apart.
    return Decoder(command.request_class, load_schema(command.request_type), schemas, takes_newer=False)


def _why_unknown(record: KafkaRecord) -> PolystreamError:
    if record.has_readable_headers:
        return PolystreamError(Reason.UNKNOWN_COMMAND)
    return PolystreamError(Reason.UNDECODABLE, "the record has a header whose name is not UTF-8; none of them is kept")


def _delivery(record: KafkaRecord, headers: RecordHeaders, own: _Own) -> Delivery:
    if headers.is_ambiguous:
        raise PolystreamError(Reason.UNDECODABLE, "the record has two headers of one name: correlation_id or command")
    correlation_id = headers.correlation_id
    if not correlation_id:
        raise PolystreamError(Reason.UNDECODABLE, "the record has no correlation_id header with a UUID in lower case")
    request = own.decoder.decode(record.value, record.receive_time_ns)
    return Delivery(
        correlation_id=correlation_id,
        command=own.command,
        request=request,
        # What the order rests on, whatever key the record's producer gave it.
        key=own.command.key_of(request).encode(),
        partition=record.partition,
        offset=record.offset,
        accept_time_ms=record.accept_time_ms(headers),
        receive_time_ns=record.receive_time_ns,
        trace=headers.trace,
        first_offset=first_position(RecordPosition.of(record), headers).offset if headers.redrives else None,
    )
