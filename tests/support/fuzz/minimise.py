"""Makes the bytes of a failure fewer, as long as they fail in the same way."""

from dataclasses import replace
from typing import Final

from tests.support.fuzz.cases import Case
from tests.support.fuzz.sending import Sender

_SENDS_MAX: Final = 200


async def minimise(sender: Sender, case: Case, verdict: str) -> bytes:
    """Return fewer bytes that fail so when they are sent alone; the case's own where they do not."""
    sends = 0

    async def fails(data: bytes) -> bool:
        nonlocal sends
        sends += 1
        return await sender.send_alone(replace(case, data=data, is_framed=False)) == verdict

    data = case.data
    if not await fails(data):
        return data
    size = len(data) // 2
    while size and sends < _SENDS_MAX:
        at = 0
        while at < len(data) and sends < _SENDS_MAX:
            shorter = data[:at] + data[at + size :]
            if shorter and await fails(shorter):
                data = shorter
            else:
                at += size
        size //= 2
    return data
