"""The platform's spans in Jaeger, which the native set has."""

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


def _story(platform: Platform, correlation_id: str) -> dict[str, Any] | None:
    """Return what `explain` tells, where nothing is missing, and the first and the last to tell have told."""
    answer = httpx.get(f"{platform.endpoints['rest']}/v1/operations/{correlation_id}:explain", timeout=_TIMEOUT_S)
    story: dict[str, Any] = answer.raise_for_status().json()
    spans = story.get("spans", [])
    # Neither keeps a story from being whole: a command may come from elsewhere, and its answer is not waited for.
    is_told = any(span["service"] == "gateway" for span in spans) and any(
        span["name"] == names.GATEWAY_PROCESS for span in spans
    )
    return story if is_told and not story.get("missing") else None


def _in_jaeger(platform: Platform, correlation_id: str) -> list[dict[str, Any]]:
    """Return the spans that Jaeger has of a command's trace, once they are those of its story."""

    def all_of_them() -> list[dict[str, Any]] | None:
        story = _story(platform, correlation_id)
        if story is None:
            return None
        (trace_id,) = {span["trace_id"] for span in story["spans"]}
        told = {span["span_id"]: span["name"] for span in story["spans"]}
        found = spans_in_jaeger(platform.endpoints["jaeger"], trace_id)
        there = {span["spanId"]: span["name"] for span in found}
        if told.keys() != there.keys():
            apart = [{**told, **there}[span_id] for span_id in told.keys() ^ there.keys()]
            raise LookupError(f"in one place and not in the other: {', '.join(sorted(apart))}")
        return found

    return eventually(all_of_them, _TIMEOUT_S) or []


def test_a_commands_trace_is_one_tree_in_jaeger(platform: Platform) -> None:
    """By the trace ID of its story, Jaeger has the same spans, of every service on the way, from one root."""
    found = _in_jaeger(platform, _create_user(platform))
    by_id = {span["spanId"]: span for span in found}
    roots = [span for span in found if span.get("parentSpanId", "") not in by_id]
    assert [root["service"] for root in roots] == ["gateway"]
    assert {span["service"] for span in found} == {"gateway", "processor"}
    assert len(by_id) == len(found)
    hops = {names.GATEWAY_SEND, names.LANE_PROCESS, names.LANE_SEND, names.GATEWAY_PROCESS}
    assert hops <= {span["name"] for span in found}


def test_jaeger_hangs_and_is_killed_and_nothing_is_missing(platform: Platform) -> None:
    """Commands and `explain` go on all the while; what came meanwhile is in Jaeger once it is back."""
    pid = platform.pid("jaeger")
    commands = []

    def a_command_is_told() -> None:
        commands.append(_create_user(platform))
        eventually(lambda: _story(platform, commands[-1]), _TIMEOUT_S)

    with frozen(pid):
        for _ in range(3):
            a_command_is_told()
        os.kill(pid, signal.SIGKILL)
    a_command_is_told()
    for correlation_id in commands:
        assert _in_jaeger(platform, correlation_id)
    assert platform.pid("jaeger") != pid
