"""A schema registry that also has what others put into one, and answers as proxies and busy registries do."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, cast

NOT_FOUND: Final = (404, json.dumps({"error_code": 40403, "message": "Schema not found"}))
PAGE: Final = "<!doctype html><title>Sign in</title>"  # what a proxy answers in a registry's stead
_PROTO: Final = 'syntax = "proto3"; message Foreign { string name = 1; }'
_RECEIPT: Final = "polystream.v1.CommandReceipt"
_REFERRING: Final = '{"type": "record", "name": "n.A", "fields": [{"name": "b", "type": "n.B"}]}'


def _record(field: str, field_type: object) -> str:
    fields = [{"name": field, "type": field_type}]
    return json.dumps({"type": "record", "name": _RECEIPT, "fields": fields})


# By schema ID, what a registry says of it. Each is none that a record of the platform was written with.
FOREIGN_SCHEMAS: Final[dict[int, dict[str, Any]]] = {
    900_001: {"schema": _PROTO, "schemaType": "PROTOBUF", "references": []},
    900_002: {"schema": '{"type": "object"}', "schemaType": "JSON"},
    900_003: {"schema": _REFERRING, "references": [{"name": "n.B", "subject": "b", "version": 1}]},
    900_004: {"schema": _REFERRING},
    900_005: {"schema": _PROTO},
    900_006: {"schema": '"long"'},
    900_007: {"schema": "[" * 100_000},
    900_008: {"schema": _record("next", ["null", _RECEIPT])},
    900_009: {"schema": _record("nothings", {"type": "array", "items": "null"})},
}


class ForeignRegistry:
    """Serves the part of the Confluent API that the platform uses, and `answers` before it does."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.schemas = {schema_id: json.dumps(answer) for schema_id, answer in FOREIGN_SCHEMAS.items()}
        self.byte_pause_s = 0.0  # before each byte of an answer
        self.answers: list[tuple[int, str]] = []  # status and body of the next answers, whatever is asked

    def answer(self, method: str, path: str, body: str) -> tuple[int, str]:
        """Return status and body."""
        if self.answers:
            return self.answers.pop(0)
        if method == "POST":
            schema = json.dumps({"schema": json.loads(body)["schema"]})
            known = next((schema_id for schema_id, text in self.schemas.items() if text == schema), None)
            schema_id = known or len(self.schemas) + 1
            self.schemas[schema_id] = schema
            return 200, json.dumps({"id": schema_id})
        found = self.schemas.get(int(path.rpartition("/")[2]))
        return NOT_FOUND if found is None else (200, found)


@contextmanager
def foreign_registry() -> Iterator[ForeignRegistry]:
    """Run one on a free port while the block runs."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    registry = ForeignRegistry(f"http://127.0.0.1:{server.server_port}")
    server.registry = registry  # type: ignore[attr-defined] # for the handlers
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield registry
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def do_PUT(self) -> None:
        self._answer("PUT")

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _answer(self, method: str) -> None:
        registry = cast(ForeignRegistry, self.server.registry)  # type: ignore[attr-defined] # set above
        body = self.rfile.read(int(self.headers.get("content-length", "0"))).decode()
        status, answer = registry.answer(method, self.path, body)
        content = answer.encode()
        self.send_response(status)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        if not registry.byte_pause_s:
            self.wfile.write(content)
            return
        with suppress(OSError):  # who asked has left
            for byte in content:
                time.sleep(registry.byte_pause_s)
                self.wfile.write(bytes([byte]))
