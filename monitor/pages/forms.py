"""A form for an RPC's request, from its descriptor: fields, types, bounds, and values that work as they stand."""

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from buf.validate import validate_pb2
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from polystream.options.v1 import options_pb2

from mesh.errors import FieldFault
from mesh.personal_data import is_personal, redact
from mesh.proto_json import to_dict

_REQUEST_ID: Final = "request_id"
_FIXTURE_USER: Final = "1234"
_FIXTURE_CONTENT: Final = "5678"
_INTEGERS: Final = frozenset(
    {
        *(FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_INT64),
        *(FieldDescriptor.CPPTYPE_UINT32, FieldDescriptor.CPPTYPE_UINT64),
    }
)


@dataclass(frozen=True, slots=True)
class FormField:
    """A field as the form shows it. `widget` is number, text, choice, lines or json."""

    name: str
    widget: str
    type_name: str
    is_required: bool
    choices: Sequence[str]
    bounds: Mapping[str, str]  # attributes of HTML
    example: str
    is_personal: bool


def form_fields(descriptor: Descriptor) -> list[FormField]:
    """Return the fields of a request's form, in the order of the proto."""
    return [_form_field(field) for field in descriptor.fields]


def read_form(request: Message, said: Mapping[str, str]) -> tuple[dict[str, Any], list[FieldFault]]:
    """Fill a request with what the form says; return it as JSON has it, and what could not be read."""
    fields: dict[str, Any] = {}
    faults = []
    descriptor: Descriptor = request.DESCRIPTOR  # type: ignore[assignment] # upb's own class is one
    for field in descriptor.fields:
        text = said.get(field.name, "").strip()
        if not text:
            continue
        try:
            fields[field.name] = _value(field, text)
            json_format.ParseDict({field.name: fields[field.name]}, request)
        except (ValueError, json_format.ParseError):
            faults.append(FieldFault(field.name, f"is no {_type_name(field)}"))
    return fields, faults


def filled_form(request: Message) -> dict[str, str]:
    """Return the texts with which a form makes a request anew, without what has to be filled in again.

    That is personal data, texts that look like it, and the `request_id`: with the same one, nothing would be done.
    """
    filled = {}
    descriptor: Descriptor = request.DESCRIPTOR  # type: ignore[assignment] # likewise
    for name, value in to_dict(request).items():
        field = descriptor.fields_by_name[name]
        if name == _REQUEST_ID or is_personal(field):
            continue
        text = _typed(field, value)
        if redact(text) == text:
            filled[name] = text
    return filled


def without_personal(descriptor: Descriptor, said: Mapping[str, str]) -> dict[str, str]:
    """Return what a form says without what is or may be personal data: no page shows any.

    That is what the contract marks, what looks like it, and what is not of its field's type.
    """
    _, unreadable = read_form(GetMessageClass(descriptor)(), said)
    hidden = {fault.field for fault in unreadable}
    return {
        field.name: said[field.name]
        for field in descriptor.fields
        if field.name in said and not is_personal(field) and field.name not in hidden
        if redact(said[field.name]) == said[field.name]
    }


