"""The self-check's clients: what they make of answers, when they send again, and what they send nothing more about."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

import httpx
import pytest
from google.rpc import code_pb2
from polystream.v1.operations_pb2 import Operation

from cli.verify import load
from cli.verify.doors import CallAnswer, RestCommandDoor, _of_status
from cli.verify.history import Answer, Purpose
from cli.verify.load import LoadRun, _LoadClient
from cli.verify.main_thread import MainThread
from cli.verify.violations import Violation, ViolationKind, least_history
from cli.verify.workload import ABSENT_ID, ABSENT_UUID, PlannedCommand, Repetition, Workload
from mesh.catalog import load_catalog
from mesh.errors import PolystreamError, Reason, build_status
from tests.support.verify_histories import Story, payment, person

_CATALOG = load_catalog()
_ACKNOWLEDGED = CallAnswer(Answer.ACKNOWLEDGED, correlation_id="an-id")
_UNKNOWN = CallAnswer(Answer.UNKNOWN, "UNAVAILABLE")
_REFUSED = CallAnswer(Answer.REFUSED, "INVALID_ARGUMENT", "INVALID_FIELD")


class ScriptedDoor:
    """Answers what it is told to, one answer a call, and keeps what it was sent."""

    name = "scripted"

    def __init__(self, *answers: CallAnswer) -> None:
        self._answers = list(answers)
        self.sent: list[dict[str, Any]] = []

    def send(self, command: str, fields: Mapping[str, Any], timeout_s: float) -> CallAnswer:
        """Return the next answer."""
        del command, timeout_s
        self.sent.append(dict(fields))
        return self._answers.pop(0)

    def close(self) -> None:
        """Do nothing."""


def planned(serial: int, command: str, fields: Mapping[str, Any], **others: Any) -> PlannedCommand:
    """Return a command of the plan."""
    return PlannedCommand(serial, 0, 0.0, "user 7", command, fields, **others)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> LoadRun:
    """Return a run that pauses for no time."""
    monkeypatch.setattr(load, "_PAUSE_FIRST_S", 0.0)
    anchor = planned(0, "CreateUser", {})
    return LoadRun(Workload(anchor, []), "127.0.0.1:1", "http://127.0.0.1:1", _CATALOG, "test")


@pytest.fixture
def client(run: LoadRun) -> Iterator[_LoadClient]:
    """Return one client of it."""
    with closing(run._open()) as opened:
        yield opened


def script(client: _LoadClient, *answers: CallAnswer) -> ScriptedDoor:
    """Have both doors of a client answer like that."""
    door = ScriptedDoor(*answers)
    client._doors = {"grpc": door, "rest": door}
    return door


def test_an_unknown_answer_is_asked_for_again_under_the_same_request_id(run: LoadRun, client: _LoadClient) -> None:
    """Until it is acknowledged; every attempt is in the history."""
    door = script(client, _UNKNOWN, _UNKNOWN, _ACKNOWLEDGED)
    assert client.send(planned(4, "DeleteUser", {"user_id": 7}))
    assert {sent["request_id"] for sent in door.sent} == {"test-4"}
    (entry,) = run.entries
    assert [attempt.purpose for attempt in entry.attempts] == [Purpose.FIRST, Purpose.RETRY, Purpose.RETRY]
    assert entry.is_acknowledged
    assert run.acknowledged == 1


def test_some_are_sent_twice_and_some_request_ids_used_again(run: LoadRun, client: _LoadClient) -> None:
    """The same request again, and another one under the same ID."""
    door = script(client, _ACKNOWLEDGED, _ACKNOWLEDGED, _ACKNOWLEDGED, _REFUSED)
    fields = {"user_id": 7, "max_items": 5}
    client.send(planned(4, "GenerateRecommendations", fields, repetition=Repetition.AGAIN))
    client.send(
        planned(5, "GenerateRecommendations", fields, repetition=Repetition.OTHER, other={"max_items": 6}),
    )
    assert [sent["max_items"] for sent in door.sent] == [5, 5, 5, 6]
    purposes = [attempt.purpose for entry in run.entries for attempt in entry.attempts]
    assert purposes == [Purpose.FIRST, Purpose.AGAIN, Purpose.FIRST, Purpose.OTHER]
    assert run.entries[1].is_acknowledged
    assert not run.entries[1].is_refused


def test_a_refused_command_is_not_repeated(run: LoadRun, client: _LoadClient) -> None:
    """It was answered for good."""
    script(client, _REFUSED)
    assert client.send(planned(4, "DeleteUser", {"user_id": 7}, repetition=Repetition.AGAIN))
    assert run.entries[0].is_refused
    assert not run.entries[0].is_acknowledged


def test_nothing_more_is_sent_about_an_entity_whose_fate_is_unknown(
    run: LoadRun, client: _LoadClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The place of that command among the others would not be known."""
    monkeypatch.setattr(load, "_RETRY_MAX_S", -1.0)
    script(client, _UNKNOWN)
    assert client.send(planned(4, "DeleteUser", {"user_id": 7}))
    assert not client.send(planned(5, "DeleteUser", {"user_id": 7}))
    assert len(run.entries) == 1


