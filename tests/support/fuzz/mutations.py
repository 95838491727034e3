"""Small changes that make right requests wrong ones: of bytes, and of JSON."""

import json
from random import Random
from typing import Any, Final

_BYTES: Final = (b"\x00", b"\r", b"\n", b"\r\n", b"\r\n\r\n", b" ", b"\t", b":", b"%", b"%00", b"%2F", b"\xff", b"\x80")
_TOKENS: Final = (
    *_BYTES,
    b"{",
    b"}",
    b"\\u0000",
    b'"',
    b"HTTP/1.1",
    b"0\r\n\r\n",
    b";",
    b",",
    b"\xc3\x28",
    b"A" * 9000,
)
_VALUES: Final[tuple[Any, ...]] = (
    *(None, True, False, 0, -1, 1, 1.5, 1e308, -0.0, 2**31, 2**53, 2**63, 2**64, -(2**63) - 1, 10**400),
    *("", " ", "0", "-0", "1e3", "1.0", "NaN", "Infinity", "null", "\x00", "\ud800", "\u202e", "😀" * 50, "x" * 5000),
    *("2026-01-01T00:00:00Z", "9999-12-31T23:59:60Z", "1s", "315576000001s", "AAAA", "user_id,name"),
    *([], {}, [[]], [None], {"": None}, {"@type": "type.googleapis.com/google.protobuf.Any"}, ["a", 1, {}]),
)
_NAMES: Final = ("userId", "USER_ID", "unknown", "", "a.b", "@type", "__proto__", "result", "user_id ", "request_id")
_DEPTHS: Final = (20, 99, 101, 1000, 20_000)


def mutate_bytes(draw: Random, data: bytes) -> bytes:
    """Return the bytes with one to four small changes."""
    changed = bytearray(data)
    for _ in range(draw.randint(1, 4)):
        at = draw.randrange(len(changed) + 1)
        match draw.randrange(6):
            case 0:
                changed[at:at] = draw.choice(_TOKENS)
            case 1:
                del changed[at : at + draw.randint(1, 8)]
            case 2:
                changed[at : at + 1] = bytes([draw.randrange(256)])
            case 3:
                changed[at:at] = changed[at : at + draw.randint(1, 60)]
            case 4:
                del changed[at:]
            case _:
                changed[at : at + 1] = bytes(one ^ 1 << draw.randrange(8) for one in changed[at : at + 1])
    return bytes(changed)


def mutate_json(draw: Random, body: dict[str, Any], secret: str) -> bytes:
    """Return a JSON object as text, with changes in it; most of it stays JSON. `secret` is put in where values go."""
    changed = dict(body)
    for _ in range(draw.randint(0, 3)):
        _change(draw, changed, secret)
    text = json.dumps(changed, ensure_ascii=draw.random() < 0.7)
    match draw.randrange(12):
        case 0:  # doubled
            text = text[:-1] + ("," if changed else "") + text[1:]
        case 1:
            text = draw.choice(("\ufeff", "[", " \n\t", "//", "'", "\x00")) + text
        case 2:
            text += draw.choice(("}", ",", "x", "\n\n", "\x00", text))
        case 3:
            depth = draw.choice(_DEPTHS)
            text = draw.choice(('{"user_id":' * depth + "1" + "}" * depth, "[" * depth + "]" * depth, "{" * depth))
        case 4:
            return mutate_bytes(draw, text.encode("utf-8", "surrogatepass"))
        case _:
            pass
    return text.encode("utf-8", "surrogatepass")


def _change(draw: Random, body: dict[str, Any], secret: str) -> None:
    name = draw.choice([*body, draw.choice(_NAMES)])
    match draw.randrange(5):
        case 0:
            body[name] = draw.choice(_VALUES)
        case 1:
            body.pop(name, None)
        case 2:
            body[draw.choice(_NAMES)] = body.get(name)
        case 3:
            body[name] = secret
        case _:
            inner = body.get(name)
            if isinstance(inner, dict):
                body[name] = inner = dict(inner)
                _change(draw, inner, secret)
            else:
                body[name] = draw.choice(([inner], {name: inner}, str(inner), inner))