def with_placeholders(descriptor: Descriptor, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return a request's fields, as JSON has them, with a placeholder for each that a form does not show.

    A field that is personal and that the contract asks for has one even where it was not said.
    """
    shown: dict[str, Any] = {}
    for field in descriptor.fields:
        value = fields.get(field.name)
        if is_personal(field):
            is_hidden = field.name in fields or not field.has_presence
        else:
            text = json.dumps(value, ensure_ascii=False)
            is_hidden = redact(text) != text
        if is_hidden:
            shown[field.name] = f"<{field.name}>"
        elif field.name in fields:
            shown[field.name] = value
    return shown


def _typed(field: FieldDescriptor, value: Any) -> str:
    if field.is_repeated and field.message_type is None:
        return "\n".join(map(str, value))
    if field.message_type is not None:
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _form_field(field: FieldDescriptor) -> FormField:
    options: Any = field.GetOptions()
    rules: Any = options.Extensions[validate_pb2.field]
    bounds = _bounds(field, rules)
    choices: list[str] = []
    if field.is_repeated or field.message_type is not None:
        widget = "lines" if field.is_repeated and field.message_type is None else "json"
    elif field.enum_type is not None:
        widget, choices = "choice", [value.name for value in field.enum_type.values if value.number]
    elif field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        widget, choices = "choice", ["true", "false"]
    else:
        widget = "number" if field.cpp_type in _INTEGERS else "text"
    is_required = not field.has_presence and (
        bounds.get("min", "0") not in {"", "0"}
        or "minlength" in bounds
        or bool(rules.string.email or rules.string.pattern)
        or (field.enum_type is not None and 0 in rules.enum.not_in)
        or rules.required
    )
    return FormField(
        name=field.name,
        widget=widget,
        type_name=_type_name(field),
        is_required=is_required or rules.required,
        choices=choices,
        bounds=bounds,
        example=_example(field, is_required=is_required),
        is_personal=is_personal(field),
    )


def _bounds(field: FieldDescriptor, rules: Any) -> dict[str, str]:
    bounds: dict[str, str] = {}
    kind = rules.WhichOneof("type")
    if kind in {"int32", "int64", "uint32", "uint64"}:
        numbers = getattr(rules, kind)
        low, high = numbers.WhichOneof("greater_than"), numbers.WhichOneof("less_than")
        if low:
            bounds["min"] = str(getattr(numbers, low) + (low == "gt"))
        if high:
            bounds["max"] = str(getattr(numbers, high) - (high == "lt"))
    elif kind == "string" and not field.is_repeated:
        if rules.string.min_len:
            bounds["minlength"] = str(rules.string.min_len)
        if rules.string.max_len:
            bounds["maxlength"] = str(rules.string.max_len)
    return bounds


def _type_name(field: FieldDescriptor) -> str:
    if _is_map(field):
        return "map"
    if field.message_type is not None:
        name = str(field.message_type.full_name)
    elif field.enum_type is not None:
        name = str(field.enum_type.name)
    else:
        name = {
            FieldDescriptor.CPPTYPE_BOOL: "bool",
            FieldDescriptor.CPPTYPE_STRING: "string",
            FieldDescriptor.CPPTYPE_DOUBLE: "double",
            FieldDescriptor.CPPTYPE_FLOAT: "float",
        }.get(field.cpp_type, "integer")
    return f"repeated {name}" if field.is_repeated else name


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)


def _value(field: FieldDescriptor, text: str) -> Any:
    if field.is_repeated and field.message_type is None:
        return [line.strip() for line in text.splitlines() if line.strip()]
    if field.message_type is not None:
        return json.loads(text) if text[:1] in "{[" else text
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return text == "true"
    if field.cpp_type in _INTEGERS:
        return int(text)
    if field.cpp_type in {FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT}:
        return float(text)
    return text


def _example(field: FieldDescriptor, *, is_required: bool) -> str:
    options: Any = field.GetOptions()
    kind = str(options.Extensions[options_pb2.demo])
    if kind in _EXAMPLES:
        return _EXAMPLES[kind]()
    if field.enum_type is not None and (kind == "enum" or is_required):
        return next(value.name for value in field.enum_type.values if value.number)
    if field.name == "user_id" and is_required:
        return _FIXTURE_USER
    if field.name == "content_id" and is_required:
        return _FIXTURE_CONTENT
    return ""


def _cpf() -> str:
    """Return a random taxpayer number; its check digits are sums modulo 11, weighted from 2, the last digit first."""
    digits = [1, *(secrets.randbelow(10) for _ in range(8))]
    for _ in range(2):
        weighted = sum(digit * (len(digits) + 1 - place) for place, digit in enumerate(digits))
        digits.append(weighted * 10 % 11 % 10)
    return "".join(map(str, digits))


# By the kind of demo value that the proto gives a field.
_EXAMPLES: Final[Mapping[str, Callable[[], str]]] = {
    "name": lambda: "Ana Souza",
    "email": lambda: f"ana.{secrets.token_hex(6)}@example.com",
    "cpf": _cpf,
    "months": lambda: "3",
    "money": lambda: '{"currency_code": "BRL", "units": "29", "nanos": 900000000}',
    "language": lambda: "pt-BR",
    "bool": lambda: "true",
    "title": lambda: "Noites de São Paulo",
    "seconds": lambda: "3600",
    "percent": lambda: "50",
    "genres": lambda: "Drama\nSuspense",
    "fixture_user": lambda: _FIXTURE_USER,
}
