"""Writes records that the platform's own client cannot write: header names of any bytes, times of any number.

It is librdkafka itself, by its C interface, out of the package of `confluent_kafka`.
"""

import ctypes
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Self

import confluent_kafka

_FLUSH_MS: Final = 60_000
_ERROR_BYTES: Final = 512
_PRODUCER: Final = 0  # RD_KAFKA_PRODUCER
# rd_kafka_vtype_t of rdkafka.h: what each argument of rd_kafka_produceva says.
_TOPIC, _PARTITION, _VALUE, _KEY, _FLAGS, _TIMESTAMP, _HEADERS = 1, 3, 4, 5, 7, 8, 10
_COPY: Final = 2  # RD_KAFKA_MSG_F_COPY


class _Memory(ctypes.Structure):
    _fields_ = (("pointer", ctypes.c_char_p), ("size", ctypes.c_size_t))


class _Value(ctypes.Union):
    _fields_ = (
        ("text", ctypes.c_char_p),
        ("int32", ctypes.c_int32),
        ("int", ctypes.c_int),
        ("int64", ctypes.c_int64),
        ("memory", _Memory),
        ("pointer", ctypes.c_void_p),
        ("room", ctypes.c_char * 64),
    )


class _Argument(ctypes.Structure):
    _fields_ = (("kind", ctypes.c_int), ("value", _Value))


def _load() -> ctypes.CDLL:
    (path,) = (Path(confluent_kafka.__file__).parent.parent / "confluent_kafka.libs").glob("librdkafka-*.so*")
    library = ctypes.CDLL(str(path))
    pointer, text, size = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t
    library.rd_kafka_conf_new.restype = pointer
    library.rd_kafka_conf_set.argtypes = (pointer, text, text, text, size)
    library.rd_kafka_new.argtypes, library.rd_kafka_new.restype = (ctypes.c_int, pointer, text, size), pointer
    library.rd_kafka_headers_new.argtypes, library.rd_kafka_headers_new.restype = (size,), pointer
    library.rd_kafka_header_add.argtypes = (pointer, text, ctypes.c_ssize_t, text, ctypes.c_ssize_t)
    library.rd_kafka_produceva.argtypes = (pointer, ctypes.POINTER(_Argument), size)
    library.rd_kafka_produceva.restype = pointer
    library.rd_kafka_flush.argtypes = (pointer, ctypes.c_int)
    library.rd_kafka_destroy.argtypes = (pointer,)
    return library


class RawProducer:
    """A producer of any bytes. Used as a context manager, all that was sent is with the broker when the block ends."""

    def __init__(self, bootstrap_servers: str, config: Mapping[str, str] | None = None) -> None:
        """`config` is librdkafka's, besides the servers."""
        self._library = _load()
        made, error = self._library.rd_kafka_conf_new(), ctypes.create_string_buffer(_ERROR_BYTES)
        for name, value in {"bootstrap.servers": bootstrap_servers, "log_level": "2", **(config or {})}.items():
            done = self._library.rd_kafka_conf_set(made, name.encode(), value.encode(), error, _ERROR_BYTES)
            assert done == 0, error.value
        self._producer = self._library.rd_kafka_new(_PRODUCER, made, error, _ERROR_BYTES)
        assert self._producer, error.value

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.flush()
        self._library.rd_kafka_destroy(self._producer)

    def flush(self) -> None:
        """Wait until the broker has taken or refused all that was sent."""
        assert self._library.rd_kafka_flush(self._producer, _FLUSH_MS) == 0

    def send(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[bytes, bytes | None]],
        timestamp_ms: int = 0,
    ) -> None:
        """Send a record; a time of 0 is now."""
        made = self._library.rd_kafka_headers_new(len(headers))
        for name, content in headers:
            size = -1 if content is None else len(content)
            assert self._library.rd_kafka_header_add(made, name, len(name), content, size) == 0
        arguments = (_Argument * 7)()
        for argument, kind in zip(
            arguments, (_TOPIC, _PARTITION, _VALUE, _KEY, _FLAGS, _TIMESTAMP, _HEADERS), strict=True
        ):
            argument.kind = kind
        arguments[0].value.text = topic.encode()
        arguments[1].value.int32 = partition
        arguments[2].value.memory = _Memory(value, len(value or b""))
        arguments[3].value.memory = _Memory(key, len(key or b""))
        arguments[4].value.int = _COPY
        arguments[5].value.int64 = timestamp_ms
        arguments[6].value.pointer = made
        assert not self._library.rd_kafka_produceva(self._producer, arguments, len(arguments))
