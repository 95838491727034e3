"""Kafka's primitive types: big-endian numbers, and texts and lists with their length before them."""

import struct
from collections.abc import Callable, Sequence
from typing import Final, TypeVar
from uuid import UUID

_Item = TypeVar("_Item")

_INT8: Final = struct.Struct(">b")
_INT16: Final = struct.Struct(">h")
_INT32: Final = struct.Struct(">i")
_INT64: Final = struct.Struct(">q")
_VARINT_BYTES_MAX: Final = 5
_LIST_MAX: Final = 100_000  # items


class MalformedRequestError(Exception):
    """The bytes are no request of Kafka's protocol."""


class WireReader:
    """Reads one request from its beginning. Every method raises MalformedRequestError where the bytes end early."""

    __slots__ = ("_data", "_position")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def _number(self, form: struct.Struct) -> int:
        try:
            (value,) = form.unpack_from(self._data, self._position)
        except struct.error as error:
            raise MalformedRequestError("a number is cut off") from error
        self._position += form.size
        return int(value)

    def int8(self) -> int:
        """Return a signed byte."""
        return self._number(_INT8)

    def int16(self) -> int:
        """Return a number of two bytes."""
        return self._number(_INT16)

    def int32(self) -> int:
        """Return a number of four bytes."""
        return self._number(_INT32)

    def int64(self) -> int:
        """Return a number of eight bytes."""
        return self._number(_INT64)

    def boolean(self) -> bool:
        """Return a truth value."""
        return self._number(_INT8) != 0

    def raw(self, length: int) -> bytes:
        """Return the next bytes."""
        end = self._position + length
        if length < 0 or end > len(self._data):
            raise MalformedRequestError("a text is cut off")
        found = self._data[self._position : end]
        self._position = end
        return found

    def varint(self) -> int:
        """Return an unsigned number of as many bytes as it needs."""
        value = 0
        for step in range(_VARINT_BYTES_MAX):
            byte = self._number(_INT8) & 0xFF
            value |= (byte & 0x7F) << (7 * step)
            if byte < 0x80:
                return value
        raise MalformedRequestError("a number has too many bytes")

    def nullable_text(self) -> str | None:
        """Return a text, or None."""
        length = self.int16()
        return None if length < 0 else _decode(self.raw(length))

    def text(self) -> str:
        """Return a text; none is an empty one."""
        return self.nullable_text() or ""

    def compact_text(self) -> str | None:
        """Return a text of the flexible versions, or None."""
        length = self.varint() - 1
        return None if length < 0 else _decode(self.raw(length))

    def blob(self) -> bytes:
        """Return bytes; none are empty ones."""
        length = self.int32()
        return b"" if length < 0 else self.raw(length)

    def uuid(self) -> UUID:
        """Return an ID of 16 bytes."""
        return UUID(bytes=self.raw(16))

    def items(self, read: Callable[[], _Item]) -> list[_Item] | None:
        """Return a list, each of its items by `read`, or None."""
        return self._many(self.int32(), read)

    def compact_items(self, read: Callable[[], _Item]) -> list[_Item] | None:
        """Return a list of the flexible versions, each of its items by `read`, or None."""
        return self._many(self.varint() - 1, read)

    @staticmethod
    def _many(count: int, read: Callable[[], _Item]) -> list[_Item] | None:
        if count > _LIST_MAX:
            raise MalformedRequestError("a list is too long")
        return None if count < 0 else [read() for _ in range(count)]

    def skip_tags(self) -> None:
        """Pass over the tagged fields of the flexible versions: none of them matters here."""
        for _ in range(self.varint()):
            self.varint()
            self.raw(self.varint())


def _decode(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise MalformedRequestError("a text is no UTF-8") from error


class WireWriter:
    """Puts one answer together; every method returns the writer."""

    __slots__ = ("_parts",)

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def _put(self, part: bytes) -> "WireWriter":
        self._parts.append(part)
        return self

    def int8(self, value: int) -> "WireWriter":
        """Write a signed byte."""
        return self._put(_INT8.pack(value))

    def int16(self, value: int) -> "WireWriter":
        """Write a number of two bytes."""
        return self._put(_INT16.pack(value))

    def int32(self, value: int) -> "WireWriter":
        """Write a number of four bytes."""
        return self._put(_INT32.pack(value))

    def int64(self, value: int) -> "WireWriter":
        """Write a number of eight bytes."""
        return self._put(_INT64.pack(value))

    def boolean(self, value: bool) -> "WireWriter":
        """Write a truth value."""
        return self._put(b"\x01" if value else b"\x00")

    def varint(self, value: int) -> "WireWriter":
        """Write an unsigned number of as many bytes as it needs."""
        encoded = bytearray()
        while value >= 0x80:
            encoded.append(value & 0x7F | 0x80)
            value >>= 7
        encoded.append(value)
        return self._put(bytes(encoded))

    def text(self, value: str | None, *, compact: bool = False) -> "WireWriter":
        """Write a text or None; `compact` is how the flexible versions have it."""
        encoded = None if value is None else value.encode()
        if compact:
            self.varint(0 if encoded is None else len(encoded) + 1)
        else:
            self.int16(-1 if encoded is None else len(encoded))
        return self._put(encoded or b"")

    def blob(self, value: bytes) -> "WireWriter":
        """Write bytes with their length."""
        self.int32(len(value))
        return self._put(value)

    def blobs(self, values: Sequence[bytes]) -> "WireWriter":
        """Write several stretches of bytes as one."""
        self.int32(sum(map(len, values)))
        self._parts += values
        return self

    def uuid(self, value: UUID) -> "WireWriter":
        """Write an ID of 16 bytes."""
        return self._put(value.bytes)

    def count(self, number: int, *, compact: bool = False) -> "WireWriter":
        """Write how many items follow."""
        return self.varint(number + 1) if compact else self.int32(number)

    def tags(self, *, compact: bool = True) -> "WireWriter":
        """Write that no tagged fields follow, where the version has any."""
        return self._put(b"\x00" if compact else b"")

    def bytes(self) -> bytes:
        """Return what was written."""
        return b"".join(self._parts)
