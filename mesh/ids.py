"""Correlation IDs, the identifiers derived from them, and the random digits that they are made of."""

import hashlib
import os
import re
import time
import uuid
from collections.abc import Callable
from typing import Final

# A correlation ID as the platform writes it. Clients may write theirs in capitals; records may not.
CORRELATION_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")

# Any fixed UUID will do: it keeps derived IDs apart from those of other systems.
_REQUEST_NAMESPACE = uuid.UUID("6f1c1b0e-3b1c-5f65-9d0e-7b9a5a3f6d21")
_RANDOM_BYTES: Final = 10
_USER_ID_BITS: Final = 53  # every value is exact in a JSON number too
_DRAWS: Final = 256  # taken from the operating system at a time: one system call for many commands


class RandomDigits:
    """Random hexadecimal digits from the operating system. Safe between threads, and after a fork.

    `random_bytes` is how many bytes one draw is of, and `form` what is made of their digits: many are made at a time,
    which takes a third of the time of each.
    """

    def __init__(self, random_bytes: int, form: Callable[[str], str] = str) -> None:
        self._bytes = random_bytes
        self._form = form
        self._drawn: list[str] = []
        os.register_at_fork(after_in_child=self._drawn.clear)  # what the parent has drawn is the parent's

    def draw(self) -> str:
        """Return what two digits for each random byte make, never given before."""
        while True:
            try:
                return self._drawn.pop()
            except IndexError:
                digits, length, form = os.urandom(self._bytes * _DRAWS).hex(), self._bytes * 2, self._form
                self._drawn.extend([form(digits[at : at + length]) for at in range(0, len(digits), length)])


def _uuid_ending(digits: str) -> str:
    """Return what follows the time in a UUIDv7: its version, its variant and 74 random bits."""
    return f"7{digits[:3]}-{_VARIANTS[digits[3]]}{digits[4:7]}-{digits[7:19]}"


_VARIANTS: Final = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
_ENDINGS: Final = RandomDigits(_RANDOM_BYTES, _uuid_ending)
_clock: tuple[int, str] = (0, "")  # a millisecond since the epoch, and how the IDs made in it begin


def new_correlation_id() -> str:
    """Return a UUIDv7 (RFC 9562, section 5.7): 48 bits of milliseconds since the epoch, and 74 random bits."""
    global _clock  # noqa: PLW0603 - many IDs are made in a millisecond
    now_ms = time.time_ns() // 1_000_000
    clock_ms, beginning = _clock
    if clock_ms != now_ms:
        digits = f"{now_ms:012x}"
        beginning = f"{digits[:8]}-{digits[8:]}-"
        _clock = now_ms, beginning
    return beginning + _ENDINGS.draw()


def request_correlation_id(caller: str, request_id: str) -> str:
    """Return the correlation ID of a caller's `request_id`, so that a retry finds the same operation.

    It is a UUIDv5 (RFC 9562, section 5.5) of both.
    """
    return str(uuid.uuid5(_REQUEST_NAMESPACE, f"{caller}\0{request_id}"))


def next_attempt_id(correlation_id: str) -> str:
    """Return the correlation ID of the attempt that follows one which has failed and may succeed later.

    It is a UUIDv5, so that whoever asks for the same attempt gets the same operation.
    """
    return str(uuid.uuid5(uuid.UUID(correlation_id), "next attempt"))


def issue_time_ms(correlation_id: str) -> int | None:
    """Return when a UUIDv7 was made, in milliseconds since the epoch; None for a derived ID."""
    return int(correlation_id[:8] + correlation_id[9:13], 16) if correlation_id[14:15] == "7" else None


def derived_user_id(correlation_id: str) -> int:
    """Return the user ID of a user created without one: the same for every delivery of the command."""
    digest = hashlib.sha256(b"user:" + correlation_id.encode()).digest()
    return int.from_bytes(digest[:8], "big") >> (64 - _USER_ID_BITS) or 1
