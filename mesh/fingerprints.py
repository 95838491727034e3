"""Fingerprints: what tells one request with a `request_id` from another one with the same ID.

A gateway makes one of 32 bytes. Records, receipts and the stores' marks have its beginning, which is enough.
"""

from typing import Final

MARK_BYTES: Final = 16  # of a fingerprint, in what the stores keep: no two of a client's requests will share them


def shorten(fingerprint: bytes) -> bytes:
    """Return what records and receipts have of a fingerprint: 16 bytes."""
    return fingerprint[:MARK_BYTES]


def agree(fingerprint: bytes, other: bytes) -> bool:
    """Whether two fingerprints are of one request, be they whole or shortened."""
    return fingerprint[:MARK_BYTES] == other[:MARK_BYTES]
