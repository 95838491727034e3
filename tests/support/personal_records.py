"""Records that carry the data of known people in every place that a foreign producer can fill."""

import json
from typing import Final

from polystream.v1.events_pb2 import CommandReceipt
from polystream.v1.operations_pb2 import Operation
from polystream.v1.users_pb2 import User

from mesh import topics
from mesh.codec import Encoder
from mesh.ids import new_correlation_id
from mesh.schemas import RegistryClient, load_schema
from mesh.settings import RegistrySettings
from tests.support.personal_markers import KnownPerson
from tests.support.raw_producer import RawProducer

_DEAD: Final = ((topics.DLQ_REASON, b"UNDECODABLE"), (topics.DLQ_PARTITION, b"0"), (topics.DLQ_OFFSET, b"0"))


def write_records_of(one: KnownPerson, kafka: str, schema_registry: str) -> list[str]:
    """Write records that carry somebody's data in every place, on every topic, and return their correlation IDs.

    A text of free form, such as a justification, has no name: nobody could tell it.
    """
    correlation_ids: list[str] = []
    name, email, cpf = one.name.encode(), one.email.encode(), one.dotted_cpf.encode()
    registry = RegistryClient(RegistrySettings(url=schema_registry))
    record = str(CommandReceipt.DESCRIPTOR.full_name)
    schema = load_schema(record)
    schema_id = registry.register(topics.RECEIPTS, record, schema)
    encoder = Encoder(CommandReceipt.DESCRIPTOR, schema, schema_id)  # type: ignore[arg-type] # upb's own class is one
    written: list[tuple[str, bytes | None, bytes | None, list[tuple[bytes, bytes | None]]]] = []

    def write(topic: str, value: bytes | None, *headers: tuple[str, bytes], key: bytes = email) -> None:
        correlation_ids.append(new_correlation_id())
        own = {header for header, _ in headers}
        common = [(topics.CORRELATION_ID, correlation_ids[-1].encode()), (topics.COMMAND, b"CreateUser")]
        pairs = [*(pair for pair in common if pair[0] not in own), *headers]
        written.append((topic, key, value, [(header.encode(), text) for header, text in pairs]))

    raw = json.dumps({"name": one.name, "email": one.email, "cpf": one.cpf}, ensure_ascii=False).encode()
    for text in (name, email, cpf):
        for header in (topics.COMMAND, topics.SERVICE, topics.STORES, topics.TRACESTATE, topics.TRACEPARENT):
            write(topics.COMMANDS, raw, (header, text), (text.decode(), text))
        write(topics.COMMANDS, raw, (topics.CORRELATION_ID, text))
        write(topics.COMMANDS, b"\0\0\0\0\1" + raw, key=b"1234")
        redriven = [(topics.REDRIVES, b"1"), (topics.FIRST_OFFSET, b"0"), (topics.REDRIVE_STORES, text)]
        write(topics.COMMANDS, raw, *redriven, (topics.REDRIVE_ACTION, text))
        for header in (topics.DLQ_REASON, topics.DLQ_STORE, topics.DLQ_LANE, topics.DLQ_TOPIC):
            write(topics.DEAD_LETTERS, raw, *_DEAD, (header, text))
    for text in (email, cpf):
        write(topics.COMMANDS, raw, *redriven[:2], (topics.PRINCIPAL, text), (topics.JUSTIFICATION, text))
        write(topics.DEAD_LETTERS, raw, *_DEAD, (topics.DLQ_ERROR, b"it said " + text))
        for state in (Operation.ACCEPTED, Operation.SUCCEEDED, Operation.FAILED):
            receipt = _receipt(text.decode(), one, state)
            correlation_ids.append(receipt.correlation_id)
            pairs: list[tuple[bytes, bytes | None]] = [
                (b"correlation_id", receipt.correlation_id.encode()),
                (b"command", b"CreateUser"),
            ]
            pairs.append((b"store", text))
            written.append((topics.RECEIPTS, email, encoder.encode(receipt), pairs))
    registry.close()
    with RawProducer(kafka) as producer:
        for topic, key, value, pairs in written:
            producer.send(topic, 0, key, value, pairs)
    return correlation_ids


def _receipt(text: str, one: KnownPerson, state: "Operation.State") -> CommandReceipt:
    """Return a receipt that no lane would write."""
    receipt = CommandReceipt(
        correlation_id=new_correlation_id(), command="CreateUser", store="POSTGRESQL", state=state, waits_behind=text
    )
    result, error = receipt.result, receipt.error
    result.type_url = "type.googleapis.com/polystream.v1.User"
    result.value = User(user_id=7, name=one.name, email=one.email, cpf=one.cpf).SerializeToString()
    error.code, error.reason, error.message, error.field, error.metadata[text] = 3, text, f"there is {text}", text, text
    receipt.error.faults.add(field=text, description=f"{text} is there", rule=text)
    for stamp in (receipt.accept_time, receipt.receive_time, receipt.complete_time):
        stamp.GetCurrentTime()
    return receipt
