"""Sends stores' answers to `response_events` that are missing there."""

import time
from collections.abc import Sequence
from typing import Final, cast

from google.protobuf.descriptor import Descriptor
from polystream.options.v1.options_pb2 import Store
from polystream.v1.events_pb2 import CommandReceipt

from mesh import topics
from mesh.codec import Encoder
from mesh.envelope import receipt_headers
from mesh.schemas import RegistryClient, load_schema
from mesh.settings import KafkaSettings
from processor.lanes.receipts import Outgoing, ReceiptProducer
from processor.receipts import repeat

_NAME: Final = "polystream-integrity"


def send_receipts(kafka: KafkaSettings, registry: RegistryClient, receipts: Sequence[CommandReceipt]) -> None:
    """Send receipts as the stores have them, marked as repetitions; return once Kafka has them.

    Raises SendError and PolystreamError.
    """
    descriptor = cast(Descriptor, CommandReceipt.DESCRIPTOR)
    schema = load_schema(descriptor.full_name)
    encoder = Encoder(descriptor, schema, registry.register(topics.RECEIPTS, descriptor.full_name, schema))
    producer = ReceiptProducer(kafka.client_config(_NAME))
    try:
        producer.send([_outgoing(encoder, repeat(receipt)) for receipt in receipts], time.sleep)
    finally:
        producer.close()


def _outgoing(encoder: Encoder, receipt: CommandReceipt) -> Outgoing:
    store = Store.Name(receipt.store)
    key = str(receipt.user_id).encode() if receipt.HasField("user_id") else None
    headers = receipt_headers(receipt.correlation_id, receipt.command, None, store=store)
    return Outgoing(topics.RECEIPTS, key, encoder.encode(receipt), headers)
