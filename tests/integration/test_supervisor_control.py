"""The supervisor's control interface: how each part is, what the logs say, and a part started again."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from itertools import islice
from pathlib import Path

import pytest

from mesh import supervisor_client
from mesh.supervisor_client import QUESTION, LoggedLine, SupervisorClient, SupervisorError, SupervisorReport
from tests.support.dummies import Dummy, dummies
from tests.support.unavailable import UnavailableError
from tests.support.waiting import eventually

_CLIENTS_MAX = 16
_BAD_QUESTIONS = (
    (b"{]\n", "MALFORMED_REQUEST"),
    (b"[]\n", "MALFORMED_REQUEST"),
    (b'{"method": "' + b"x" * 5000 + b'"}\n', "MALFORMED_REQUEST"),
    (b'{"method": "format"}\n', "UNKNOWN_METHOD"),
    (b'{"method": "restart"}\n', "UNKNOWN_PART"),
    (b'{"method": "logs", "parts": ["../../etc/passwd"]}\n', "UNKNOWN_PART"),
    (b'{"method": "logs", "parts": 5}\n', "UNKNOWN_PART"),
    (b'{"method": "logs", "parts": [{}]}\n', "UNKNOWN_PART"),
    (b'{"method": "logs", "lines": 10001}\n', "MALFORMED_REQUEST"),
    (b'{"method": "logs", "lines": "9"}\n', "MALFORMED_REQUEST"),
    (b'{"method": "logs", "correlation_id": 7}\n', "MALFORMED_REQUEST"),
    (b'{"method": "logs", "correlation_id": "a b"}\n', "MALFORMED_REQUEST"),
)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Dummy]]:
    """Return what starts supervisors, which end with the test."""
    with dummies(tmp_path) as start_one:
        yield start_one


def client_of(dummy: Dummy) -> SupervisorClient:
    """Return a client of a supervisor."""
    return SupervisorClient(dummy.data_dir / "run" / "supervisor.sock", dummy.process.pid)


def part(report: SupervisorReport, name: str) -> supervisor_client.SupervisedPart:
    """Return one part of a report."""
    return next(each for each in report.parts if each.name == name)


def ask(dummy: Dummy, question: bytes) -> bytes:
    """Send bytes to the supervisor's socket, and return all that it answers."""
    with closing(socket.socket(socket.AF_UNIX)) as connection:
        connection.settimeout(20)
        connection.connect(str(dummy.data_dir / "run" / "supervisor.sock"))
        connection.sendall(question)
        answer = b""
        while received := connection.recv(65_536):
            answer += received
        return answer


def test_it_tells_of_every_part(start: Callable[..., Dummy]) -> None:
    """Each with its process, how long it runs, its memory and its ports; a death is counted, with its cause."""
    dummy = start()
    dummy.until("ready")
    report = client_of(dummy).report()
    assert report.status == "ready"
    assert (report.engines, report.pid) == ("dummy", dummy.process.pid)
    assert report.memory_bytes is not None
    assert report.memory_bytes > 2**20
    assert [(each.name, each.kind, each.status) for each in report.parts] == [
        ("redis", "engine", "ready"),
        ("web", "service", "ready"),
        ("worker", "service", "ready"),
    ]
    web = part(report, "web")
    assert web.pid == dummy.part("web").pid
    assert web.ports == {"rest": dummy.first_port + 1}
    assert part(report, "redis").ports == {"redis": dummy.first_port}
    assert web.memory_bytes is not None
    assert web.memory_bytes > 2**20
    assert web.uptime_s is not None
    assert 0 < web.uptime_s < report.uptime_s + 60
    assert abs(web.since_time_s - time.time()) < 60

    os.kill(web.pid or 0, signal.SIGKILL)
    eventually(lambda: part(client_of(dummy).report(), "web").restarts == 1, 20)
    eventually(lambda: client_of(dummy).report().status == "ready", 20)
    again = part(client_of(dummy).report(), "web")
    assert (again.last_exit, again.last_cause) == (-signal.SIGKILL, "ended by SIGKILL")
    assert again.pid != web.pid


def test_its_report_has_no_credentials(start: Callable[..., Dummy]) -> None:
    """The dashboard shows what it is told: neither addresses with passwords nor settings are in it."""
    dummy = start()
    dummy.until("ready")
    told = json.loads(ask(dummy, QUESTION + b'{"method": "parts"}\n'))
    assert set(told) == {"status", "detail", "engines", "pid", "uptime_s", "memory_bytes", "parts"}
    assert not {"environment", "endpoints"} & set(told["parts"][0])


