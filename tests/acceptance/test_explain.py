"""One story per command, complete."""

import json
import subprocess
import sys
from pathlib import Path

import grpc
import httpx
import pytest
from polystream.v1 import users_pb2_grpc
from polystream.v1.users_pb2 import CreateUserRequest

from mesh.telemetry import names
from tests.acceptance.conftest import Finished, Json
from tests.acceptance.test_inherited_calls import COMMANDS
from tests.support.people import person
from tests.support.platform import Platform
from tests.support.waiting import eventually

pytestmark = pytest.mark.every_engine_set

RESTART_TIMEOUT_S = 30.0
STORY_TIMEOUT_S = 30.0


def whole_story(rest: httpx.Client, correlation_id: str, *, entered_by: str = "gateway") -> Json:
    """Return an operation's story, once nothing is missing and a span of where it entered has come too."""
    told: list[Json] = []

    def whole() -> bool:
        told[:] = [rest.get(f"/v1/operations/{correlation_id}:explain").raise_for_status().json()]
        return not told[0].get("missing") and any(span["service"] == entered_by for span in told[0].get("spans", []))

    eventually(whole, STORY_TIMEOUT_S)
    return told[0]


@pytest.mark.parametrize(("path", "command", "store"), COMMANDS)
def test_a_finished_command_is_explained_without_a_gap(
    rest: httpx.Client, finished: Finished, path: str, command: str, store: str
) -> None:
    """Every hop is there in order, and the spans form one tree from the gateway to the receipt."""
    correlation_id = rest.post(path).json()["correlation_id"]
    finished(correlation_id)
    story = whole_story(rest, correlation_id)
    assert story["operation"]["command"] == command
    hops = [(hop["event_type"], hop.get("store", "")) for hop in story["hops"]]
    assert hops == [("command.accepted", ""), ("command.received", store), ("command.succeeded", store)]
    assert all(hop["transaction_id"] == correlation_id for hop in story["hops"])
    assert_one_tree(story["spans"], {store})


def test_a_command_of_three_stores_is_one_story(rest: httpx.Client, finished: Finished) -> None:
    """DeleteUser has a branch a store, all in one tree."""
    user_id = finished(rest.post("/usuarios").json()["correlation_id"])["user_id"]
    correlation_id = rest.delete(f"/v1/users/{user_id}").json()["correlation_id"]
    assert finished(correlation_id)["state"] == "SUCCEEDED"
    story = whole_story(rest, correlation_id)
    assert {receipt["store"] for receipt in story["operation"]["receipts"]} == {"POSTGRESQL", "MONGODB", "REDIS"}
    assert len(story["hops"]) == 7
    assert_one_tree(story["spans"], {"POSTGRESQL", "MONGODB", "REDIS"})


def test_a_refused_command_is_explained_too(rest: httpx.Client, finished: Finished) -> None:
    """The story of a failure names its reason, and nothing is missing."""
    correlation_id = rest.post("/usuarios/999999998/assinatura").json()["correlation_id"]
    assert finished(correlation_id)["state"] == "FAILED"
    story = whole_story(rest, correlation_id)
    assert story["hops"][-1]["event_type"] == "command.failed"
    assert story["hops"][-1]["error"].startswith("USER_NOT_FOUND")


def test_a_story_is_whole_although_the_monitor_was_killed(
    platform: Platform, rest: httpx.Client, gateway_channel: grpc.Channel
) -> None:
    """What happens while it is away is told once it is back: services keep their spans, and Kafka the records."""
    before = platform.pid("monitor")
    platform.kill("monitor")
    users = users_pb2_grpc.UserServiceStub(gateway_channel)
    correlation_id = users.CreateUser(CreateUserRequest(**person())).correlation_id
    eventually(lambda: platform.is_back("monitor", before), RESTART_TIMEOUT_S)
    story = whole_story(rest, correlation_id, entered_by="gateway")
    assert [hop["event_type"] for hop in story["hops"]] == ["command.accepted", "command.received", "command.succeeded"]
    hops = {names.GATEWAY_SEND, names.LANE_PROCESS, names.LANE_SEND}
    assert hops <= {span["name"] for span in story["spans"]}


def test_a_callers_trace_is_continued(rest: httpx.Client, finished: Finished) -> None:
    """The caller's trace ID is the story's."""
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    answer = rest.post("/usuarios", headers={"traceparent": f"00-{trace_id}-00f067aa0ba902b7-01"})
    finished(answer.json()["correlation_id"])
    story = whole_story(rest, answer.json()["correlation_id"])
    assert {span["trace_id"] for span in story["spans"]} == {trace_id}


def test_the_command_line_tells_the_story(
    platform: Platform, rest: httpx.Client, finished: Finished, repository: Path
) -> None:
    """`polystream explain` prints it, and gives it as JSON."""
    correlation_id = rest.post("/usuarios").json()["correlation_id"]
    finished(correlation_id)
    whole_story(rest, correlation_id)

    def explain(*arguments: str) -> str:
        command = [sys.executable, "-m", "cli", "explain", correlation_id, *arguments]
        command += ["--data-dir", str(platform.data_dir)]
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True, cwd=repository).stdout

    told = json.loads(explain("--json"))
    assert told["operation"]["correlation_id"] == correlation_id
    printed = explain()
    assert "command.accepted" in printed
    assert "POSTGRESQL" in printed
    assert names.LANE_PROCESS in printed


def test_no_personal_data_is_in_a_story(rest: httpx.Client, finished: Finished) -> None:
    """Neither name, nor e-mail address, nor CPF."""
    someone = {"name": "Zuleica Quaresma Inconfundível", "email": "zuleica@example.com", "cpf": "390.533.447-05"}
    correlation_id = rest.post("/v1/users", json=someone).json()["correlation_id"]
    operation = finished(correlation_id)
    text = json.dumps([operation, whole_story(rest, correlation_id)], ensure_ascii=False)
    for value in ("Zuleica", "zuleica", "390.533.447-05", "39053344705"):
        assert value not in text


def assert_one_tree(spans: list[Json], stores: set[str]) -> None:
    """Check that the spans have one root, the gateway's, and the expected branches."""
    ids = {span["span_id"] for span in spans}
    roots = [span for span in spans if span.get("parent_span_id", "") not in ids]
    assert [root["service"] for root in roots] == ["gateway"]
    by_name: dict[str, list[Json]] = {}
    for span in spans:
        by_name.setdefault(span["name"], []).append(span)
    for name in (names.LANE_PROCESS, names.LANE_SEND):
        assert {span["attributes"][names.STORE] for span in by_name[name]} == stores
    assert all(
        span["parent_span_id"] == by_name[names.GATEWAY_SEND][0]["span_id"] for span in by_name[names.LANE_PROCESS]
    )
