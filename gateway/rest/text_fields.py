"""Paths and query parameters into the fields that they stand for, by the rules of JSON's strings.

The text becomes a JSON literal, which protobuf-py judges. What most paths have, a whole number or a plain text, is set
without that detour.
"""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from json.encoder import encode_basestring
from typing import Any, Final

from protobuf import (
    DescEnum,
    DescField,
    DescFieldValueList,
    DescFieldValueMap,
    DescMessage,
    ScalarType,
    merge_from_json,
)

from gateway.rest.json_faults import REFUSALS, is_enum_number, must_be
from gateway.rest.json_text import NOT_FINITE, is_duration, is_number
from gateway.rest.json_types import FREE_FORM, Element, element_of, fields_of, has_own_form, message_type
from mesh.errors import FieldFault, PolystreamError, Reason

_MAX_KNOWN_FIELDS: Final = 4096
_WHOLE: Final = re.compile(r"-?(?:0|[1-9][0-9]*)")
_SURE_DIGITS: Final = 18  # of a whole number, at which none is beyond 64 bits
_SIGNED_64_BITS: Final = frozenset({ScalarType.INT64, ScalarType.SINT64, ScalarType.SFIXED64})
_FLOATS: Final = frozenset({ScalarType.DOUBLE, ScalarType.FLOAT})
_WRAPPED: Final = "value"  # the one field of a wrapper


class TextField:
    """A field that a text sets, at any depth of a message. Compiled once a path."""

    def __init__(self, descriptor: DescMessage, names: Sequence[str]) -> None:
        """`names` are proto names, from the message's own field down.

        Raises LookupError where there is no such field, ValueError where no text stands for one.
        """
        fields = _fields(descriptor, names)
        last = fields[-1]
        self.path: Final = ".".join(names)
        self._is_list = isinstance(last.value, DescFieldValueList)
        self._element = element_of(last)
        self._literal = _literal_maker(last, self._element)
        self._before = "".join(f'{{"{name}":' for name in names)
        self._after = "}" * len(names)
        is_plain = len(names) == 1 and not self._is_list and getattr(last.value, "oneof", None) is None
        self._text_name = last.local_name if is_plain and self._element is ScalarType.STRING else ""
        self._whole_name = last.local_name if is_plain and self._element in _SIGNED_64_BITS else ""

    def set(self, message: Any, values: Sequence[str]) -> None:
        """Set the field in a message of protobuf-py. Raises PolystreamError INVALID_FIELD."""
        if len(values) == 1:
            text = values[0]
            if self._whole_name and len(text) <= _SURE_DIGITS and _WHOLE.fullmatch(text):
                setattr(message, self._whole_name, int(text))
                return
            if self._text_name and text.isascii():
                setattr(message, self._text_name, text)
                return
        elif not self._is_list:
            raise _invalid(self.path, "is given more than once; give it once")
        for index, text in enumerate(values):
            self._merge(message, text, f"{self.path}[{index}]" if self._is_list else self.path)

    def _merge(self, message: Any, text: str, path: str) -> None:
        literal = self._literal(text)
        if literal is not None:
            value = f"[{literal}]" if self._is_list else literal
            try:
                merge_from_json(message, f"{self._before}{value}{self._after}")
            except REFUSALS:
                pass
            else:
                return
        raise _invalid(path, _must_be(self._element))


@lru_cache(_MAX_KNOWN_FIELDS)
def text_field(full_name: str, names: tuple[str, ...]) -> TextField:
    """Return the field of a message type at a path; what raises is `TextField`."""
    return TextField(message_type(full_name), names)


def _fields(descriptor: DescMessage, names: Sequence[str]) -> list[DescField]:
    fields = []
    inner: DescMessage | None = descriptor
    for name in names:
        field = fields_of(inner).get(name) if inner is not None else None
        if field is None:
            raise LookupError(f"{descriptor.type_name} has no field {'.'.join(names)}")
        fields.append(field)
        below = element_of(field)
        is_one = not isinstance(field.value, DescFieldValueList | DescFieldValueMap)
        inner = below if is_one and isinstance(below, DescMessage) and not has_own_form(below) else None
    return fields


def _literal_maker(field: DescField, element: Element) -> Callable[[str], str | None]:
    """Return what makes a JSON literal of a text, or None of a text that cannot stand for the field."""
    match element:
        case _ if isinstance(field.value, DescFieldValueMap):
            raise ValueError(f"no text stands for the map {field.name}")
        case DescEnum():
            return _enum_literal
        case DescMessage(type_name=name) if not has_own_form(element) or name in FREE_FORM:
            raise ValueError(f"no text stands for the message {field.name}")
        case DescMessage() if (wrapped := fields_of(element).get(_WRAPPED)) is not None:
            return _literal_maker(wrapped, element_of(wrapped))
        case ScalarType.BOOL:
            return lambda text: text if text in {"true", "false"} else None
        case ScalarType.STRING | ScalarType.BYTES | DescMessage():
            is_span = getattr(element, "type_name", "") == "google.protobuf.Duration"
            return _duration_literal if is_span else encode_basestring
        case _ if element in _FLOATS:
            return lambda text: f'"{text}"' if is_number(text) or text in NOT_FINITE else None
        case _:
            return lambda text: text if _WHOLE.fullmatch(text) else None


def _duration_literal(text: str) -> str | None:
    return encode_basestring(text) if is_duration(text) else None


def _enum_literal(text: str) -> str | None:
    if not _WHOLE.fullmatch(text):
        return encode_basestring(text)
    return text if is_enum_number(text) else None


def _must_be(element: Element) -> str:
    """Say what a text must be: outside of JSON there are no quotes."""
    return must_be(element).replace(" in double quotes", "").replace('"', "")


def _invalid(path: str, description: str) -> PolystreamError:
    return PolystreamError(Reason.INVALID_FIELD, faults=[FieldFault(path, description)])
