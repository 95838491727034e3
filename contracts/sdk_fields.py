"""What every field of a request takes, as the SDK's table of it: one rule for each field, made of its descriptor."""

from collections.abc import Iterator, Sequence

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from contracts.plugin import PluginError
from contracts.sdk_types import Names, python_name

FIELDS_MODULE = "_fields"

_KINDS_MODULE = "polystream_sdk.kinds"
_SCALARS = {
    FieldDescriptor.CPPTYPE_INT32: ("Integer", "32"),
    FieldDescriptor.CPPTYPE_INT64: ("Integer", "64"),
    FieldDescriptor.CPPTYPE_UINT32: ("Integer", "32, signed=False"),
    FieldDescriptor.CPPTYPE_UINT64: ("Integer", "64, signed=False"),
    FieldDescriptor.CPPTYPE_DOUBLE: ("Float", ""),
    FieldDescriptor.CPPTYPE_FLOAT: ("Float", "32"),
    FieldDescriptor.CPPTYPE_BOOL: ("Flag", ""),
    FieldDescriptor.CPPTYPE_STRING: ("Text", ""),
}
# The well-known types that betterproto2 shows as Python's own.
_NATIVE = {"google.protobuf.Timestamp": "Time", "google.protobuf.Duration": "Span"}


def table_name(message: Descriptor) -> str:
    """Return the name of a message's table: CREATE_USER_REQUEST_FIELDS."""
    path = message.full_name.removeprefix(f"{message.file.package}.")
    words = ("".join(f"_{c}" if c.isupper() else c.upper() for c in part) for part in path.split("."))
    return f"{''.join(words).lstrip('_').upper()}_FIELDS"


def fields_module(requests: Sequence[Descriptor]) -> str:
    """Return the module that has the table of each request, those of the messages in them first.

    Raises PluginError for a message that holds itself.
    """
    names = Names()
    tables: dict[str, list[str]] = {}
    for request in requests:
        _add_table(request, tables, names, ())
    mapping = names.use("collections.abc", "Mapping")
    kind = names.use(_KINDS_MODULE, "Kind")
    lines = ['"""What each field of a request takes. Generated from the protos: do not edit."""', "", *names.imports()]
    for name, entries in tables.items():
        lines += [f"{name}: {mapping}[str, {kind}] = {{", *entries, "}"]
    return "\n".join(lines) + "\n"


def _add_table(message: Descriptor, tables: dict[str, list[str]], names: Names, within: tuple[str, ...]) -> None:
    name = table_name(message)
    if message.full_name in within:
        raise PluginError(f"{message.full_name} holds itself, which the SDK has no form for")
    if name in tables:
        return
    for inner in _inner(message):
        _add_table(inner, tables, names, (*within, message.full_name))
    tables[name] = [f'    "{python_name(field.name)}": {_kind(field, names)},' for field in message.fields]


def _inner(message: Descriptor) -> Iterator[Descriptor]:
    """Yield the messages that a message's fields are shown as."""
    for field in message.fields:
        held = field.message_type
        if held is None or held.full_name in _NATIVE:
            continue
        if held.GetOptions().map_entry:
            yield from _inner(held)
        else:
            yield held


def _kind(field: FieldDescriptor, names: Names) -> str:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        key, value = (_single(field.message_type.fields_by_name[part], names) for part in ("key", "value"))
        return f"{names.use(_KINDS_MODULE, 'Entries')}({key}, {value})"
    single = _single(field, names)
    if field.is_repeated:
        return f"{names.use(_KINDS_MODULE, 'Several')}({single})"
    return f"{names.use(_KINDS_MODULE, 'Maybe')}({single})" if field.has_presence else single


def _single(field: FieldDescriptor, names: Names) -> str:
    if field.message_type is not None:
        if native := _NATIVE.get(field.message_type.full_name):
            return f"{names.use(_KINDS_MODULE, native)}()"
        group = names.use(_KINDS_MODULE, "Group")
        return f"{group}({names.message(field.message_type)}, {table_name(field.message_type)})"
    if field.enum_type is not None:
        return f"{names.use(_KINDS_MODULE, 'Choice')}({names.message(field.enum_type)})"
    if field.type == FieldDescriptor.TYPE_BYTES:
        return f"{names.use(_KINDS_MODULE, 'Binary')}()"
    name, arguments = _SCALARS[field.cpp_type]
    return f"{names.use(_KINDS_MODULE, name)}({arguments})"
