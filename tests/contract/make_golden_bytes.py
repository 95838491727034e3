"""Writes the golden bytes of a release: `python -m tests.contract.make_golden_bytes VERSION`.

Each golden example and each example of a receipt, as the bytes that this version's clients and services make of it.
Run it once, when the version is tagged: bytes that were released never change.
"""

import base64
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from google.protobuf import json_format
from google.protobuf.message import Message
from polystream.v1.events_pb2 import CommandReceipt

from mesh.catalog import load_catalog
from mesh.codec import Encoder
from mesh.schemas import load_schema

HERE: Final = Path(__file__).parent
FOLDER: Final = HERE / "golden_bytes"
SCHEMA_ID: Final = 7
RECEIPTS: Final[list[dict[str, Any]]] = [
    {
        "correlation_id": "0198c0de-0000-7000-8000-000000000001",
        "command": "CreateUser",
        "store": "POSTGRESQL",
        "state": "SUCCEEDED",
        "accept_time": "2026-01-02T03:04:05.678901Z",
        "receive_time": "2026-01-02T03:04:05.680Z",
        "complete_time": "2026-01-02T03:04:05.690Z",
        "user_id": "9007199254740991",
        "result": {"type_url": "type.googleapis.com/polystream.v1.User", "value": "CAE="},
    },
    {
        "correlation_id": "0198c0de-0000-7000-8000-000000000002",
        "command": "CreateSession",
        "store": "REDIS",
        "state": "FAILED",
        "complete_time": "1969-12-31T23:59:59.999999Z",
        "duplicate": True,
        "error": {
            "code": 5,
            "reason": "USER_NOT_FOUND",
            "message": "não há",
            "field": "user_id",
            "metadata": {"user_id": "1"},
        },
    },
    {"command": "DeleteUser", "dead_lettered": True},
]


def message_classes() -> dict[str, type[Message]]:
    """Return the class of every record, by its full name."""
    classes = {command.request_type: command.request_class for command in load_catalog().commands.values()}
    return {**classes, CommandReceipt.DESCRIPTOR.full_name: CommandReceipt}


def examples() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield each record's full name and its good examples, as JSON."""
    for command in load_catalog().commands.values():
        yield command.request_type, json.loads((HERE / "golden" / f"{command.name}.json").read_text())["good"]
    yield CommandReceipt.DESCRIPTOR.full_name, RECEIPTS


def main(version: str) -> None:
    """Write the bytes of a release."""
    folder = FOLDER / version
    folder.mkdir(parents=True, exist_ok=True)
    for record, messages in examples():
        made = [_bytes(record, message) for message in messages]
        text = json.dumps(made, indent=1, ensure_ascii=False)
        (folder / f"{record}.json").write_text(f"{text}\n", encoding="utf-8")


def _bytes(record: str, example: dict[str, Any]) -> dict[str, Any]:
    message_class = message_classes()[record]
    message = json_format.ParseDict(example, message_class())
    encoder = Encoder(message_class.DESCRIPTOR, load_schema(record), SCHEMA_ID)  # type: ignore[arg-type] # upb's own class
    return {
        "message": example,
        "protobuf": base64.b64encode(message.SerializeToString(deterministic=True)).decode(),
        "avro": base64.b64encode(encoder.encode(message)).decode(),
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
