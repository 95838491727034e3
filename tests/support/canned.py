"""Servers that give one answer to whatever they are asked, or none."""

import socketserver
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

_MAX_REQUEST_BYTES = 65_536


@contextmanager
def canned_tcp(*answers: bytes) -> Iterator[int]:
    """Run a server that answers the first request of a connection with the first of these, and so on; give its port.

    A connection whose answers are used up is closed. Without any answer, it stays open in silence.
    """
    closing = threading.Event()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            for answer in answers:
                if not self.request.recv(_MAX_REQUEST_BYTES):
                    return
                self.request.sendall(answer)
            if not answers:
                closing.wait()

    with _serving(Handler) as port:
        yield port
        closing.set()


@contextmanager
def canned_http(pages: Mapping[str, tuple[int, str]]) -> Iterator[int]:
    """Run an HTTP server that knows these paths, each with its status and its body; give its port."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            path = self.rfile.readline().decode().split(" ")[1]
            while self.rfile.readline().strip():
                pass
            status, body = pages.get(path, (404, "no such page"))
            head = f"HTTP/1.1 {status} Canned\r\nContent-Length: {len(body.encode())}\r\nConnection: close\r\n\r\n"
            self.wfile.write((head + body).encode())

    with _serving(Handler) as port:
        yield port


@contextmanager
def _serving(handler: type[socketserver.BaseRequestHandler]) -> Iterator[int]:
    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

        def handle_error(self, *_: object) -> None:
            """Say nothing of clients that give up: that is what they are here for."""

    with Server(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()
