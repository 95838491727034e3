"""The platform's spans in Jaeger, which the native set has."""

import json
import os
import signal
from typing import Any, Final

import httpx
import pytest

from mesh.telemetry import names
from tests.support.freezing import frozen
from tests.support.jaeger import spans_in_jaeger
from tests.support.people import person
from tests.support.platform import Platform
from tests.support.waiting import eventually

pytestmark = pytest.mark.parametrize("engine_set", ["native"], scope="session")

_TIMEOUT_S: Final = 30.0


def _create_user(platform: Platform) -> str:
    answer = httpx.post(f"{platform.endpoints['rest']}/v1/users", json=person(), timeout=_TIMEOUT_S)
    return str(answer.raise_for_status().json()["correlation_id"])


def _story(platform: Platform, correlation_id: str) -> dict[str, Any]:
    """Return what `explain` tells, once nothing is missing, and the gateway has told what it did with the answer."""

    def whole() -> dict[str, Any] | None:
        done = platform.command("explain", correlation_id, "--json")
        assert done.returncode == 0, done.stderr
        story: dict[str, Any] = json.loads(done.stdout)
        # The last span of a command: it comes after all that a story can't do without.
        is_told = any(span["name"] == names.GATEWAY_PROCESS for span in story["spans"])
        return story if is_told and not story.get("missing") else None

    return eventually(whole, _TIMEOUT_S) or {}


def _in_jaeger(platform: Platform, story: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the spans that Jaeger has of a story's trace, once they are those of the story."""
    (trace_id,) = {span["trace_id"] for span in story["spans"]}
    told = {span["span_id"] for span in story["spans"]}

    def all_of_them() -> list[dict[str, Any]] | None:
        found = spans_in_jaeger(platform.endpoints["jaeger"], trace_id)
        return found if {span["spanId"] for span in found} == told else None

    return eventually(all_of_them, _TIMEOUT_S) or []


def test_a_commands_trace_is_one_tree_in_jaeger(platform: Platform) -> None:
    """By the trace ID of its story, Jaeger has the same spans, of every service on the way, from one root."""
    found = _in_jaeger(platform, _story(platform, _create_user(platform)))
    by_id = {span["spanId"]: span for span in found}
    roots = [span for span in found if span.get("parentSpanId", "") not in by_id]
    assert [root["service"] for root in roots] == ["edge"]
    assert {span["service"] for span in found} == {"edge", "gateway", "processor"}
    assert len(by_id) == len(found)
    hops = {names.GATEWAY_SEND, names.LANE_PROCESS, names.LANE_SEND, names.GATEWAY_PROCESS}
    assert hops <= {span["name"] for span in found}


def test_jaeger_hangs_and_is_killed_and_nothing_is_missing(platform: Platform) -> None:
    """Commands and `explain` go on all the while; what came meanwhile is in Jaeger once it is back."""
    pid = platform.pid("jaeger")
    with frozen(pid):
        stories = [_story(platform, _create_user(platform)) for _ in range(3)]
        os.kill(pid, signal.SIGKILL)
    stories.append(_story(platform, _create_user(platform)))
    for story in stories:
        assert _in_jaeger(platform, story)
    assert platform.pid("jaeger") != pid
