"""MongoDB's states. What its stand-in has no limits for is answered in MongoDB's own words, before it."""

import struct
from typing import Final

import bson

from cli.verify.fault_proxy import Answerer
from tests.support.dependency_faults.proxied import answering

_OP_MSG: Final = 2013
_WRITES: Final = frozenset({"insert", "update", "delete", "findAndModify", "findandmodify"})
_HEAD: Final = struct.Struct("<iiii")
_FLAGS_AND_KIND_BYTES: Final = 5


def answers_writes(code: int, name: str, message: str) -> Answerer:
    """Return what answers each write command with an error of MongoDB's, and passes on all others."""

    def answer(request: bytes) -> bytes | None:
        begin = _HEAD.size + _FLAGS_AND_KIND_BYTES
        if len(request) < begin + 4:
            return None
        _, request_id, _, kind = _HEAD.unpack_from(request)
        if kind != _OP_MSG:
            return None
        (size,) = struct.unpack_from("<i", request, begin)
        try:
            command = next(iter(bson.BSON(request[begin : begin + size]).decode()))
        except (bson.errors.BSONError, StopIteration):
            return None
        if command not in _WRITES:
            return None
        error = bson.encode({"ok": 0.0, "errmsg": message, "code": code, "codeName": name})
        body = struct.pack("<iB", 0, 0) + error
        return _HEAD.pack(_HEAD.size + len(body), 1, request_id, _OP_MSG) + body

    return answer


has_no_room = answering("mongodb", answers_writes(14031, "OutOfDiskSpace", "No space left on device"), closes=False)
is_read_only = answering("mongodb", answers_writes(10107, "NotWritablePrimary", "not primary"), closes=False)
