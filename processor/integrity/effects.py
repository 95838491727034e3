"""Effects whose mark is gone: what a store has applied, and knows nothing of any more.

Sent again, such a command would be applied twice. Where an effect is a row that PostgreSQL numbers, the newest receipt
says which one: it is on `response_events` for as long as the command is on `user_events`. The effects of other commands
are found by the correlation ID or the key that they are stored under, or are the same however often they are applied.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from polystream.options.v1.options_pb2 import Store
from polystream.v1.events_pb2 import CommandReceipt
from polystream.v1.operations_pb2 import Operation
from polystream.v1.payments_pb2 import Payment
from polystream.v1.subscriptions_pb2 import Subscription

from mesh import topics
from mesh.catalog import Command
from mesh.codec import Decoder
from mesh.dead_letters.dead_letter import DeadLetter
from mesh.envelope import KafkaRecord
from mesh.error_classes.classes import ErrorClass
from mesh.errors import PolystreamError
from mesh.topic_reader import TopicReader

_STORE: Final = "POSTGRESQL"
_NUMBERED: Final = frozenset({Payment.DESCRIPTOR.full_name, Subscription.DESCRIPTOR.full_name})


def is_numbered(command: Command | None, store: str) -> bool:
    """Whether a command adds a row that PostgreSQL numbers, so that it adds another one each time it is applied."""
    return command is not None and store == _STORE and command.creates and command.result_type in _NUMBERED


def numbered_ids(parts: Sequence[DeadLetter], commands: Mapping[str, Command]) -> set[str]:
    """Return the correlation IDs of those parts of commands that add numbered rows."""
    return {part.correlation_id for part in parts if is_numbered(commands.get(part.command), part.store)}


def read_successes(
    reader: TopicReader, decoder: Decoder, correlation_ids: Collection[str], store: str = _STORE
) -> dict[str, CommandReceipt]:
    """Return a store's newest receipt of each of these commands that says that it was applied.

    A command that was lost and sent again has made another row than the first time.
    Raises TopicError, and PolystreamError where the registry does not answer.
    """
    found: dict[str, CommandReceipt] = {}
    if not correlation_ids:
        return found
    for record in reader.read(topics.RECEIPTS, reader.extents(topics.RECEIPTS)):
        if record.read_headers().correlation_id not in correlation_ids:
            continue
        receipt = read_receipt(record, decoder, store)
        if receipt is not None and receipt.state == Operation.SUCCEEDED:
            found[receipt.correlation_id] = receipt
    return found


def read_receipt(record: KafkaRecord, decoder: Decoder, store: str) -> CommandReceipt | None:
    """Return a store's receipt as it was given first; None where the record is another store's, or foreign.

    Raises PolystreamError where the registry does not answer.
    """
    try:
        receipt = decoder.decode(record.value, record.receive_time_ns)
    except PolystreamError as error:
        if error.reason.value.error_class is ErrorClass.WAIT:
            raise
        return None
    assert isinstance(receipt, CommandReceipt)  # noqa: S101 # the decoder's own type
    if receipt.correlation_id != record.read_headers().correlation_id or receipt.store != Store.Value(store):
        return None
    receipt.duplicate = False
    return receipt
