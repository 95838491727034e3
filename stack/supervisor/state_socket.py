"""The socket by which a living supervisor tells its state: it needs no disk, and what answers is no old file."""

import contextlib
import hashlib
import os
import socket
import struct
import sys
import tempfile
import threading
from pathlib import Path
from typing import Final

_PATH_MAX_BYTES: Final = 100  # sun_path holds 104 bytes on macOS, 108 on Linux, its end included
_CLIENT_TIMEOUT_S: Final = 1.0  # a client that takes longer is let go
_WAITING_MAX: Final = 16
_ANSWER_MAX_BYTES: Final = 4 * 1024 * 1024
_NOW, _END = b"now\n", b"end\n"


class StateServer:
    """Answers with the last state that it was given, from a thread of its own."""

    def __init__(self, folder: Path) -> None:
        self._paths = _paths(folder)
        self._shown = b"{}"
        self._listening: tuple[socket.socket, Path] | None = None
        self._waiting: list[socket.socket] = []
        self._guard = threading.Lock()

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
                asked = client.recv(len(_END))
            except OSError:
                client.close()
                continue
            if asked != _END:
                self._answer(client)
            elif not self._keep(client):
                client.close()

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
        for path in _paths(self._folder):
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(timeout_s)
            try:
                connection.connect(str(path))
                if _peer(connection) in {self._pid, None}:
                    connection.sendall(question)
                    self._connection = connection
                    return True
            except OSError:
                pass
            connection.close()
        return False


def _paths(folder: Path) -> tuple[Path, ...]:
    """Return where the socket may be: in the folder, or among temporary files where that is too long, or full."""
    inside = folder / "supervisor.sock"
    name = hashlib.sha256(os.fsencode(inside)).hexdigest()[:16]
    outside = Path(tempfile.gettempdir()) / f"polystream-state-{name}.sock"
    return (inside, outside) if len(os.fsencode(inside)) <= _PATH_MAX_BYTES else (outside,)


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


def _peer(connection: socket.socket) -> int | None:
    """Return the process that listens; None where the system does not tell."""
    if sys.platform != "linux":
        return None
    size = struct.calcsize("3i")
    pid, _, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return int(pid)
