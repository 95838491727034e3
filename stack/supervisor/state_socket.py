"""The socket by which a living supervisor tells its state: it needs no disk, and what answers is no old file.

What is asked by the control interface comes in by the same socket, and is handed on.
"""

import contextlib
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from mesh.supervisor_client import QUESTION, connect, is_own, socket_paths

SOCKET_NAME: Final = "supervisor.sock"
_CLIENT_TIMEOUT_S: Final = 1.0  # a client that takes longer is let go
_WAITING_MAX: Final = 16
_ANSWER_MAX_BYTES: Final = 4 * 1024 * 1024
_NOW, _END = b"now\n", b"end\n"
_STARTING: Final = (
    b'{"error": {"reason": "STARTING", "message": "the platform makes ready for its start: ask again"}}\n'
)


class StateServer:
    """Answers with the last state that it was given, from a thread of its own."""

    def __init__(self, folder: Path) -> None:
        self._paths = socket_paths(folder / SOCKET_NAME)
        self._shown = b"{}"
        self._listening: tuple[socket.socket, Path] | None = None
        self._waiting: list[socket.socket] = []
        self._guard = threading.Lock()
        self._control: Callable[[socket.socket], None] | None = None

    def hand_on(self, control: Callable[[socket.socket], None] | None) -> None:
        """Let `control`, called from a thread of this server, have the connections of those who ask for more."""
        self._control = control

    def show(self, state: str) -> None:
        """Answer with `state`, one JSON object, from now on."""
        self._shown = state.encode()

    def listen(self) -> None:
        """Listen, again where somebody has removed the socket. Raises OSError where that is not possible."""
        if self._listening is not None:
            if self._listening[1].exists():
                return
            self._stop_listening()
        errors: list[OSError] = []
        for path in self._paths:
            try:
                server = _bind(path)
            except OSError as error:
                errors.append(error)
            else:
                self._listening = server, path
                threading.Thread(target=self._serve, args=(server,), name="state socket", daemon=True).start()
                return
        raise errors[0]

    def finish(self) -> None:
        """Tell the last state to whoever waits for the end, and stop listening."""
        self._stop_listening()
        with self._guard:
            waiting, self._waiting = self._waiting, []
        for client in waiting:
            self._answer(client)

    def _stop_listening(self) -> None:
        if self._listening is None:
            return
        server, path = self._listening
        self._listening = None
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        server.close()
        with contextlib.suppress(OSError):
            path.unlink()

    def _serve(self, server: socket.socket) -> None:
        while True:
            try:
                client, _ = server.accept()
            except OSError:
                return
            try:
                client.settimeout(_CLIENT_TIMEOUT_S)
                asked = client.recv(len(_END)) if is_own(client) else b""
            except OSError:
                asked = b""
            if asked == QUESTION:
                self._hand_over(client)
            elif asked == _NOW:
                self._answer(client)
            elif asked != _END or not self._keep(client):
                client.close()

    def _hand_over(self, client: socket.socket) -> None:
        if self._control is not None:
            self._control(client)
            return
        with client, contextlib.suppress(OSError):
            client.sendall(_STARTING)

    def _keep(self, client: socket.socket) -> bool:
        with self._guard:
            if len(self._waiting) >= _WAITING_MAX:
                return False
            self._waiting.append(client)
            return True

    def _answer(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            client.sendall(self._shown)


class StateClient:
    """One question to the supervisor of a data folder that has the process ID `pid`."""

    def __init__(self, folder: Path, pid: int) -> None:
        self._folder = folder
        self._pid = pid
        self._connection: socket.socket | None = None

    def now(self, timeout_s: float) -> str | None:
        """Return the state as it is, one JSON object; None where the supervisor does not answer in time."""
        return self.answer(timeout_s) if self._ask(_NOW, timeout_s) else None

    def await_end(self, timeout_s: float) -> bool:
        """Ask for the last state, which `answer` takes once it has stopped. Tells whether the question was taken."""
        return self._ask(_END, timeout_s)

    def answer(self, timeout_s: float) -> str | None:
        """Return what was asked for; None where it does not come in time."""
        connection, self._connection = self._connection, None
        if connection is None:
            return None
        answer = b""
        with connection, contextlib.suppress(OSError):
            connection.settimeout(timeout_s)
            while len(answer) < _ANSWER_MAX_BYTES and (part := connection.recv(65_536)):
                answer += part
            return answer.decode("utf-8", "replace") or None
        return None

    def _ask(self, question: bytes, timeout_s: float) -> bool:
        connection = connect(socket_paths(self._folder / SOCKET_NAME), self._pid, timeout_s)
        if connection is None:
            return False
        try:
            connection.sendall(question)
        except OSError:
            connection.close()
            return False
        self._connection = connection
        return True


def _bind(path: Path) -> socket.socket:
    with contextlib.suppress(FileNotFoundError):
        path.unlink()  # of a supervisor that was killed: the lock says that it is gone
    server = socket.socket(socket.AF_UNIX)
    try:
        server.bind(str(path))
        path.chmod(0o600)  # before it listens: the state has credentials
        server.listen(_WAITING_MAX)
    except OSError:
        server.close()
        raise
    return server
