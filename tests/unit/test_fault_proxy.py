"""The proxy that the tests put before engines does what it is told, to open connections and to new ones."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from cli.verify.fault_proxy import Behaviour, FaultProxy, http_answer
from tests.support.ports import free_port_run

_DELAY_S = 0.3
_SHORT_S = 0.3
_TIMEOUT_S = 5.0


class _Echo:
    """A server that sends back what it gets, and keeps it."""

    def __init__(self) -> None:
        self.got = b""
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._echo, args=(connection,), daemon=True).start()

    def _echo(self, connection: socket.socket) -> None:
        with connection:
            try:
                while data := connection.recv(1000):
                    self.got += data
                    connection.sendall(data)
            except OSError:
                return


@pytest.fixture
def echo() -> Iterator[_Echo]:
    """The server behind the proxy."""
    server = _Echo()
    yield server
    server.close()


@pytest.fixture
def proxy(echo: _Echo) -> Iterator[FaultProxy]:
    """The proxy."""
    with FaultProxy(free_port_run(1), echo.port) as running:
        yield running


def _connect(proxy: FaultProxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=_TIMEOUT_S)


def _echoed(connection: socket.socket, data: bytes) -> bytes:
    connection.sendall(data)
    return connection.recv(1000)


def test_it_passes_all_on(proxy: FaultProxy) -> None:
    """As if it were not there."""
    with _connect(proxy) as connection:
        assert _echoed(connection, b"one") == b"one"


def test_refusing_ends_what_is_open_and_takes_nobody(proxy: FaultProxy) -> None:
    """As a server that has died."""
    with _connect(proxy) as connection:
        assert _echoed(connection, b"one") == b"one"
        with proxy.set_to(Behaviour.REFUSE):
            with pytest.raises(ConnectionResetError):
                connection.recv(1)
            with pytest.raises(ConnectionRefusedError):
                _connect(proxy)
    with _connect(proxy) as connection:
        assert _echoed(connection, b"two") == b"two"


def test_reset_comes_at_once(proxy: FaultProxy) -> None:
    """A new connection ends with a reset."""
    with proxy.set_to(Behaviour.RESET), pytest.raises(ConnectionResetError), _connect(proxy) as connection:
        connection.recv(1)


def test_delay_is_of_answers(proxy: FaultProxy, echo: _Echo) -> None:
    """The request is there at once, the answer late."""
    with proxy.set_to(Behaviour.DELAY, delay_s=_DELAY_S), _connect(proxy) as connection:
        began_s = time.monotonic()
        assert _echoed(connection, b"one") == b"one"
        assert time.monotonic() - began_s >= _DELAY_S
    assert echo.got == b"one"


def test_a_black_hole_holds_back_what_comes_through_afterwards(proxy: FaultProxy) -> None:
    """Open connections, and new ones, hang and then go on."""
    with _connect(proxy) as old:
        assert _echoed(old, b"one") == b"one"
        with proxy.set_to(Behaviour.BLACK_HOLE), _connect(proxy) as new:
            for connection in (old, new):
                connection.settimeout(_SHORT_S)
                with pytest.raises(TimeoutError):
                    _echoed(connection, b"two")
        old.settimeout(_TIMEOUT_S)
        assert old.recv(1000) == b"two"


def test_a_deaf_one_lets_requests_through(proxy: FaultProxy, echo: _Echo) -> None:
    """The server has them, the client never hears of it, and the connection ends with the fault."""
    with _connect(proxy) as connection:
        with proxy.set_to(Behaviour.DEAF):
            connection.settimeout(_SHORT_S)
            with pytest.raises(TimeoutError):
                _echoed(connection, b"one")
            assert echo.got == b"one"
        connection.settimeout(_TIMEOUT_S)
        with pytest.raises(ConnectionResetError):
            connection.recv(1)


def test_it_answers_by_itself(proxy: FaultProxy, echo: _Echo) -> None:
    """The server is not asked."""
    with (
        proxy.set_to(Behaviour.ANSWER, answerer=http_answer(503, '{"message": "not now"}')),
        _connect(proxy) as connection,
    ):
        assert _echoed(connection, b"GET / HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 503 ")
    assert echo.got == b""
