"""JSON text (RFC 8259) where more must be known of it than the message that it makes."""

import json
import re
from dataclasses import dataclass
from typing import Final

NOT_FINITE: Final = frozenset({"NaN", "Infinity", "-Infinity"})  # the texts that ProtoJSON has for such numbers
MAX_DEPTH: Final = 32  # of lists and objects in one another; the deepest request has 3

_PAIR: Final = b"[]"
_ONE_KIND: Final = bytes.maketrans(b"{}", _PAIR)
_STRINGS: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_DOUBTFUL: Final = re.compile(rb"NaN|Infinity|\\u")
_DURATION: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]{1,9})?s")
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")


class Number(str):
    """A number as it was written: no digit of it is lost."""

    __slots__ = ()


@dataclass(slots=True)  # not frozen: that makes each three times as dear
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


def parse_plain(text: bytes) -> Value:
    """Parse JSON in which nothing is that Python takes and JSON has not; None where there is a doubt, or it is wrong.

    This takes a tenth of the time that protobuf-py does to say that a text is JSON.
    """
    if _DOUBTFUL.search(text):
        return None
    try:
        return parse(text)
    except (ValueError, RecursionError):
        return None


def unparse(value: Value) -> str:
    """Return the JSON text of a value again."""
    tokens: list[str] = []
    _add_tokens(value, tokens)
    return "".join(tokens)


def is_number(text: str) -> bool:
    """Whether a text is a number of JSON's grammar (RFC 8259, section 6)."""
    return _NUMBER.fullmatch(text) is not None


def is_duration(text: str) -> bool:
    """Whether a text is a duration as google/protobuf/duration.proto writes one."""
    return _DURATION.fullmatch(text) is not None


def _add_tokens(value: Value, tokens: list[str]) -> None:
    if isinstance(value, Number):
        tokens.append(value)
    elif isinstance(value, JsonObject):
        between = "{"
        for name, held in value.members:
            tokens.append(f"{between}{json.dumps(name)}:")
            _add_tokens(held, tokens)
            between = ","
        tokens.append("}" if value.members else "{}")
    elif isinstance(value, list):
        between = "["
        for element in value:
            tokens.append(between)
            _add_tokens(element, tokens)
            between = ","
        tokens.append("]" if value else "[]")
    else:
        tokens.append(json.dumps(value))
