"""Percent-decoding of paths and queries (RFC 3986, section 2.1)."""

import re
from typing import Final
from urllib.parse import unquote_to_bytes

_BROKEN: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ENCODED_SLASH: Final = re.compile("(%2[Ff])")


def decode_percent(text: str) -> str:
    """Return what a percent-encoded text stands for. Its bytes beyond ASCII are there as Latin-1.

    Raises ValueError, which says what is wrong with the text and repeats nothing of it.
    """
    if "%" not in text and text.isascii():
        return text
    if _BROKEN.search(text):
        raise ValueError("has a percent sign without two hexadecimal digits behind it; send a percent sign as %25")
    try:
        return unquote_to_bytes(text.encode("latin-1")).decode("utf-8")
    except UnicodeError:
        raise ValueError("is no UTF-8 once percent-decoded; encode its UTF-8 bytes") from None


def decode_segments(text: str) -> str:
    """Decode what stands for several segments: an encoded slash stays as it is (google/api/http.proto).

    Raises ValueError, as `decode_percent` does.
    """
    if "%" not in text:
        return decode_percent(text)
    parts = _ENCODED_SLASH.split(text)  # each second one is a slash
    return "".join(part if index % 2 else decode_percent(part) for index, part in enumerate(parts))
