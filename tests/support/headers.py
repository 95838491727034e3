"""A record's headers as a test compares them."""

from collections.abc import Mapping, Sequence
from typing import Any


def header_texts(headers: Mapping[str, Any] | Sequence[tuple[str, bytes | str | None]] | None) -> dict[str, str]:
    """Return headers as text, of those that the platform writes: each name once, in UTF-8."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers or ()
    return {name: value.decode() if isinstance(value, bytes) else (value or "") for name, value in pairs}
