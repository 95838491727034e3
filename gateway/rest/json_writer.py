"""Messages into JSON as the platform prints it: fields in their proto names, those without presence always there."""

from typing import Final

from protobuf import Message, Registry

from gateway.rest.json_types import json_registry, message_type

_STATUS: Final = "google.rpc.Status"


class JsonWriter:
    """Writes the JSON of one message type."""

    def __init__(self, full_name: str) -> None:
        """Prepare to write a type. Raises LookupError for one that no JSON messages are generated for."""
        self._class: type[Message] = message_type(full_name).type
        self._registry: Registry = json_registry()

    def write(self, data: bytes) -> bytes:
        """Return the JSON of a serialized message."""
        message = self._class.from_binary(data)
        return message.to_json(registry=self._registry, always_emit_implicit=True, use_proto_field_name=True).encode()


def status_json(data: bytes) -> bytes:
    """Return the JSON of a serialized `google.rpc.Status`: the body of every error."""
    return JsonWriter(_STATUS).write(data)
