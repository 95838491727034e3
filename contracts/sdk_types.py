"""How the SDK's Python shows a field: as an argument of a method."""

import keyword
from collections.abc import Iterator
from dataclasses import dataclass

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from contracts.plugin import PluginError

MESSAGES_PACKAGE = "polystream_api"
_LINE_MAX = 120

_SCALARS = {
    FieldDescriptor.CPPTYPE_INT32: ("int", "0"),
    FieldDescriptor.CPPTYPE_INT64: ("int", "0"),
    FieldDescriptor.CPPTYPE_UINT32: ("int", "0"),
    FieldDescriptor.CPPTYPE_UINT64: ("int", "0"),
    FieldDescriptor.CPPTYPE_DOUBLE: ("float", "0.0"),
    FieldDescriptor.CPPTYPE_FLOAT: ("float", "0.0"),
    FieldDescriptor.CPPTYPE_BOOL: ("bool", "False"),
    FieldDescriptor.CPPTYPE_STRING: ("str", '""'),
}
# The well-known types that betterproto2 shows as Python's own.
_NATIVE = {"google.protobuf.Timestamp": "datetime", "google.protobuf.Duration": "timedelta"}


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a method."""

    name: str
    annotation: str
    default: str | None  # None where the argument is required

    @property
    def declaration(self) -> str:
        """The argument as a signature has it."""
        return f"{self.name}: {self.annotation}" + ("" if self.default is None else f" = {self.default}")


class Names:
    """The names that one module imports, found while its text is made."""

    def __init__(self) -> None:
        self._modules: dict[str, str] = {}

    def use(self, module: str, name: str) -> str:
        """Have `name` imported from `module`, and return it. Raises PluginError where it stands for two things."""
        if self._modules.setdefault(name, module) != module:
            raise PluginError(f"{name} would be imported from {self._modules[name]} and from {module}")
        return name

    def message(self, message: Descriptor | EnumDescriptor) -> str:
        """Have the class of a message or an enum imported, and return its name."""
        path = message.full_name.removeprefix(f"{message.file.package}.")
        package = ".".join(python_name(part) for part in message.file.package.split("."))
        return self.use(f"{MESSAGES_PACKAGE}.{package}", path.replace(".", ""))

    def imports(self) -> Iterator[str]:
        """Yield the import lines, sorted as ruff would: the standard library's first."""
        ours = [module for module in self._modules.values() if module.startswith("polystream_")]
        for group in filter(None, (set(self._modules.values()) - set(ours), set(ours))):
            for module in sorted(group):
                names = sorted((name for name, its in self._modules.items() if its == module), key=_isort_key)
                line = f"from {module} import {', '.join(names)}"
                listed = ",\n    ".join(names)
                yield line if len(line) <= _LINE_MAX else f"from {module} import (\n    {listed},\n)"
            yield ""


def argument(field: FieldDescriptor, names: Names, *, required: bool) -> Argument:
    """Return the argument that stands for a field."""
    name = python_name(field.name)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        key, value = (_type(field.message_type.fields_by_name[part], names) for part in ("key", "value"))
        mapping = names.use("collections.abc", "Mapping")
        return Argument(name, f"{mapping}[{key}, {value}] | None", "None")
    kind = _type(field, names)
    if field.is_repeated:
        return Argument(name, f"{names.use('collections.abc', 'Sequence')}[{kind}]", "()")
    if required:
        return Argument(name, kind, None)
    if field.has_presence:
        return Argument(name, f"{kind} | None", "None")
    if field.enum_type is not None:
        return Argument(name, kind, f"{kind}(0)")
    return Argument(name, kind, _SCALARS[field.cpp_type][1] if kind != "bytes" else 'b""')


def python_name(name: str) -> str:
    """Return a proto's name as betterproto2 writes it."""
    return f"{name}_" if keyword.iskeyword(name) else name


def _type(field: FieldDescriptor, names: Names) -> str:
    if field.message_type is not None:
        native = _NATIVE.get(field.message_type.full_name)
        return names.use("datetime", native) if native else names.message(field.message_type)
    if field.enum_type is not None:
        return names.message(field.enum_type)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return "bytes"
    return _SCALARS[field.cpp_type][0]


def _isort_key(name: str) -> tuple[bool, str]:
    return (not name.isupper(), name)