def test_what_was_never_made_is_named_by_an_id_that_nothing_has(run: LoadRun, client: _LoadClient) -> None:
    """And a view by the correlation ID of the command that records it."""
    door = script(client, _ACKNOWLEDGED, _ACKNOWLEDGED, _ACKNOWLEDGED, _ACKNOWLEDGED)
    client.send(planned(4, "CancelPayment", {"user_id": 7}, made_by={"payment_id": 3}))
    client.send(planned(5, "DeleteView", {"user_id": 7}, made_by={"view_id": 3}))
    view = {"user_id": 7, "content_id": 5, "title": "a", "kind": "MOVIE"}
    client.send(planned(6, "RecordView", view))
    client.send(planned(7, "DeleteView", {"user_id": 7}, made_by={"view_id": 6}))
    assert door.sent[0]["payment_id"] == ABSENT_ID
    assert door.sent[1]["view_id"] == ABSENT_UUID
    assert door.sent[3]["view_id"] == run.entries[2].correlation_id


@pytest.mark.parametrize(
    ("code", "reason", "answer"),
    [
        ("UNAVAILABLE", "KAFKA_UNAVAILABLE", Answer.UNKNOWN),
        ("RESOURCE_EXHAUSTED", "TOO_MANY_COMMANDS", Answer.UNKNOWN),
        ("DEADLINE_EXCEEDED", "", Answer.UNKNOWN),
        ("UNKNOWN", "", Answer.UNKNOWN),
        ("INTERNAL", "", Answer.UNKNOWN),
        ("INTERNAL", "INTERNAL", Answer.REFUSED),
        ("INVALID_ARGUMENT", "INVALID_FIELD", Answer.REFUSED),
        ("ALREADY_EXISTS", "REQUEST_ID_REUSED", Answer.REFUSED),
    ],
)
def test_an_error_says_whether_to_send_again(code: str, reason: str, answer: Answer) -> None:
    """A connection that breaks has no reason; the platform's own errors have one."""
    status = build_status(code_pb2.Code.Value(code), reason, "text") if reason else None
    assert _of_status(code, status) == CallAnswer(answer, code, reason)


def test_rest_goes_by_each_commands_first_binding() -> None:
    """What the path names is in the path, the rest in the body, or in the query where there is none."""
    asked: list[tuple[str, str, object]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append((request.method, str(request.url), json.loads(request.content) if request.content else None))
        return httpx.Response(200, json={"correlation_id": "an-id"})

    door = RestCommandDoor("http://gateway", _CATALOG)
    door.close()
    door._http = httpx.Client(base_url="http://gateway", transport=httpx.MockTransport(answer))
    with closing(door):
        assert door.send("UpdateUser", {"user_id": 7, "name": "A", "request_id": "r"}, 1.0) == _ACKNOWLEDGED
        door.send("DeleteUser", {"user_id": 7, "request_id": "r"}, 1.0)
        door.send("CancelPayment", {"user_id": 7, "payment_id": 3}, 1.0)
        door._http._transport = httpx.MockTransport(lambda _: httpx.Response(502, text="<html>"))
        assert door.send("DeleteUser", {"user_id": 7}, 1.0).answer is Answer.UNKNOWN
    assert asked == [
        ("PATCH", "http://gateway/v1/users/7", {"name": "A", "request_id": "r"}),
        ("DELETE", "http://gateway/v1/users/7?request_id=r", None),
        ("POST", "http://gateway/v1/users/7/payments/3:cancel", {}),
    ]


def test_work_for_the_main_thread_is_done_in_the_thread_that_serves() -> None:
    """Its errors are raised where it was asked for."""
    main, threads, caught = MainThread(), [], []

    def fail() -> None:
        threads.append(threading.current_thread())
        raise ValueError("not now")

    def ask() -> None:
        try:
            main.do(fail, 10.0)
        except ValueError as error:
            caught.append(str(error))

    asking = threading.Thread(target=ask)
    asking.start()
    main.serve(lambda: not asking.is_alive(), 10.0)
    assert (threads, caught) == ([threading.current_thread()], ["not now"])
    main.serve(lambda: False, 0.0)  # its time is a bound


def test_a_long_history_keeps_its_end() -> None:
    """Two hundred lines, and how many are left out."""
    story = Story()
    story.command("CreateUser", person())
    for cents in range(100, 200):
        story.command("CreatePayment", payment(cents))
    violation = Violation(ViolationKind.LOST, "user 7", "", table="pagamentos")
    from cli.verify.history import CommandHistory  # noqa: PLC0415 - of this test alone

    lines = least_history(violation, CommandHistory(story.entries), story.image())
    assert len(lines) == 201
    assert "earlier lines are left out" in lines[0]
    assert lines[-1] == "in pagamentos: nothing"


@pytest.mark.parametrize(
    ("state", "reason", "is_final"),
    [
        (Operation.ACCEPTED, None, False),
        (Operation.SUCCEEDED, None, True),
        (Operation.FAILED, Reason.USER_NOT_FOUND, True),
        (Operation.FAILED, Reason.HANDLER_FAILED, False),
    ],
    ids=["accepted", "succeeded", "refused", "given up"],
)
def test_what_is_given_up_is_waited_for(state: Operation.State, reason: Reason | None, is_final: bool) -> None:
    """It is redriven yet: what rests on it, under another key, is sent after that."""
    error = None if reason is None else PolystreamError(reason).to_status()
    assert load._is_final(Operation(state=state, error=error)) is is_final
