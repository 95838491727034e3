"""Asking the supervisor: how each part is, what the logs say, and to start a part again.

One Unix socket, one question a connection: `ask`, a line feed, and a JSON object on a line, such as
`{"method": "parts"}`. The answer is JSON objects, one a line; one with `error` (its reason and its sentence) is the
last. `logs` with `follow` goes on until whoever asks closes the connection.

Nobody needs the gateway for it, and nobody but the platform's own user gets an answer.
"""

import hashlib
import json
import os
import socket
import struct
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Self

QUESTION: Final = b"ask\n"
REQUEST_MAX_BYTES: Final = 4096  # of the JSON object, its line feed included
ANSWER_MAX_BYTES: Final = 1024 * 1024  # of one line of an answer
LOG_LINES_MAX: Final = 10_000  # of one question
RESTART_MAX_S: Final = 180.0  # a part's own bounds to stop and to start again are below it
_PATH_MAX_BYTES: Final = 100  # sun_path holds 104 bytes on macOS, 108 on Linux, its end included
_CONNECT_TIMEOUT_S: Final = 3.0


class SupervisorError(Exception):
    """The supervisor does not do, or can't be asked, what it was asked to; says why in a sentence."""

    def __init__(self, reason: str, message: str) -> None:
        """`reason` is a constant: that of the answer, or UNREACHABLE."""
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class SupervisedPart:
    """One process that the supervisor keeps alive."""

    name: str
    kind: str  # engine, service
    status: str  # waiting, starting, ready, degraded, unhealthy, restarting, stopping, stopped
    detail: str = ""  # why it is not ready, in one sentence
    since_time_s: float = 0.0  # since when it has this status, in seconds since 1970
    pid: int | None = None
    uptime_s: float | None = None  # of this process; None where none runs
    memory_bytes: int | None = None  # resident, its children's included
    restarts: int = 0  # since it died; those that were asked for are not counted
    last_exit: int | None = None  # exit code, or minus the signal
    last_cause: str = ""  # of the last restart, in a few words
    ports: dict[str, int] = field(default_factory=dict)  # by their names


@dataclass(frozen=True, slots=True)
class SupervisorReport:
    """A whole platform, as its supervisor tells it; no credentials are in it."""

    status: str  # starting, ready, degraded, stopping
    detail: str  # what it is doing, or why it is not ready, in one sentence
    engines: str  # the set
    pid: int  # the supervisor's
    uptime_s: float
    memory_bytes: int | None  # the supervisor's own
    parts: tuple[SupervisedPart, ...]

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Self:
        """Read an answer; what another version has beside it is left out. Raises TypeError and KeyError."""
        known = {each.name for each in fields(SupervisedPart)}
        parts = tuple(
            SupervisedPart(**{name: value for name, value in part.items() if name in known})
            for part in document["parts"]
        )
        names = [each.name for each in fields(cls) if each.name != "parts"]
        return cls(**{name: document[name] for name in names}, parts=parts)


@dataclass(frozen=True, slots=True)
class LoggedLine:
    """One line of a part's log."""

    part: str
    time_s: float | None  # in seconds since 1970, as the line says; None where neither it nor one before says it
    text: str


class SupervisorClient:
    """Asks the supervisor that listens at a socket. Each question has a connection of its own."""

    def __init__(self, path: Path, pid: int | None = None) -> None:
        """`path` is the socket in the platform's folder; `pid`, where it is known, the only process to be believed."""
        self._paths = socket_paths(path)
        self._pid = pid

    def report(self, timeout_s: float = _CONNECT_TIMEOUT_S) -> SupervisorReport:
        """Return how the platform and each part is. Raises SupervisorError."""
        answer = self._one({"method": "parts"}, timeout_s)
        try:
            return SupervisorReport.from_json(answer)
        except (TypeError, KeyError, AttributeError) as error:
            raise SupervisorError("UNREACHABLE", "the supervisor gives an answer of another version") from error

    def restart(self, part: str) -> float:
        """Start a part again; return how long that took, in seconds, once it is ready.

        Raises SupervisorError: it is no part, it starts or stops already, or it does not come up.
        """
        return float(self._one({"method": "restart", "part": part}, RESTART_MAX_S).get("seconds", 0.0))

    def logs(
        self, parts: tuple[str, ...] = (), *, lines: int = 200, correlation_id: str = "", follow: bool = False
    ) -> Iterator[LoggedLine]:
        """Yield the last lines of some parts' logs, of all without a name, in the order of time.

        With a correlation ID, those that name it; with `follow`, also those that are written from now on, until the
        iterator is closed. Raises SupervisorError.
        """
        question = {"method": "logs", "parts": list(parts), "lines": lines, "follow": follow}
        if correlation_id:
            question["correlation_id"] = correlation_id
        for answer in self._ask(question, None if follow else _CONNECT_TIMEOUT_S):
            yield LoggedLine(str(answer.get("part", "")), answer.get("time_s"), str(answer.get("text", "")))

    def _one(self, question: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        for answer in self._ask(question, timeout_s):
            return answer
        raise SupervisorError("UNREACHABLE", "the supervisor ended before it answered")

    def _ask(self, question: dict[str, Any], timeout_s: float | None) -> Iterator[dict[str, Any]]:
        """Yield the objects of an answer. Between two of them, no more than `timeout_s` passes."""
        connection = connect(self._paths, self._pid, _CONNECT_TIMEOUT_S)
        if connection is None:
            raise SupervisorError("UNREACHABLE", f"no supervisor answers at {self._paths[0]}")
        with closing(connection), connection.makefile("rb") as answers:
            try:
                connection.sendall(QUESTION + json.dumps(question).encode() + b"\n")
                connection.settimeout(timeout_s)
                while line := answers.readline(ANSWER_MAX_BYTES):
                    answer = json.loads(line)
                    if error := answer.get("error"):
                        raise SupervisorError(str(error["reason"]), str(error["message"]))
                    yield answer
            except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
                raise SupervisorError("UNREACHABLE", "the supervisor does not answer as it should") from error


def socket_paths(inside: Path) -> tuple[Path, ...]:
    """Return where a platform's socket may be: in its folder, or among temporary files where that is too long, or full.

    `inside` is the one in the folder.
    """
    name = hashlib.sha256(os.fsencode(inside)).hexdigest()[:16]
    outside = Path(tempfile.gettempdir()) / f"polystream-state-{name}.sock"
    return (inside, outside) if len(os.fsencode(inside)) <= _PATH_MAX_BYTES else (outside,)


def connect(paths: tuple[Path, ...], pid: int | None, timeout_s: float) -> socket.socket | None:
    """Return a connection to the first socket behind which this user's process listens, `pid` if it is given."""
    for path in paths:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(timeout_s)
        with suppress(OSError):
            connection.connect(str(path))
            if (os.geteuid() == 0 or is_own(connection)) and (pid is None or peer_of(connection)[0] in {pid, None}):
                return connection
        connection.close()
    return None


def is_own(connection: socket.socket) -> bool:
    """Tell whether the other end belongs to this user, or to root. Raises OSError.

    Where the system does not tell, it does: the file's mode keeps others out.
    """
    uid = peer_of(connection)[1]
    return uid is None or uid in {0, os.geteuid()}


def peer_of(connection: socket.socket) -> tuple[int | None, int | None]:
    """Return the process and the user at the other end, None where the system does not tell. Raises OSError."""
    if sys.platform != "linux":
        return None, None
    size = struct.calcsize("3i")
    pid, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return int(pid), int(uid)
