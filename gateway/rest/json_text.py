"""JSON text (RFC 8259) where more must be known of it than the message that it makes."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

NOT_FINITE: Final = frozenset({"NaN", "Infinity", "-Infinity"})  # the texts that ProtoJSON has for such numbers
MAX_DEPTH: Final = 32  # of lists and objects in one another; the deepest request has 3

_PAIR: Final = b"[]"
_ONE_KIND: Final = bytes.maketrans(b"{}", _PAIR)
_STRINGS: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")


class Number(str):
    """A number as it was written: no digit of it is lost."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class JsonObject:
    """An object's members as they were written, with each name that is there twice."""

    members: list[tuple[str, "Value"]]


Value = str | bool | list["Value"] | JsonObject | None  # a str that is no Number is a text


def is_too_deep(body: bytes) -> bool:
    """Whether lists and objects are nested beyond a bound. The text need not be valid.

    protobuf-py sets no bound of its own where it meets a list in the place of a message: 30,000 brackets end the
    process. So this comes before it.
    """
    if body.count(b"[") + body.count(b"{") <= MAX_DEPTH:
        return False
    brackets = _STRINGS.sub(b"", body).translate(_ONE_KIND, _NO_BRACKETS)
    for _ in range(MAX_DEPTH):  # each round takes the innermost level away
        if _PAIR not in brackets:
            break
        brackets = brackets.replace(_PAIR, b"")
    return _PAIR in brackets or brackets.count(b"[") > MAX_DEPTH


def parse(text: bytes) -> Value:
    """Parse valid JSON, keeping what a dictionary would lose."""
    value: Value = json.loads(
        text.decode(), object_pairs_hook=JsonObject, parse_int=Number, parse_float=Number, parse_constant=Number
    )
    return value


def unparse(value: Value) -> str:
    """Return the JSON text of a value again."""
    return "".join(_tokens(value))


def is_number(text: str) -> bool:
    """Whether a text is a number of JSON's grammar (RFC 8259, section 6)."""
    return _NUMBER.fullmatch(text) is not None


def _tokens(value: Value) -> Iterator[str]:
    match value:
        case Number():
            yield value
        case JsonObject(members=members):
            yield "{"
            for index, (name, held) in enumerate(members):
                yield f"{',' if index else ''}{json.dumps(name)}:"
                yield from _tokens(held)
            yield "}"
        case list():
            yield "["
            for index, element in enumerate(value):
                yield "," if index else ""
                yield from _tokens(element)
            yield "]"
        case _:
            yield json.dumps(value)
