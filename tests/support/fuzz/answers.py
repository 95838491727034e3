"""Answers in HTTP/1.1, read strictly (RFC 9112): what a client would misread is no answer."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] ([1-5]\d\d) [\t -~\x80-\xff]*")
_FIELD: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t -~\x80-\xff]*?)[ \t]*")
HEAD_LIMIT_BYTES: Final = 1 << 20
_INFORMATIONAL: Final = range(100, 200)
_WITHOUT_BODY: Final = (204, 304)


class BadAnswerError(Exception):
    """What came is no answer in HTTP/1.1; the message says why."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A final answer."""

    status: int
    headers: Mapping[str, str]  # lower-case names
    body: bytes

    @property
    def closes(self) -> bool:
        """Whether the server closes its connection after it."""
        return "close" in self.headers.get("connection", "").lower()


async def read_answer(reader: asyncio.StreamReader, *, is_head: bool) -> Answer | None:
    """Return the next final answer; None where the connection ended before it began. Raises BadAnswerError."""
    while True:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            if error.partial:
                raise BadAnswerError("an answer that ends within its head") from None
            return None
        except asyncio.LimitOverrunError:
            raise BadAnswerError("an answer's head without an end") from None
        status, headers = _read_head(head)
        if status not in _INFORMATIONAL:
            break
        if status == 101:
            raise BadAnswerError("the server switched protocols")
    if is_head or status in _WITHOUT_BODY:
        return Answer(status, headers, b"")
    try:
        return Answer(status, headers, await _read_body(reader, headers))
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError) as error:
        raise BadAnswerError(f"{status} with a body that is not whole") from error


def _read_head(head: bytes) -> tuple[int, dict[str, str]]:
    line, *rows = head[:-4].split(b"\r\n")
    found = _STATUS_LINE.fullmatch(line)
    if found is None:
        raise BadAnswerError("an answer without a status line")
    headers: dict[str, str] = {}
    for row in rows:
        field = _FIELD.fullmatch(row)
        if field is None:
            raise BadAnswerError("an answer with a header that is none")
        name = field[1].decode().lower()
        if name in headers and name in {"content-length", "transfer-encoding", "content-type"}:
            raise BadAnswerError(f"an answer with two headers {name}")
        headers[name] = field[2].decode("latin-1")
    if "content-length" in headers and "transfer-encoding" in headers:
        raise BadAnswerError("an answer with both content-length and transfer-encoding")
    return int(found[1]), headers


async def _read_body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() == "chunked":
        parts = []
        while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            parts.append(await reader.readexactly(size))
            await reader.readexactly(2)
        while await reader.readuntil(b"\r\n") != b"\r\n":
            pass
        return b"".join(parts)
    if "content-length" in headers:
        return await reader.readexactly(int(headers["content-length"]))
    return await reader.read()
