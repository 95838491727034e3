"""Messages in JSON's form as pages show them: without personal data, whoever has written them."""

from typing import Any, Final

from google.protobuf import any_pb2, descriptor_pool
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from polystream.v1.events_pb2 import CommandReceipt

from mesh.personal_data import MASK, is_personal, redact
from mesh.proto_json import to_dict

_TYPE: Final = "@type"  # of what is in an Any, as ProtoJSON has it
_KNOWN_PACKAGES: Final = frozenset({"polystream.v1", "google.rpc"})


def masked(message: Message, value: dict[str, Any]) -> dict[str, Any]:
    """Return a message's JSON with personal data masked, where the contract marks it or a text looks like it.

    `value` is what `mesh.proto_json.to_dict` returned of the message. Bytes are told by their number.
    """
    if isinstance(message, any_pb2.Any):
        return _masked_any(message, value)
    result = dict(value)
    descriptor: Descriptor = message.DESCRIPTOR  # type: ignore[assignment] # upb's own class is one
    for field in descriptor.fields:
        if field.name in result:
            result[field.name] = _masked_field(field, getattr(message, field.name), result[field.name])
    return result


def _masked_field(field: FieldDescriptor, content: Any, told: Any) -> Any:
    if is_personal(field):
        return MASK
    if isinstance(content, CommandReceipt.Result):  # an Any under another name: Avro has none
        packed = any_pb2.Any(type_url=content.type_url, value=content.value)
        return _masked_any(packed, {_TYPE: redact(content.type_url)})
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return {redact(key): redact(each) if isinstance(each, str) else each for key, each in told.items()}
    if field.is_repeated:
        return [_masked_value(field, *pair) for pair in zip(content, told, strict=True)]
    return _masked_value(field, content, told)


def _masked_value(field: FieldDescriptor, content: Any, told: Any) -> Any:
    if isinstance(told, dict) and isinstance(content, Message):
        return masked(content, told)
    if isinstance(content, bytes):
        return f"{len(content)} bytes"
    return redact(told) if field.type == FieldDescriptor.TYPE_STRING else told


def _masked_any(packed: any_pb2.Any, value: dict[str, Any]) -> dict[str, Any]:
    """Return what an Any holds, masked by its own type; the type alone where it can't be read."""
    told = {_TYPE: value.get(_TYPE, "")}
    try:
        found = descriptor_pool.Default().FindMessageTypeByName(packed.TypeName())
        if found.file.package not in _KNOWN_PACKAGES:  # anything may be in a Struct, and no field says what
            return told
        inner = GetMessageClass(found).FromString(packed.value)
    except (KeyError, DecodeError):
        return told
    return told | masked(inner, to_dict(inner))
