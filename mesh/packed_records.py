"""Records of Kafka as stores keep them: what is parked is packed by a lane, and read by it and by gateways."""

import base64
import json
from typing import Any

from mesh.envelope import KafkaRecord


def pack_record(record: KafkaRecord) -> bytes:
    """Return a record as a store keeps it: JSON, bytes in Base64."""
    headers = [[name, _text(value.encode() if isinstance(value, str) else value)] for name, value in record.headers]
    fields = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp_ms": record.timestamp_ms,
        "receive_time_ns": record.receive_time_ns,
        "key": _text(record.key),
        "value": _text(record.value),
        "headers": headers,
        "has_readable_headers": record.has_readable_headers,
    }
    return json.dumps(fields, separators=(",", ":")).encode()


def unpack_record(packed: bytes) -> KafkaRecord:
    """Return the record that `pack_record` has packed."""
    fields: dict[str, Any] = json.loads(packed)
    headers = [(name, _bytes(value)) for name, value in fields["headers"]]
    return KafkaRecord(
        topic=fields["topic"],
        partition=fields["partition"],
        offset=fields["offset"],
        timestamp_ms=fields["timestamp_ms"],
        receive_time_ns=fields["receive_time_ns"],
        key=_bytes(fields["key"]),
        value=_bytes(fields["value"]),
        headers=headers,
        has_readable_headers=fields["has_readable_headers"],
    )


def _text(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)
