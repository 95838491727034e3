"""What a body is and what an answer may be: content types, content encodings, the header `accept` (RFC 9110)."""

import re
import zlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

from mesh.errors import PolystreamError, Reason

JSON: Final = "application/json"

_NAME: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PARAMETER: Final = re.compile(
    rf'[ \t]*;[ \t]*(?:(?P<name>{_NAME})=(?:(?P<token>{_NAME})|"(?P<quoted>(?:[^"\\]|\\.)*)"))?'
)
_MEDIA_TYPE: Final = re.compile(rf"[ \t]*(?P<type>{_NAME}/{_NAME})")
_WEIGHT: Final = re.compile(r"0(\.\d{0,3})?|1(\.0{0,3})?")
_QUOTED_OR_COMMA: Final = re.compile(r'"(?:[^"\\]|\\.)*"|,')
_MAX_ACCEPT_CHARACTERS: Final = 1024  # a longer one is not read: any answer fits it
_CACHED: Final = 256  # headers that were read, of each kind: clients send the same ones
_MAX_GZIP_MEMBERS: Final = 64  # each costs as much as some kilobytes; programs that pack a body write one
_GZIP: Final = 31  # zlib's number for the gzip format with the largest window


@lru_cache(_CACHED)
def media_type(content_type: str) -> tuple[str, Mapping[str, str]] | None:
    """Return a content type's media type and parameters, names in lower case; None where it is malformed.

    A parameter that is given twice is malformed: readers would differ on it.
    """
    match = _MEDIA_TYPE.match(content_type)
    if match is None:
        return None
    at, parameters = match.end(), dict[str, str]()
    while at < len(content_type) and (parameter := _PARAMETER.match(content_type, at)):
        at = parameter.end()
        if (name := parameter["name"]) is None:
            continue
        if name.lower() in parameters:
            return None
        quoted = parameter["quoted"]
        parameters[name.lower()] = parameter["token"] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
    if content_type[at:].strip(" \t"):
        return None
    return match["type"].lower(), parameters


@lru_cache(_CACHED)
def is_json(content_type: str) -> bool:
    """Whether a content type is JSON in UTF-8, the only encoding of JSON between systems (RFC 8259, section 8.1)."""
    found = media_type(content_type)
    if found is None or found[0] != JSON:
        return False
    return found[1].get("charset", "utf-8").lower() == "utf-8"


def choose(accept: str | None, offered: Sequence[str]) -> str | None:
    """Return which of the media types on offer the header `accept` likes best; None where none fits.

    Of several that it likes equally, the one that it names most exactly, then the first on offer. A header that is
    missing or malformed takes anything (RFC 9110, section 12.5.1).
    """
    if accept is None or accept in {"*/*", offered[0]}:
        return offered[0]
    return _chosen(accept, tuple(offered)) if len(accept) <= _MAX_ACCEPT_CHARACTERS else offered[0]


@lru_cache(_CACHED)
def _chosen(accept: str, offered: tuple[str, ...]) -> str | None:
    ranges = _ranges(accept)
    if not ranges:
        return offered[0]
    best, best_rank = None, (0.0, 0)
    for candidate in offered:
        # The most exact range that fits tells the weight.
        fitting = [(exactness, weight) for name, weight in ranges if (exactness := _exactness(name, candidate))]
        exactness, weight = max(fitting, default=(0, 0.0))
        if weight > 0 and (weight, exactness) > best_rank:
            best, best_rank = candidate, (weight, exactness)
    return best


def _ranges(accept: str) -> list[tuple[str, float]]:
    """Return the media ranges with their weights; none if one is malformed."""
    found = []
    for part in _split(accept):
        if not part.strip():
            continue
        read = media_type(part)
        if read is None:
            return []
        weight = read[1].get("q", "1")
        if not _WEIGHT.fullmatch(weight):
            return []
        found.append((read[0], float(weight)))
    return found


def _split(accept: str) -> list[str]:
    """Split at commas that stand in no quoted text."""
    parts, start = [], 0
    for found in _QUOTED_OR_COMMA.finditer(accept):
        if found[0] == ",":
            parts.append(accept[start : found.start()])
            start = found.end()
    return [*parts, accept[start:]]


def _exactness(media_range: str, candidate: str) -> int:
    if media_range == candidate:
        return 3
    if media_range == f"{candidate.partition('/')[0]}/*":
        return 2
    return 1 if media_range == "*/*" else 0


@lru_cache(_CACHED)
def accepts_gzip(accept_encoding: str | None) -> bool:
    """Whether the header `accept-encoding` takes gzip (RFC 9110, section 12.5.3); without one, nothing is packed."""
    weights: dict[str, float] = {}
    for part in (accept_encoding or "").lower().split(","):
        coding, _, weight = part.replace(" ", "").replace("\t", "").partition(";q=")
        weights[coding] = float(weight) if _WEIGHT.fullmatch(weight) else 1.0
    return weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0))) > 0


def content_codings(headers: Mapping[str, str]) -> list[str]:
    """Return what was done to a body before it was sent, in that order; nothing for `identity`."""
    value = headers.get("content-encoding")
    if not value:
        return []
    codings = [coding.strip().lower() for coding in value.split(",")]
    return [coding for coding in codings if coding not in {"", "identity"}]


def check_encoding(headers: Mapping[str, str]) -> None:
    """Raise PolystreamError UNSUPPORTED_ENCODING unless a body comes plain or as gzip, once."""
    if "content-encoding" in headers and content_codings(headers) not in ([], ["gzip"], ["x-gzip"]):
        raise PolystreamError(Reason.UNSUPPORTED_ENCODING)


def decode(body: bytes, headers: Mapping[str, str], max_bytes: int) -> bytes:
    """Return a body without its content encoding, which `check_encoding` has passed.

    Raises PolystreamError: REQUEST_TOO_LARGE above `max_bytes` bytes, before they are all there; MALFORMED_REQUEST.
    """
    if "content-encoding" not in headers or not body or not content_codings(headers):
        return body
    decoded, rest = bytearray(), body
    for _ in range(_MAX_GZIP_MEMBERS):  # one after the other (RFC 1952, section 2.2); each takes some of the body
        member = zlib.decompressobj(_GZIP)
        try:
            decoded += member.decompress(rest, max_bytes - len(decoded) + 1)
        except zlib.error as error:
            raise PolystreamError(
                Reason.MALFORMED_REQUEST,
                "the body is not the gzip that the header content-encoding says; send it so, or leave the header out",
            ) from error
        if len(decoded) > max_bytes:
            raise too_large(max_bytes)
        if not member.eof:
            raise PolystreamError(Reason.MALFORMED_REQUEST, "the body's gzip ends too early; send it whole")
        rest = member.unused_data
        if not rest:
            return bytes(decoded)
    raise PolystreamError(
        Reason.MALFORMED_REQUEST,
        f"the body's gzip has more than the {_MAX_GZIP_MEMBERS} members that are allowed; send one",
    )


def too_large(max_bytes: int) -> PolystreamError:
    """Return the error of a body with more than `max_bytes` bytes."""
    return PolystreamError(
        Reason.REQUEST_TOO_LARGE,
        f"the body has more than the {max_bytes} bytes that are allowed; send less",
        metadata={"max_request_bytes": str(max_bytes)},
    )


def has_body(headers: Mapping[str, str]) -> bool:
    """Whether the headers say that a body comes (RFC 9112, section 6.3)."""
    return "transfer-encoding" in headers or headers.get("content-length", "0").strip("0") != ""
