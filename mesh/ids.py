"""Correlation IDs, and the identifiers derived from them."""

import hashlib
import re
import time
import uuid

from mesh.entropy import RandomDigits

# A correlation ID as the platform writes it. Clients may write theirs in capitals; records may not.
CORRELATION_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")

# Any fixed UUID will do: it keeps derived IDs apart from those of other systems.
_REQUEST_NAMESPACE = uuid.UUID("6f1c1b0e-3b1c-5f65-9d0e-7b9a5a3f6d21")
_RANDOM = RandomDigits(10)
_USER_ID_BITS = 53  # every value is exact in a JSON number too


def new_correlation_id() -> str:
    """Return a UUIDv7 (RFC 9562): its first 48 bits are the time in milliseconds."""
    digits = f"{time.time_ns() // 1_000_000:012x}{_RANDOM.draw()}"
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-7{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


def request_correlation_id(caller: str, request_id: str) -> str:
    """Return the correlation ID of a caller's `request_id`, so that a retry finds the same operation."""
    return str(uuid.uuid5(_REQUEST_NAMESPACE, f"{caller}\0{request_id}"))


def issue_time_ms(correlation_id: str) -> int | None:
    """Return when a UUIDv7 was made, in milliseconds since the epoch; None for a derived ID."""
    return int(correlation_id[:8] + correlation_id[9:13], 16) if correlation_id[14:15] == "7" else None


def derived_user_id(correlation_id: str) -> int:
    """Return the user ID of a user created without one: the same for every delivery of the command."""
    digest = hashlib.sha256(b"user:" + correlation_id.encode()).digest()
    return int.from_bytes(digest[:8], "big") >> (64 - _USER_ID_BITS) or 1
