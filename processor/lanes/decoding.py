"""From a record to a command: skipped, decoded, or rejected."""

import time
from dataclasses import dataclass, replace
from typing import Final, Protocol

from polystream.v1.events_pb2 import CommandReceipt

from mesh.catalog import LANE_OF_UNKNOWN_COMMANDS, STORES, Catalog, Command
from mesh.codec import Decoder, RecordNames, SchemaSource
from mesh.dead_letters.dead_letter import RecordPosition, first_position
from mesh.envelope import KafkaRecord, RecordHeaders, RedriveAction, command_and_stores
from mesh.error_classes.classes import ErrorClass
from mesh.errors import PolystreamError, Reason
from mesh.schemas import load_schema
from mesh.telemetry.context import TraceContext
from mesh.topics import REDRIVE_ACTION, REDRIVES
from processor.model import Delivery, ParkedRecord
from processor.receipts import make_dead_letter_receipt

_ANYBODYS: Final = frozenset(
    (Reason.UNDECODABLE, Reason.UNKNOWN_COMMAND)
)  # what records without sense are set apart for
_ORDER_HEADERS: Final = frozenset((REDRIVE_ACTION, REDRIVES))
_ORDERS: Final = frozenset((RedriveAction.REDRIVE, RedriveAction.DISCARD))
_KEY_MAX_BYTES: Final = 1024  # of what is parked; the platform's own keys are far shorter


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

    @property
    def key(self) -> bytes:
        """What it shares with the commands that it keeps its order with."""
        return self.delivery.key


@dataclass(frozen=True, slots=True)
class Reject:
    """A record that this lane must dead-letter before it comes to the store."""

    record: KafkaRecord
    cause: PolystreamError
    receipt: CommandReceipt | None  # None where the record has no correlation ID to answer to
    trace: TraceContext | None
    parked_as: str = ""  # as in processor.model.Delivery

    @property
    def partition(self) -> int:
        """The record's partition."""
        return self.record.partition

    @property
    def key(self) -> bytes:
        """What it shares with the commands that it keeps its order with."""
        return self.record.key or b""

    @property
    def parks(self) -> bool:
        """Whether its key is parked: a gateway has sent it, which knows more than this lane.

        What may be anybody's parks nothing: anybody could hold up anybody else.
        """
        is_sent = self.cause.reason not in _ANYBODYS and self.receipt is not None
        return bool(self.parked_as) or (is_sent and len(self.key) <= _KEY_MAX_BYTES)


@dataclass(frozen=True, slots=True)
class Redrive:
    """A record that says what is to become of a command that was given up, and of what waits behind it."""

    record: KafkaRecord
    correlation_id: str
    action: RedriveAction
    trace: TraceContext | None

    @property
    def partition(self) -> int:
        """The record's partition."""
        return self.record.partition

    @property
    def key(self) -> bytes:
        """The key that is parked."""
        return self.record.key or b""


Taken = Item | Reject | Redrive


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
        self._names = RecordNames(schemas)
        self._foreign = {name.encode() for name, command in catalog.commands.items() if store not in command.stores}
        self._own = {
            name.encode(): _Own(command, _decoder(command, schemas))
            for name, command in catalog.for_store(store).items()
        }

    def decode(self, record: KafkaRecord) -> Taken | None:
        """Return the record's command; a reject where it holds none that can be read; None where it is not ours.

        Raises PolystreamError with REGISTRY_UNAVAILABLE when the schema of the record can't be had now.
        """
        name, stores = command_and_stores(record.headers)
        own = self._own.get(name)
        outdated = None if own is not None else self._why_not_skipped(record, name, stores)
        if own is None and outdated is None:
            return None
        headers = record.read_headers()
        action = headers.redrive_action
        if action is not None and headers.correlation_id and not headers.is_ambiguous:
            if headers.redrive_stores and self._store not in headers.redrive_stores:
                return None  # a store that has done its part may have forgotten so: a repair would have it act again
            if action in _ORDERS:
                return Redrive(record, headers.correlation_id, action, headers.trace)
        if own is None or outdated is not None:
            return self._reject(record, headers, None, self._sure(record, headers, outdated or _why_unknown(record)))
        try:
            return Item(record, _delivery(record, headers, own))
        except PolystreamError as error:
            if error.reason.value.error_class is ErrorClass.WAIT:
                raise
            return self._reject(record, headers, own.command, error)

    def decode_parked(self, parked: ParkedRecord) -> Item | Reject:
        """Return the command of a record that comes from the store. Raises as `decode` does."""
        record = parked.record._replace(receive_time_ns=time.time_ns())
        taken = self.decode(record)
        if isinstance(taken, Item):
            return Item(record, replace(taken.delivery, parked_as=parked.id))
        if isinstance(taken, Reject):
            return replace(taken, parked_as=parked.id)
        cause = PolystreamError(Reason.UNKNOWN_COMMAND, f"{parked.command} is no command of this store any more")
        return replace(self._reject(record, record.read_headers(), None, cause), parked_as=parked.id)

    def decode_ordered(self, redrive: Redrive) -> Item | Reject | None:
        """Return the command that a redrive is of, to ask for its answer. Raises as `decode` does."""
        record = redrive.record
        taken = self.decode(record._replace(headers=[pair for pair in record.headers if pair[0] not in _ORDER_HEADERS]))
        if isinstance(taken, Item):
            return Item(record, replace(taken.delivery, is_settled=True))
        return replace(taken, record=record) if isinstance(taken, Reject) else None

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

    def _sure(self, record: KafkaRecord, headers: RecordHeaders, cause: PolystreamError) -> PolystreamError:
        """Return the cause, or that the record is none where its value is not of the command that its headers name.

        What a newer gateway sends is a whole record, by a schema that it has registered: such a command parks its key.
        """
        if cause.reason is not Reason.LANE_OUTDATED:
            return cause
        name = self._names.name_of(record.value, record.receive_time_ns)
        if name.endswith(f".{headers.command}Request"):
            return cause
        return PolystreamError(Reason.UNDECODABLE, "the value is no record of the command that the headers name")

    def _reject(
        self, record: KafkaRecord, headers: RecordHeaders, command: Command | None, cause: PolystreamError
    ) -> Reject:
        if not headers.correlation_id:
            return Reject(record, cause, None, headers.trace)
        receipt = make_dead_letter_receipt(
            correlation_id=headers.correlation_id,
            command=headers.command,
            store=self._store,
            # Where it was before a redrive is told by a header, which in a record that can't be read is worth nothing.
            position=RecordPosition.of(record),
            cause=cause,
            user_id=record.user_id if command is not None and command.about_user else None,
            accept_time_ms=record.accept_time_ms(headers),
            receive_time_ns=record.receive_time_ns,
            complete_time_ns=time.time_ns(),
            request_fingerprint=headers.request_fingerprint,
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
    if headers.redrives and headers.redrive_action is None:
        raise PolystreamError(Reason.UNDECODABLE, f"the record's header {REDRIVE_ACTION} is none that there is")
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
        record=record,
        request_fingerprint=headers.request_fingerprint,
        is_repair=headers.redrives > 0 and headers.redrive_action is RedriveAction.REPAIR,
        first_offset=first_position(RecordPosition.of(record), headers).offset if headers.redrives else None,
    )