@pytest.mark.parametrize("name", ["worker", "redis"])
def test_a_part_is_started_again_as_asked(start: Callable[..., Dummy], name: str) -> None:
    """It may finish its work, is up again when the answer comes, and no death is counted."""
    dummy = start()
    dummy.until("ready")
    before = part(client_of(dummy).report(), name)
    assert client_of(dummy).restart(name) > 0
    after = part(client_of(dummy).report(), name)
    assert (after.status, after.restarts, after.last_cause) == ("ready", 0, "")
    assert after.pid not in {None, before.pid}
    assert after.uptime_s is not None
    assert before.uptime_s is not None
    assert after.uptime_s < time.time() - before.since_time_s
    if name == "worker":
        assert (dummy.data_dir / "drained").exists()
    os.kill(after.pid or 0, signal.SIGKILL)  # it is kept alive as before
    eventually(lambda: part(client_of(dummy).report(), name).restarts == 1, 20)
    eventually(lambda: client_of(dummy).report().status == "ready", 20)
    assert dummy.stop() == 0


def test_a_part_that_does_not_come_up_again_is_told_and_tried_on(start: Callable[..., Dummy]) -> None:
    """The answer says why, with the log's end, and the part comes back once it can."""
    dummy = start("breakable")
    dummy.until("ready")
    (dummy.data_dir / "broken").touch()
    with pytest.raises(SupervisorError, match="the worker has no work") as failed:
        client_of(dummy).restart("worker")
    assert failed.value.reason == "NOT_RESTARTED"
    assert "worker does not come up" in str(failed.value)
    (dummy.data_dir / "broken").unlink()
    eventually(lambda: client_of(dummy).report().status == "ready", 30)


def test_what_can_not_be_started_again_is_told(start: Callable[..., Dummy]) -> None:
    """A part that there is not, with those that there are; and one that is being started again already."""
    dummy = start("stubborn")  # its worker takes half a second to stop
    dummy.until("ready")
    with pytest.raises(SupervisorError, match="there are redis, web, worker") as unknown:
        client_of(dummy).restart("wroker")
    assert unknown.value.reason == "UNKNOWN_PART"
    first = threading.Thread(target=client_of(dummy).restart, args=("worker",))
    first.start()
    try:
        eventually(lambda: part(client_of(dummy).report(), "worker").status == "stopping", 10, interval_s=0.01)
        with pytest.raises(SupervisorError, match="worker is stopping"):
            client_of(dummy).restart("worker")
    finally:
        first.join()
    assert client_of(dummy).report().status == "ready"


def test_a_stop_ends_a_restart(start: Callable[..., Dummy]) -> None:
    """What is asked for last holds: nothing runs afterwards, and whoever waits for the restart is told."""
    dummy = start("stubborn")
    dummy.until("ready")
    told: list[SupervisorError] = []

    def restart() -> None:
        try:
            client_of(dummy).restart("worker")
        except SupervisorError as error:
            told.append(error)

    waiting = threading.Thread(target=restart)
    waiting.start()
    eventually(lambda: part(client_of(dummy).report(), "worker").status == "stopping", 10, interval_s=0.01)
    assert dummy.stop() == 0
    waiting.join()
    assert len(told) == 1
    assert dummy.part("worker").status == "stopped"
    assert dummy.part("worker").pid is None


def test_it_shows_and_follows_the_logs(start: Callable[..., Dummy]) -> None:
    """The last lines of all parts in the order of time, then what is written; with an ID, only what names it."""
    dummy = start()
    dummy.until("ready")
    logs, sought = dummy.data_dir / "logs", "019a1b2c-3d4e-7f50-8123-456789abcdef"
    lines = [
        json.dumps({"event": each, "timestamp": f"2026-01-02T03:04:0{second}Z"}) for second, each in enumerate("ab")
    ]
    (logs / "web.log").write_text(f"{lines[1]}\n")
    (logs / "worker.log").write_text(f"{lines[0]}\n")
    client = client_of(dummy)
    shown = list(client.logs(("web", "worker"), lines=10))
    assert [(line.part, json.loads(line.text)["event"]) for line in shown] == [("worker", "a"), ("web", "b")]
    assert shown[1].time_s == 1767323041.0
    assert [line.text for line in client.logs(("web", "worker"), lines=1)] == [lines[1]]

    following = client.logs(("web", "worker"), lines=0, correlation_id=sought, follow=True)
    found: list[LoggedLine] = []
    reading = threading.Thread(target=lambda: found.extend(islice(following, 1)))
    reading.start()

    def written() -> bool:
        with (logs / "worker.log").open("a") as file:
            file.write(f"nothing of it\nit is {sought.upper()}\n")
        reading.join(0.1)
        return not reading.is_alive()

    eventually(written, 20)
    assert [(line.part, line.text) for line in found] == [("worker", f"it is {sought.upper()}")]


