"""Draws cases: the same ones for the same seed, each by itself, so that any of them can be made again."""

import base64
import json
import struct
from random import Random
from typing import Final

from tests.support.fuzz import grammar
from tests.support.fuzz.cases import Case, Kind, request
from tests.support.fuzz.contract import endpoints
from tests.support.fuzz.mutations import mutate_bytes, mutate_json

_HTTP2_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_WEIGHTS: Final = {Kind.RAW: 15, Kind.GRAMMAR: 35, Kind.JSON: 30, Kind.GRPC_WEB: 20}
_JSON: Final = ("content-type", "application/json")
_FRAME: Final = struct.Struct(">BI")  # flags, length in bytes: gRPC's length-prefixed message
_STARTS: Final = (
    _HTTP2_PREFACE,
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET ",
    b"\x05\x01\x00",
    b"SSH-2.0-x\r\n",
)
_GRPC_WEB_TYPES: Final = (
    *(
        "application/grpc-web+proto",
        "application/grpc-web",
        "application/grpc-web-text",
        "application/grpc-web-text+proto",
    ),
    *(
        "application/grpc-web+json",
        "application/grpc",
        "application/grpc-web+x",
        "application/grpc-web-text; charset=x",
    ),
)
# A stream that a client may hold open ends by its deadline, which is given in all of these, but for the broken ones.
_DEADLINES: Final = ("200m", "100m", "1S", "50000u", "1", "-1S", "999999999S", "S", "0m")


class Generator:
    """Makes cases out of a seed and their numbers."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._endpoints = endpoints()
        self._unary = [one for one in self._endpoints if not one.streams]

    def case(self, index: int) -> Case:
        """Return the case of this number."""
        draw = Random(f"{self._seed}/{index}")
        kind = draw.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
        match kind:
            case Kind.RAW:
                return self._raw(draw, index)
            case Kind.GRAMMAR if draw.random() < 0.5:
                return _alone(index, kind, grammar.unframed(draw, self._endpoints))
            case Kind.GRAMMAR:
                data, is_head = grammar.framed(draw, self._unary)
                return Case(index, kind, data, is_framed=True, is_head=is_head)
            case Kind.JSON:
                return self._json(draw, index)
            case Kind.GRPC_WEB:
                return self._grpc_web(draw, index)

    def _raw(self, draw: Random, index: int) -> Case:
        match draw.randrange(4):
            case 0:
                data = draw.randbytes(draw.randint(1, 200))
            case 1:
                data = draw.choice(_STARTS) + draw.randbytes(draw.randint(0, 100))
            case 2:
                data = mutate_bytes(draw, self._json(draw, index).data)
            case _:
                data = mutate_bytes(draw, request(draw.choice(("GET", "HEAD", "POST")), "/health", []))
        return _alone(index, Kind.RAW, data)

    def _json(self, draw: Random, index: int) -> Case:
        endpoint = draw.choice([one for one in self._unary if one.body])
        secret = f"secret{draw.randrange(10**12):012}"
        body = dict(draw.choice(endpoint.bodies))
        values = {name: str(body.pop(name, draw.choice(("1234", "5678")))) for name in endpoint.variables}
        data = mutate_json(draw, body, secret)
        sent = request(endpoint.verb, endpoint.path(values), [_JSON], data)
        return Case(index, Kind.JSON, sent, is_framed=True, secret=secret.encode() if _is_object(data) else b"")

    def _grpc_web(self, draw: Random, index: int) -> Case:
        endpoint = draw.choice(self._endpoints)
        message = endpoint.wire(draw.choice(endpoint.bodies))
        if draw.random() < 0.4:
            message = mutate_bytes(draw, message)
        length = len(message) if draw.random() < 0.8 else draw.choice((0, 1, len(message) + 1, 2**31, 2**32 - 1))
        flags = 0 if draw.random() < 0.85 else draw.choice((1, 2, 0x80, 0x81, 0xFF))
        body = _FRAME.pack(flags, length) + message
        if draw.random() < 0.15:
            body += draw.choice((body, b"\x80\x00\x00\x00\x00", b"\x00", b"\x80\x00\x00\x00\x10grpc-status: 0\r\n"))
        content_type = draw.choice(_GRPC_WEB_TYPES)
        if "text" in content_type:
            body = base64.b64encode(body)
            if draw.random() < 0.2:
                body = mutate_bytes(draw, body)
        rpc = (
            endpoint.rpc
            if draw.random() < 0.95
            else draw.choice((endpoint.rpc + "x", "x/y", "grpc.health.v1.Health/Check"))
        )
        deadline = draw.choice(_DEADLINES[:4]) if endpoint.streams else draw.choice(_DEADLINES)
        headers = [("content-type", content_type), ("x-grpc-web", "1")]
        if endpoint.streams or draw.random() < 0.3:
            headers.append(("grpc-timeout", deadline))
        return Case(index, Kind.GRPC_WEB, request("POST", f"/{rpc}", headers, body), is_framed=True)


def _alone(index: int, kind: Kind, data: bytes) -> Case:
    is_head = data.startswith(b"HEAD ")
    return Case(index, kind, data, is_framed=False, is_head=is_head, is_http2=data.startswith(_HTTP2_PREFACE[:18]))


def _is_object(data: bytes) -> bool:
    try:
        return isinstance(json.loads(data), dict)
    except (ValueError, RecursionError):
        return False
