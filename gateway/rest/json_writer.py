"""Messages into JSON as the platform prints it: fields in their proto names, those without presence always there."""

import json
from base64 import b64encode
from functools import cache
from typing import Final

from protobuf import DescMessage, Message
from protobuf.wkt import Any as PackedMessage
from protobuf.wkt import Struct

from gateway.rest.json_faults import REFUSALS
from gateway.rest.json_types import element_of, json_registry, message_type

_STATUS: Final = "google.rpc.Status"
_STRUCT_URL: Final = "type.googleapis.com/google.protobuf.Struct"


class JsonWriter:
    """Writes the JSON of one message type."""

    def __init__(self, full_name: str) -> None:
        """Prepare to write a type. Raises LookupError for one that no JSON messages are generated for."""
        self._class: type[Message] = message_type(full_name).type

    def write(self, data: bytes) -> bytes:
        """Return the JSON of a serialized message.

        A message in an `Any` that is of an unknown type, or damaged, is written as a Struct of the two fields that
        `Any` has on the wire. Raises ValueError where another part has no JSON: a time outside of the years 1 to 9999.
        """
        message = self._class.from_binary(data)
        try:
            text = _to_json(message)
        except REFUSALS:
            _replace_unknown(message)
            text = _to_json(message)
        return text.encode()


def status_json(data: bytes) -> bytes:
    """Return the JSON of a serialized `google.rpc.Status`: the body of every error."""
    return _status_writer().write(data)


@cache
def _status_writer() -> JsonWriter:
    return JsonWriter(_STATUS)


def _to_json(message: Message) -> str:
    return message.to_json(registry=json_registry(), always_emit_implicit=True, use_proto_field_name=True)


def _replace_unknown(message: Message) -> None:
    for field in type(message).desc().fields:
        if field not in message or not isinstance(element_of(field), DescMessage):
            continue
        held = message[field]
        for part in held.values() if isinstance(held, dict) else held if isinstance(held, list) else [held]:
            if not isinstance(part, PackedMessage):
                _replace_unknown(part)
            elif not _is_known(part):
                wire = {"type_url": part.type_url, "value": b64encode(part.value).decode()}
                part.value = Struct.from_json(json.dumps(wire)).to_binary()
                part.type_url = _STRUCT_URL


def _is_known(packed: PackedMessage) -> bool:
    try:
        _to_json(packed)
    except REFUSALS:
        return False
    return True
