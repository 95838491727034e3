"""The access log: one line a request, when asked for."""

import io
import json
from typing import Any

import pytest

from gateway.doors.access_log import AccessLog, LoggedExchange
from gateway.doors.http_door import HttpDoor
from gateway.rest.routes import Routes
from mesh.errors import PolystreamError, Reason
from mesh.settings import GatewaySettings
from tests.support.exchanges import RecordedExchange, exchange
from tests.support.scripted_calls import ScriptedCalls

HEADERS = (("content-type", "application/json"), ("x-correlation-id", "c-1"), ("x-request-id", "r-1"))


def logged(asked: RecordedExchange) -> tuple[LoggedExchange, io.StringIO]:
    """Return an exchange that is logged, and the log."""
    output = io.StringIO()
    return LoggedExchange(asked.as_exchange, AccessLog("gateway-0", output)), output


def line_of(output: io.StringIO) -> dict[str, Any]:
    """Return the one line that was written."""
    (line,) = output.getvalue().splitlines()
    return dict(json.loads(line))


def test_an_answer_has_its_line() -> None:
    """Without the body, the query and the path's values."""
    asked = exchange("POST", "/v1/users/7?cpf=529", body=b'{"name":"Ana"}')
    answering, output = logged(asked)
    answering.respond(200, HEADERS, b"{}")
    line = line_of(output)
    assert (line["service"], line["method"], line["status"], line["bytes"]) == ("gateway-0", "POST", 200, 2)
    assert (line["correlation_id"], line["request_id"]) == ("c-1", "r-1")
    assert line["duration_ms"] >= 0
    assert not any(word in output.getvalue() for word in ("529", "Ana", "/7"))
    assert asked.status == 200


def test_an_answer_to_head_has_no_bytes() -> None:
    """None were sent."""
    answering, output = logged(exchange("HEAD", "/v1/users/7"))
    answering.respond(200, HEADERS, b"{}")
    assert line_of(output)["bytes"] == 0


@pytest.mark.parametrize("broken", [False, True])
async def test_a_stream_has_one_line_at_its_end(broken: bool) -> None:
    """With all that was sent."""
    answering, output = logged(exchange("GET", "/v1/operations/x:watch"))
    answering.start(200, HEADERS)
    await answering.write(b"12345")
    await answering.write(b"678")
    assert output.getvalue() == ""
    answering.end(broken=broken)
    assert line_of(output)["bytes"] == 8


def test_who_leaves_has_a_line_too() -> None:
    """With the status that is usual for it, and once."""
    asked = exchange("GET", "/v1/users/7")
    answering, output = logged(asked)
    told: list[str] = []
    answering.on_leave(lambda: told.append("left"))
    assert asked.leave is not None
    asked.leave()
    answering.respond(200, HEADERS, b"{}")
    assert told == ["left"]
    assert line_of(output)["status"] == 499


@pytest.mark.parametrize("is_on", [True, False])
def test_the_servers_own_refusals_have_a_line(capsys: pytest.CaptureFixture[str], is_on: bool) -> None:
    """Where the log is asked for."""
    settings = GatewaySettings(access_log=is_on)
    door = HttpDoor(ScriptedCalls().as_calls, Routes(()), settings)
    door.refusal(400, PolystreamError(Reason.MALFORMED_REQUEST))
    asked = exchange("GET", "/nothing")
    assert door.head(asked.as_exchange) is None
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["status"] for line in lines] == ([400, 404] if is_on else [])