def test_a_bad_question_is_told(start: Callable[..., Dummy]) -> None:
    """By a reason and a sentence; the supervisor goes on."""
    dummy = start()
    dummy.until("ready")
    for question, reason in _BAD_QUESTIONS:
        answer = json.loads(ask(dummy, QUESTION + question))
        assert answer["error"]["reason"] == reason, question
        assert answer["error"]["message"], question
    assert client_of(dummy).report().status == "ready"


def test_clients_are_bounded_in_number_and_time(start: Callable[..., Dummy]) -> None:
    """Those who ask nothing are let go within a second; those who follow for ever leave room for no more than 16."""
    dummy = start()
    dummy.until("ready")
    assert ask(dummy, QUESTION) == b""
    with ExitStack() as connections:
        for _ in range(_CLIENTS_MAX):
            connection = connections.enter_context(closing(socket.socket(socket.AF_UNIX)))
            connection.settimeout(20)
            connection.connect(str(dummy.data_dir / "run" / "supervisor.sock"))
            connection.sendall(QUESTION + b'{"method": "logs", "parts": ["redis"], "lines": 1, "follow": true}\n')
            assert connection.recv(65_536)
        with pytest.raises(SupervisorError, match="ask again later") as refused:
            client_of(dummy).report()
        assert refused.value.reason == "TOO_MANY_CLIENTS"
    eventually(lambda: _answers(dummy), 20)


def _answers(dummy: Dummy) -> bool:
    try:
        return client_of(dummy).report().status == "ready"
    except SupervisorError:
        return False


def test_while_it_builds_it_says_so(start: Callable[..., Dummy]) -> None:
    """Before there are any parts, whoever asks hears that it starts."""
    dummy = start("building")
    eventually((dummy.data_dir / "run" / "supervisor.sock").exists, 20)
    with pytest.raises(SupervisorError) as starting:
        client_of(dummy).report()
    assert starting.value.reason == "STARTING"
    (dummy.data_dir / "built").touch()
    dummy.until("ready")
    assert client_of(dummy).report().status == "ready"


def test_another_process_at_the_socket_is_not_believed(start: Callable[..., Dummy]) -> None:
    """Only the process that has the lock is, where that is known; and without a supervisor it is said."""
    dummy = start()
    dummy.until("ready")
    path = dummy.data_dir / "run" / "supervisor.sock"
    with pytest.raises(SupervisorError, match="no supervisor answers") as error:
        SupervisorClient(path, os.getpid()).report()
    assert error.value.reason == "UNREACHABLE"
    dummy.stop()
    with pytest.raises(SupervisorError, match="no supervisor answers"):
        SupervisorClient(path).report()


def test_another_user_gets_no_answer(start: Callable[..., Dummy]) -> None:
    """Not even where the folder and the socket are open to everybody."""
    if os.geteuid() != 0 or sys.platform != "linux":
        raise UnavailableError("another user takes root, and Linux, which tells whose a connection is")
    dummy = start()
    dummy.until("ready")
    path = dummy.data_dir / "run" / "supervisor.sock"
    assert path.stat().st_mode & 0o777 == 0o600
    program = (
        "import os, socket, sys\n"
        "connection = socket.socket(socket.AF_UNIX)\n"
        "connection.settimeout(20)\n"
        "os.chdir(os.path.dirname(sys.argv[1]))\n"
        "os.chmod('supervisor.sock', 0o666)\n"
        "os.chmod('.', 0o755)\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "connection.connect('supervisor.sock')\n"
        'connection.sendall(b\'ask\\n{"method": "parts"}\\n\')\n'
        "print(connection.recv(65536))\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=False)
    assert done.stdout == "b''\n" or "ConnectionResetError" in done.stderr or "BrokenPipeError" in done.stderr
    assert "parts" not in done.stdout
